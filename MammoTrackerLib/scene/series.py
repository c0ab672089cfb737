"""Series: the exams of one breast in one view among the volumes, in the order of their dates."""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence

from ..errors import MammoTrackerError
from ..growth import DAYS_A_YEAR
from ..mammogram import Header
from ..pair import image_key, in_order, special
from .nodes import PREFIX, VOLUME, attribute, referenced, set_attribute
from .volumes import READ_FROM, header_of

_SAME = ("patient_id", "laterality", "view")
_START = datetime.date(1900, 1, 1)
"""From which years count where only they are known, not the dates."""
_NONE = datetime.timedelta()


def exams_like(volume, volumes: Iterable) -> list:
    """Return the volumes that may show the breast of this one in its view, this one among them.

    What a header does not say is taken for the same. In the order of their dates, standard views
    before special ones; those without a date last, in the order given.
    """
    like = header_of(volume)
    found = [(volume, like)]
    for other in volumes:
        header = None if other is volume else _mammogram_header(other)
        if header and _may_be_like(volume, like, other, header):
            found.append((other, header))
    place = {node: number for number, node in enumerate(volumes)}
    dates = _dates(found)
    order = sorted(
        range(len(found)),
        key=lambda n: (*_when(dates[n]), bool(special(found[n][1])), place.get(found[n][0], 0)),
    )
    return [found[number][0] for number in order]


def _may_be_like(volume, like: Header, other, header: Header) -> bool:
    if attribute(volume, READ_FROM) or attribute(other, READ_FROM):
        # A case of a reading list keeps to itself, and who made it knew what belongs together.
        return attribute(volume, "Series") == attribute(other, "Series")
    pairs = [(getattr(like, name), getattr(header, name)) for name in _SAME]
    if any(None in pair for pair in pairs):
        # Lesions were followed on both, but not together: when the headers were there.
        series = {attribute(volume, "Series"), attribute(other, "Series")} - {""}
        if len(series) > 1:
            return False
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def _mammogram_header(volume) -> Header | None:
    """Return a volume's header, or None for what is no grey slice, or only helps to show one."""
    # Masks and colour images are nodes of other classes, though of subclasses.
    if volume.GetClassName() != VOLUME or volume.GetHideFromEditors() or attribute(volume, "Role"):
        return None
    try:
        return header_of(volume)
    except MammoTrackerError:
        return None


def _when(date: datetime.date | None) -> tuple[bool, datetime.date]:
    return date is None, date or _START


def _dates(exams: Sequence[tuple]) -> list[datetime.date | None]:
    """Return the dates of exams, which are volumes and their headers.

    Those that only their series tells are right beside each other, and beside all others if the
    file of one of that series is at hand.
    """
    shifts = _shifts(exams)
    return [
        header.date or _kept_date(volume, shifts.get(attribute(volume, "Series"), _NONE))
        for volume, header in exams
    ]


def _shifts(exams: Sequence[tuple]) -> dict[str, datetime.timedelta]:
    """Return how long after `_START` the years of a series begin, where a file of it tells that."""
    return {
        attribute(volume, "Series"): header.date - _kept_date(volume)
        for volume, header in exams
        if attribute(volume, "Series") and header.date and _kept_date(volume)
    }


def _kept_date(volume, shift: datetime.timedelta = _NONE) -> datetime.date | None:
    year = attribute(volume, "Year")
    if not year:
        return None
    return _START + datetime.timedelta(days=round(float(year) * DAYS_A_YEAR)) + shift


def proposed_exams(volume, volumes: Iterable) -> list:
    """Return what of `exams_like` is surely of the same woman, breast and view, one a date.

    Standard views only. Where two have one date, neither is returned: which one is meant, only
    the user knows.
    """
    like = header_of(volume)
    if like.date is None or None in [getattr(like, name) for name in _SAME] or special(like):
        return []
    sure = []
    images = {image_key(like) or volume: volume}
    for other in exams_like(volume, volumes):
        header = header_of(other)
        if images.setdefault(image_key(header) or other, other) is not other:
            continue  # the same image, loaded twice
        known = header.date is not None and not special(header)
        if known and None not in [getattr(header, name) for name in _SAME]:
            sure.append((other, header.date))
    count = Counter(date for _other, date in sure)
    return [other for other, date in sure if count[date] == 1]


def choose_exam(volume, chosen: bool, pair: Sequence = ()) -> None:
    """Keep with the volume whether the user wants lesions to be followed on it.

    Chosen beside the exams of a pair, it leaves the series of others with which it was followed.
    Its clones, which get all of its attributes, are not chosen with it.
    """
    set_attribute(volume, "Followed", "yes" if chosen else "no")
    volume.SetNodeReferenceID(f"{PREFIX}Chosen", volume.GetID())
    if chosen and pair and attribute(volume, "Series") not in _series_names(pair):
        for name in ("Series", "Year"):
            set_attribute(volume, name, "")


