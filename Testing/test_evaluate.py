"""The whole tables, the worst tracks and the peers, on small made-up breasts."""

from __future__ import annotations

import csv
import gc
import sys
import weakref
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image, ImageColor
from rich.console import Console
from scipy import ndimage

from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib.command.registrations import register_simpleitk
from MammoTrackerLib.global_search import align
from MammoTrackerLib.settings import Settings
from MammoTrackerLib.track import Candidate
from Training import evaluate, peers

SPACING = 0.4
LESION = Box(85, 150, 105, 170)
SHIFT = (6.0, 10.0)
TRUTH = Box(91, 160, 111, 180)
CORNERS = ("x0", "y0", "x1", "y1")


def breast(seed: int, shift: Sequence[float] = (0, 0)) -> np.ndarray:
    """Draw a breast at the left edge with a lesion, moved by (x, y) pixels: (350, 250) uint16."""
    y, x = np.mgrid[:350, :250].astype(float)
    x, y = x - shift[0], y - shift[1]
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(450, 350)), 6)
    texture = ndimage.map_coordinates(texture / texture.std(), [y + 50, x + 50], order=1)
    inside = (x / 190) ** 2 + ((y - 165) / 145) ** 2 < 1
    blob = np.exp(-((x - 94.5) ** 2 + (y - 159.5) ** 2) / (2 * 5**2))
    return np.where(inside, 8000 + 1200 * texture + 5000 * blob, 0).astype(np.uint16)


def write_manifest(folder: Path, rows: list[dict]) -> Path:
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def manifest_row(pair: int, lesion: int, kind: str, patient: str, present: str = "") -> dict:
    row = {
        "pair_id": pair,
        "lesion_id": lesion,
        "prior": f"{pair}_prior.png",
        "current": f"{pair}_current.png",
        "prior_spacing_mm": SPACING,
        "current_spacing_mm": SPACING,
        "lesion_type": kind,
        "patient": patient,
        "present": present,
    }
    truth = ("",) * 4 if present == "0" else TRUTH.as_tuple()
    row |= {f"prior_{name}": value for name, value in zip(CORNERS, LESION.as_tuple(), strict=True)}
    return row | {f"current_{name}": value for name, value in zip(CORNERS, truth, strict=True)}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pairs of three patients; two lesions on the first; the last lesion is gone."""
    folder = tmp_path_factory.mktemp("pairs")
    for pair in range(4):
        for name, shift in (("prior", (0, 0)), ("current", SHIFT)):
            image = sitk.GetImageFromArray(breast(pair, shift))
            sitk.WriteImage(image, str(folder / f"{pair}_{name}.png"))
    return write_manifest(
        folder,
        [
            manifest_row(0, 0, "mass", "A"),
            manifest_row(0, 1, "calcification", "A"),
            manifest_row(1, 0, "mass", "A"),
            manifest_row(2, 0, "mass", "B", "1"),
            manifest_row(3, 0, "mass", "C", "0"),
        ],
    )


def moved(box: Box, x: float) -> Box:
    return Box(box.x0 + x, box.y0, box.x1 + x, box.y1)


class StandIn:
    """A tracker that answers what its weights' name says: the place in pixels off to the right.

    Its local search is 10 pixels farther off, and the similarity prefers a place 5 farther off.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self.off = float(weights.name) if weights else 0.0
        self.settings = Settings(template_input="masked", centreness=self.off != 20)

    def track(self, prior, current, boxes, alignment, force) -> list[Track]:  # noqa: ANN001
        assert force
        candidates = tuple(
            Candidate(moved(TRUTH, self.off + off), score, similarity)
            for off, score, similarity in ((0, 0.5, 0.5), (10, 0.9, 0.1), (5, 0.6, 0.9))
        )
        return [
            Track(box, candidates[0].box, 0.5, Status.FOUND, "", candidates, alignment.map_box(box))
            for box in boxes
        ]


