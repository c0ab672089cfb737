"""The pictures of a report: each lesion and what was found, side by side in one scale."""

from __future__ import annotations

import functools
import io
import json
import os
import queue
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from ...box import Box
from ...breast import wall_is_left
from ...errors import MammoTrackerError
from ...mammogram import Mammogram
from ...orientation import MIRRORED, TURNS, UNTURNED, Turn, stated_turn, turned, turned_size
from ..child import Child
from ..drawings.drawing import field_mm, thumbnail, zoom
from ..outputs import quiet_framework
from ..tables.cells import read_spacing

TILE = 360
"""Pixels of each of a picture's two squares."""
LONGEST_START_S, LONGEST_PICTURES_S = 120.0, 60.0
"""Those of a pair take seconds; after this time, and one more for each, a file is taken to hang."""
_MOST_PROCESSES = 4
_QUALITY = 88
_MADE_BY = "MammoTracker "

Shown = dict[str, object]
"""What is known of a picture: ``spacing`` of both images (x, y in mm), ``field`` in mm, ``boxes``
in shares of their square (the lesion's, the answer's, registration's; or None) and whether the
current image is drawn, ``turn`` in words, and ``note``: why a part is missing."""


@dataclass(frozen=True)
class Card:
    """A lesion and where it was found, to be drawn.

    Attributes
    ----------
    prior, current
        File and spacing, as the manifest's cells.
    lesion
        Its box in pixels of the prior; None if unknown.
    answer, registration
        Boxes in pixels of the current image that may be shown; None where there is none.
    place
        Where to look on the current image: its box in pixels; None where nothing says that.
    message
        What the results say of it, which includes how the current image was turned; None where
        they do not say that of these two images.
    path
        The picture's file.
    """

    prior: tuple[str, str]
    current: tuple[str, str]
    lesion: Box | None
    answer: Box | None
    registration: Box | None
    place: Box | None
    message: str | None
    path: Path


def draw_cards(
    folder: Path, groups: Iterable[tuple[object, Sequence[Card | None]]]
) -> Iterator[tuple[object, list[Shown | None]]]:
    """Draw pictures in processes of their own, a group in each, so that its images are read once.

    A file that ends or hangs its reader costs only its own group's pictures. A picture that is
    there already is kept.

    Parameters
    ----------
    folder
        What the files' names are relative to.
    groups
        Anything, and the cards of one pair or series; they are given back in order. Some groups
        are taken ahead.

    Yields
    ------
    tuple
        The group's first value, and what is known of each picture.
    """
    count = min(_MOST_PROCESSES, os.cpu_count() or 1)
    free: queue.SimpleQueue[_Process] = queue.SimpleQueue()

    def draw(cards: Sequence[Card | None]) -> list[Shown | None]:
        shown = [None if card is None else _kept(card.path) for card in cards]
        missing = [k for k, card in enumerate(cards) if card is not None and shown[k] is None]
        if missing:
            process = free.get()
            try:
                drawn = process.draw([cards[k] for k in missing])
            finally:
                free.put(process)
            for k, what in zip(missing, drawn, strict=True):
                shown[k] = what
        return shown

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(count))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for _ in range(count):
            process = _Process(folder)
            stack.callback(process.close)
            free.put(process)
        waiting: deque[tuple[object, Future]] = deque()
        for key, cards in groups:
            waiting.append((key, pool.submit(draw, cards)))
            if len(waiting) > 4 * count:
                key, future = waiting.popleft()
                yield key, future.result()
        for key, future in waiting:
            yield key, future.result()


