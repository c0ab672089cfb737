"""What memory this process uses, and what becomes of it when freed."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of `mallopt` in glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Keep what is freed for the next allocation; for a process that only tracks or trains.

    Else glibc gives each large tensor back to the system after use, and the next one waits for
    cleared pages: a quarter of a lesion's time and half of a training step's, as measured. Does
    nothing where there is no glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def peak_mb() -> float:
    """Return the most memory that this process has had, in MiB; NaN where one cannot say."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent used before it started us
        line = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return float("nan")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
