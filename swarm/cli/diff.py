"""``aetherfs diff``: how two versions differ, or a directory from a version."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swarm.cli.output import columns, short, size
from swarm.cli.program import Program, options, pass_program, signer_options
from swarm.errors import UsageError
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.analysis.changes import Change
    from swarm.analysis.difference import Difference
    from swarm.analysis.rows import RowChange
    from swarm.cli.compared import Version
    from swarm.local_agent import AgentClient

EXIT_DIFFERENT = 1
# Paths on a terminal; a pipe gets all.
CHANGES_SHOWN = 40


@click.command()
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF|PATH")
@click.option("--blocks", is_flag=True, help="Also list the blocks that are new, file by file.")
@click.option("--rows", is_flag=True, help="Also compare rows of CSV and parquet files (needs duckdb).")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if they differ.")
@click.option("--html", "page", metavar="FILE", help="Also write a report that opens in a browser, offline.")
@signer_options
@options
@pass_program
def diff(
    program: Program, old: str, new: str, blocks: bool, rows: bool, exit_code: bool, page: str | None
) -> int | None:
    """Compare two versions: files, bytes to fetch, where in its files it is new.

    The older one comes first. A directory or file in the place of the newer one is compared as it would be published;
    a name that could be both is a version, if there is one: write ./NAME for the directory. The paths that cost most
    come first, those that were only touched last; a terminal is shown the first 40, a pipe and --json all.
    """
    from swarm.analysis.difference import difference_of
    from swarm.cli.analyze import to_json, write_page
    from swarm.cli.at_hand import agent_at_hand
    from swarm.cli.compared import Version
    from swarm.cli.references import names_path, whole

    if old.startswith((".", "/")):
        raise UsageError(f"{old!r} is a path, and the older of the two is a version: write its reference first")
    older_ref, is_path = whole(program, old), names_path(program, new)
    newer_ref = new if is_path else whole(program, new)
    with agent_at_hand(program) as agent:
        older = Version(program, agent, older_ref)
        newer = Local(program, new) if is_path else version_or_local(program, agent, newer_ref)
        difference = difference_of(older_ref, older.manifest, newer_ref, newer.manifest, with_blocks=blocks)
        changed_rows = _rows(program, difference, older, newer) if rows else None
    if page is not None:
        from swarm.analysis.page import difference_page

        write_page(page, difference_page(difference))
    result: dict[str, Any] = to_json(difference)
    if changed_rows is not None:
        result["rows"] = [to_json(change) for change in changed_rows]
    most = CHANGES_SHOWN if program.output.stdout.isatty() else None
    program.output.result(result, difference_lines(difference, changed_rows, most))
    return EXIT_DIFFERENT if exit_code and not difference.same else None


class Local:
    """A directory or file, as it would be published."""

    def __init__(self, program: Program, path: str) -> None:
        from swarm.cli.analyze import _name
        from swarm.cli.data import existing
        from swarm.cli.progress import showing
        from swarm.scan import scan
        from swarm.scan_cache import ScanCache

        source = existing(path)
        cache_path = program.settings.home / "scans" / _name(f"refuse:{source}")
        cache = ScanCache.load(cache_path)
        with showing(program.output, "diff") as progress:
            scanned = scan(
                Path(source),
                cache=cache,
                progress=lambda done, total: progress(
                    {"event": "progress", "phase": "read", "done_bytes": done, "total_bytes": total}
                ),
            )
        cache.save(cache_path)
        self.manifest, self.root = scanned.manifest, scanned.root

    def copy(self, path: str, target: Path, limit: int) -> None:
        os.symlink(self.root / path, target)


def version_or_local(program: Program, agent: AgentClient, text: str) -> Version | Local:
    """The version of that name, or if there is none the directory or file. Where both are there it says which."""
    from swarm.cli.compared import Version
    from swarm.errors import NotFoundError

    is_here = Path(text).exists()
    try:
        found = Version(program, agent, text)
    except NotFoundError:
        if not is_here:
            raise
        program.output.note(f"there is no version {text}: what lies here by that name is taken")
        return Local(program, text)
    if is_here:
        program.output.note(f"the version {text} is taken; write ./{text} for what lies here by that name")
    return found


def _rows(program: Program, difference: Difference, older: Version, newer: Version | Local) -> list[RowChange] | None:
    """None, and a line that says so, where duckdb is not installed."""
    from swarm.analysis.rows import INSTALL, can_compare, row_changes

    if not can_compare():
        program.output.note(INSTALL)
        return None
    return row_changes(difference.changes, older.copy, newer.copy)


def difference_lines(difference: Difference, rows: list[RowChange] | None, most: int | None = None) -> Iterable[str]:
    """The tables; at most so many paths."""
    from swarm.cli.analyze import change_lines

    counts = difference.counts
    yield f"{difference.old} {short(difference.old_version)} -> {difference.new} {short(difference.new_version)}"
    if difference.same:
        yield "the same" if difference.old_version == difference.new_version else "the same but for times and modes"
    yield (
        f"{counts.words}; {size(difference.fetch_bytes)} to fetch in {counted(difference.fetch_blocks, 'block')}, and "
        f"{size(difference.manifest_bytes)} of manifest"
    )
    if difference.changes:
        shown = weighty(difference.changes, most)
        yield from change_lines(shown)
        if more := len(difference.changes) - len(shown):
            touched = counts.touched - sum(change.what == "touched" for change in shown)
            which = f", {touched} of them touched alone" if touched else ""
            yield f"and {counted(more, 'more path')}{which}: all of them with --json, or in a pipe"
    for group in difference.blocks:
        yield f"{group.path}: {counted(len(group.blocks), 'new block')}"
        yield from columns([["  " + b.signature[:16], f"at {b.offset}", f"{b.length} bytes"] for b in group.blocks])
    yield from _row_lines(rows or [])


def weighty(changes: Sequence[Change], most: int | None) -> list[Change]:
    """At most so many of them, those that cost most first and those that were only touched last."""
    from swarm.analysis.report import weight_of

    return sorted(changes, key=weight_of)[:most]


def _row_lines(rows: list[RowChange]) -> Iterator[str]:
    for change in rows:
        if change.problem:
            yield f"{change.path}: rows not compared: {change.problem}"
            continue
        yield f"{change.path}: {counted(change.added, 'row')} added, {change.removed} removed, of {change.rows}"
        yield from (f"  + {row}" for row in change.first_added)
        yield from (f"  - {row}" for row in change.first_removed)
