"""What a mount decides without a kernel: nodes, what is read ahead, and the forms of the protocol."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.fuse import wire
from swarm.fuse.ahead import AHEAD_MAX, WINDOW_BYTES, OpenFile, Windows
from swarm.fuse.nodes import Nodes, inode_of, key_of


def file_of(content: str, mtime_ns: int = 5) -> dict[str, Any]:
    return {"kind": "file", "size": 3, "mode": "0644", "mtime_ns": mtime_ns, "sha256": content}


def test_a_file_is_another_node_once_its_content_is_another() -> None:
    nodes = Nodes("v1")
    old = nodes.look_up("a/f", file_of("11"), "v1")
    same = nodes.look_up("a/f", file_of("11"), "v2")
    new = nodes.look_up("a/f", file_of("22"), "v2")
    assert same is old
    assert old.version == "v2"
    assert new.number != old.number
    assert new.inode != old.inode
    assert nodes.look_up("a", {"kind": "directory"}, "v1") is nodes.look_up("a", {"kind": "directory"}, "v2")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 3))))
def test_the_kernel_is_known_what_it_was_told_and_has_not_forgotten(steps: list[tuple[bool, int, int]]) -> None:
    nodes = Nodes("v")
    told: dict[int, int] = {}
    for is_look, name, count in steps:
        if is_look:
            number = nodes.look_up(str(name), file_of("11"), "v").number
            told[number] = told.get(number, 0) + 1
        elif told:
            number = sorted(told)[name % len(told)]
            lost = min(count, told[number])
            nodes.forget(number, lost)
            told[number] -= lost
            if not told[number]:
                del told[number]
        nodes.check_invariants()
    nodes.forget(wire.ROOT, 10**6)
    nodes.forget(10**6, 1)
    assert len(nodes) == len(told) + 1


def test_inode_numbers_are_the_same_at_every_mount_and_never_reserved() -> None:
    numbers = {inode_of(key_of(f"d/{n}", file_of("11"))) for n in range(1000)}
    assert len(numbers) == 1000
    assert not numbers & {0, 1}
    assert inode_of(("a", "directory")) == 1951558655362048706


DATA = random.Random(1).randbytes(5 * WINDOW_BYTES + 12345)


class Fetching:
    """What a file asks of its source."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.lock = threading.Lock()

    def __call__(self, begin: int, end: int) -> bytes:
        with self.lock:
            self.asked.append((begin, end))
        return DATA[begin:end]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def opened(pool: ThreadPoolExecutor, limit_bytes: int = 8 * WINDOW_BYTES) -> tuple[OpenFile, Fetching]:
    fetching = Fetching()
    return OpenFile(Windows(pool, limit_bytes), "key", len(DATA), fetching), fetching


def read(file: OpenFile, offset: int, length: int) -> bytes:
    return b"".join(file.read(offset, length, lambda: False))


def test_any_reads_give_what_the_file_holds(pool: ThreadPoolExecutor) -> None:
    for limit in (WINDOW_BYTES, 8 * WINDOW_BYTES):
        file, _ = opened(pool, limit)
        rng = random.Random(2)
        at = 0
        for _ in range(300):
            at = at if rng.random() < 0.7 else rng.randrange(len(DATA))
            length = rng.choice((1, 4096, 131_072, WINDOW_BYTES + 5))
            assert read(file, at, length) == DATA[at : at + length]
            at = (at + length) % len(DATA)
    assert read(file, len(DATA), 5) == b""
    assert read(file, len(DATA) - 2, 500) == DATA[-2:]


def test_who_reads_here_and_there_is_given_no_more_than_that(pool: ThreadPoolExecutor) -> None:
    file, fetching = opened(pool)
    for at in (9_000_000, 3, 6_000_000):
        read(file, at, 4096)
    assert fetching.asked == [(at, at + 4096) for at in (9_000_000, 3, 6_000_000)]


def test_who_reads_on_has_windows_asked_for_ahead_and_each_byte_once(pool: ThreadPoolExecutor) -> None:
    file, fetching = opened(pool)
    for at in range(0, 3 * WINDOW_BYTES, 131_072):
        read(file, at, 131_072)
    pool.shutdown(wait=True)
    begun = sorted(fetching.asked[1:])
    assert begun == [(n * WINDOW_BYTES, min(len(DATA), (n + 1) * WINDOW_BYTES)) for n in range(len(begun))]
    assert 3 < len(begun) <= 3 + AHEAD_MAX


def test_a_window_that_failed_is_asked_for_again_and_nobody_waits_for_one_in_vain(pool: ThreadPoolExecutor) -> None:
    goes, stuck = threading.Event(), threading.Event()

    def fetch(begin: int, end: int) -> bytes:
        if not goes.is_set():
            raise OSError("away")
        stuck.wait()
        return DATA[begin:end]

    file = OpenFile(Windows(pool), "key", len(DATA), fetch)
    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            file.read(0, 10, lambda: False)
    goes.set()
    with pytest.raises(InterruptedError):
        file.read(0, 10, lambda: True)
    stuck.set()
    assert read(file, 0, 10) == DATA[:10]


def test_times_before_1970_and_rights_without_writing() -> None:
    packed = wire.attributes(7, file_of("1", -1), wire.Owner(1, 2), 0)
    inode, size, _, seconds, *_ = wire._ATTRIBUTES.unpack(packed)
    assert (inode, size, seconds) == (7, 3, -1)
    *_, nanoseconds, mode, links, uid, gid, _, _, _ = wire._ATTRIBUTES.unpack(packed)
    assert (nanoseconds, mode, links, uid, gid) == (999_999_999, 0o100444, 1, 1, 2)


def test_a_line_of_a_listing_is_aligned() -> None:
    for name in (b"a", b"a" * 7, b"a" * 255):
        assert len(wire.name_answer(5, 1, "file", name)) % 8 == 0
        assert len(wire.name_answer(5, 1, "file", name, bytes(wire.ENTRY_BYTES))) % 8 == 0
