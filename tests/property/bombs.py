"""Little that claims to be, or becomes, a lot, given to every decoder under a ceiling of memory: run as a program.

The ceiling is set when everything is loaded and every decoder has read its good bytes once. Whoever then asks for more
than a block's worth, and some, ends in MemoryError, which no decoder may raise or swallow.
"""

from __future__ import annotations

import contextlib
import resource
import struct
import sys
from pathlib import Path
from typing import Final

import zstandard

from swarm.limits import MIB
from tests.property.decoders import DECODERS

# A block, its encoded form, buffers of both and what the allocator takes at a time; a bomb means 512 MiB or more.
CEILING_BYTES: Final = 64 * MIB
HUGE: Final = 0xFFFFFFFF


def _zstd(plain_bytes: int, *, sized: bool) -> bytes:
    """A frame of zeros."""
    written = zstandard.ZstdCompressor(level=1, write_content_size=sized)
    return written.compress(bytes(plain_bytes))


def msgpack_bombs() -> dict[str, bytes]:
    """Heads that claim four thousand million items, and structures as deep or as wide as they fit."""
    heads = {"array": b"\xdd", "map": b"\xdf", "bytes": b"\xc6", "text": b"\xdb"}
    return {
        **{f"{name} without end": head + struct.pack(">I", HUGE) for name, head in heads.items()},
        **{f"{name} in a list": b"\x92\x01" + head + struct.pack(">I", HUGE) for name, head in heads.items()},
        "extension": b"\xc9" + struct.pack(">I", HUGE) + b"\x01",
        "deep lists": b"\x91" * 60_000,
        "deep maps": b"\x81\xa0" * 60_000,
        "empty lists": b"\xdd" + struct.pack(">I", 60_000) + b"\x90" * 60_000,
        "wide in a list": b"\x92\x01\xdd" + struct.pack(">I", 60_000) + b"\xc0" * 60_000,
    }


def json_bombs() -> dict[str, bytes]:
    return {
        "deep json": b"[" * 60_000,
        "deep objects": b'{"a":' * 20_000,
        "a long number": b'{"serial":' + b"9" * 60_000 + b"}",
        "a large exponent": b'{"serial":1e99999999}',
        "many fields": b"{" + b",".join(b'"%d":0' % n for n in range(8000)) + b"}",
    }


def compressed_bombs() -> dict[str, bytes]:
    stated, silent = _zstd(1 << 29, sized=True), _zstd(1 << 26, sized=False)
    return {
        "states what it is": b"\x01" + stated,
        "does not state it": b"\x01" + silent,
        "states less": b"\x01" + _zstd(1024, sized=True)[:6] + stated[6:],
        "two frames": b"\x01" + _zstd(1024, sized=True) + stated,
        # 256 bytes behind a window of two gigabytes.
        "a large window": b"\x01" + bytes.fromhex("28b52ffd40a80000010800") + bytes(256),
        "an export of one": b"AetherFS export\n" + struct.pack(">I", HUGE),
    }


def bombs() -> dict[str, bytes]:
    return {**msgpack_bombs(), **json_bombs(), **compressed_bombs()}


def used_bytes() -> int:
    """The address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main() -> int:
    thrown = bombs()
    for decoder in DECODERS.values():
        decoder.read(decoder.good)
    limit = used_bytes() + CEILING_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    broken = []
    for name, decoder in DECODERS.items():
        for what, data in thrown.items():
            for bomb in (data, decoder.good[:3] + data):
                try:
                    with contextlib.suppress(*decoder.refusals):
                        decoder.read(bomb)
                except BaseException as error:
                    broken.append(f"{name}, {what}: {type(error).__name__} {error}"[:200])
    print("\n".join(broken) or f"{len(DECODERS)} decoders, {len(thrown)} bombs, {CEILING_BYTES >> 20} MiB")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
