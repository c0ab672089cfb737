"""The console of the command: one that is closed, full or knows only ASCII stops no work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO


@contextmanager
def standard_streams() -> Iterator[Stream]:
    """Let prints fail in silence, and give stdout, which knows at the end why it failed."""
    # What is opened next must not become stdout or stderr, into which libraries may write.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    with open(os.devnull, "w") as nowhere:
        out, err = Stream(sys.stdout or nowhere), Stream(sys.stderr or nowhere)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                yield out
            finally:
                out.flush()
                err.flush()


class Stream:
    """A text stream that never raises for what is written to it.

    Attributes
    ----------
    failure
        Why it could not be written; empty if it could, or if its reader just went away.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure = ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        known = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            self._stream.write(known)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.failure = error.strerror or type(error).__name__
        # What waits in Python's buffer goes nowhere, else Python complains at its end.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
