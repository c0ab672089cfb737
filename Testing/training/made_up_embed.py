"""A small made-up EMBED, with the real layout and column names."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from command_line import read_table, write_table

from MammoTrackerLib.command.simulate import write_dicom
from MammoTrackerLib.mammogram import Mammogram
from MammoTrackerLib.reading.embed import CLINICAL, METADATA, METADATA_COLUMNS
from Training.embed import main
from Training.embed_annotations import ANNOTATION_COLUMNS

SPACING = 0.1
ROWS, COLUMNS = 70, 56
SQUARE = (8, 20, 20, 30)  # x0, y0, x1, y1 in DICOM pixels; not in the middle
DISKS = "/mnt/NAS2/mammo/anon_dicom/"
OTHER_METADATA = ["Unnamed: 0", "SeriesDescription", "png_path"]
OTHER_CLINICAL = ["empi_anon", "numfind", "desc", "path_severity", "asses"]
CLINICAL_COLUMNS = "acc_anon side massshape massmargin massdens calcfind calcdistri".split()


def bright_box(pixels: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(pixels > pixels.max() / 2)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def embed_layout(pixels: np.ndarray, side: str, view: str, orientation: str | None) -> np.ndarray:
    """Lay pixels out as EMBED's PNG conversion does."""
    flips = orientation[0] == "P" if orientation else side == "R"
    return np.fliplr(pixels) if flips and view in ("CC", "ML", "MLO") else pixels


class Embed:
    """Writes the tree, runs the program on it and reads what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.out = folder, folder / "images", folder / "out"
        self.metadata: list[dict] = []
        self.clinical: list[dict] = []
        self.annotations: list[dict] = []

    def image(
        self,
        patient: int = 10000001,
        exam: int = 1,
        side: str = "L",
        view: str = "CC",
        orientation: str | None = "A",
        roi: bool = False,
        copy: int = 0,
        **cells,
    ) -> str:
        """Add an image with a bright square, and its row; returns its path below the root."""
        accession = f"{patient % 1000:03d}{exam:03d}8899"
        name = f"1.2.{exam}{side}{view}{copy}"
        key = f"cohort_1/{patient}/1.2.{accession}/{name}.dcm"
        date = datetime.date(2012 + exam, 3, 7)
        pixels = np.full((ROWS, COLUMNS), 100.0)
        pixels[: ROWS // 3] = 0
        pixels[SQUARE[1] : SQUARE[3], SQUARE[0] : SQUARE[2]] = 1000
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dicom(Mammogram(pixels, SPACING, side, view, date, str(patient)), path, "made up")
        header = pydicom.dcmread(path)
        del header.PatientOrientation
        if orientation:
            header.PatientOrientation = [orientation, "F"]
        header.save_as(path)
        x0, y0, x1, y1 = bright_box(embed_layout(pixels, side, view, orientation))
        self.metadata.append(
            {
                "empi_anon": patient,
                "acc_anon": accession,
                "study_date_anon": f"{date} 00:00:00",
                "anon_dicom_path": DISKS + key,
                "FinalImageType": "2D",
                "ImageLateralityFinal": side,
                "ViewPosition": view,
                "spot_mag": "",
                "num_roi": int(roi),
                "ROI_coords": f"(({y0}, {x0}, {y1}, {x1}),)" if roi else "()",
                "match_level": "[1]" if roi else "[]",
                "Unnamed: 0": len(self.metadata),
                **cells,
            }
        )
        return key

    def annotate(self, case: str, image: str, kind: str = "mass", **cells) -> None:
        box = dict(zip(("x0", "y0", "x1", "y1"), SQUARE, strict=True))
        row = {"case": case, "image": image, "lesion_type": kind, "layout": "dicom", **box}
        self.annotations.append(row | cells)

    def finding(self, exam: int, side: str, patient: int = 10000001, **cells) -> None:
        accession = f"{patient % 1000:03d}{exam:03d}8899"
        self.clinical.append({"empi_anon": patient, "acc_anon": accession, "side": side, **cells})

    def case(self, name: str, kind: str = "mass", exams: int = 2, **image) -> list[str]:
        keys = [self.image(exam=exam, **image) for exam in range(1, exams + 1)]
        for key in keys:
            self.annotate(name, key, kind)
        return keys

    def run(self, *flags: str, metadata_columns: Sequence[str] = METADATA_COLUMNS) -> int:
        tables = self.folder / "tables"
        tables.mkdir(exist_ok=True)
        for path, columns, rows in (
            (tables / METADATA, [*OTHER_METADATA, *metadata_columns], self.metadata),
            (tables / CLINICAL, [*OTHER_CLINICAL, *CLINICAL_COLUMNS], self.clinical),
            (self.folder / "annotations.csv", ANNOTATION_COLUMNS, self.annotations),
        ):
            write_table(path, rows, columns)
        return self.program("--workers", "1", *flags)

    def program(self, *flags: str) -> int:
        paths = {
            "--tables": self.folder / "tables",
            "--images": self.root,
            "--annotations": self.folder / "annotations.csv",
            "--out": self.out,
        }
        return main([str(part) for pair in paths.items() for part in pair] + list(flags))

    def table(self, name: str) -> list[dict[str, str]]:
        return read_table(self.out / name)

    def pairs(self) -> list[dict[str, str]]:
        return self.table("train.csv") + self.table("test.csv")

    def reasons(self) -> Counter[tuple[str, str]]:
        return Counter((row["table"], row["reason"]) for row in self.table("skipped.csv"))

    def pngs(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (self.out / "images").iterdir()}


def assert_on_the_square(embed: Embed, pair: dict[str, str]) -> None:
    for exam in ("prior", "current"):
        path = embed.out / pair[exam]
        pixels = Mammogram.read(path, float(pair[f"{exam}_spacing_mm"])).pixels
        assert pixels.shape == (round(ROWS / 0.7), round(COLUMNS / 0.7))
        box = [float(pair[f"{exam}_{name}"]) for name in ("x0", "y0", "x1", "y1")]
        np.testing.assert_allclose(box, bright_box(pixels), atol=1)
