"""The kernel's FUSE protocol, as far as reading takes it (linux/fuse.h, 7.31 and later). Pure: no I/O, no clock.

It is spoken directly, without libfuse: what reads a mount that follows a tag needs a node of its own for each content
(see ``nodes``), which libfuse's path-based interface hides, and its other one needs a compiler and headers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

MAJOR: Final = 7
MINOR: Final = 38
# Before it, INIT has another form: Linux 5.4, of 2019.
MINOR_MIN: Final = 31
ROOT: Final = 1

LOOKUP: Final = 1
FORGET: Final = 2
GETATTR: Final = 3
READLINK: Final = 5
OPEN: Final = 14
READ: Final = 15
STATFS: Final = 17
RELEASE: Final = 18
INIT: Final = 26
OPENDIR: Final = 27
READDIR: Final = 28
RELEASEDIR: Final = 29
INTERRUPT: Final = 36
DESTROY: Final = 38
BATCH_FORGET: Final = 42
READDIRPLUS: Final = 44
UNANSWERED: Final = frozenset({FORGET, INTERRUPT, BATCH_FORGET})

# Several reads at a time, listings with their attributes, symbolic links kept, long reads, listings in parallel.
FLAGS: Final = 1 << 0 | 1 << 13 | 1 << 18 | 1 << 22 | 1 << 23
READ_MAX_BYTES: Final = 1 << 20
BACKGROUND_MAX: Final = 64
# Nothing is ever written: the least that a kernel takes. A request then fits into the least buffer.
WRITE_MAX_BYTES: Final = 4096
REQUEST_MAX_BYTES: Final = 16 * 1024
KEEP_CACHE: Final = 1 << 1
CACHE_DIRECTORY: Final = 1 << 3

_IN: Final = struct.Struct("<IIQQIIIHH")
_OUT: Final = struct.Struct("<IiQ")
_INIT_IN: Final = struct.Struct("<IIII")
_INIT_OUT: Final = struct.Struct("<IIIIHHIIHHI28x")
_ATTRIBUTES: Final = struct.Struct("<QQQqqqIIIIIIIIII")
_ENTRY: Final = struct.Struct("<QQQQII")
_KEPT: Final = struct.Struct("<QII")
_OPENED: Final = struct.Struct("<QII")
_READ: Final = struct.Struct("<QQI")
_DIRENT: Final = struct.Struct("<QQII")
_STATFS: Final = struct.Struct("<QQQQQIIII24x")
_FORGET_ONE: Final = struct.Struct("<QQ")
_U64: Final = struct.Struct("<Q")
ENTRY_BYTES: Final = _ENTRY.size + _ATTRIBUTES.size
TYPES: Final = {"file": 0o100000, "directory": 0o040000, "link": 0o120000}


class Request(NamedTuple):
    """What the kernel asks. ``body`` is what follows the header."""

    operation: int
    unique: int
    node: int
    body: memoryview


class ReadAsked(NamedTuple):
    """Of a file or a directory that is open as ``handle``."""

    handle: int
    offset: int
    size: int


class Owner(NamedTuple):
    uid: int
    gid: int


def parse_request(data: memoryview) -> Request:
    """A request as it was read from the device."""
    length, operation, unique, node, *_ = _IN.unpack_from(data)
    return Request(operation, unique, node, data[_IN.size : length])


def answer_head(unique: int, size: int, error: int = 0) -> bytes:
    """What comes before an answer of so many bytes. ``error`` is an errno."""
    return _OUT.pack(_OUT.size + size, -error, unique)


def parse_init(body: memoryview) -> tuple[int, int, int, int]:
    """Major, minor, read-ahead in bytes and flags that the kernel has."""
    major, minor, readahead_bytes, flags = _INIT_IN.unpack_from(body)
    return major, minor, readahead_bytes, flags


def init_answer(minor: int, readahead_bytes: int, flags: int) -> bytes:
    return _INIT_OUT.pack(
        MAJOR,
        min(minor, MINOR),
        readahead_bytes,
        flags & FLAGS,
        BACKGROUND_MAX,
        BACKGROUND_MAX * 3 // 4,
        WRITE_MAX_BYTES,
        1,
        READ_MAX_BYTES // 4096,
        0,
        0,
    )


def parse_read(body: memoryview) -> ReadAsked:
    return ReadAsked(*_READ.unpack_from(body))


def parse_name(body: memoryview) -> bytes:
    return bytes(body).partition(b"\0")[0]


def parse_number(body: memoryview) -> int:
    """The first field: a handle, a count, the number of a request."""
    return int(_U64.unpack_from(body)[0])


def parse_forgets(body: memoryview) -> list[tuple[int, int]]:
    """Nodes, and how many lookups of each are forgotten."""
    count = int(struct.unpack_from("<I", body)[0])
    return [_FORGET_ONE.unpack_from(body, 8 + at * _FORGET_ONE.size) for at in range(count)]


def attributes(inode: int, entry: Mapping[str, Any], owner: Owner, opened_ns: int) -> bytes:
    """Of an entry as the agent lists it. A directory has no time of its own: it is as old as its version is open."""
    size = int(entry.get("size", len(entry.get("target", "").encode())))
    seconds, nanoseconds = divmod(int(entry.get("mtime_ns", opened_ns)), 10**9)
    times = (seconds, seconds, seconds, nanoseconds, nanoseconds, nanoseconds)
    # One link, also of a directory: with two, programs would take it for one without directories in it.
    return _ATTRIBUTES.pack(inode, size, -(-size // 512), *times, _mode(entry), 1, *owner, 0, 65536, 0)


def _mode(entry: Mapping[str, Any]) -> int:
    """Kind and rights: nobody may write, everybody may enter. A directory's own rights are known only of empty ones."""
    kind = entry["kind"]
    if kind == "link":
        return TYPES[kind] | 0o777
    rights = 0o555 if kind == "directory" else int(entry["mode"], 8)
    return TYPES[kind] | (rights & 0o7777 & ~0o222)


def attributes_answer(packed: bytes, kept_s: int) -> bytes:
    return _KEPT.pack(kept_s, 0, 0) + packed


def entry_answer(node: int, packed: bytes, kept_s: int) -> bytes:
    """A name that was looked up. Node 0: there is none, which may be kept as well."""
    return _ENTRY.pack(node, 0, kept_s, kept_s, 0, 0) + (packed or bytes(_ATTRIBUTES.size))


def opened_answer(handle: int, flags: int) -> bytes:
    return _OPENED.pack(handle, flags, 0)


def name_answer(inode: int, after: int, kind: str, name: bytes, entry: bytes = b"") -> bytes:
    """A line of a listing; ``after`` is where it goes on. With ``entry_answer`` before it for READDIRPLUS."""
    line = entry + _DIRENT.pack(inode, after, len(name), TYPES[kind] >> 12) + name
    return line + bytes(-len(line) % 8)


def room_answer() -> bytes:
    """What statfs tells: nothing is free."""
    return _STATFS.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0)
