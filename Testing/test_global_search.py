"""Registration finds known warps of real mammograms, and says when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from MammoTrackerLib.box import Box
from MammoTrackerLib.breast import breast_mask
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.global_search import Alignment, align
from MammoTrackerLib.mammogram import Mammogram
from MammoTrackerLib.orientation import TURNS, UNTURNED, Turn, turned
from MammoTrackerLib.patches import block_mean

Warp = Callable[[np.ndarray], np.ndarray]
"""From (n, 2) mm of the follow-up to (n, 2) mm of the prior."""

MIDDLE = np.array([70.0, 110.0])


def affine(degrees: float, scale: float, shift: tuple[float, float]) -> Warp:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = scale * np.array([[c, -s], [s, c]])
    return lambda points: (points - MIDDLE) @ matrix.T + MIDDLE + shift


def elastic(points: np.ndarray) -> np.ndarray:
    """Turn, grow and shift, then move by up to 2.5 mm in waves of 90 mm."""
    waved = points + 2.5 * np.sin(2 * np.pi * points[:, ::-1] / 90 + np.array([0.5, 1.5]))
    return affine(5, 1.05, (4, 6))(waved)


WARPS = {
    "affine": affine(6, 1.06, (6, -8)),
    "opposite affine": affine(-9, 0.94, (-5, 12)),
    "elastic": elastic,
}


def reduced(path: Path) -> Mammogram:
    """Read a film, at 0.2 mm for speed."""
    film = Mammogram.read(path, spacing=0.05)
    return Mammogram(block_mean(film.pixels, 4, 4), 0.2, film.laterality, film.view)


def follow_up(
    prior: Mammogram,
    warp: Warp,
    spacing: tuple[float, float] = (0.25, 0.25),
    gamma: float = 0.8,
    mirrored: bool = False,
) -> Mammogram:
    """Warp a mammogram, change its gamma and units, and add noise."""
    extent = np.array(prior.pixels.shape[::-1]) * prior.spacing
    columns, rows = np.round(extent / spacing).astype(int)
    y, x = np.mgrid[:rows, :columns] + 0.5
    points = warp(np.stack([x.ravel(), y.ravel()], axis=1) * spacing) / prior.spacing - 0.5
    image = ndimage.map_coordinates(prior.pixels, points.T[::-1], order=1, mode="nearest")
    image = (image.reshape(rows, columns) / prior.pixels.max()) ** gamma
    image = image + np.random.default_rng(0).normal(0, 0.01, image.shape)
    image = np.clip(image, 0, 1) * 4000
    return Mammogram(image[:, ::-1] if mirrored else image, spacing)


def landmarks(prior: Mammogram, warp: Warp) -> tuple[np.ndarray, np.ndarray]:
    """Return points at least 6 mm inside the breast: mm in the prior, mm in the follow-up."""
    extent = np.array(prior.pixels.shape[::-1]) * prior.spacing
    x, y = np.meshgrid(np.arange(3, extent[0], 7), np.arange(3, extent[1], 7))
    then = np.stack([x.ravel(), y.ravel()], axis=1)
    before = warp(then)
    inner = ndimage.binary_erosion(breast_mask(block_mean(prior.pixels, 5, 5)), iterations=6)
    column, row = np.floor(before / (5 * np.array(prior.spacing))).astype(int).T
    shown = (column >= 0) & (row >= 0) & (column < inner.shape[1]) & (row < inner.shape[0])
    shown[shown] = inner[row[shown], column[shown]]
    assert shown.sum() > 50
    return before[shown], then[shown]


def errors_mm(alignment: Alignment, before: np.ndarray, then: np.ndarray) -> np.ndarray:
    mapped = alignment.map_points(before / alignment.prior_spacing) * alignment.current_spacing
    return np.linalg.norm(mapped - then, axis=1)


@pytest.fixture(scope="module")
def films(mammogram_paths: dict[str, Path]) -> dict[str, Mammogram]:
    return {view: reduced(path) for view, path in mammogram_paths.items()}


@pytest.fixture(scope="module")
def elastic_pair(films: dict[str, Mammogram]) -> tuple[Mammogram, Mammogram, Alignment]:
    prior = films["rcc"]
    current = follow_up(prior, elastic)
    return prior, current, align(prior, current)


@pytest.mark.parametrize("view", ["rcc", "lmlo"])
@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("gamma", [0.8, 1.3])
def test_a_known_warp_is_found(films: dict[str, Mammogram], view: str, name: str, gamma: float):
    prior, warp = films[view], WARPS[name]
    alignment = align(prior, follow_up(prior, warp, gamma=gamma))
    before, then = landmarks(prior, warp)
    unregistered = np.linalg.norm(before - then, axis=1)
    errors = errors_mm(alignment, before, then)
    assert unregistered.mean() > 4.5
    assert errors.mean() < 2
    assert np.percentile(errors, 90) < 3.5
    assert errors.mean() < 0.4 * unregistered.mean()
    assert alignment.warnings == ()
    assert alignment.dice > 0.93


def test_the_same_image_stays_where_it_is(films: dict[str, Mammogram]):
    prior = films["rmlo"]
    alignment = align(prior, prior)
    before, then = landmarks(prior, lambda points: points)
    assert errors_mm(alignment, before, then).max() < 0.3
    assert alignment.dice > 0.99
    assert alignment.warnings == ()


def test_the_same_image_mirrored_comes_back(films: dict[str, Mammogram]):
    prior = films["rmlo"]
    alignment = align(prior, Mammogram(prior.pixels[:, ::-1], prior.spacing))
    before, then = landmarks(prior, lambda points: points)
    then[:, 0] = prior.pixels.shape[1] * prior.spacing[0] - then[:, 0]
    assert errors_mm(alignment, before, then).max() < 0.3


def test_a_far_shift_and_turn_are_found(films: dict[str, Mammogram]):
    """The breast is some 50 mm further up, and turned by 13 degrees."""
    prior, warp = films["rcc"], affine(-13, 1.0, (0, 60))
    alignment = align(prior, follow_up(prior, warp))
    before, then = landmarks(prior, warp)
    assert np.linalg.norm(before - then, axis=1).mean() > 45
    assert errors_mm(alignment, before, then).mean() < 2


def test_a_film_as_it_is_read(mammogram_paths: dict[str, Path], films: dict[str, Mammogram]):
    """All 13 million pixels of the prior, 0.05 mm each."""
    prior = Mammogram.read(mammogram_paths["rcc"], spacing=0.05)
    alignment = align(prior, follow_up(films["rcc"], elastic))
    assert errors_mm(alignment, *landmarks(films["rcc"], elastic)).mean() < 2


@pytest.mark.parametrize("spacing", [(0.1, 0.1), (0.4, 0.4), (0.6, 0.6), (0.3, 0.2)])
def test_spacings_differ(films: dict[str, Mammogram], spacing: tuple[float, float]):
    prior = films["rcc"]
    alignment = align(prior, follow_up(prior, elastic, spacing))
    assert alignment.prior_spacing == (0.2, 0.2)
    assert alignment.current_spacing == spacing
    assert errors_mm(alignment, *landmarks(prior, elastic)).mean() < 2
    assert alignment.warnings == ()


@pytest.mark.parametrize("view", ["rcc", "lmlo"])
def test_a_mirrored_current_is_recognised(films: dict[str, Mammogram], view: str):
    prior = films[view]
    current = follow_up(prior, elastic, (0.3, 0.2), mirrored=True)
    alignment = align(prior, current)
    before, then = landmarks(prior, elastic)
    then[:, 0] = current.pixels.shape[1] * 0.3 - then[:, 0]
    assert errors_mm(alignment, before, then).mean() < 2
    assert np.linalg.det(alignment.matrix) < 0
    assert alignment.warnings == ()
    (remark,) = alignment.remarks
    assert "mirrored left to right" in remark
    unmirrored = align(prior, follow_up(prior, elastic, (0.3, 0.2)))
    assert np.linalg.det(unmirrored.matrix) > 0
    share = (alignment.current_breast[:, ::-1] != unmirrored.current_breast).mean()
    assert share < 0.02


@pytest.mark.parametrize("view", ["rcc", "lmlo"])
@pytest.mark.parametrize("turn", list(TURNS))
def test_however_the_current_is_stored(films: dict[str, Mammogram], view: str, turn: Turn):
    """No header says how; pixels are not square."""
    prior = films[view]
    upright = follow_up(prior, elastic, (0.3, 0.2))
    pixels = turned(upright.pixels, turn)
    sideways = turn[0][0] == 0
    current = Mammogram(pixels, (0.2, 0.3) if sideways else (0.3, 0.2))
    alignment = align(prior, current)
    before, then = landmarks(prior, elastic)
    size = np.array(upright.pixels.shape[::-1]) * (0.3, 0.2)
    then = (then - size / 2) @ np.array(turn) + (size[::-1] if sideways else size) / 2
    assert errors_mm(alignment, before, then).mean() < 2
    assert alignment.warnings == ()
    assert [TURNS[turned_back(turn)] in remark for remark in alignment.remarks] == (
        [] if turn == UNTURNED else [True]
    )
    mapped = alignment.map_box(Box.from_center(*before[0] / prior.spacing, 60, 40))
    sides = np.array([mapped.width, mapped.height]) * current.spacing
    np.testing.assert_allclose(sides[::-1] if sideways else sides, (12 / 1.05, 8 / 1.05), rtol=0.06)


def turned_back(turn: Turn) -> Turn:
    return tuple(zip(*turn, strict=True))


@pytest.mark.parametrize(("view", "name", "left"), [("lcc", "elastic", 171), ("rcc", "affine", 0)])
def test_a_breast_that_looks_alike_upside_down(
    films: dict[str, Mammogram], view: str, name: str, left: int
):
    """Upside down, a third of the points agree by chance; or the affine map does not help."""
    prior, warp = films[view], WARPS[name]
    current = follow_up(prior, warp)
    upside_down = Mammogram(current.pixels[::-1, left:], current.spacing)
    before, then = landmarks(prior, warp)
    rows = current.pixels.shape[0]
    then = (then - (left * current.spacing[0], rows * current.spacing[1])) * (1, -1)
    shown = then[:, 0] > 0
    alignment = align(prior, upside_down)
    assert errors_mm(alignment, before[shown], then[shown]).mean() < 2
    assert "top to bottom" in alignment.remarks[0]


@pytest.mark.parametrize(
    ("turn", "orientation"),
    [
        (((1, 0), (0, -1)), ("P", "R")),
        (((-1, 0), (0, -1)), ("A", "R")),
        (((0, 1), (-1, 0)), ("R", "A")),
    ],
)
def test_the_headers_say_how_the_current_is_stored(
    films: dict[str, Mammogram], turn: Turn, orientation: tuple[str, str]
):
    prior = replace(films["rcc"], orientation=("P", "L"))
    then = turned(prior.pixels, turn)
    current = Mammogram(then, prior.spacing, orientation=orientation)
    alignment = align(prior, current)
    places, _ = landmarks(prior, lambda points: points)
    size = np.array(prior.pixels.shape[::-1]) * prior.spacing
    side = np.array(then.shape[::-1]) * prior.spacing
    expected = (places - size / 2) @ np.array(turn) + side / 2
    assert errors_mm(alignment, places, expected).max() < 0.3


def test_headers_that_are_wrong_are_not_followed(films: dict[str, Mammogram]):
    prior = replace(films["lmlo"], orientation=("A", "F"))
    for orientation in (("P", "F"), ("A", "H"), ("F", "A")):
        current = replace(follow_up(films["lmlo"], elastic), orientation=orientation)
        assert errors_mm(align(prior, current), *landmarks(prior, elastic)).mean() < 2


@pytest.mark.parametrize("as_prior", [False, True])
@pytest.mark.parametrize(
    ("view", "part"),
    [("lmlo", np.s_[:420]), ("rmlo", np.s_[500:]), ("lmlo", np.s_[450:750]), ("rcc", np.s_[:560])],
)
def test_an_image_that_shows_a_part_of_the_breast(
    films: dict[str, Mammogram], view: str, part: slice, as_prior: bool
):
    whole = films[view]
    other = follow_up(whole, elastic)
    before, then = landmarks(whole, elastic)
    cropped = Mammogram(other.pixels[part], other.spacing)
    then = then - (0, (part.start or 0) * 0.25)
    inside = (then[:, 1] > 0) & (then[:, 1] < cropped.pixels.shape[0] * 0.25)
    pair = [(whole, cropped), (before[inside], then[inside])]
    if as_prior:
        pair = [pairs[::-1] for pairs in pair]
    alignment = align(*pair[0])
    assert np.median(errors_mm(alignment, *pair[1])) < 3
    shown = sorted((alignment.prior_breast.sum(), alignment.current_breast.sum()))
    assert shown[0] > 0.6 * shown[1] or any("under 60 %" in text for text in alignment.warnings)


@pytest.mark.parametrize("negatives", ["current", "both"])
def test_a_negative_is_registered_and_said(films: dict[str, Mammogram], negatives: str):
    prior = films["rcc"]
    current = follow_up(prior, elastic)
    points = landmarks(prior, elastic)
    current = replace(current, pixels=current.pixels.max() - current.pixels)
    if negatives == "both":
        prior = replace(prior, pixels=prior.pixels.max() - prior.pixels)
    alignment = align(prior, current)
    assert errors_mm(alignment, *points).mean() < 2
    assert 0.1 < alignment.current_breast.mean() < 0.6, "the air is no breast"
    said = [text.split()[1] for text in alignment.warnings]
    assert said == (["prior", "current"] if negatives == "both" else ["current"])


@pytest.mark.parametrize("mm", [5, 10])
@pytest.mark.parametrize("as_prior", [False, True])
def test_a_white_frame_is_no_breast(films: dict[str, Mammogram], mm: int, as_prior: bool):
    film = films["lmlo"]
    other = follow_up(film, elastic, (0.2, 0.2))
    width = round(mm / 0.2)
    framed = Mammogram(np.pad(other.pixels, width, constant_values=4000), 0.2)
    points = landmarks(film, elastic)
    points = points[0], points[1] + width * 0.2
    pair = (framed, film) if as_prior else (film, framed)
    alignment = align(*pair)
    assert errors_mm(alignment, *(points[::-1] if as_prior else points)).mean() < 2
    assert alignment.warnings == ()
    outlines = alignment.prior_breast, alignment.current_breast
    for image, outline in zip(pair, outlines, strict=True):
        assert outline.shape == tuple(np.array(image.pixels.shape) // 5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_matrix_and_offset_are_the_affine_part(films: dict[str, Mammogram], mirrored: bool):
    prior = films["rcc"]
    current = follow_up(prior, elastic, (0.3, 0.2), mirrored=mirrored)
    alignment = align(prior, current, spline=False)
    assert alignment.stage == "affine"
    points = np.random.default_rng(0).uniform(0, 500, (20, 2))
    expected = (points * prior.spacing @ alignment.matrix.T + alignment.offset) / (0.3, 0.2)
    np.testing.assert_allclose(alignment.map_points(points), expected, atol=1e-6)


def test_the_spline_helps_where_the_warp_is_elastic(films: dict[str, Mammogram]):
    prior = films["rmlo"]
    current = follow_up(prior, elastic)
    with_it, without = align(prior, current), align(prior, current, spline=False)
    assert (with_it.stage, without.stage) == ("thin-plate spline", "affine")
    before, then = landmarks(prior, elastic)
    better, worse = errors_mm(with_it, before, then).mean(), errors_mm(without, before, then).mean()
    assert better < 0.8 * worse


def known_alignment(matrix: np.ndarray, offset: np.ndarray) -> Alignment:
    transform = sitk.AffineTransform(2)
    transform.SetMatrix(matrix.ravel().tolist())
    transform.SetTranslation(offset.tolist())
    outline, factor = np.ones((10, 10), bool), np.array([5, 5])
    return Alignment(
        matrix, offset, transform, (0.05, 0.1), (0.07, 0.14), (53, 50), outline, outline,
        factor, factor, "affine", 1.0, 0.9, (),
    )  # fmt: skip


def test_points_are_mapped_in_pixels_of_both_images():
    alignment = known_alignment(np.array([[0.0, -2.0], [1.0, 0.0]]), np.array([100.0, 7.0]))
    # (200, 300) px are (10, 30) mm, which go to (40, 17) mm.
    np.testing.assert_allclose(
        alignment.map_points(np.array([[200, 300]])), [[40 / 0.07, 17 / 0.14]]
    )


def test_grid_of_a_known_map():
    alignment = known_alignment(np.array([[0.0, -2.0], [1.0, 0.0]]), np.array([100.0, 7.0]))
    grid = alignment.grid(0.5)  # the prior is 2.65 mm wide and 5 mm high
    assert grid.shape == (11, 7, 4)
    assert grid.dtype == np.float64
    np.testing.assert_allclose(grid[:, :, 0], np.tile(np.linspace(0, 53, 7), (11, 1)))
    np.testing.assert_allclose(grid[:, :, 1].T, np.tile(np.linspace(0, 50, 11), (7, 1)))
    np.testing.assert_allclose(grid[-1, -1, 2:], [(100 - 10) / 0.07, (7 + 2.65) / 0.14])


def test_the_map_has_no_jump_at_the_edges(elastic_pair):
    prior, _, alignment = elastic_pair
    assert alignment.stage == "thin-plate spline"
    rows, columns = prior.pixels.shape
    for start, step in (
        ((columns / 2, rows + 12), (0, -1)),
        ((columns / 2, -12), (0, 1)),
        ((columns + 12, rows / 2), (-1, 0)),
        ((-12, rows / 2), (1, 0)),
    ):
        line = np.array(start) + np.outer(np.arange(24), step)
        mapped = alignment.map_points(line) * alignment.current_spacing
        steps = np.linalg.norm(np.diff(mapped, axis=0), axis=1) / prior.spacing[0]
        assert (0.7 < steps).all() and (steps < 1.4).all()


def test_the_grid_stands_for_the_map(elastic_pair):
    prior, _, alignment = elastic_pair
    grid = alignment.grid()
    assert tuple(grid[-1, -1, :2]) == prior.pixels.shape[::-1]
    assert (np.diff(grid[0, :, 0]) * prior.spacing[0]).max() <= 5
    assert (np.diff(grid[:, 0, 1]) * prior.spacing[1]).max() <= 5
    points = np.random.default_rng(0).uniform((0, 0), grid[-1, -1, :2], (200, 2))
    between = RegularGridInterpolator((grid[:, 0, 1], grid[0, :, 0]), grid[..., 2:])
    shift = (between(points[:, ::-1]) - alignment.map_points(points)) * alignment.current_spacing
    assert np.linalg.norm(shift, axis=1).max() < 0.3


@pytest.mark.parametrize(
    ("given", "returned"), [((2,), (1, 2)), ((1, 2), (1, 2)), ((5, 2), (5, 2)), ((0, 2), (0, 2))]
)
def test_shape_of_mapped_points(given: tuple[int, ...], returned: tuple[int, ...]):
    alignment = known_alignment(np.eye(2), np.zeros(2))
    assert alignment.map_points(np.ones(given)).shape == returned


def test_box_is_mapped_by_its_centre_and_the_scale_of_its_sides():
    turned = np.array([[0.6, -0.8], [0.8, 0.6]])
    alignment = known_alignment(turned @ np.diag([1.1, 0.9]), np.array([30.0, 20.0]))
    box = Box.from_center(400, 250, 160, 70)
    mapped = alignment.map_box(box)
    assert mapped.center == pytest.approx(tuple(alignment.map_points(np.array([400, 250]))[0]))
    # 8 x 7 mm grow to 8.8 x 6.3 mm.
    assert (mapped.width, mapped.height) == pytest.approx((8.8 / 0.07, 6.3 / 0.14))


def test_box_is_mapped_to_where_the_tissue_went(
    elastic_pair: tuple[Mammogram, Mammogram, Alignment],
):
    prior, current, alignment = elastic_pair
    before, then = landmarks(prior, elastic)
    for p, q in zip(before[::10], then[::10], strict=True):
        mapped = alignment.map_box(Box.from_center(*p / prior.spacing, 60, 40))
        distance = np.hypot(*(np.array(mapped.center) * current.spacing - q))
        assert distance < 5
        # 12 x 8 mm; the follow-up is smaller by 1.05.
        sides = np.array([mapped.width, mapped.height]) * current.spacing
        np.testing.assert_allclose(sides, (12 / 1.05, 8 / 1.05), rtol=0.06)


def test_two_runs_are_identical(elastic_pair: tuple[Mammogram, Mammogram, Alignment]):
    prior, current, first = elastic_pair
    second = align(prior, current)
    points = np.random.default_rng(0).uniform(0, 500, (50, 2))
    np.testing.assert_array_equal(second.map_points(points), first.map_points(points))
    np.testing.assert_array_equal(second.matrix, first.matrix)
    np.testing.assert_array_equal(second.offset, first.offset)
    assert (second.stage, second.dice) == (first.stage, first.dice)


def test_outlines_cover_the_breast(elastic_pair: tuple[Mammogram, Mammogram, Alignment]):
    prior, current, alignment = elastic_pair
    for image, outline, factor in (
        (prior, alignment.prior_breast, alignment.prior_factor),
        (current, alignment.current_breast, alignment.current_factor),
    ):
        assert outline.dtype == bool
        assert outline.shape == tuple(np.array(image.pixels.shape) // factor[::-1])
        np.testing.assert_allclose(factor * image.spacing, 1.1, atol=0.3)
        tissue = block_mean(image.pixels, factor[1], factor[0])
        assert tissue[outline].mean() > 10 * tissue[~outline].mean()


def disk(rows: int, columns: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return (np.hypot(y - rows / 2, x - columns / 2) < radius).astype(np.float32)


def wrong_partners() -> dict[str, Mammogram]:
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 4000, (900, 570))
    speck = np.zeros((900, 570))
    speck[400, 300] = 1
    return {
        "noise": Mammogram(noise, 0.25),
        "soft noise": Mammogram(ndimage.gaussian_filter(noise, 8), 0.25),
        "nearly black": Mammogram(rng.normal(0, 1e-3, (900, 570)), 0.25),
        "one bright pixel": Mammogram(speck, 0.25),
        "small square": Mammogram(np.pad(np.ones((20, 20)), ((400, 480), (300, 250))), 0.25),
        "disk": Mammogram(disk(900, 570, 100), 0.25),
        "strip": Mammogram(np.pad(np.ones((20, 570)), ((0, 880), (0, 0))), 0.25),
        "wide": Mammogram(rng.uniform(0, 1, (60, 1400)), 0.25),
        "small": Mammogram(rng.uniform(0, 1, (40, 40)), 0.25),
    }


@pytest.mark.parametrize("name", wrong_partners())
@pytest.mark.parametrize("as_prior", [False, True])
def test_a_wrong_partner_gives_a_warning_and_no_nonsense(
    films: dict[str, Mammogram], name: str, as_prior: bool, capfd: pytest.CaptureFixture
):
    partner, film = wrong_partners()[name], films["rcc"]
    alignment = align(partner, film) if as_prior else align(film, partner)
    assert alignment.warnings
    assert all(text.endswith(".") for text in alignment.warnings)
    assert np.linalg.det(alignment.matrix) > 0
    scales = np.linalg.svd(alignment.matrix)[1]
    assert 0.8 <= scales[1] <= scales[0] <= 1.3
    assert scales[0] / scales[1] <= 1.3
    assert 0 <= alignment.dice < 0.93
    prior = partner if as_prior else film
    rows, columns = prior.pixels.shape
    mapped = alignment.map_points(np.random.default_rng(0).uniform(0, (columns, rows), (50, 2)))
    assert np.isfinite(mapped).all()
    assert np.abs(mapped * alignment.current_spacing).max() < 600
    assert capfd.readouterr().err == ""


def test_another_scale_is_not_followed(films: dict[str, Mammogram]):
    """A follow-up whose spacing is given twice too large."""
    prior = films["rcc"]
    alignment = align(prior, Mammogram(follow_up(prior, elastic).pixels, 0.5))
    assert any("a pixel spacing is wrong" in text for text in alignment.warnings)
    assert np.linalg.svd(alignment.matrix)[1].max() <= 1.3


def test_another_view_is_doubted(films: dict[str, Mammogram]):
    alignment = align(films["rcc"], films["rmlo"])
    assert any("overlap" in text for text in alignment.warnings)
    assert np.linalg.det(alignment.matrix) > 0


@pytest.mark.parametrize("shape", [(3, 3), (1, 300), (600, 20)])
def test_a_scrap_of_an_image_is_refused(films: dict[str, Mammogram], shape: tuple[int, int]):
    scrap = Mammogram(np.random.default_rng(0).uniform(0, 1, shape), 0.2)
    for pair in ((films["rcc"], scrap), (scrap, films["rcc"])):
        with pytest.raises(MammoTrackerError, match="small"):
            align(*pair)
