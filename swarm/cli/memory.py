"""How the C library's allocator treats buffers of a block's size: kept for the next one, not given back each time.

By default glibc maps each buffer of some hundred KiB anew and gives it back when it is freed, in an arena per thread:
every block then costs the kernel a fresh, cleared page for each 4 KiB, a tenth of all CPU time where sixteen peers
share two cores (perf). Other C libraries have no such knobs, and are left as they are.
"""

from __future__ import annotations

import ctypes
from typing import Final

from swarm.limits import ENCODED_MAX_BYTES

# mallopt(3): what each is, and how large a buffer is still kept, how much may lie free, how many arenas there are.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
KEPT_MAX_BYTES: Final = 2 * ENCODED_MAX_BYTES
FREE_MAX_BYTES: Final = 8 * ENCODED_MAX_BYTES
ARENAS: Final = 2


def keep_buffers() -> None:
    """Let freed buffers of up to a block's size be used again, from now on, within FREE_MAX_BYTES for each arena."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, KEPT_MAX_BYTES)
    mallopt(_TRIM_THRESHOLD, FREE_MAX_BYTES)
    mallopt(_ARENA_MAX, ARENAS)
