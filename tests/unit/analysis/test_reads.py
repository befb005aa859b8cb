"""Which ranges are read: counted in stretches, bounded, and read back from a file."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.analysis import reads as module
from swarm.analysis.reads import BUCKETS, FILE_MAX_BYTES, Reads
from swarm.cli.stats import covered, strip

SIZE = 640


def test_stretches_count_what_was_read_of_them() -> None:
    reads = Reads()
    reads.note("x/t", "aa", "a", SIZE, 0, SIZE, 1.0)
    reads.note("x/t", "aa", "a", SIZE, 15, 30, 2.0)
    (told,) = reads.told("x/t")
    (file,) = told.files
    assert (file.reads, file.bytes, told.last) == (2, SIZE + 15, 2.0)
    assert file.heat[:4] == (1.0, 1.5, 2.0, 1.0) and set(file.heat[4:]) == {1.0}
    assert strip(file)[:4] == "+#@+" and covered(file) == "100%"


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 1000])
def test_every_byte_of_a_file_of_any_size_is_in_one_stretch(size: int) -> None:
    reads = Reads()
    for at in range(size):
        reads.note("x/t", "aa", "a", size, at, at + 1, 1.0)
    (file,) = reads.told("x/t")[0].files
    assert file.bytes == size and {heat for heat in file.heat if heat} == {1.0}
    assert sum(1 for heat in file.heat if heat) == min(size, BUCKETS)
    assert covered(file) == "100%"


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 300), st.integers(-2, 300)), max_size=60), st.integers(1, 299)
)
@settings(max_examples=60)
def test_whatever_is_noted_adds_up(notes: list[tuple[int, int, int]], size: int) -> None:
    reads = Reads()
    for name, begin, end in notes:
        reads.note("x/t", "aa", f"f{name}", size, begin, end, 1.0)
        reads.check_invariants()
    expected = sum(end - begin for _, begin, end in notes if 0 <= begin < end <= size)
    assert sum(told.bytes for told in reads.told("x/t")) == expected


def test_there_is_room_for_so_many_files_and_versions_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_MAX", 4)
    monkeypatch.setattr(module, "VERSIONS_MAX", 2)
    reads = Reads()
    for number in range(6):
        reads.note("x/t", "aa", f"f{number}", 10, 0, 10, float(number))
        reads.check_invariants()
    (told,) = reads.told("x/t")
    assert [file.path for file in told.files] == ["f2", "f3", "f4", "f5"]
    assert (told.others, told.bytes, told.reads) == (2, 60, 6)
    for version in ("bb", "cc"):
        reads.note("x/t", version, "f", 10, 0, 10, 9.0)
        reads.check_invariants()
    assert [told.version for told in reads.told("x/t")] == ["cc", "bb"]
    assert [told.version for told in reads.told("x/t", "bb")] == ["bb"] and reads.told("x/u") == []


def test_long_paths_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATHS_MAX_BYTES", 1000)
    reads = Reads()
    for number in range(10):
        reads.note("x/t", "aa", f"{number}" * 300, 10, 0, 10, 1.0)
        reads.check_invariants()
    assert len(reads.told("x/t")[0].files) == 3


def test_it_is_kept_as_a_file() -> None:
    reads, rng = Reads(), random.Random(1)
    for _ in range(50):
        begin = rng.randrange(900)
        reads.note(f"x/t{rng.randrange(3)}", "aa", f"f{rng.randrange(9)}", 1000, begin, begin + 100, 1.0)
    assert reads.is_dirty
    data = reads.kept()
    assert not reads.is_dirty
    again = Reads.load(data)
    again.check_invariants()
    assert not again.is_dirty and again.kept() == data


@pytest.mark.parametrize("data", [None, b"", b"\xff", b"{", b'{"versions": 3}', b" " * (FILE_MAX_BYTES + 1)])
def test_a_file_that_cannot_be_read_is_none(data: bytes | None) -> None:
    assert Reads.load(data).told("x/t") == []
