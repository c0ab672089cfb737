"""Lesions through many exams: from which exams each is reached, and what the user decided."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib import history as history_module
from MammoTrackerLib.command.simulate import FILM_LESION
from MammoTrackerLib.exams import Exams
from MammoTrackerLib.history import ExamResult, LesionHistory, follow, presence
from MammoTrackerLib.metrics import center_distance
from MammoTrackerLib.track import Candidate

LESION = Box(100, 100, 200, 200)
UNCERTAIN, FOUND = 0.4, 0.7


class Scripted(Exams):
    """Exams between which the answers are given: (source, exam) to a probability and a place."""

    class tracker:
        thresholds = (UNCERTAIN, FOUND)
        presence = (0.0, 1.0)

    def __init__(self, count: int, answers: dict, usual: tuple[float, float] = (0.99, 0)) -> None:
        self.count, self.answers, self.usual = count, answers, usual
        self.asked: list[tuple[int, int]] = []
        self.off: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int):
        if number >= self.count:
            raise IndexError(number)
        from MammoTrackerLib.mammogram import Header

        class exam:
            header = Header((0.1, 0.1), size=(1000, 1000))
            spacing, size = header.spacing, header.size

        return exam

    def alignment(self, source: int, target: int):
        class alignment:
            matrix = np.eye(2)

            @staticmethod
            def map_box(box: Box) -> Box:
                off = -1000.0 if (source, target) in self.off else 0.0
                return Box(box.x0 + off, box.y0, box.x1 + off, box.y1)

        return alignment

    def track(self, source: int, target: int, boxes) -> list[Track]:
        tracks = []
        for box in boxes:
            self.asked.append((source, target))
            score, moved = self.answers.get((source, target), self.usual)
            answer = Box(LESION.x0 + moved, LESION.y0, LESION.x1 + moved, LESION.y1)
            status = (
                Status.FOUND if score >= FOUND
                else Status.UNCERTAIN if score >= UNCERTAIN else Status.NOT_FOUND
            )  # fmt: skip
            candidates = (Candidate(answer, score),)
            tracks.append(Track(box, answer, score, status, "Scripted.", candidates, answer))
        return tracks


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch, request):
    """The scripted exams have no pixels to measure."""
    if "prior" not in request.fixturenames:
        size = SimpleNamespace(resized=lambda exam, found, matrix: found)
        monkeypatch.setattr(history_module.MarkedSize, "of", lambda *_: size)


def one(exams: Exams, marked: int, decided: dict | None = None) -> LesionHistory:
    (history,) = follow(None, exams, [LESION], marked, {0: decided or {}})
    return history


@pytest.mark.parametrize("marked", [0, 2, 4])
def test_sure_answers_come_from_the_marked_exam_alone(marked):
    exams = Scripted(5, {})
    history = one(exams, marked)
    assert exams.asked == [(marked, k) for k in range(5) if k != marked]
    for k, result in enumerate(history.results):
        assert result.track.prior_box == LESION
        assert result.by_user == (k == marked)
        assert result.sources == (() if k == marked else (marked,))
    assert history.new is None and history.gone is None


def test_an_exam_that_is_not_reached_is_reached_from_its_neighbours():
    exams = Scripted(5, {(4, 1): (0.1, 500), (2, 1): (0.98, 3), (0, 1): (0.97, 5)})
    result = one(exams, 4).results[1]
    assert set(exams.asked[4:]) == {(2, 1), (0, 1)}
    assert result.sources == (0, 2)
    assert result.track.box.x0 == LESION.x0 + 3
    assert result.track.status is Status.FOUND
    assert result.track.score == pytest.approx(0.98 * 0.99)


def test_a_neighbour_that_is_not_sure_makes_no_answer_sure():
    exams = Scripted(3, {(2, 1): (0.92, 0), (2, 0): (0.3, 400), (1, 0): (0.75, 0)})
    result = one(exams, 2).results[0]
    assert result.track.score == pytest.approx(0.92 * 0.75)
    assert result.track.status is Status.UNCERTAIN
    assert "from exam 2: 69 %" in result.track.reason
    lost = Scripted(3, {(2, 1): (0.85, 300), (2, 0): (0.3, 400), (1, 0): (0.95, 0)})
    assert one(lost, 2).results[0].track.status is Status.NOT_FOUND
    assert (1, 0) not in lost.asked, "what is not sure is no place to start from"


def test_ways_that_lead_to_two_places_are_never_called_found():
    exams = Scripted(3, {(2, 0): (0.8, 0), (1, 0): (0.95, 300)})
    result = one(exams, 2).results[0]
    assert result.track.status is Status.UNCERTAIN
    assert "another place" in result.track.reason
    assert result.sources == (1,)


def test_what_the_user_decided_is_kept_and_leads_to_the_exams_between():
    box = Box(500, 500, 540, 560)
    exams = Scripted(6, {})
    history = one(exams, 5, {2: box, 0: None})
    assert set(exams.asked) == {(2, 1), (2, 3), (5, 3), (2, 4), (5, 4)}
    for k in (2, 5):
        result = history.results[k]
        assert result.by_user and result.there == 1 and result.track.status is Status.FOUND
    assert history.results[2].track.box == box
    assert history.results[2].track.prior_box == LESION
    assert history.results[0].by_user
    assert history.results[0].track.status is Status.NOT_FOUND
    assert history.new == (1, 1.0)


def test_new_and_gone_are_results_with_a_probability():
    exams = Scripted(5, {(2, 0): (0.05, 0), (2, 4): (0.2, 0)}, usual=(0.96, 0))
    exams.answers |= {(1, 0): (0.1, 0), (3, 4): (0.1, 0)}
    history = one(exams, 2)
    # From neighbours it is found no better.
    assert history.new == (1, pytest.approx(1 - 0.96 * 0.1))
    assert history.gone == (4, pytest.approx(0.8))
    assert "not there (80 %)" in history.results[4].track.reason


def test_a_lesion_on_an_exam_farther_off_is_on_those_between():
    exams = Scripted(3, {(2, 1): (0.05, 400), (0, 1): (0.1, 400)})
    history = one(exams, 2)
    assert history.new is None
    assert history.results[1].there == pytest.approx(0.99)
    assert history.results[1].track.status is Status.NOT_FOUND
    assert "since exam 1 shows it" in history.results[1].track.reason


def test_what_is_probably_not_there_is_never_called_found():
    exams = Scripted(3, {(2, 0): (0.75, 0)}, usual=(0.8, 0))
    exams.tracker = type("tracker", (), {"thresholds": (0.2, 0.7), "presence": (-3.0, 1.0)})
    history = one(exams, 2)
    assert [result.track.status for result in history.results[:2]] == [Status.UNCERTAIN] * 2
    assert history.new == (2, pytest.approx(1 - presence(0.8, (-3, 1))))
    assert presence(1.0, (-3, 1)) == 1


def test_scores_that_are_no_probabilities_call_nothing_new_or_gone():
    exams = Scripted(3, {(1, 0): (0.1, 0), (1, 2): (0.3, 0)})
    exams.tracker = type("tracker", (), {"thresholds": (UNCERTAIN, FOUND), "presence": None})
    history = one(exams, 1)
    assert [result.track.status for result in history.results] == [
        Status.NOT_FOUND, Status.FOUND, Status.NOT_FOUND
    ]  # fmt: skip
    assert history.new is None and history.gone is None
    assert all("there" not in result.track.reason for result in history.results)


def test_a_lesion_that_nobody_looked_for_is_not_called_new():
    exams = Scripted(3, {})
    real = exams.track
    exams.track = lambda *a: [replace(t, candidates=(), score=0.0) for t in real(*a)]
    history = one(exams, 1)
    assert history.new is None and history.gone is None


@pytest.mark.parametrize("unseen", [0, 1])
def test_an_exam_that_does_not_show_the_place_shows_no_lesion_new_or_gone(unseen):
    exams = Scripted(5, {(2, k): (0.1, 0) for k in (0, 1, 3, 4)})
    real = exams.track

    def track(source, target, boxes):
        tracks = real(source, target, boxes)
        if target not in (unseen, 4 - unseen):
            return tracks
        return [replace(t, candidates=(), score=0.0) for t in tracks]

    exams.track = track
    history = one(exams, 2)
    assert history.new == (2, pytest.approx(0.9))
    assert history.gone == (4 - (1 - unseen), pytest.approx(0.9))


def test_a_lesion_beyond_the_edge_of_an_exam_is_not_called_gone():
    """The window that is searched reaches into the image, where something else is."""
    exams = Scripted(3, {(0, 2): (0.05, 0), (1, 2): (0.05, 0)})
    assert one(exams, 0).gone == (2, pytest.approx(0.95))
    exams.off = {(0, 2), (1, 2)}
    history = one(exams, 0)
    assert history.gone is None and history.results[2].track.status is Status.NOT_FOUND
    assert "not there" not in history.results[2].track.reason


def test_a_history_survives_json():
    history = one(Scripted(4, {(3, 0): (0.5, 7)}), 3, {1: None})
    again = LesionHistory.from_dict(json.loads(json.dumps(history.as_dict())))
    assert again == history
    assert all(isinstance(result, ExamResult) for result in again.results)


def test_lesions_that_share_a_way_are_tracked_at_once(monkeypatch):
    calls = []
    exams = Scripted(4, {})
    real = exams.track
    monkeypatch.setattr(exams, "track", lambda *a: calls.append((a[:2], len(a[2]))) or real(*a))
    histories = follow(None, exams, [LESION] * 3, 0, {1: {2: Box(300, 300, 350, 350)}})
    assert len(histories) == 3
    assert calls == [((0, 1), 3), ((0, 2), 2), ((0, 3), 2), ((2, 1), 1), ((2, 3), 1)]


@pytest.mark.parametrize("number", [-1, 3])
def test_decisions_on_other_exams_are_refused(number):
    with pytest.raises(MammoTrackerError, match="not one of the 3 exams"):
        one(Scripted(3, {}), 0, {number: None})


@pytest.mark.parametrize(
    ("exams", "marked", "box", "message"),
    [
        (1, 0, LESION, "2 to 30 exams"),
        (31, 0, LESION, "2 to 30 exams"),
        (3, 3, LESION, "marked on exam 4"),
        (3, 1, Box(2000, 0, 2100, 100), "outside exam 2"),
    ],
)
def test_what_cannot_be_followed_is_refused(exams, marked, box, message):
    image = Mammogram(np.pad(np.ones((400, 300)), 300), 0.1)
    with pytest.raises(MammoTrackerError, match=message):
        follow(LesionTracker(), [image] * exams, [box], marked)


def test_exams_that_are_not_in_the_order_of_their_dates_are_refused(prior, follow_up):
    """What was gone was called new."""
    early, late = (datetime.date(year, 1, 1) for year in (2019, 2021))
    exams = [replace(prior, date=late), replace(follow_up.mammogram, date=early)]
    with pytest.raises(MammoTrackerError, match="not in the order of their dates"):
        follow(LesionTracker(), exams, [FILM_LESION], 0)


def test_exams_of_two_views_are_refused_unless_forced(prior, follow_up):
    other = replace(follow_up.mammogram, view="CC")
    with pytest.raises(MammoTrackerError, match="view of exam 1 is MLO, and that of exam 2"):
        follow(LesionTracker(), [prior, other], [FILM_LESION], 0)


def test_a_real_lesion_is_followed_in_both_directions(prior, follow_up):
    tracker = LesionTracker()
    images = [prior, follow_up.mammogram]
    dates = [datetime.date(2020, 1, 1), datetime.date(2022, 1, 1)]
    images = [replace(image, date=date) for image, date in zip(images, dates, strict=True)]
    read = []

    def reader(k):
        return lambda: read.append(k) or images[k]

    for marked, boxes in ((0, (FILM_LESION, follow_up.boxes[0])),
                          (1, (follow_up.boxes[0], FILM_LESION))):  # fmt: skip
        exams = Exams(tracker, [reader(0), reader(1)])
        (history,) = follow(tracker, exams, [boxes[0]], marked)
        track = history.results[1 - marked].track
        assert track.status is Status.FOUND
        assert center_distance(track.box, boxes[1], prior.spacing) < 3
    assert read == [0, 1, 0, 1]
    (direct,) = tracker.track(images[0], images[1], [FILM_LESION])
    (history,) = follow(tracker, images, [FILM_LESION], 0)
    assert history.results[1].track.candidates == direct.candidates
