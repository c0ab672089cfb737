"""How this process uses the memory that it has freed."""

from __future__ import annotations

import ctypes
import sys

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
