"""A file as it might have been a version ago: one record less near its beginning."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

# How far into the file, as a share of it; and how far a record's end is looked for.
AT: Final = 0.1
RECORD_MAX_BYTES: Final = 64 * 1024
UNRECORDED_BYTES: Final = 100


def without_a_record(source: Path, target: Path) -> None:
    """Write a copy that lacks one line a tenth into the file, or a hundred bytes where there are no lines."""
    begin, end = cut_out(source)
    with source.open("rb") as file, target.open("wb") as copy:
        left = begin
        while left:
            data = file.read(min(left, 1 << 20))
            copy.write(data)
            left -= len(data)
        file.seek(end)
        shutil.copyfileobj(file, copy, 1 << 20)


def cut_out(source: Path) -> tuple[int, int]:
    """Where the record is."""
    size = source.stat().st_size
    at = int(size * AT)
    with source.open("rb") as file:
        file.seek(at)
        window = file.read(RECORD_MAX_BYTES)
    first = window.find(b"\n")
    second = window.find(b"\n", first + 1) if first >= 0 else -1
    if second < 0:
        return at, min(size, at + UNRECORDED_BYTES)
    return at + first + 1, at + second + 1
