"""The three steps together, with the weights that ship."""

import multiprocessing
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError, Status
from MammoTrackerLib.command.simulate import FILM_LESION
from MammoTrackerLib.exams import Exams
from MammoTrackerLib.global_search import align
from MammoTrackerLib.metrics import center_distance
from MammoTrackerLib.orientation import turned
from MammoTrackerLib.settings import Settings


@pytest.fixture(scope="module")
def tracker():
    return LesionTracker()


@pytest.fixture(scope="module")
def tracks(tracker, prior, follow_up):
    other = Box(900, 1500, 1100, 1700)
    return tracker.track(prior, follow_up.mammogram, [FILM_LESION, other])


def test_finds_the_lesion(tracks, follow_up):
    track = tracks[0]
    assert track.status is Status.FOUND
    assert center_distance(track.box, follow_up.boxes[0], follow_up.mammogram.spacing) < 3
    assert track.box.iou(follow_up.boxes[0]) > 0.5


def test_finds_the_lesion_where_the_registration_is_lost(tracker, prior, follow_up):
    """60 mm off is beyond the search patch: places around it are searched too."""
    alignment = align(prior, follow_up.mammogram)
    shift = sitk.TranslationTransform(2, (0.0, -60.0))
    lost = replace(
        alignment,
        transform=sitk.CompositeTransform([shift, alignment.transform]),
        offset=alignment.offset + (0.0, -60.0),
        dice=0.8,
    )
    (track,) = tracker.track(prior, follow_up.mammogram, [FILM_LESION], lost)
    truth, spacing = follow_up.boxes[0], follow_up.mammogram.spacing
    assert center_distance(track.registration_box, truth, spacing) > 50
    assert center_distance(track.box, truth, spacing) < 5
    narrow = LesionTracker(replace(tracker.settings, wide_below=0.0))
    (missed,) = narrow.track(prior, follow_up.mammogram, [FILM_LESION], lost)
    assert missed.status is not Status.FOUND
    # Where the outlines lie on each other, a place so far off is a look-alike.
    trusted = replace(lost, dice=0.98)
    (near,) = tracker.track(prior, follow_up.mammogram, [FILM_LESION], trusted)
    assert near.box == missed.box


def test_the_answer_is_the_best_candidate(tracks):
    for track in tracks:
        assert track.box == track.candidates[0].box
        assert 1 <= len(track.candidates) <= Settings().max_candidates
        for candidate in track.candidates:
            assert 0 <= candidate.tracking_score <= 1
            assert 0 <= candidate.similarity_score <= 1
        assert 0 <= track.score <= 1


def test_lesions_do_not_depend_on_each_other(tracker, tracks, prior, follow_up):
    alignment = align(prior, follow_up.mammogram)
    (again,) = tracker.track(prior, follow_up.mammogram, [FILM_LESION], alignment)
    assert again == tracks[0]


def test_is_deterministic(tracks, prior, follow_up):
    (again,) = LesionTracker().track(prior, follow_up.mammogram, [FILM_LESION])
    assert again == tracks[0]


def test_threads_that_share_a_tracker_get_the_answers_of_one(tracker, tracks, prior, follow_up):
    """Their lesions, and their pairs, were mixed up: wrong places, called found."""
    pairs = [(prior, follow_up.mammogram, t.prior_box) for t in tracks]
    pairs.append((follow_up.mammogram, prior, follow_up.boxes[0]))
    back = tracker.track(*pairs[-1][:2], [pairs[-1][2]])

    def track(pair):
        return tracker.track(*pair[:2], [pair[2]])[0]

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(track, 2 * pairs)) == 2 * (tracks + back)


def test_a_pair_is_looked_at_also_where_it_is_given_another_ones_alignment(
    tracker, prior, follow_up
):
    """As where a notebook's cell was not run again: the answer was of the pixels before."""
    alignment = align(prior, follow_up.mammogram)
    (before,) = tracker.track(prior, follow_up.mammogram, [FILM_LESION], alignment)
    pixels = np.roll(follow_up.mammogram.pixels, 40, axis=0)
    (after,) = tracker.track(prior, Mammogram(pixels, prior.spacing), [FILM_LESION], alignment)
    assert after.box.center[1] - before.box.center[1] == pytest.approx(40, abs=10)


def test_an_alignment_of_images_of_another_size_is_refused(tracker, prior, follow_up):
    alignment, current = align(prior, follow_up.mammogram), follow_up.mammogram
    cropped = Mammogram(current.pixels[:-400], current.spacing)
    finer = Mammogram(current.pixels, 0.9 * current.spacing[0])
    for pair in ((prior, cropped), (prior, finer), (cropped, current), (finer, current)):
        with pytest.raises(MammoTrackerError, match="of another pair"):
            tracker.track(*pair, [FILM_LESION], alignment)


def test_a_tracker_that_was_used_goes_to_another_process(tracker, tracks, prior, follow_up):
    """As joblib and Dask send it, with the functions of a notebook."""
    sent = pickle.loads(pickle.dumps(tracker))
    assert sent.track(prior, follow_up.mammogram, [FILM_LESION]) == tracks[:1]


