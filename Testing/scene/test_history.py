"""Histories in the scene: shown, decided about, measured, and read from scenes of pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mrml import FOUND_BOX, SQUARE, add_lesion, add_volume, assert_same_box, make_track, rows_of

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.growth import growth  # noqa: E402
from MammoTrackerLib.history import ExamResult, LesionHistory, by_user  # noqa: E402
from MammoTrackerLib.scene.history import _repeatability  # noqa: E402
from MammoTrackerLib.scene.lesion import keep_as_point  # noqa: E402
from MammoTrackerLib.scene.nodes import nodes_with  # noqa: E402

LARGER = Box(8, 10, 26, 28)


@pytest.fixture
def exams(scene):
    return [add_volume(scene, name=f"exam {number}", spacing=(0.2, 0.2, 2)) for number in range(4)]


def history_on_four(track=None) -> LesionHistory:
    """Marked on the third exam; not there on the first."""
    missing = make_track(status=Status.NOT_FOUND, score=0.1)
    results = (
        ExamResult(missing, (1, 2), False, 0.1),
        ExamResult(track or make_track(), (2,), False, 0.8),
        by_user(SQUARE, SQUARE),
        ExamResult(make_track(LARGER, Status.UNCERTAIN), (2,), False, 0.6),
    )
    return LesionHistory(2, results)


def test_a_history_becomes_a_prediction_on_each_other_exam(scene, exams):
    lesion = add_lesion(scene, exams[2], SQUARE)
    history = history_on_four()
    bridge.show_history(lesion, exams, history)
    assert bridge.roi_on(lesion, exams[2]) is lesion
    assert bridge.prediction_of(lesion, exams[2]) is None
    rois = [bridge.roi_on(lesion, exam) for exam in exams]
    assert [bridge.status_of(roi) for roi in rois] == ["not found", "found", "", "uncertain"]
    assert [bridge.exam_of(roi) for roi in rois] == exams
    assert not bridge.is_placed(rois[0])
    assert_same_box(bridge.box_of(rois[3], exams[3]), LARGER)
    known = bridge.known_of(lesion, exams)
    again = known.history
    assert known.numbers == [0, 1, 2, 3] and again.marked == 2
    for now, was in zip(again.results, history.results, strict=True):
        assert (now.there, now.by_user) == (was.there, was.by_user)
        assert (now.track.status, now.track.score) == (was.track.status, was.track.score)
        assert_same_box(now.track.box, was.track.box)
    assert again.new == history.new and again.gone == history.gone


def test_the_scene_is_looked_through_once_for_all_lesions(scene, exams, monkeypatch):
    lesions = [add_lesion(scene, exam, SQUARE, exam.GetName()) for exam in exams]
    bridge.show_history(lesions[2], exams, history_on_four())
    bridge.show_track(lesions[0], exams[3], make_track())
    bridge.unplace(lesions[1])
    one_by_one = {roi: (bridge.answers_of(roi), bridge.known_of(roi, exams)) for roi in lesions}
    calls = []

    def counted(*arguments, **references) -> list:
        calls.append(arguments)
        return nodes_with(*arguments, **references)

    monkeypatch.setattr("MammoTrackerLib.scene.prediction.nodes_with", counted)
    assert bridge.known_lesions(lesions, exams) == one_by_one and len(calls) == 1
    assert one_by_one[lesions[1]][1] is None
    assert bridge.known_lesions([], exams) == {} and bridge.all_answers([]) == []


def test_what_the_user_decided_is_handed_on_and_never_overwritten(scene, exams):
    lesion = add_lesion(scene, exams[2], SQUARE)
    bridge.show_history(lesion, exams, history_on_four())
    first, second, last = (bridge.prediction_of(lesion, exams[n]) for n in (0, 1, 3))
    bridge.place_roi(first, exams[0], SQUARE)
    bridge.set_review(first, "corrected")
    bridge.set_review(second, "rejected")
    bridge.set_outdated(lesion)
    marked = bridge.marked_lesion(lesion, exams)
    assert marked.exam == 2 and set(marked.decided) == {0, 1} and marked.decided[1] is None
    assert_same_box(marked.decided[0], SQUARE)
    assert_same_box(marked.box, SQUARE)

    # The user accepts one while lesions are being followed, which knows nothing of it.
    bridge.set_review(last, "accepted")
    other = history_on_four(make_track(Box(1, 1, 9, 9)))
    bridge.show_history(lesion, exams, other)
    assert not bridge.is_outdated(lesion)
    assert [bridge.review_of(roi) for roi in (first, second, last)] == [
        "corrected", "rejected", "accepted",
    ]  # fmt: skip
    assert_same_box(bridge.box_of(first, exams[0]), SQUARE)
    assert_same_box(bridge.best_guess(second), FOUND_BOX)
    history = bridge.known_of(lesion, exams).history
    assert [result.by_user for result in history.results] == [True] * 4
    assert [result.there for result in history.results] == [1, 0.5, 1, 1]


@pytest.mark.parametrize("review, is_new", [("rejected", False), ("not there", True)])
def test_a_lesion_is_new_only_where_the_user_says_that_it_was_not_there(
    scene, exams, review, is_new
):
    """A box that is rejected says nothing of the rest of its exam."""
    lesion = add_lesion(scene, exams[2], SQUARE)
    bridge.show_history(lesion, exams, history_on_four())
    bridge.set_review(bridge.prediction_of(lesion, exams[0]), review)
    history = bridge.known_of(lesion, exams).history
    assert history.new == ((1, 1) if is_new else None)


def test_growth_by_what_the_boxes_are_now(scene, exams):
    lesion = add_lesion(scene, exams[2], SQUARE)
    assert bridge.known_of(lesion, exams).growth.overall is None
    bridge.show_history(lesion, exams, history_on_four())
    known = bridge.known_of(lesion, exams)
    growth = known.growth
    assert known.numbers == [0, 1, 2, 3] and known.size_on(0) is None
    assert known.size_on(1) is growth.sizes[1]
    longest = [size and round(size.longest_mm, 3) for size in growth.sizes]
    assert longest == [None, 1.6, 1.8, 3.6]
    assert growth.overall.mm == pytest.approx(0.2), "of what is not sure no change is told"
    roi = bridge.prediction_of(lesion, exams[3])
    bridge.set_review(roi, "accepted")
    assert bridge.known_of(lesion, exams).growth.overall.mm == pytest.approx(2.0)
    bridge.place_roi(roi, exams[3], SQUARE)
    bridge.set_review(roi, "corrected")
    assert bridge.known_of(lesion, exams).growth.overall.mm == pytest.approx(0.2)
    assert bridge.known_of(lesion, exams[:2]) is None, "it is marked on none of these"
    exams[3].SetSpacing(1, 1, 1)
    assert bridge.known_of(lesion, exams).growth is None
    assert bridge.known_of(lesion, exams).size_on(1) is None


def test_an_answer_is_outdated_once_the_lesions_box_is_another(scene, exams):
    """Until it is looked for again, or the box is back; what the user decided stays."""
    lesion = add_lesion(scene, exams[2], SQUARE)
    bridge.show_history(lesion, exams, history_on_four())
    decided, found = (bridge.prediction_of(lesion, exams[n]) for n in (3, 1))
    bridge.set_review(decided, "accepted")
    rows = rows_of(bridge.update_series_table(exams, [lesion]))
    known = bridge.known_of(lesion, exams)
    assert not bridge.is_outdated_answer(found)
    bridge.unplace(lesion)
    assert bridge.is_outdated_answer(found)
    bridge.place_roi(lesion, exams[2], LARGER)
    assert bridge.is_outdated_answer(found) and not bridge.is_outdated_answer(decided)
    assert bridge.known_of(lesion, exams).numbers == [2, 3]
    _first, second, _marked, last = rows_of(bridge.update_series_table(exams, [lesion]))
    assert (second["Status"], second["Score"], second["Longest (mm)"]) == ("outdated", "", "")
    assert (last["Status"], last["Review"]) == ("uncertain", "accepted")
    bridge.place_roi(lesion, exams[2], SQUARE)
    assert bridge.known_of(lesion, exams) == known
    assert rows_of(bridge.update_series_table(exams, [lesion])) == rows
    # It was moved while it was looked for, by a chain of which the track is the last.
    bridge.place_roi(lesion, exams[2], LARGER)
    bridge.show_history(lesion, exams, history_on_four(make_track(prior_box=LARGER)))
    assert bridge.is_outdated_answer(found)
    found.RemoveAttribute("MammoTracker.From")
    assert not bridge.is_outdated_answer(found), "a version before did not keep it"


def test_a_pair_of_the_version_before_is_a_history_of_two(scene, exams):
    lesion = add_lesion(scene, exams[0], SQUARE)
    bridge.show_track(lesion, exams[3], replace(make_track(), score=0.7))
    known = bridge.known_of(lesion, exams)
    assert known.numbers == [0, 3] and known.history.marked == 0
    assert known.history.results[1].there == 0.7 and known.size_on(1) is None
    bridge.unplace(lesion)
    assert bridge.known_of(lesion, exams) is None


def rows_but_halves(table) -> list[dict]:
    """The rows of a table without what is +12.5 %, which the least change rounds otherwise."""
    return [{**row, "Change (%)": ""} for row in rows_of(table)]


def test_everything_of_a_series_survives_a_saved_scene(scene, exams, tmp_path):
    lesions = [add_lesion(scene, exams[2], SQUARE, "A"), add_lesion(scene, exams[0], SQUARE, "B")]
    bridge.show_history(lesions[0], exams, history_on_four())
    last = bridge.prediction_of(lesions[0], exams[3])
    bridge.place_roi(last, exams[3], SQUARE)
    bridge.set_review(last, "corrected")
    bridge.set_outdated(lesions[0])
    bridge.choose_exam(exams[1], False)
    table = bridge.update_series_table(exams, lesions)
    rows = rows_but_halves(table)
    statuses = ["not found", "found", "marked", "uncertain", "marked"]
    assert [row["Status"] for row in rows] == statuses
    before = bridge.known_of(lesions[0], exams).history

    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    exams = [scene.GetFirstNodeByName(f"exam {number}") for number in range(4)]
    (lesion,) = bridge.lesions(exams[2])
    assert bridge.is_outdated(lesion) and len(bridge.lesions(exams[0])) == 1
    history = bridge.known_of(lesion, exams).history
    for now, was in zip(history.results, before.results, strict=True):
        assert (now.there, now.by_user) == (was.there, was.by_user)
        assert_same_box(now.track.box, was.track.box)
    assert bridge.decisions(lesion, exams).keys() == {3}
    sources = bridge.prediction_of(lesion, exams[0])
    count = sources.GetNumberOfNodeReferences("MammoTracker.Source")
    found = [sources.GetNthNodeReference("MammoTracker.Source", n) for n in range(count)]
    assert found == [exams[1], exams[2]]
    assert exams[1].GetAttribute("MammoTracker.Followed") == "no"
    table = bridge.series_table(scene)
    assert rows_but_halves(table) == rows
    bridge.update_series_table(exams, [lesion, *bridge.lesions(exams[0])])
    assert rows_but_halves(table) == rows


def followed_point(scene, exams):
    """Return a lesion that is marked as a point on the third exam, with answers on the others."""
    lesion = add_lesion(scene, exams[2], SQUARE)
    keep_as_point(lesion)
    found = ExamResult(make_track(), (2,), False, 0.8)
    results = (found, found, by_user(SQUARE, SQUARE), found)
    bridge.show_history(lesion, exams, LesionHistory(2, results))
    return lesion


def test_sizes_are_those_of_the_commands_where_a_lesion_is_marked_as_a_point(scene, exams):
    lesion = followed_point(scene, exams)
    known = bridge.known_of(lesion, exams)
    assert known.points == {2} and known.made_up == set() and known.measured == known.history
    assert all(known.growth.sizes)

    second = bridge.prediction_of(lesion, exams[1])
    bridge.place_roi(second, exams[1], LARGER)
    bridge.set_review(second, "corrected")
    known = bridge.known_of(lesion, exams)
    assert known.history.marked == 2 and known.measured.marked == 1
    assert known.made_up == {2, 3}, "and what was found from it"
    one = replace(known.history, marked=1)
    spacings = [bridge.header_of(exam).spacing for exam in exams]
    assert known.growth == growth(one, spacings, [None] * 4, _repeatability(), "", {2})
    assert [size is None for size in known.growth.sizes] == [False, False, True, True]
    rows = rows_of(bridge.update_series_table(exams, [lesion]))
    assert [bool(row["Longest (mm)"]) for row in rows] == [True, True, False, False]
    assert [bool(row["Area (mm2)"]) for row in rows] == [True, True, False, False]
    assert all(row["Centre x (mm)"] for row in rows)
    assert [bool(row["Change (mm)"]) for row in rows] == [False, True, False, False]

    lesion.SetSize(3, 3, 10)  # now the user has said how large it is
    known = bridge.known_of(lesion, exams)
    assert known.points == set() and known.made_up == set()
    assert known.measured == known.history and known.size_on(2) is not None


def test_a_pair_has_no_change_from_a_point_to_a_size(scene, exams):
    lesion = followed_point(scene, exams)
    prior, current = exams[2], exams[3]
    (row,) = rows_of(bridge.update_table(prior, current))
    assert row["Longest (mm)"] and row["Change (mm)"]
    roi = bridge.prediction_of(lesion, current)
    bridge.place_roi(roi, current, LARGER)
    bridge.set_review(roi, "corrected")
    (row,) = rows_of(bridge.update_table(prior, current))
    assert row["Longest (mm)"] and not row["Change (mm)"] and not row["Change (%)"]
    bridge.set_review(roi, "rejected")
    assert bridge.known_of(lesion, [prior, current]).measured.marked == 0
