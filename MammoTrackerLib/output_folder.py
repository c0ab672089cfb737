"""OutputFolder: results are written completely, or what was there stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from .errors import MammoTrackerError
from .temporary import temporary_folder


class OutputFolder:
    """A folder that is either written completely or left as it was.

    As a context it is a temporary folder on the same disk; its files are moved into place
    when the block ends without an error.

    Parameters
    ----------
    path
        The folder; it is made if needed.
    replaces
        Patterns of the names that an earlier run may have given: such files go, too.
    is_own
        Tells whether a file that is there was written by an earlier run. No other is replaced
        or removed; all are, if not given.

    Raises
    ------
    MammoTrackerError
        If the folder cannot be written, or one of the new files would replace a folder or a
        file of somebody else. Everything is then as it was.
    """

    def __init__(
        self,
        path: Path,
        replaces: tuple[str, ...] = (),
        is_own: Callable[[Path], bool] = lambda file: True,
    ) -> None:
        self.path, self.replaces, self.is_own = path, replaces, is_own

    def __enter__(self) -> Path:
        home = self.path
        with ExitStack() as stack:
            try:
                while not home.exists():
                    home = home.parent
                if not home.is_dir():
                    raise MammoTrackerError(f"Cannot write to {self.path}: {home} is no folder.")
                folder = stack.enter_context(temporary_folder(home, ".mammotracker-"))
                self._new, self._old = folder / "new", folder / "old"
                self._new.mkdir()
                self._old.mkdir()
            except OSError as error:
                raise cannot_write(self.path, error) from None
            self._stack = stack.pop_all()
        return self._new

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        with self._stack:
            if isinstance(error, OSError):
                raise cannot_write(self.path, error) from None
            if error is not None:
                return
            try:
                self._put_in_place()
            except OSError as failure:
                raise cannot_write(self.path, failure) from None

    def _put_in_place(self) -> None:
        """Move what is replaced out and the new files in; all of them, or none."""
        new = sorted(self._new.iterdir())
        targets = [self.path / file.name for file in new]
        for target in targets:
            if os.path.lexists(target):
                self._check_replaceable(target)
        earlier = sorted(file for pattern in self.replaces for file in self.path.glob(pattern))
        outdated = [
            file
            for file in earlier
            if file not in targets and file.is_file() and not file.is_symlink()
            if self.is_own(file)
        ]
        replaced = [target for target in targets if os.path.lexists(target)]
        moves = [(file, self._old / file.name) for file in (*replaced, *outdated)]
        moves += zip(new, targets, strict=True)
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        done: list[tuple[Path, Path]] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for source, target in moves:
                os.replace(source, target)
                done.append((source, target))
        except BaseException:
            for source, target in reversed(done):
                with suppress(OSError):
                    os.replace(target, source)
            for folder in missing:
                with suppress(OSError):
                    folder.rmdir()
            raise

    def _check_replaceable(self, target: Path) -> None:
        if not target.is_file():
            what = "a folder" if target.is_dir() else "no file"
            raise MammoTrackerError(
                f"Cannot write to {self.path}: {target.name} in it is {what}. Move it away, or "
                "choose another folder."
            )
        if not self.is_own(target):
            raise MammoTrackerError(
                f"Cannot write to {self.path}: {target.name} in it is not of an earlier run. Move "
                "it away, or choose another folder."
            )


def cannot_write(path: Path, error: OSError) -> MammoTrackerError:
    reason = error.strerror or type(error).__name__
    return MammoTrackerError(
        f"Cannot write to {path}: {reason}. Choose another folder, or make room."
    )