def _in_child(arguments):
    tracker, *pair = _inherited
    return tracker.track(*pair, [arguments])[0]


_inherited = []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_can_go_on_with_a_tracker_that_was_used(tracker, tracks, prior, follow_up):
    """It waited for ever for the interpreter's threads, which it does not have."""
    _inherited[:] = tracker, prior, follow_up.mammogram
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_in_child, [FILM_LESION]).get(120) == tracks[0]


def test_mirrored_current_gives_the_mirrored_box(tracker, tracks, prior, follow_up):
    current = follow_up.mammogram
    mirrored = replace(current, pixels=current.pixels[:, ::-1].copy())
    (track,) = tracker.track(prior, mirrored, [FILM_LESION])
    width = current.pixels.shape[1]
    back = Box(width - track.box.x1, track.box.y0, width - track.box.x0, track.box.y1)
    assert center_distance(back, tracks[0].box, current.spacing) < 1


def test_a_lesion_that_is_gone_is_not_called_found(tracker, prior):
    """Noise of a breast's outline and brightness, and no tissue in it."""
    rng = np.random.default_rng(0)
    breast = prior.pixels > np.percentile(prior.pixels, 60)
    noise = np.where(breast, prior.pixels[breast].mean(), 0) * rng.uniform(0.9, 1.1, breast.shape)
    current = replace(prior, pixels=noise)
    (track,) = tracker.track(prior, current, [FILM_LESION])
    assert track.status is not Status.FOUND


def test_a_large_lesion_keeps_the_registration(tracker, prior, follow_up):
    side = Settings().max_lesion_mm / prior.spacing[0] + 2
    box = Box.from_center(900, 2500, side, 400)
    (track,) = tracker.track(prior, follow_up.mammogram, [box])
    assert track.status is Status.REGISTRATION
    assert track.box == track.registration_box
    assert track.candidates == ()


@pytest.mark.parametrize(("name", "values"), [("laterality", "LR"), ("view", ["CC", "MLO"])])
def test_pairs_that_cannot_be_right_are_refused(tracker, prior, follow_up, name, values):
    pair = [
        replace(m, **{name: value})
        for m, value in zip((prior, follow_up.mammogram), values, strict=True)
    ]
    with pytest.raises(MammoTrackerError, match=name):
        tracker.track(*pair, [FILM_LESION])
    assert len(tracker.track(*pair, [FILM_LESION], force=True)) == 1


def test_a_box_outside_the_prior_is_refused(tracker, prior, follow_up):
    with pytest.raises(MammoTrackerError, match="outside the prior"):
        tracker.track(prior, follow_up.mammogram, [Box(-300, 10, -200, 100)])


def mirrored(box, mammogram):
    width = mammogram.pixels.shape[1]
    return Box(width - box.x1, box.y0, width - box.x0, box.y1)


def test_a_box_in_the_air_is_never_found(tracker, prior, follow_up):
    boxes = [
        mirrored(FILM_LESION, prior),
        Box(2500, 4000, 2700, 4200),
        Box(2000, 300, 2200, 500),
    ]
    for track in tracker.track(prior, follow_up.mammogram, boxes):
        assert track.status is Status.NOT_FOUND
        assert "no breast" in track.reason
        assert track.candidates == ()
        assert track.score == 0


def test_a_lesion_under_the_skin_is_tracked(tracker, prior, follow_up):
    """Its box reaches to the air by half."""
    alignment = align(prior, follow_up.mammogram)
    row = 3300 // alignment.prior_factor[1]
    skin = np.flatnonzero(alignment.prior_breast[row]).max() * alignment.prior_factor[0]
    (track,) = tracker.track(
        prior, follow_up.mammogram, [Box.from_center(skin, 3300, 200, 200)], alignment
    )
    assert "no breast" not in track.reason
    assert track.candidates


def test_a_place_beyond_the_image_is_not_found_on_it(tracker, prior, follow_up):
    """The current ends above the lesion."""
    current = replace(follow_up.mammogram, pixels=follow_up.mammogram.pixels[:2500])
    side = Settings().max_lesion_mm / prior.spacing[0] + 2
    large = Box.from_center(*FILM_LESION.center, side, side)
    for track in tracker.track(prior, current, [FILM_LESION, large]):
        assert track.status in (Status.NOT_FOUND, Status.UNCERTAIN)
        assert "beyond the edge" in track.reason
        columns, rows = current.pixels.shape[::-1]
        for box in (track.box, track.registration_box, *(c.box for c in track.candidates)):
            assert 0 <= box.center[0] <= columns
            assert 0 <= box.center[1] <= rows


