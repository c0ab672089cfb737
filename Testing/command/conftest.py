"""A pair of mammograms on disk, and what `batch` makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import SPACING, Pair, write_table

from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.simulate import FILM_LESION, read_film, simulate_follow_up, write_dicom


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    film = read_film()
    rows, columns = (side // 4 * 4 for side in film.pixels.shape)
    small = film.pixels[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4).mean((1, 3))
    prior = replace(film, pixels=small, spacing=(SPACING, SPACING), patient_id="SECRET^NAME")
    box = FILM_LESION.scaled(0.25, 0.25)
    follow_up = simulate_follow_up(prior, [box])
    for name, mammogram in (("prior", prior), ("current", follow_up.mammogram)):
        image = sitk.GetImageFromArray(mammogram.pixels.astype(np.uint16))
        sitk.WriteImage(image, str(folder / f"{name}.png"))
        write_dicom(mammogram, folder / f"{name}.dcm", "SIMULATED")
    return Pair(
        folder / "prior.png",
        folder / "current.png",
        folder / "prior.dcm",
        folder / "current.dcm",
        box,
        follow_up.boxes[0],
    )


@pytest.fixture(scope="session")
def manifest(pair: Pair) -> Path:
    """A table beside the images: two lesions of one pair, a missing file, the pair again."""
    path = pair.prior.parent / "manifest.csv"
    corners = ("x0", "y0", "x1", "y1")
    good = {
        "prior": "prior.png",
        "current": "current.png",
        "prior_spacing_mm": SPACING,
        "current_spacing_mm": SPACING,
        "lesion_type": "mass",
    }
    good |= {f"prior_{name}": v for name, v in zip(corners, pair.box.as_tuple(), strict=True)}
    good |= {f"current_{name}": v for name, v in zip(corners, pair.truth.as_tuple(), strict=True)}
    dicom = good | {
        "prior": "prior.dcm",
        "current": "current.dcm",
        "prior_spacing_mm": "",
        "current_spacing_mm": "",
    }
    rows = [
        good | {"pair_id": "a", "lesion_id": "1"},
        good | {"pair_id": "a", "lesion_id": "1"},
        good | {"pair_id": "b", "lesion_id": "1", "prior": "missing.png"},
        good | {"pair_id": "c", "lesion_id": "1", "prior_x1": 0},
        dicom | {"pair_id": "d", "lesion_id": "Ä, 2"},
    ]
    return write_table(path, rows)


@pytest.fixture(scope="session")
def results(manifest: Path) -> Path:
    """Give what one run of `batch` writes for the manifest."""
    path = manifest.with_name("results.csv")
    assert main(["batch", str(manifest), "--out", str(path)]) == 0
    return path
