"""OutputFolder: results are written completely, or what was there stays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import MammoTrackerError


class OutputFolder:
    """A folder that is either written completely or left as it was.

    As a context it is a temporary folder on the same disk; its files are moved into place
    when the block ends without an error. Old files whose names match `replaces` go.
    """

    def __init__(self, path: Path, replaces: str | None = "lesion-*.mrk.json") -> None:
        self.path, self.replaces = path, replaces

    def __enter__(self) -> Path:
        home = self.path
        try:
            while not home.exists():
                home = home.parent
            if not home.is_dir():
                raise MammoTrackerError(f"Cannot write to {self.path}: {home} is no folder.")
            self.temporary = tempfile.TemporaryDirectory(
                dir=home, prefix=".mammotracker-", ignore_cleanup_errors=True
            )
        except OSError as error:
            raise cannot_write(self.path, error) from None
        return Path(self.temporary.name)

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        with self.temporary as name:
            if isinstance(error, OSError):
                raise cannot_write(self.path, error) from None
            if error is not None:
                return
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                new = sorted(Path(name).iterdir())
                for file in new:
                    os.replace(file, self.path / file.name)
                for old in self.path.glob(self.replaces) if self.replaces else ():
                    if old.name not in {file.name for file in new}:
                        old.unlink()
            except OSError as failure:
                raise cannot_write(self.path, failure) from None


def cannot_write(path: Path, error: OSError) -> MammoTrackerError:
    reason = error.strerror or type(error).__name__
    return MammoTrackerError(
        f"Cannot write to {path}: {reason}. Choose another folder, or make room."
    )