class _Process:
    """Draws cards in a process that starts when first needed, and again after it ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.absolute())
        self._child: Child | None = None
        self._is_closed = False

    def draw(self, cards: Sequence[Card], is_second: bool = False) -> list[Shown]:
        """Draw cards; those that end the process twice, or take too long in it, say so."""
        why = "was ended"
        try:
            connection = self._connected()
            connection.send(cards)
            if connection.poll(LONGEST_PICTURES_S + len(cards)):
                return connection.recv()
            why = "took too long"
        except (EOFError, OSError, ValueError, TypeError):  # the latter two of one closed meanwhile
            pass
        self._end()
        note = f"The process that read the images {why}: a file may be damaged."
        shown: list[Shown] = [{"note": note} for _ in cards]
        if is_second or self._is_closed:
            return shown
        of_images = defaultdict(list)  # only one exam of a series may be to blame
        for k, card in enumerate(cards):
            of_images[card.prior, card.current].append(k)
        for places in of_images.values():
            again = self.draw([cards[k] for k in places], is_second=True)
            for k, what in zip(places, again, strict=True):
                shown[k] = what
        return shown

    def close(self) -> None:
        self._is_closed = True
        self._end()

    def _connected(self) -> Connection:
        """Return the connection to the process, which is started if there is none."""
        child = self._child
        if child is None and not self._is_closed:
            child = self._child = Child(_serve, self._folder)
            if not child.connection.poll(LONGEST_START_S):
                raise EOFError
            child.connection.recv()
        if self._is_closed:
            raise EOFError
        return child.connection

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


def _serve(connection: Connection, folder: str) -> None:
    """Draw what is asked for until whoever asks is gone."""
    with quiet_framework(), suppress(EOFError, OSError):
        draw = card_drawer(Path(folder))
        connection.send("ready")
        while True:
            connection.send([draw(card) for card in connection.recv()])


def card_drawer(folder: Path) -> Callable[[Card], Shown]:
    """Make the function that draws a card; it keeps the last two images, so memory is bounded."""

    @functools.lru_cache(maxsize=2)
    def read(name: str, spacing: str) -> Mammogram | None:
        try:
            if name:
                return Mammogram.read(folder / name, read_spacing(spacing))
        except MammoTrackerError:
            pass  # why is in the results, and may name a file
        except Exception:  # one damaged file must not end the others' pictures
            pass
        return None

    def draw(card: Card) -> Shown:
        try:
            return _drawn(card, read(*card.prior), read(*card.current))
        except (OSError, MemoryError) as error:
            if isinstance(error, OSError):
                return {"error": error.strerror or type(error).__name__}
            return {"note": "There was not enough memory for the picture."}
        except Exception as error:
            return {"note": f"The picture could not be drawn ({type(error).__name__})."}

    return draw


def _drawn(card: Card, prior: Mammogram | None, current: Mammogram | None) -> Shown:
    missing = [
        f"The {name} image cannot be read."
        for name, image in (("prior", prior), ("current", current))
        if image is None
    ]
    if card.lesion is None:
        missing.append("The lesion has no box.")
    sides = []
    if prior is not None and card.lesion is not None:
        sides.append(card.lesion.longest_side(prior.spacing))
    if current is not None and card.place is not None:
        sides.append(card.place.longest_side(current.spacing))
    if not sides:
        return {"note": " ".join(missing) or "Nothing says where the lesion is."}
    field = field_mm(sides)
    turn = _turn(card.message, prior, current)
    picture = Image.new("L", (2 * TILE, TILE))
    boxes: list[list[float] | None | bool] = [None, None, None, False]
    if prior is not None and card.lesion is not None:
        picture.paste(zoom(prior, card.lesion.center, field, TILE, UNTURNED), (0, 0))
        boxes[0] = _in_tile(card.lesion, card.lesion, prior, field, UNTURNED)
    if current is not None and card.place is not None:
        picture.paste(zoom(current, card.place.center, field, TILE, turn), (TILE, 0))
        boxes[3] = True
        for k, box in ((1, card.answer), (2, card.registration)):
            if box is not None:
                boxes[k] = _in_tile(box, card.place, current, field, turn)
    shown: Shown = {
        "spacing": [None if image is None else image.spacing for image in (prior, current)],
        "field": round(field, 2),
        "boxes": boxes,
        "turn": "" if turn == UNTURNED else TURNS[turn],
        "note": " ".join(missing),
    }
    _write(picture, card.path, {"note": "unfinished"} if missing else shown)
    return shown


def _in_tile(
    box: Box, place: Box, mammogram: Mammogram, field_mm: float, turn: Turn
) -> list[float]:
    """Return a box in shares of the square of this side around another box's centre."""
    share = np.asarray(mammogram.spacing) / field_mm
    middle = (np.array(box.center) - place.center) * share
    half = np.array([box.width, box.height]) * share / 2
    # From a turned image to the stored one: its inverse, which is its transpose, goes back.
    middle = np.asarray(turn).T @ middle + 0.5
    half = turned_size(half, turn)
    return [round(float(value), 4) for value in (*(middle - half), *(middle + half))]


def _turn(message: str | None, prior: Mammogram | None, current: Mammogram | None) -> Turn:
    """Say how to turn the current image so that it lies as the prior.

    That is how it was turned for tracking, where the message says it; else as both headers or,
    without, the sides of the chest wall say.
    """
    if prior is None or current is None:
        return UNTURNED
    stated = stated_turn(prior.orientation, current.orientation)
    if message is None:
        if stated is not None:
            return stated
        said = [UNTURNED, MIRRORED]
    else:
        said = [turn for turn, text in TURNS.items() if f" was {text} to fit " in message]
        if not said or stated in said:
            return stated if said else UNTURNED
    wall, small = wall_is_left(thumbnail(prior)[0]), thumbnail(current)[0]
    return next((turn for turn in said if wall_is_left(turned(small, turn)) == wall), said[0])


def _write(picture: Image.Image, path: Path, shown: Shown) -> None:
    """Write a picture that says what it shows; all of it, or nothing."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY, comment=_MADE_BY + json.dumps(shown))
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content.getvalue())
    os.replace(part, path)


def shown_by(path: Path) -> Shown | None:
    """Return what a picture of an earlier run says of itself; None if it is none of ours."""
    try:
        with Image.open(path, formats=["JPEG"]) as picture:
            comment = picture.info.get("comment", b"").decode()
        if comment.startswith(_MADE_BY):
            return json.loads(comment.removeprefix(_MADE_BY))
    except (OSError, ValueError):
        pass
    return None


def _kept(path: Path) -> Shown | None:
    shown = shown_by(path)
    return shown if shown is not None and shown.get("note") == "" else None
