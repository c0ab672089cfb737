"""Sizes of a lesion through its exams, and when a change is called growth."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, replace

import pytest

from MammoTrackerLib import Box, Status, Track
from MammoTrackerLib.growth import (
    GROWTH,
    NO_CHANGE,
    SHRINKAGE,
    duration,
    error_between,
    error_mm,
    growth,
    made_up_sizes,
    parts_of,
    signed,
)
from MammoTrackerLib.history import ExamResult, LesionHistory

REPEATABILITY = {"any": {"mm": 0.0, "share": 0.1}, "mass": {"mm": 3.0, "share": 0.4}}
SPACING = (0.1, 0.2)
DATES = [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1), datetime.date(2022, 1, 1)]


def history(*widths_mm: float | None, marked: int = 0) -> LesionHistory:
    """Make a history of boxes so wide and half as high; None where it was not found."""
    results = []
    for k, width in enumerate(widths_mm):
        box = Box(0, 0, (width or 1) / SPACING[0], (width or 1) / 2 / SPACING[1])
        status = Status.NOT_FOUND if width is None else Status.FOUND
        track = Track(box, box, 1.0, status, "", (), box)
        results.append(ExamResult(track, (), k == marked, 1.0))
    return LesionHistory(marked, tuple(results))


def test_sizes_are_in_mm_with_an_error_but_on_the_marked_exam():
    sizes = growth(history(10, 12, None), [SPACING] * 3, DATES, REPEATABILITY).sizes
    assert sizes[0].longest_mm == pytest.approx(10) and sizes[0].error_mm == 0
    assert sizes[1].longest_mm == pytest.approx(12) and sizes[1].error_mm == pytest.approx(1.2)
    assert sizes[1].area_mm2 == pytest.approx(3.14159 / 4 * 12 * 6, rel=1e-4)
    assert sizes[2] is None
    assert sizes[0].by_user and not sizes[1].by_user


@pytest.mark.parametrize(
    ("widths", "verdict"),
    [
        ((10, 12, 14), GROWTH),
        ((14, 12, 10), SHRINKAGE),
        ((10, 12, 10.9), NO_CHANGE),
        ((10, 10, 9.2), NO_CHANGE),
        ((10, None, 11.2), GROWTH),
    ],
)
def test_a_change_is_called_one_beyond_its_error_alone(widths, verdict):
    change = growth(history(*widths), [SPACING] * 3, DATES, REPEATABILITY).overall
    assert change.verdict == verdict
    assert (change.first, change.last) == (0, 2)
    ratio = widths[2] / widths[0]
    assert change.mm == pytest.approx(widths[2] - widths[0])
    assert change.percent == pytest.approx(100 * (ratio - 1))
    is_beyond = change.percent_low > 0 or change.percent_high < 0
    assert is_beyond == (verdict != NO_CHANGE)
    assert change.years == pytest.approx(2, abs=0.01)


def test_two_predicted_sizes_have_both_errors():
    grown = growth(history(10, 11.2, 10, marked=2), [SPACING] * 3, DATES, REPEATABILITY)
    assert [step.verdict for step in grown.steps] == [NO_CHANGE, SHRINKAGE]


def test_what_two_predicted_sizes_share_of_their_error_is_not_counted_between_them():
    shared = {"any": {"mm": 0.0, "share": 0.1, "shared": 0.5}}
    for marked, steps in ((2, [GROWTH, SHRINKAGE]), (0, [GROWTH, SHRINKAGE])):
        grown = growth(history(10, 11.2, 10, marked=marked), [SPACING] * 3, DATES, shared)
        assert [step.verdict for step in grown.steps] == steps
    assert error_between(0.1, 0.1, REPEATABILITY["any"]) == pytest.approx(0.1 * 2**0.5)
    assert error_between(0.1, 0.1, shared["any"]) == pytest.approx(0.1)
    assert error_between(0.0, 0.1, shared["any"]) == pytest.approx(0.1)


def test_the_type_decides_the_error():
    assert error_mm(10, parts_of(REPEATABILITY, "mass")) == pytest.approx(5)
    assert error_mm(10, parts_of(REPEATABILITY, "calcification")) == pytest.approx(1)
    change = growth(history(10, 15), [SPACING] * 2, DATES[:2], REPEATABILITY, "mass").overall
    assert change.verdict == NO_CHANGE


def test_growth_per_year_and_the_volumes_doubling_time():
    change = growth(history(10, None, 20), [SPACING] * 3, DATES, REPEATABILITY).overall
    assert change.percent_per_year == pytest.approx(100 * (2**0.5 - 1), rel=1e-2)
    assert change.doubling_days == pytest.approx(731 / 3, rel=1e-2)
    undated = growth(history(10, 20), [SPACING] * 2, [DATES[0], None], REPEATABILITY).overall
    assert undated.verdict == GROWTH
    assert undated.years is undated.percent_per_year is undated.doubling_days is None
    shrunk = growth(history(20, 10), [SPACING] * 2, DATES[:2], REPEATABILITY).overall
    assert shrunk.doubling_days is None and shrunk.percent_per_year < 0


def test_one_size_alone_has_no_change():
    grown = growth(history(10, None, None), [SPACING] * 3, DATES)
    assert grown.steps == () and grown.overall is None
    assert json.loads(json.dumps(asdict(grown)))["sizes"][0]["longest_mm"] == 10


@pytest.mark.parametrize(("days", "has_rate"), [(1, False), (29, False), (30, True), (400, True)])
def test_exams_a_few_days_apart_tell_no_rate(days, has_rate):
    dates = [datetime.date(2020, 2, 28), datetime.date(2020, 2, 28) + datetime.timedelta(days)]
    found = growth(history(1.25, 10), [SPACING] * 2, dates, REPEATABILITY)
    assert found.overall.percent == pytest.approx(700) and found.overall.verdict == GROWTH
    assert found.overall.years == days / 365.25
    assert (found.overall.percent_per_year is not None) == has_rate
    assert (found.overall.doubling_days is not None) == has_rate
    json.dumps(asdict(found), allow_nan=False)


@pytest.mark.parametrize(
    ("days", "text"),
    [(0, "0 days"), (1, "1 day"), (59, "59 days"), (60, "0.2 years"), (-1461, "-4.0 years")],
)
def test_a_short_time_is_told_in_days(days, text):
    assert duration(days / 365.25) == text


def test_a_box_that_was_kept_from_the_registration_measures_nothing():
    lesion = history(50, 65, 80, marked=2)
    kept = replace(lesion.results[1], track=replace(lesion.results[1].track,
                                                    status=Status.REGISTRATION))  # fmt: skip
    lesion = replace(lesion, results=(lesion.results[0], kept, lesion.results[2]))
    found = growth(lesion, [SPACING] * 3, DATES, REPEATABILITY)
    assert found.sizes[1] is None
    assert [(step.first, step.last) for step in found.steps] == [(0, 2)]


@pytest.mark.parametrize(
    ("pointed", "made_up"),
    [
        (set(), set()), ({2}, set()), ({4}, {3, 4, 5}), ({2, 4}, {3, 4, 5}),
        ({0}, {0, 1}), ({0, 2, 4}, {0, 1, 3, 4, 5}),
    ],
)  # fmt: skip
def test_a_box_around_a_point_measures_nothing_nor_what_was_found_from_it(pointed, made_up):
    """Unless it is the marked one, which all sizes are then compared with."""
    lesion = history(10, 10, 20, 10, 10, 10, marked=2)
    results = tuple(
        replace(result, by_user=k in (0, 2, 4)) for k, result in enumerate(lesion.results)
    )
    lesion = replace(lesion, results=results)
    assert made_up_sizes(lesion, pointed) == made_up
    dates = [datetime.date(2020 + k, 1, 1) for k in range(6)]
    found = growth(lesion, [SPACING] * 6, dates, REPEATABILITY, "", pointed)
    assert {k for k, size in enumerate(found.sizes) if size is None} == made_up
    assert (found.overall is None) == (len(made_up) == 5)


def test_what_is_rounded_to_nothing_is_no_loss():
    assert [signed(v, 1) for v in (-0.04, 0.04, -0.06)] == ["+0.0", "+0.0", "-0.1"]
    assert [signed(v) for v in (-0.4, 12.4, -12.6)] == ["+0", "+12", "-13"]


def unsure(result: ExamResult, there: float) -> ExamResult:
    return replace(result, track=replace(result.track, status=Status.UNCERTAIN), there=there)


def test_of_an_unsure_answer_no_change_is_told_and_of_an_unlikely_one_no_size():
    """A lesion that was probably not there before is new, and did not grow since."""
    one = history(5, 5, 10, 10, marked=3)
    results = (unsure(one.results[0], 0.2), unsure(one.results[1], 0.6), *one.results[2:])
    dates = [*DATES, datetime.date(2023, 1, 1)]
    grown = growth(replace(one, results=results), [SPACING] * 4, dates, REPEATABILITY)
    assert [size and round(size.longest_mm) for size in grown.sizes] == [None, 5, 10, 10]
    assert [(step.first, step.last) for step in grown.steps] == [(2, 3)]
    assert (grown.overall.first, grown.overall.verdict) == (2, NO_CHANGE)


@pytest.mark.parametrize("known", [True, False])
def test_one_size_that_is_off_is_no_growth(known):
    """The trend through all exams must confirm the change from the first to the last."""
    dates = [datetime.date(2018 + k, 1, 1) if known else None for k in range(5)]
    for widths, verdict in (
        ((9, 10, 10, 10, 10), NO_CHANGE),
        ((11.1, 10, 10, 10, 10), NO_CHANGE),
        ((9, 9.3, 9.5, 9.8, 10), GROWTH),
        ((11.1, 10.8, 10.5, 10.2, 10), SHRINKAGE),
    ):
        overall = growth(history(*widths, marked=4), [SPACING] * 5, dates, REPEATABILITY).overall
        assert overall.verdict == verdict, widths
        assert (overall.doubling_days is not None) == (known and verdict == GROWTH)
        assert overall.percent_low > 0 or overall.percent_high < 0
