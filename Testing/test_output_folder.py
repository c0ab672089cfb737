"""A folder of results is written completely, or stays as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.output_folder import OutputFolder


def content(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


def write(folder: OutputFolder, **texts: str) -> None:
    with folder as temporary:
        for name, text in texts.items():
            (temporary / name).write_text(text)


def test_files_are_put_in_place_and_those_of_an_earlier_run_go(tmp_path):
    out = tmp_path / "new" / "folder"
    write(OutputFolder(out, ("part-*",)), **{"part-1": "1", "part-2": "2"})
    assert content(out) == {"part-1": "1", "part-2": "2"}
    (out / "note").write_text("mine")
    write(OutputFolder(out, ("part-*",)), **{"part-1": "new"})
    assert content(out) == {"part-1": "new", "note": "mine"}


def test_what_is_not_its_own_is_neither_replaced_nor_removed(tmp_path):
    (tmp_path / "part-1").write_text("own")
    (tmp_path / "part-mine").write_text("mine")
    own = OutputFolder(tmp_path, ("part-*",), lambda file: file.read_text().startswith("own"))
    write(own, **{"part-2": "own 2"})
    assert content(tmp_path) == {"part-2": "own 2", "part-mine": "mine"}
    before = content(tmp_path)
    with pytest.raises(MammoTrackerError, match="part-mine.*earlier run"):
        write(own, **{"part-mine": "own", "part-3": "own"})
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["a", "b", "c"])
@pytest.mark.parametrize("kind", ["folder", "full folder", "pipe", "dangling link"])
def test_a_name_that_is_taken_by_no_file_changes_nothing(tmp_path, name, kind):
    for other in {"a", "b", "c"} - {name}:
        (tmp_path / other).write_text("old")
    taken = tmp_path / name
    if kind == "pipe":
        os.mkfifo(taken)
    elif kind == "dangling link":
        taken.symlink_to(tmp_path / "nowhere")
    else:
        taken.mkdir()
        if kind == "full folder":
            (taken / "file").write_text("mine")
    before = {path: os.lstat(path) for path in tmp_path.rglob("*")}
    with pytest.raises(MammoTrackerError, match=f"{name} in it is "):
        write(OutputFolder(tmp_path), a="new", b="new", c="new")
    assert {path: os.lstat(path) for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("fails_at", range(5))
def test_a_move_that_fails_is_undone(tmp_path, monkeypatch, fails_at):
    for name in ("a", "b", "part-9"):
        (tmp_path / name).write_text(f"old {name}")
    before, moves = content(tmp_path), []
    real = os.replace

    def replace(source, target):
        moves.append(source)
        if len(moves) == fails_at + 1:
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(MammoTrackerError, match="Permission denied"):
        write(OutputFolder(tmp_path, ("part-*",)), a="new", b="new", c="new")
    assert content(tmp_path) == before


def test_folders_that_were_made_for_nothing_go(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(MammoTrackerError):
        write(OutputFolder(tmp_path / "new" / "folder"), a="new")
    assert content(tmp_path) == {}


def test_an_error_and_an_interrupt_leave_everything_as_it_was(tmp_path):
    (tmp_path / "a").write_text("old")
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), OutputFolder(tmp_path, ("*",)) as folder:
            (folder / "a").write_text("new")
            raise error
        assert content(tmp_path) == {"a": "old"}


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "mine")
    write(OutputFolder(tmp_path / "out"), a="new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "out" / "a").read_text() == "new"
