"""A process that may be ended by what it reads: it answers, and how it ended is said."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

import pytest

from MammoTrackerLib.command.child import Child

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


def serve(connection: Connection, first: str) -> None:
    connection.send(first)
    while True:
        asked = connection.recv()
        if asked == "abort":
            os.abort()
        if asked == "exit":
            os._exit(3)
        if asked == "hang up":
            connection.close()
            time.sleep(1000)
        connection.send((asked, signal.getsignal(signal.SIGINT) is signal.SIG_IGN))


@pytest.mark.parametrize(
    ("last", "how"), [("exit", "exit code 3"), ("abort", "SIGABRT"), ("hang up", "SIGKILL")]
)
def test_it_answers_until_it_ends_and_how_is_said(last, how):
    child = Child(serve, "ready")
    assert child.connection.recv() == "ready"
    child.connection.send("one")
    assert child.connection.recv() == ("one", True)
    child.connection.send(last)
    with pytest.raises((EOFError, OSError)):
        child.connection.recv()
    assert child.how_it_ended() == how
    child.kill()


def test_it_is_killed_and_once_more(capfd):
    child = Child(serve, "ready")
    child.kill()
    child.kill()
    assert not child.process.is_alive() and child.connection.closed
    assert capfd.readouterr().err == ""
