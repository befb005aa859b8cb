"""Where blocks end: FastCDC over the content (parameter 256 KiB, minimum 64 KiB, maximum 1 MiB).

A cut depends only on the bytes from the block's start to just behind its end, so an edit moves cuts near it and nowhere
else, and a known block can be recognised without reading it when what it was cut from is unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Final

import pyfastcdc

from swarm.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES, BLOCK_TARGET_BYTES

# A cut is found one byte behind it, and the cutter takes bytes in pairs: so many bytes after a block decide with it
# (m).
LOOKAHEAD_BYTES: Final = 2

_cutter = pyfastcdc.FastCDC(avg_size=BLOCK_TARGET_BYTES, min_size=BLOCK_MIN_BYTES, max_size=BLOCK_MAX_BYTES)


def first_cut(window: bytes | bytearray | memoryview) -> int:
    """Length of the first block of a window. Releases the GIL.

    The window holds the next BLOCK_MAX_BYTES of the stream, or all that is left of it: then the whole may be one block.
    In a shorter window the cut still stands if LOOKAHEAD_BYTES of the window follow it.
    """
    if len(window) <= BLOCK_MIN_BYTES:
        return len(window)
    return int(next(iter(_cutter.cut_buf(window))).length)


def cut(data: bytes | bytearray | memoryview) -> Iterator[int]:
    """Lengths of all blocks of a stream that is in memory."""
    view = memoryview(data)
    while len(view):
        length = first_cut(view[:BLOCK_MAX_BYTES])
        yield length
        view = view[length:]


def is_fast() -> bool:
    """Whether the compiled cutter is in use; the pure one is 300 times slower."""
    return pyfastcdc.FastCDC.__module__ != "pyfastcdc.py.fastcdc"


if not is_fast():  # pragma: no cover - depends on the platform's wheel
    warnings.warn("pyfastcdc runs without its compiled part: cutting is 300 times slower", RuntimeWarning, stacklevel=1)