@pytest.mark.parametrize("which", ["prior", "current", "both"])
@pytest.mark.parametrize("is_raw", [False, True])
def test_a_negative_gives_the_answer_of_its_positive(
    tracker, tracks, prior, follow_up, which, is_raw
):
    def negative(image):
        pixels = image.pixels.max() - image.pixels
        if is_raw:
            pixels = np.exp(5 * pixels / pixels.max())
        return replace(image, pixels=pixels)

    pair = [prior, follow_up.mammogram]
    for k, name in enumerate(("prior", "current")):
        if which in (name, "both"):
            pair[k] = negative(pair[k])
    (track,) = tracker.track(*pair, [FILM_LESION])
    assert track.status is Status.FOUND
    assert track.box.iou(tracks[0].box) > (0.5 if is_raw else 0.8)
    assert "negative" in track.reason
    assert Exams(tracker, pair).track(0, 1, [FILM_LESION]) == [track]


def test_values_under_0_change_no_answer(tracker, prior, follow_up):
    """As after a rescale; the breast is cut off, so that what is beyond the image is seen."""
    pair = [replace(each, pixels=each.pixels[:, 600:]) for each in (prior, follow_up.mammogram)]
    x0, y0, x1, y1 = FILM_LESION.as_tuple()
    box = Box(x0 - 600, y0, x1 - 600, y1)
    (right,) = tracker.track(*pair, [box])
    below = [replace(image, pixels=image.pixels - 70000) for image in pair]
    (track,) = tracker.track(*below, [box])
    assert track.status is right.status
    for name in ("tracking_score", "similarity_score"):
        scores = [getattr(each.candidates[0], name) for each in (track, right)]
        assert scores[0] == pytest.approx(scores[1], abs=0.01)
    assert center_distance(track.box, right.box, prior.spacing) < 0.1


@pytest.mark.parametrize("shift", [6.0, 16.0])
def test_an_answer_far_from_registration_says_so(tracker, prior, follow_up, shift):
    alignment = align(prior, follow_up.mammogram)
    moved = sitk.TranslationTransform(2, (0.0, -shift))
    off = replace(
        alignment, transform=sitk.CompositeTransform([moved, alignment.transform]), agreement=0.4
    )
    (track,) = tracker.track(prior, follow_up.mammogram, [FILM_LESION], off)
    spacing = follow_up.mammogram.spacing
    assert center_distance(track.box, follow_up.boxes[0], spacing) < 3
    assert track.status is Status.FOUND
    far = center_distance(track.box, track.registration_box, spacing)
    assert (f"It is {far:.0f} mm from where registration expects it" in track.reason) == (far > 10)
    assert (far > 10) == (shift > 10)


def test_every_answer_says_what_is_doubtful_of_the_pair(tracker, prior, follow_up):
    """So do those that were not looked for: too large, in the air, beyond the image's edge."""
    current, doubt = follow_up.mammogram, "Check the pair."
    above = replace(current, pixels=current.pixels[:2500])
    side = Settings().max_lesion_mm / prior.spacing[0] + 2
    large = Box.from_center(*FILM_LESION.center, side, side)
    boxes = [FILM_LESION, large, mirrored(FILM_LESION, prior)]
    for image in (current, above):
        alignment = replace(align(prior, image), warnings=(doubt,))
        for track in tracker.track(prior, image, boxes, alignment):
            assert track.reason.count(doubt) == 1


@pytest.mark.parametrize("turn", [((1, 0), (0, -1)), ((0, 1), (-1, 0))])
def test_an_image_on_its_head_or_side_gives_the_same_answer(
    tracker, tracks, prior, follow_up, turn
):
    upright = follow_up.mammogram
    current = replace(upright, pixels=turned(upright.pixels, turn).copy())
    (track,) = tracker.track(prior, current, [FILM_LESION])
    assert track.status is Status.FOUND
    assert "to fit the prior" in track.reason
    rows, columns = upright.pixels.shape
    rest = np.subtract(tracks[0].box.center, (columns / 2, rows / 2)) @ np.array(turn)
    center = rest + np.array(current.pixels.shape[::-1]) / 2
    assert np.hypot(*(center - track.box.center)) * upright.spacing[0] < 1
    sides = tracks[0].box.width, tracks[0].box.height
    sides = sides[::-1] if turn[0][0] == 0 else sides
    assert (track.box.width, track.box.height) == pytest.approx(sides, rel=0.1)


def test_no_boxes_no_tracks(tracker, prior, follow_up):
    assert tracker.track(prior, follow_up.mammogram, []) == []


def test_an_image_without_a_breast_is_no_crash(tracker, prior):
    rng = np.random.default_rng(1)
    noise = Mammogram(rng.uniform(0, 1, prior.pixels.shape), prior.spacing)
    (track,) = tracker.track(prior, noise, [FILM_LESION])
    assert track.status is not Status.FOUND


def test_nothing_is_found_where_one_cannot_tell_whether_it_is_a_pair(tracker):
    """Even images look alike to the networks, but share no tissue that tells."""
    rows, columns = np.mgrid[:600, :500]
    even = [Mammogram((at > 250).astype(float), (0.2, 0.2)) for at in (columns, 500 - rows)]
    for track in tracker.track(*even, [Box(300, 300, 350, 350), Box(400, 50, 430, 80)]):
        assert track.status is Status.NOT_FOUND
        assert "too much to be sure that they are a pair" in track.reason