@pytest.fixture
def run(manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the program with the stand-in; returns what it prints."""
    monkeypatch.setattr(evaluate, "LesionTracker", StandIn)

    def run(*arguments: object, manifest: Path = manifest) -> str:
        monkeypatch.setattr(sys, "argv", ["evaluate", str(manifest), *map(str, arguments)])
        evaluate.main()
        return capsys.readouterr().out

    return run


def cells(output: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in output.splitlines()
        if line.startswith("│")
    ]


@pytest.fixture(scope="module")
def output(manifest: Path) -> str:
    """Give what the program prints for the manifest without options."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as screen:
        patch.setattr(evaluate, "LesionTracker", StandIn)
        patch.setattr(sys, "argv", ["evaluate", str(manifest)])
        evaluate.main()
    return screen.getvalue()


def test_table_2_by_lesion_type_and_in_total(output: str) -> None:
    table = cells(output)
    assert [row[0] for row in table[:3]] == ["mass", "3 lesions, 2 patients", "affine"]
    table = [row for row in table if len(row) > 7]
    rows = [row for row in table if row[0] == "MammoTracker"]
    # Of 20 pixels (8 mm) square; "failed", "not found", AO, accuracy, robustness, mm, ...
    assert [row[1:7] for row in rows] == [["0", "0", "1.000", "1.000", "0.000", "0.00"]] * 3
    (tracking,) = {tuple(row[1:7]) for row in table if row[0] == "mask-guided tracking"}
    assert tracking == ("0", "-", "0.333", "0.333", "0.000", "4.00")
    (paper,) = {tuple(row[3:7]) for row in table if row[0] == "tracking x similarity"}
    assert paper == ("0.600", "0.600", "0.000", "2.00")
    registration = [row for row in table if row[0].startswith("affine")]
    assert [float(row[3]) > 0.5 for row in registration[:6]] == [True] * 6


def test_each_row_is_compared_with_the_one_above(output: str) -> None:
    assert "SiamFC++ style is left out" in output
    first = [row for row in cells(output) if len(row) == 4]
    rows = {(a[0], b[0]): (a[1:], b[1:]) for a, b in zip(first[::2], first[1::2], strict=False)}
    full = rows["MammoTracker", "minus mask-guided tracking"]
    assert full == (["+0.667"] * 3, ["+0.667 to +0.667"] * 3)
    assert ("mask-guided tracking", "minus affine + B-spline") in rows
    assert rows["tracking x similarity", "minus mask-guided tracking"][0] == ["+0.267"] * 3


def test_siamfc_has_a_row_of_its_own(run, tmp_path: Path) -> None:
    output = run("--siamfc", tmp_path / "5")
    assert "left out" not in output
    (siamfc,) = {tuple(row[3:7]) for row in cells(output) if row[0] == "SiamFC++ style"
                 and len(row) > 4}  # fmt: skip
    assert siamfc == ("0.143", "0.143", "0.000", "6.00")
    assert "minus SiamFC++ style" in output


def test_table_3_has_a_row_for_each_configuration(run, tmp_path: Path) -> None:
    output = run("--configs", f"masked={tmp_path / '5'}", f"no centre-ness={tmp_path / '20'}")
    rows = {row[0]: row[1:] for row in cells(output) if len(row) == 7}
    assert rows["masked"] == ["yes", "masked", "0.143", "0.143", "0.000", "6.00"]
    assert rows["no centre-ness"] == ["no", "masked", "0.000", "-", "1.000", "12.00"]


@pytest.mark.parametrize("text", ["masked", "=folder", "MammoTracker=folder"])
def test_configurations_need_a_name_and_a_folder(run, text: str) -> None:
    with pytest.raises(SystemExit):
        run("--configs", text)


def test_lesion_that_is_gone_counts_in_the_statuses_only(output: str) -> None:
    assert "4 lesions, 2 patients" in output
    assert "found: 5 of 5; more than 10 mm off: 0; not there: 1" in output
    assert "uncertain: 0 of 5\n" in output
    assert "Of 5 called found, 1 (20.0 %, interval 0.0-" in output
    assert "Of 4 lesions that are there, 0 (0.0 %) were called not found." in output


def test_wrong_pairs_have_statuses_only(run) -> None:
    output = run("--wrong-pairs")
    assert "found: 5 of 5; not there: 5" in output
    assert "AO" not in output


def test_wrong_pairs_are_of_other_patients(manifest: Path) -> None:
    pairs = evaluate.pairs_of(evaluate.read_manifest(manifest))
    assert [len(pair) for pair in pairs] == [2, 1, 1, 1]
    currents = [rows[0]["current"] for rows in evaluate.wrong_currents(pairs)]
    assert currents == ["2_current.png", "2_current.png", "3_current.png", "0_current.png"]
    with pytest.raises(MammoTrackerError, match="two patients"):
        list(evaluate.wrong_currents(pairs[:2]))


def test_pair_that_cannot_be_read_has_failed(
    run, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = evaluate.read_manifest(manifest)
    rows[2] = rows[2] | {"prior": "missing.png"}
    other = write_manifest(manifest.parent / ".", rows)
    try:
        output = run(manifest=other)
    finally:
        rows[2]["prior"] = "1_prior.png"
        write_manifest(manifest.parent, rows)
    full = [row for row in cells(output) if row[0] == "MammoTracker" and len(row) > 4]
    assert [row[1:4] for row in full] == [
        ["1", "0", "0.667"],
        ["0", "0", "1.000"],
        ["1", "0", "0.750"],
    ]
    assert "failed: 1 of 5" in output


def test_only_one_pair_is_in_memory(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen, most = evaluate.read_exam, [], []

    def counted(*arguments: object) -> Mammogram:
        gc.collect()
        most.append(sum(one() is not None for one in seen))
        mammogram = read(*arguments)
        seen.append(weakref.ref(mammogram.pixels))
        return mammogram

    monkeypatch.setattr(evaluate, "read_exam", counted)
    for wrong in (False, True):
        evaluate.track_all(manifest, {evaluate.FULL: StandIn()}, wrong)
    assert len(seen) == 16
    assert max(most) <= 2, "the pair before may still be there while the next is read"


def test_affine_box_is_that_of_the_affine_registration() -> None:
    prior = Mammogram(breast(0).astype(float), SPACING)
    for current in (breast(0, SHIFT), breast(0, SHIFT)[:, ::-1]):
        current = Mammogram(current.astype(float), SPACING)
        expected = align(prior, current, bspline=False).map_box(LESION)
        found = evaluate.affine_box(align(prior, current), LESION)
        assert found.as_tuple() == pytest.approx(expected.as_tuple(), abs=1e-6)


def count(image: np.ndarray, color: str) -> int:
    return int((image == ImageColor.getrgb(color)).all(-1).sum())


def test_worst_tracks_are_drawn(run, manifest: Path, tmp_path: Path) -> None:
    folder = tmp_path / "worst"
    folder.mkdir()
    (folder / "worst-09.png").write_bytes(b"of another run")
    (folder / "mine.txt").write_text("mine")
    output = run("--weights", tmp_path / "30", "--worst", folder)
    assert "The 4 worst tracks are drawn" in output
    assert sorted(path.name for path in folder.iterdir()) == [
        "mine.txt",
        *(f"worst-{n:02d}.png" for n in range(1, 5)),
    ]
    with Image.open(folder / "worst-01.png") as file:
        image = np.array(file.convert("RGB"))
    panels = image[30:530, :500], image[30:530, 520:]
    # 20 pixels of 0.4 mm in a field of 40 mm on 500 pixels: sides of 100 pixels, 2 wide.
    green, yellow = evaluate.COLORS["true"], evaluate.COLORS["tracker"]
    assert count(panels[0], green) == pytest.approx(800, rel=0.05)
    assert count(panels[0], yellow) == 0
    places = {}
    for name, color in evaluate.COLORS.items():
        places[name] = np.flatnonzero((panels[1] == ImageColor.getrgb(color)).all(-1).any(0))
        assert len(places[name]) > 50, name
    # The answer is 30 pixels, 12 mm, too far to the right.
    assert places["tracker"].max() - places["true"].max() == pytest.approx(150, abs=3)


def test_worst_come_first(run, manifest: Path, tmp_path: Path) -> None:
    def lesion(off: float) -> evaluate.Lesion:
        boxes = {evaluate.FULL: moved(TRUTH, off), evaluate.BSPLINE: TRUTH}
        return evaluate.Lesion("mass", "0", "", TRUTH, (SPACING, SPACING), "found", boxes)

    row = evaluate.read_manifest(manifest)[0]
    gone = replace(lesion(90), truth=None)
    tracked = [(row, lesion(off)) for off in (1, 60, *range(2, 12))] + [(row, gone)]
    drawn = []
    original = evaluate.draw_track
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "draw_track", lambda *a: drawn.append(a[4]) or original(*a))
        assert evaluate.draw_worst(manifest, tracked, tmp_path / "worst") == 10
    assert drawn[0] == "1. row 2: mass, found, 24.0 mm off, IoU 0.00"
    assert drawn[1].startswith("2. row 12: mass, found, 4.4 mm off")
    assert len(drawn) == 10


def test_figure_4(run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run("--plot", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width == pytest.approx(3 * image.height, rel=0.02)


def pair_of(seed: int = 0, mirrored: bool = False) -> tuple[Mammogram, Mammogram]:
    current = breast(seed, SHIFT)
    return (
        Mammogram(breast(seed).astype(float), SPACING),
        Mammogram((current[:, ::-1] if mirrored else current).astype(float), SPACING),
    )


def test_map_box_scales_the_sides() -> None:
    spacings = (0.5, 0.25), (0.25, 0.5)

    def twice_as_wide(points: np.ndarray) -> np.ndarray:
        x, y = (points * spacings[0]).T
        return np.stack([2 * x + 3, y - 1], axis=1) / spacings[1]

    box = peers.map_box(twice_as_wide, Box(10, 20, 14, 28), *spacings)
    # In mm: x 5 to 7 becomes 13 to 17, y 5 to 7 becomes 4 to 6.
    assert box.as_tuple() == pytest.approx((52, 8, 68, 12))


def test_map_box_of_a_quarter_turn() -> None:
    spacing = 1.0, 1.0
    box = peers.map_box(lambda p: p[:, ::-1] * [-1, 1], Box(10, 20, 14, 30), spacing, spacing)
    assert box.as_tuple() == pytest.approx((-27, 7, -23, 17))


def test_simpleitk_follows_a_shift() -> None:
    find = peers.registration(register_simpleitk)(*pair_of())
    assert find(LESION).as_tuple() == pytest.approx(TRUTH.as_tuple(), abs=3)


@pytest.mark.parametrize(("register", "mirrored"), [(False, False), (True, False), (True, True)])
def test_correlation_finds_the_lesion(register: bool, mirrored: bool) -> None:
    found = peers.correlation(register)(*pair_of(mirrored=mirrored))(LESION)
    truth = Box(250 - TRUTH.x1, TRUTH.y0, 250 - TRUTH.x0, TRUTH.y1) if mirrored else TRUTH
    assert found.as_tuple() == pytest.approx(truth.as_tuple(), abs=2)
    assert found.iou(truth) > 0.8


def test_correlation_looks_only_as_far_as_told() -> None:
    image = peers.Small.of(pair_of()[0])
    rolled = replace(image, pixels=np.roll(image.pixels, (0, 30), (0, 1)))
    box = image.box_from(LESION, (SPACING, SPACING))
    far = peers.find_by_correlation(image, rolled, box, np.inf)
    assert far.center[0] - box.center[0] == 30
    near = peers.find_by_correlation(image, rolled, box, 20 * image.spacing[0])
    assert abs(near.center[0] - box.center[0]) <= 20


def test_correlation_gives_up_where_nothing_can_be_compared() -> None:
    image = peers.Small.of(pair_of()[0])
    tiny = replace(image, pixels=image.pixels[:10, :10])
    black = replace(image, pixels=np.zeros_like(image.pixels))
    box = image.box_from(LESION, (SPACING, SPACING))
    for current in (tiny, black):
        assert peers.find_by_correlation(image, current, box, np.inf) is None


@pytest.mark.skipif(not hasattr(cv2, "TrackerCSRT_create"), reason="needs opencv-contrib")
def test_csrt_follows_a_shift() -> None:
    found = peers.csrt(True)(*pair_of())(LESION)
    assert found.iou(TRUTH) > 0.6


def fails(prior: Mammogram, current: Mammogram):  # noqa: ANN201
    raise RuntimeError("does not converge")


def test_peers_side_by_side(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ImportError

    truth = lambda box: TRUTH  # noqa: E731
    monkeypatch.setattr(peers, "in_own_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(
        peers,
        "PEERS",
        (
            ("perfect", "here", lambda: lambda prior, current: truth),
            ("absent", "nowhere", missing),
            ("failing", "here", lambda: fails),
            ("correlation", "here", partial(peers.correlation, True)),
        ),
    )
    peers.print_peers(manifest, Console(width=150))
    output = capsys.readouterr().out
    rows = {row[0]: row[1:] for row in cells(output) if row[0]}
    assert rows["perfect"][:6] == ["0", "1.000", "0.000", "0.00", "0.00", "1.000"]
    assert rows["failing"][:6] == ["4", "0.000", "1.000", "-", "-", "0.000"]
    assert rows["absent"] == ["-"] + 10 * [""]
    assert float(rows["correlation"][1]) > 0.8
    assert float(rows["correlation"][6]) > 0, "aligning takes time"
    assert float(rows["correlation"][10]) > 10, "MB"
    assert "absent: not installed (nowhere)." in output
    assert "failing: RuntimeError: does not converge" in output
    assert "2 patients" in output


def test_peer_runs_in_a_process_of_its_own(manifest: Path) -> None:
    run = peers.in_own_process(peers.run_peer, manifest, partial(peers.correlation, False))
    assert [box.iou(TRUTH) > 0.8 for box in run.boxes] == [True] * 4
    assert run.trouble == ""


def test_every_peer_of_the_issue_is_there() -> None:
    names = " ".join(name for name, _, _ in peers.PEERS)
    for name in ("SimpleITK", "ANTs affine", "SyN", "elastix", "NCC", "CSRT", "MammoTracker"):
        assert name in names
