"""A process of the command's own that reads files: one of them may end it, or be too long in it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection


class Child:
    """A process that calls a function with a connection to here; it ends when this one ends.

    Attributes
    ----------
    connection
        This end; `EOFError` or `OSError` of it say that the process has ended.
    process
        The process itself.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(self, serve: Callable[..., None], *arguments: object) -> None:
        # Spawned, not forked: neither locks nor threads are inherited, as on every system.
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_begin, args=(serve, there, *arguments), daemon=True)
        with there:
            self.process.start()

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def how_it_ended(self) -> str:
        """Say by which signal, or with which code; what only hung up is killed after a while."""
        self.connection.close()
        self.process.join(5)
        self.kill()
        status = self.process.exitcode
        if status and status < 0:
            with suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit code {status}"


def _begin(serve: Callable[..., None], connection: Connection, *arguments: object) -> None:
    """Leave Ctrl-C to the process that started this one, end when that one ends, and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(connection, *arguments)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
