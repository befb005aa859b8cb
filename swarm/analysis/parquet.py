"""Parquet written without content-defined pages: one inserted row moves every page behind it.

Measured where pyarrow is installed: both versions are written again with its option, and otherwise as they were.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from swarm.analysis.curing import Files, Unfit, below

MAGIC: Final = b"PAR1"
PARQUET_MIN_BYTES: Final = 256 * 1024
# pyarrow has the option from this version on.
PYARROW_MIN: Final = 21
OPTION: Final = "use_content_defined_chunking"
# A file that is the same when it is written again with the option, by so much of its blocks, was written with it.
SAME_SHARE_MIN: Final = 0.5
# Pages also end where arrays in memory do: with so many rows, as whoever reads a table and writes it again has them.
BATCH_ROWS: Final = 131_072


class Parquet:
    """Parquet without content-defined pages."""

    kind = "parquet-not-content-defined"
    title = "parquet whose pages all move with one row"

    def fits(self, path: str, head: bytes, size: int) -> bool:
        return head.startswith(MAGIC) and size >= PARQUET_MIN_BYTES

    def missing(self) -> str:
        if importlib.util.find_spec("pyarrow") is None:
            return "pyarrow is not installed here: `pip install 'aetherfs[tables]'`"
        import pyarrow

        is_old = int(pyarrow.__version__.split(".")[0]) < PYARROW_MIN
        return f"pyarrow {pyarrow.__version__} has no {OPTION}: install {PYARROW_MIN} or later" if is_old else ""

    def change(self) -> str:
        return f"write with `{OPTION}=True` (pyarrow.parquet.write_table, pandas' to_parquet), and otherwise as now"

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        for files, target in ((old, to_old), (new, to_new)):
            for path, source in files.items():
                _rewritten(source, below(target, path), defined=True)
        return new

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """Old and new as pyarrow writes them, unless they were written with the option already."""
        found: list[str] = []
        for path, source in files.items():
            target = below(to_new, path)
            if _is_defined(source, target):
                continue
            found.append(path)
            _rewritten(source, target, defined=False)
            _rewritten(source, below(to_old, path), defined=False, without_row=True)
        return found

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        return False


def _rewritten(
    source: Path, target: Path, *, defined: bool, without_row: bool = False, batch_rows: int = BATCH_ROWS
) -> None:
    """The same table, with the codec and the row groups that it has; one of these is held at a time.

    ``without_row``: it lacks a row a tenth into it, and all behind it move up.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(source)
        options = _options(file.metadata)
        at = file.metadata.num_rows // 10 if without_row else -1
        with pyarrow.parquet.ParquetWriter(target, file.schema_arrow, **options, **{OPTION: defined}) as writer:
            for table in _groups(file, batch_rows, at):
                writer.write_table(table, row_group_size=1 << 40)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise Unfit(f"a parquet file cannot be written again: {error}") from error


def _groups(file: Any, batch_rows: int, without: int) -> Iterator[Any]:
    """The row groups of a file, without the row of that number; all but the last stay as long as the first."""
    import pyarrow

    held: list[Any] = []
    rows = first = 0
    for group in range(file.metadata.num_row_groups):
        length = file.metadata.row_group(group).num_rows
        table = pyarrow.Table.from_batches(
            file.iter_batches(batch_size=batch_rows, row_groups=[group]), file.schema_arrow
        )
        if without < 0:
            yield table
            continue
        if first <= without < first + length:
            table = pyarrow.concat_tables([table.slice(0, without - first), table.slice(without - first + 1)])
        first += length
        held, rows = [*held, table], rows + table.num_rows
        most = file.metadata.row_group(0).num_rows
        if rows >= most:
            joined = pyarrow.concat_tables(held)
            yield joined.slice(0, most)
            held, rows = [joined.slice(most)], rows - most
    if rows:
        yield pyarrow.concat_tables(held)


def _options(metadata: Any) -> dict[str, Any]:
    """How a file was written, as far as it tells."""
    codec = "NONE"
    dictionary = False
    if metadata.num_row_groups:
        group = metadata.row_group(0)
        for number in range(group.num_columns):
            column = group.column(number)
            codec = column.compression
            dictionary = dictionary or "RLE_DICTIONARY" in column.encodings or "PLAIN_DICTIONARY" in column.encodings
    codec = "NONE" if codec == "UNCOMPRESSED" else codec
    return {"compression": codec, "use_dictionary": dictionary, "version": metadata.format_version}


def _is_defined(source: Path, scratch: Path) -> bool:
    """Whether a file was written with the option: of a table in whole arrays, or in parts of the usual length."""
    for batch_rows in (1 << 30, BATCH_ROWS):
        _rewritten(source, scratch, defined=True, batch_rows=batch_rows)
        if _is_mostly(source, scratch):
            return True
    return False


def _is_mostly(source: Path, other: Path) -> bool:
    """Whether most blocks of one file are the other's."""
    from swarm.scan import scan

    mine, theirs = scan(source.resolve()).manifest, scan(other).manifest
    shared = sum(block.size for block in mine.unique if block.signature in theirs.index_of)
    return shared >= SAME_SHARE_MIN * mine.total_bytes
