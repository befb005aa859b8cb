"""Letting a process keep little memory that it does not use: how the C library and Python hand it out.

glibc gives each of many threads a heap of its own, and keeps blocks of megabytes once it has freed some: what many
streams have used for a moment stays taken for good. For a process with a memory budget both are switched off
(mallopt(3)); elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
HEAPS: Final = 2
# Set, these no longer grow with what is freed.
RETURNED_FROM_BYTES: Final = 128 * 1024
STACK_BYTES: Final = 512 * 1024


def be_frugal() -> None:
    """From now on; best before threads are started."""
    threading.stack_size(STACK_BYTES)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_ARENA_MAX, HEAPS)
    mallopt(M_MMAP_THRESHOLD, RETURNED_FROM_BYTES)
    mallopt(M_TRIM_THRESHOLD, RETURNED_FROM_BYTES)
    gc.collect()
