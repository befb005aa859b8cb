"""Files of records that each build writes in another order, or spreads over its files otherwise.

The same lines in another order are other bytes. In an order of their own, and each in the file that its content
chooses, they stay where they were, and a new one moves what is beside it. Sorted by the system's ``sort``, which takes
files of any size in bounded memory.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

from blake3 import blake3

from swarm.analysis.curing import Files, Unfit, below
from swarm.analysis.facts import ending_of

ENDINGS: Final = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".lst"})
WITH_HEADER: Final = frozenset({".csv", ".tsv"})
RECORDS_MIN_BYTES: Final = 128 * 1024
# Lines whose hash ends in these bits are compared.
SAMPLE_MAX: Final = 100_000
# Files are the same records in another order when so many of their lines are in both versions.
SAME_SHARE_MIN: Final = 0.5
# And in another order when so many of them stand behind one that stood behind them; of shuffled ones it is half.
TURNED_SHARE_MIN: Final = 0.1
LINE_MAX_BYTES: Final = 1 << 20
SORT_TIMEOUT_S: Final = 600

Group = Mapping[str, Path]


class Shuffled:
    """Records in an order that no build keeps. Needs the older version."""

    kind = "shuffled-records"
    title = "records in another order with each build"

    def fits(self, path: str, head: bytes, size: int) -> bool:
        return ending_of(path) in ENDINGS and size >= RECORDS_MIN_BYTES and b"\0" not in head

    def missing(self) -> str:
        return "" if shutil.which("sort") else "this machine has no `sort`"

    def change(self) -> str:
        return (
            "write the records in a stable order: sorted by a key (`LC_ALL=C sort`), and of several files each record "
            "into the one that a hash of its key chooses"
        )

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        older = _grouped(old)
        found: list[str] = []
        for pattern, group in _grouped(new).items():
            before = older.get(pattern, {})
            if not _are_in_another_order(before, group):
                continue
            found += group
            names = sorted(group)
            header = _header(group)
            _in_order(before, names, header, to_old)
            _in_order(group, names, header, to_new)
        return found

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        return ()  # One version does not show whether its order is kept.

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        return False  # A beginning of shuffled records has others than the older one's.


def pattern_of(path: str) -> str:
    """What names of one series of files have in common."""
    return re.sub(r"\d+", "#", path)


def _grouped(files: Files) -> dict[str, dict[str, Path]]:
    groups: dict[str, dict[str, Path]] = {}
    for path, source in files.items():
        groups.setdefault(pattern_of(path), {})[path] = source
    return groups


def _lines(group: Group) -> Iterator[bytes]:
    for source in group.values():
        with source.open("rb") as file:
            while line := file.readline(LINE_MAX_BYTES):
                yield line


def _sampled(group: Group) -> tuple[dict[int, int], int]:
    """Hashes of a bounded number of lines, chosen by what they are, each with its number among these; and the bits that
    are zero in all of them.
    """
    mask, found = 0, dict[int, int]()
    for number, line in enumerate(_lines(group)):
        digest = int.from_bytes(blake3(line.rstrip(b"\r\n")).digest(length=8))
        if not digest & mask:
            found[digest] = number
            if len(found) > SAMPLE_MAX:
                mask = mask << 1 | 1
                found = {one: at for one, at in found.items() if not one & mask}
    return found, mask


def _are_in_another_order(old: Group, new: Group) -> bool:
    """Whether most lines of both are the same, and many come before what they came after."""
    (before, one), (after, other) = _sampled(old), _sampled(new)
    mask = one | other
    both = [digest for digest in after if digest in before]
    most = max(sum(1 for digest in found if not digest & mask) for found in (before, after))
    if len(both) < SAME_SHARE_MIN * most or len(both) < 2:
        return False
    both.sort(key=after.__getitem__)
    turned = sum(1 for first, second in pairwise(both) if before[first] > before[second])
    return turned >= TURNED_SHARE_MIN * len(both)


def _header(group: Group) -> bytes:
    """The line that all files of a table begin with, if they do."""
    if ending_of(next(iter(group))) not in WITH_HEADER:
        return b""
    first = set()
    for source in group.values():
        with source.open("rb") as file:
            first.add(file.readline(LINE_MAX_BYTES))
    return first.pop() if len(first) == 1 else b""


def _in_order(group: Group, names: list[str], header: bytes, target: Path) -> None:
    """Spread the records of a group over files of these names, sorted."""
    with ExitStack() as stack:
        spread = [stack.enter_context(below(target, f"{name}.unsorted").open("wb")) for name in names]
        for source in group.values():
            with source.open("rb") as file:
                _spread(file, spread, header)
    for name in names:
        unsorted, place = target / f"{name}.unsorted", target / name
        with unsorted.open("rb") as lines, place.open("wb") as file:
            file.write(header)
            file.flush()
            done = subprocess.run(
                ["sort", "--buffer-size=64M"],
                stdin=lines,
                stdout=file,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                timeout=SORT_TIMEOUT_S,
                check=False,
            )
        unsorted.unlink()
        if done.returncode:
            raise Unfit("`sort` failed")


def _spread(file: IO[bytes], spread: Sequence[IO[bytes]], header: bytes) -> None:
    count = len(spread)
    while line := file.readline(LINE_MAX_BYTES):
        if line != header:
            line = line if line.endswith(b"\n") else line + b"\n"
            spread[int.from_bytes(blake3(line).digest(length=8)) % count if count > 1 else 0].write(line)
