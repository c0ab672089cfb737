"""What is said about an answer: in a cell, in a sentence, in detail; and where to look at it."""

from __future__ import annotations

from slicer.i18n import tr as _

SIGNS = {"growth": "▲ ", "shrinkage": "▼ "}


def answerOf(roi, known=None, number: int = 0) -> tuple[str, str]:
    """Return in short what is known about a lesion on an exam, and the reason.

    Parameters
    ----------
    roi
        That of the lesion, where it is marked, or its prediction; None if there is none.
    known
        From `scene.known_of`, where it is at hand: without it, no size is said.
    number
        The index of the exam there.
    """
    from MammoTrackerLib import scene

    if roi is None:
        return _("not tracked"), _("The lesion was not looked for here yet: track it again.")
    size = known.size_on(number) if known else None
    text, reason = _("marked"), _("Marked here.")
    if scene.is_only_predicted(roi):
        reason = _(
            "Predicted here by MammoTracker, and loaded as a lesion: change its box to mark it."
        )
    if scene.is_prediction(roi):
        short = {"kept from registration": _("registered")}
        status = scene.review_of(roi) or scene.status_of(roi)
        text, reason = _(short.get(status, status)), scene.reason_of(roi)
        if scene.review_of(roi):
            # It is about the box that the tracker gave, which may be another one.
            said = _("{decision}. The tracker said: {reason}")
            if not scene.is_tracked(roi):
                said = _("{decision}. A file told of it: the tracker has not looked here.")
            reason = said.format(decision=text[0].upper() + text[1:], reason=reason)
        if scene.is_outdated_on(roi, known, number):
            text = _("outdated")
            reason = _("A box or an exam was moved since the lesion was looked for: track again.")
    if scene.is_point(roi):
        reason += _(" It was marked as a point: the size of its box is made up.")
    return (f"{text}\n{size.longest_mm:.1f} mm" if size else text), reason


def changeOf(known, titles: list[str]) -> tuple[str, str]:
    """Return in short what became of a lesion over all exams, and a sentence on it.

    Parameters
    ----------
    known
        From `scene.known_of`.
    titles
        Of the exams.
    """
    from MammoTrackerLib.growth import duration, signed

    change = known.growth.overall if known and known.growth else None
    texts, sentences = [], []
    if change is not None:
        percent, sign = signed(change.percent), SIGNS.get(change.verdict, "")
        texts += [f"{signed(change.mm, 1)} mm", f"{sign}{percent} %"]
        low, high = signed(change.percent_low), signed(change.percent_high)
        parts = [change.verdict, f"{percent} % (95 %: {low} to {high} %)"]
        if change.years is not None:
            parts.append(_("in {time}").format(time=duration(change.years)))
        if change.doubling_days is not None:
            parts.append(_("volume doubles in {n:.0f} days").format(n=change.doubling_days))
        sentence = ", ".join(parts) + "."
        sentences.append(sentence[0].upper() + sentence[1:])
    for text, sentence in presenceOf(known, titles) if known and len(titles) > 2 else ():
        texts.append(text)
        sentences.append(sentence)
    return "\n".join(texts), " ".join(sentences)


def presenceOf(known, titles: list[str]) -> list[tuple[str, str]]:
    """Return in short, and in a sentence, that a lesion came or went, where it did."""
    from MammoTrackerLib.track import as_percent

    numbers, history, found = known.numbers, known.history, []
    if history.new:
        first, chance = history.new
        where = titles[numbers[first]]
        sentence = _("New on {exam}: not there before (probability {chance}).").format(
            exam=where, chance=as_percent(chance)
        )
        found.append((_("new {exam}").format(exam=where), sentence))
    if history.gone:
        last, chance = history.gone
        where = titles[numbers[last]]
        sentence = _("Gone on {exam} (probability {chance}).").format(
            exam=where, chance=as_percent(chance)
        )
        found.append((_("gone {exam}").format(exam=where), sentence))
    return found


def detailsOf(prediction, sentence: str, isSeries: bool, isMadeUp: bool) -> str:
    """Return all there is to say about a prediction, in lines.

    Parameters
    ----------
    prediction
        Its ROI.
    sentence
        What became of the lesion, from `changeOf`.
    isSeries
        Whether the lesion is followed through more than two exams.
    isMadeUp
        Whether its size here is, so that it is not told.
    """
    from MammoTrackerLib import scene

    lesion, volume = scene.lesion_of(prediction), scene.exam_of(prediction)
    _text, reason = answerOf(prediction)
    lines = [f"{lesion.GetName()}: {reason}"]
    box, spacing = scene.box_if_placed(prediction), scene.header_of(volume).spacing
    isShown = scene.review_of(prediction) not in scene.ABSENT
    if box and spacing and isShown and not scene.is_outdated_answer(prediction):
        size, center = box.scaled(*spacing), scene.center_mm(box, volume)
        text = _("{width:.1f} x {height:.1f} mm, centre at {x:.1f}, {y:.1f} mm")
        if isMadeUp:
            text = _("Centre at {x:.1f}, {y:.1f} mm; beside other marks, a point has no size")
        lines.append(text.format(width=size.width, height=size.height, x=center[0], y=center[1]))
    lines.append(sentence)
    if isSeries and scene.is_outdated(lesion):
        lines.append(_("Track again to look anew from what you decided."))
    return "\n".join(filter(None, lines))


def placeOf(prediction):
    """Return where to look for a lesion on an exam; None where the registration knows better."""
    from MammoTrackerLib import scene

    if prediction is None:
        return None
    box = scene.box_if_placed(prediction)
    marked, volume = scene.exam_of(scene.lesion_of(prediction)), scene.exam_of(prediction)
    if box is None and scene.registration_of(marked, volume) is None:
        return scene.best_guess(prediction)
    return box
