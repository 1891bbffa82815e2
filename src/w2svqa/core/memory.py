"""What the C library does with freed memory."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Final

_VARIABLE: Final = "MALLOC_MMAP_THRESHOLD_"
_M_MMAP_THRESHOLD: Final = -3  # from malloc.h of glibc
_LARGE: Final = 1 << 20


@cache
def return_large_buffers() -> None:
    """Have buffers of a megabyte and more given back to the system as soon as they are freed.

    glibc starts that way, but takes the size of whatever large buffer is freed as its new limit and from then on keeps
    buffers up to it in its heaps, one heap a thread: frames decoded in one thread and used in another leave holes
    there, and a long video takes ever more memory (docs/log.md). The setting holds for the whole process. Where the
    environment sets ``MALLOC_MMAP_THRESHOLD_``, or the C library has no such setting, nothing is done.
    """
    if _VARIABLE in os.environ:
        return
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    except (AttributeError, OSError, TypeError):  # another C library; on Windows there is no CDLL(None)
        return
