"""Whether two mammograms may be compared."""

import datetime
from dataclasses import replace

import numpy as np
import pytest

from MammoTrackerLib import Box, Mammogram, MammoTrackerError
from MammoTrackerLib.mammogram import Header
from MammoTrackerLib.pair import check_box, check_pair, in_order, pair_problems, series_problems

HEADER = Header((0.07, 0.07), "L", "CC", datetime.date(2022, 3, 1), "A")
NEXT = replace(HEADER, date=datetime.date(2024, 3, 1))


@pytest.mark.parametrize(
    ("prior", "current", "problems"),
    [
        (HEADER, NEXT, []),
        (Header((0.1, 0.1)), NEXT, []),
        (replace(HEADER, laterality="R", view="MLO"), NEXT,
         [("laterality", True), ("view", True)]),
        (replace(HEADER, patient_id="B"), NEXT, [("patient", False)]),
        (NEXT, HEADER, [("dates", False)]),
        (HEADER, HEADER, [("dates", False)]),
        (replace(HEADER, spacing=None), replace(NEXT, spacing=None),
         [("spacing", True), ("spacing", True)]),
        (HEADER, replace(NEXT, modifiers=("spot", "magnified")), [("modifiers", False)]),
        (replace(HEADER, modifiers=("implant displaced",)), NEXT, [("modifiers", False)]),
        (replace(HEADER, modifiers=("rolled",)), replace(NEXT, modifiers=("rolled",)), []),
        (HEADER, replace(NEXT, modifiers=("nipple in profile",)), []),
        (NEXT, replace(HEADER, spacing=None, view="ML"),
         [("spacing", True), ("view", True), ("dates", False)]),
    ],
)  # fmt: skip
def test_problems_of_a_pair(prior, current, problems):
    found = pair_problems(prior, current)
    assert [(problem.kind, problem.blocks) for problem in found] == problems
    for problem in found:
        assert problem.message.endswith(".")
        assert "2022" not in problem.message


def test_one_image_that_is_given_twice_is_said():
    twin = replace(HEADER, instance_uids=("1.2.3", "1.2.4"))
    (problem,) = pair_problems(twin, replace(twin, instance_uids=("1.2.3",)))
    assert (problem.kind, problem.blocks) == ("image", False) and "one image" in problem.message
    other = replace(NEXT, instance_uids=("1.2.5",))
    found = series_problems([twin, twin, twin, other])
    for number, problem in zip((2, 3), found, strict=True):
        assert problem.message.startswith(f"Exams 1 and {number} are one image")
    assert [one.kind for one in pair_problems(twin, replace(twin, instance_uids=("1.2.9",)))] == [
        "dates"
    ]
    # Some programs give one UID to all images.
    assert pair_problems(twin, replace(NEXT, instance_uids=twin.instance_uids)) == []


def test_pixels_that_are_given_twice_are_said_where_no_header_tells(prior, follow_up):
    """Each lesion was found with over 99 %, and nothing said why."""
    again = Mammogram(prior.pixels.copy(), prior.spacing)
    assert [problem.kind for problem in pair_problems(prior, again)] == ["image"]
    assert pair_problems(prior, follow_up.mammogram) == []


def test_problems_of_mammograms_are_those_of_their_headers(prior, follow_up):
    other = replace(follow_up.mammogram, view="XX")
    (problem,) = pair_problems(prior, other)
    assert problem.kind == "view"
    with pytest.raises(MammoTrackerError) as error:
        check_pair(prior, other)
    assert str(error.value) == problem.message


@pytest.mark.parametrize(
    ("years", "exams"),
    [((2020, None, 2022), {2}), ((None, 2021, None), {1, 3}), ((None, None), set())],
)
def test_an_exam_without_a_date_among_others_is_said(years, exams):
    dates = [year and datetime.date(year, 1, 1) for year in years]
    found = series_problems([replace(HEADER, date=date) for date in dates])
    assert [
        problem.message.startswith(f"The date of exam {number} is unknown")
        for number, problem in zip(sorted(exams), found, strict=True)
    ] == [True] * len(exams)
    assert not any(problem.blocks for problem in found)


@pytest.mark.parametrize(
    ("years", "order"),
    [
        ([2022, 2019, 2020], [1, 2, 0]),
        ([2022, None, 2020], [2, 1, 0]),
        ([None, 2022, 2022, None, 2020], [0, 4, 1, 3, 2]),
        ([None, None], [0, 1]),
    ],
)
def test_exams_are_in_the_order_of_their_dates_as_far_as_these_are_known(years, order):
    assert in_order([year and datetime.date(year, 1, 1) for year in years]) == order


def image(spacing: float) -> Mammogram:
    return Mammogram(np.pad(np.ones((100, 100)), 700), spacing)


@pytest.mark.parametrize(
    ("sides", "spacing", "reason"),
    [
        ((0.5, 0.5), 0.07, "too small"),
        ((0.4, 300), 0.07, "too small"),
        ((2.5, 2.5), 0.3, "too small"),
        ((6, 6), 0.07, "too small"),
        ((8, 8), 0.07, None),
        ((3, 3), 0.2, None),
        ((640, 640), 0.1, None),
        ((1480, 1200), 0.15, "too large"),
    ],
)
def test_a_box_of_no_lesion_is_refused(sides, spacing, reason):
    box = Box.from_center(750, 750, *sides)
    if reason is None:
        check_box(box, image(spacing))
        return
    with pytest.raises(MammoTrackerError, match=reason):
        check_box(box, image(spacing))


def test_a_box_of_which_the_image_shows_less_than_half_is_refused():
    check_box(Box(-100, 700, 101, 800), image(0.07))
    with pytest.raises(MammoTrackerError, match="outside the prior"):
        check_box(Box(-101, 700, 100, 800), image(0.07))


def test_what_was_guessed_of_a_file_is_said():
    remark = "Its window shows none of its values, and was left out."
    prior = Mammogram(np.eye(400), 0.1, remarks=(remark,))
    (problem,) = pair_problems(prior, Mammogram(2 * np.eye(400), 0.1))
    assert (problem.message, problem.blocks) == (f"Of the prior: {remark}", False)
