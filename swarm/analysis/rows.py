"""Which rows of a table differ, by duckdb where it is installed: a CSV or parquet file in two versions.

Rows are compared as a whole and counted: a row that was changed is one removed and one added. Nothing of a file is
believed: duckdb is told the format, and may reach nothing but the two files.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from swarm.analysis.changes import Change
from swarm.analysis.facts import ending_of
from swarm.errors import AetherError

READERS: Final = {
    ".csv": "read_csv({path}, all_varchar = true)",
    ".tsv": "read_csv({path}, all_varchar = true, delim = '\t')",
    ".csv.gz": "read_csv({path}, all_varchar = true, compression = 'gzip')",
    ".csv.zst": "read_csv({path}, all_varchar = true, compression = 'zstd')",
    ".parquet": "read_parquet({path})",
}
INSTALL: Final = "rows are compared by duckdb, which is not installed: `pip install 'aetherfs[tables]'`"
ROWS_TOLD: Final = 5
ROW_CHARS: Final = 200
FILES_MAX: Final = 100
MEMORY_LIMIT: Final = "512MB"

Copy = Callable[[str, Path, int], None]


class RowChange(msgspec.Struct, frozen=True):
    """Rows of a file that are in one version alone; ``problem`` says why they could not be compared."""

    path: str
    rows: int = 0
    added: int = 0
    removed: int = 0
    first_added: tuple[str, ...] = ()
    first_removed: tuple[str, ...] = ()
    problem: str = ""


def can_compare() -> bool:
    """Whether duckdb is installed."""
    return importlib.util.find_spec("duckdb") is not None


def row_changes(changes: Sequence[Change], older: Copy, newer: Copy) -> list[RowChange]:
    """The changed tables. Only where rows can be compared."""
    tables = [c for c in changes if c.what == "changed" and c.kind == "file" and ending_of(c.path) in READERS]
    return [_compared(change, older, newer) for change in tables[:FILES_MAX]]


def _compared(change: Change, older: Copy, newer: Copy) -> RowChange:
    ending = ending_of(change.path)
    with tempfile.TemporaryDirectory(prefix="aetherfs-rows-") as folder:
        before, after = Path(folder, "old" + ending), Path(folder, "new" + ending)
        try:
            older(change.path, before, change.size_before)
            newer(change.path, after, change.size)
            return _asked(change.path, READERS[ending], before, after, folder)
        except AetherError as error:
            return RowChange(change.path, problem=str(error))


def _asked(path: str, reader: str, before: Path, after: Path, folder: str) -> RowChange:
    import duckdb

    sources = [reader.format(path="'" + str(file.resolve()).replace("'", "''") + "'") for file in (before, after)]
    try:
        with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": folder, "threads": 2}) as db:
            old, new = (f"select * from {source}" for source in sources)
            (rows,) = _one(db, f"select count(*) from ({new})")
            added, first_added = _lacking(db, new, old)
            removed, first_removed = _lacking(db, old, new)
    except duckdb.Error as error:
        return RowChange(path, problem=str(error).splitlines()[0].replace(f"{folder}/", "")[:200])
    return RowChange(path, rows, added, removed, first_added, first_removed)


def _lacking(db: Any, here: str, there: str) -> tuple[int, tuple[str, ...]]:
    """How many rows are in one and not in the other, and the first of them."""
    rows = f"({here} except all {there})"
    (count,) = _one(db, f"select count(*) from {rows}")
    first = db.execute(f"select * from {rows} limit {ROWS_TOLD}").fetchall() if count else []
    return count, tuple(", ".join(map(str, row))[:ROW_CHARS] for row in first)


def _one(db: Any, query: str) -> Any:
    return db.execute(query).fetchone()