def _is_followed(volume) -> bool:
    own = referenced(volume, "Chosen") in (volume, None)  # not that of which it is a clone
    return own and attribute(volume, "Followed") == "yes"


def _series_names(pair: Sequence) -> set[str]:
    """Return of which series exams may be that are followed with a pair, "" for of none yet."""
    return {"", *(attribute(volume, "Series") for volume in pair)}


def series_of(pair: Sequence, volumes: Iterable) -> list:
    """Return the exams on which lesions are followed: those chosen, else those proposed.

    What was chosen with another series counts only where it is proposed: where headers say little,
    it may be of another woman.

    Parameters
    ----------
    pair
        The exam whose breast and view counts, and the one beside it, which both are in it.
    volumes
        Among which the others are.
    """
    volumes = list(volumes)
    like = exams_like(pair[0], volumes)
    own = {image_key(header_of(volume)) for volume in pair} - {None}
    proposed = [
        volume
        for volume in proposed_exams(pair[0], volumes)
        if volume in pair or image_key(header_of(volume)) not in own
    ]
    names = _series_names(pair)
    chosen = [
        volume
        for volume in like
        if volume in pair
        or (_is_followed(volume) and attribute(volume, "Series") in names)
        or (volume in proposed and attribute(volume, "Followed") != "no")
    ]
    # A pair that the user forces shows two breasts or views, if one believes the headers.
    strange = [volume for volume in pair if volume not in chosen]
    return by_date([*chosen, *strange]) if strange else chosen


def keep_series(volumes: Sequence) -> None:
    """Keep with the volumes what their files say of them, for where a scene comes without these.

    That lesions are followed on them, together, and how many years after the first each is.
    """
    known = [attribute(volume, "Series") for volume in volumes]
    series = next(filter(None, known), None) or uuid.uuid4().hex
    dates = dates_of(volumes)
    # The first day stays, as those count from it that are left out now.
    first = [
        date - (_kept_date(volume) - _START)
        for volume, date in zip(volumes, dates, strict=True)
        if date and _kept_date(volume) and attribute(volume, "Series") == series
    ]
    first = first[0] if first else min(filter(None, dates), default=None)
    for volume, date in zip(volumes, dates, strict=True):
        set_attribute(volume, "Series", series)
        if attribute(volume, "Followed") != "no":
            choose_exam(volume, True)
        if date is not None:
            set_attribute(volume, "Year", f"{(date - first).days / DAYS_A_YEAR:.4f}")


def set_date(volume, date: datetime.date) -> None:
    """Keep an exam's date with its volume, for where its file says none."""
    set_attribute(volume, "Year", f"{(date - _START).days / DAYS_A_YEAR:.4f}")


def by_date(volumes: Iterable) -> list:
    """Return exams in the order of their dates; those without one last, in the order given."""
    volumes = list(volumes)
    dates = dict(zip(volumes, _dates([(one, header_of(one)) for one in volumes]), strict=True))
    return sorted(volumes, key=lambda volume: _when(dates[volume]))


def dates_of(
    volumes: Sequence, headers: Sequence[Header] | None = None
) -> list[datetime.date | None]:
    """Return the exams' dates; only the time between them is right where no file is at hand.

    Where a file is at hand for some of them, those have none that were not followed with these.
    `headers` are those of the volumes, where they are at hand.
    """
    headers = [header_of(volume) for volume in volumes] if headers is None else headers
    exams = list(zip(volumes, headers, strict=True))
    known = {attribute(volume, "Series") for volume in volumes}
    if any(header.date for header in headers):
        known = {"", *_shifts(exams)}  # without a series, it is what `set_date` was given
    return [
        date if header.date or attribute(volume, "Series") in known else None
        for (volume, header), date in zip(exams, _dates(exams), strict=True)
    ]


def are_in_order(volumes: Sequence) -> bool:
    """Whether exams are in the order of their dates, as far as these are known."""
    try:
        return in_order(dates_of(volumes)) == list(range(len(volumes)))
    except MammoTrackerError:  # one is no single slice
        return True


def years_of(volumes: Sequence) -> list[float] | None:
    """Return the years from the first exam to each, or None if a date is unknown."""
    dates = dates_of(volumes)
    if None in dates:
        return None
    return [(date - min(dates)).days / DAYS_A_YEAR for date in dates]


def exam_titles(volumes: Sequence) -> list[str]:
    """Return a short title for each exam: the years since the first, else its number."""
    years = years_of(volumes)
    if years is None:
        return [f"Exam {number}" for number in range(1, len(volumes) + 1)]
    return [f"+{year:.1f} y" if year else "0 y" for year in years]
