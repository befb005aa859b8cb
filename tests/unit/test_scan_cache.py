"""What a scan remembers: kept whole or not at all, and never trusted where a change could hide."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm import canonical
from swarm.scan_cache import COARSE_TICK_NS, TICK_NS, FileState, Known, RunBlock, ScanCache, Span
from swarm.segments import BlockEntry
from swarm.signature import signature_of

NOW = 1_800_000_000_123_456_789
OLD = NOW - 10 * COARSE_TICK_NS
HASH = signature_of(b"x")


def known(state: FileState, read_ns: int = NOW) -> ScanCache:
    cache = ScanCache()
    cache.files["a"] = Known(state, read_ns, HASH, HASH, ())
    return cache


STATE = FileState(size=5, mtime_ns=OLD, ctime_ns=OLD, inode=7)


def sample() -> ScanCache:
    cache = known(STATE)
    cache.files["b"] = Known(STATE, NOW, HASH, HASH, (BlockEntry(HASH, 5),))
    cache.runs["a", 3] = RunBlock("a", 3, BlockEntry(HASH, 9), (Span(5, HASH), Span(4, HASH)), is_tail=True)
    return cache


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "scans" / "cache"
    sample().save(path)
    cache = ScanCache.load(path)
    assert (cache.files, cache.runs) == (sample().files, sample().runs)
    assert [entry.name for entry in path.parent.iterdir()] == ["cache"]


def test_a_damaged_one_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    sample().save(path)
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert ScanCache.load(path).files == {}
    for short in (b"", data[:31], data[:32], data[:-1], data + b"\0"):
        path.write_bytes(short)
        assert ScanCache.load(path).files == {}
    other = canonical.encode([2, {}, []])
    path.write_bytes(signature_of(other) + other)
    assert ScanCache.load(path).files == {}
    assert ScanCache.load(tmp_path / "missing").files == {}
    assert ScanCache.load(tmp_path).files == {}


def test_one_that_cannot_be_written_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    sample().save(tmp_path / "file" / "cache")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "changed",
    [
        FileState(6, OLD, OLD, 7),
        FileState(5, OLD + 1, OLD, 7),
        FileState(5, OLD, OLD + 1, 7),
        FileState(5, OLD, OLD, 8),
    ],
)
def test_any_difference_counts(changed: FileState) -> None:
    assert known(STATE).unchanged("a", STATE) is not None
    assert known(STATE).unchanged("a", changed) is None
    assert known(STATE).unchanged("b", STATE) is None


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "is_trusted"),
    [
        (OLD, OLD, True),
        (OLD, NOW - TICK_NS - 1, True),
        (OLD, NOW - TICK_NS, False),
        (OLD, NOW + 1, False),
        (NOW - TICK_NS - 1, OLD, True),
        (NOW - TICK_NS, OLD, False),
        (NOW + TICK_NS, OLD, False),
        # Set by hand to a far future: the filesystem's own time tells.
        (NOW + 1000 * COARSE_TICK_NS, OLD, True),
        # A filesystem of whole seconds.
        (OLD, (NOW // 10**9 - 1) * 10**9, False),
        (OLD, (NOW // 10**9 - 3) * 10**9, True),
    ],
)
def test_what_was_touched_just_before_it_was_read_is_not_trusted(
    mtime_ns: int, ctime_ns: int, is_trusted: bool
) -> None:
    state = FileState(5, mtime_ns, ctime_ns, 7)
    assert (known(state).unchanged("a", state) is not None) is is_trusted
