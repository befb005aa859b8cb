"""The command explain: who has a version's blocks, and where the time of its last pull here went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from swarm.cli.output import as_of, columns, moment, short, size
from swarm.cli.program import Program, options, pass_program, signer_options
from swarm.units import counted


@click.command()
@click.argument("ref", metavar="REF")
@click.argument("path", required=False)
@click.option("--html", "page", metavar="FILE", help="Also write a page into FILE that opens without a network.")
@signer_options
@options
@pass_program
def explain(program: Program, ref: str, path: str | None, page: str | None) -> None:
    """Tell who has a version's blocks, and where the time of its last pull went.

    With PATH (or REF/PATH): how that file, or what lies below that directory, maps to blocks, and who has these.
    The waterfall is that of the last pull of REF into this home, by `aetherfs pull` or a subscription; the path that
    decided how long it took is marked with ^.
    """
    from swarm.cli.perform import perform
    from swarm.cli.references import anywhere
    from swarm.errors import UsageError
    from swarm.names import parse

    anywhere(program, ref)
    if path is not None:
        reference = parse(ref)
        if reference.path is not None:
            raise UsageError(f"{ref!r} names a path already: leave {path!r} away")
        ref = f"{reference}/{path.strip('/')}"
        anywhere(program, ref)
    result = perform(program, "explain-version", {"ref": ref})
    if page is not None:
        from swarm.cli.waterfall_page import page_of

        Path(page).write_text(page_of(result), encoding="utf-8")
        program.output.note(f"wrote {page}")
    program.output.result(result, _lines(result))


def _lines(result: Mapping[str, Any]) -> Iterable[str]:
    where = f"{result['ref']} {short(result['version'])} (serial {result['serial']}){as_of(result)}"
    amount = f"{counted(result['files'], 'file')}, {size(result['bytes'])} in {counted(result['blocks'], 'block')}"
    yield f"{where}: {amount}"
    yield ""
    yield from columns(holder_rows(result["holders"]))
    if result["block_list"]:
        yield from _block_lines(result)
    elif result["path"] is not None:
        yield from _file_lines(result)
    yield ""
    if result["pull"] is None:
        from swarm.peer.traces import KEPT

        yield f"no pull of it is among the last {KEPT} that were traced here: `aetherfs pull` it, then explain it again"
        return
    from swarm.cli.bars import waterfall_lines

    yield from waterfall_lines(result["pull"], result["version"])


def holder_rows(holders: Mapping[str, Any]) -> list[list[str]]:
    """Who holds it, a row for each who was asked."""
    here, tracker, near = holders["here"], holders["tracker"], holders["neighbours"]
    seeds, dht, problems = holders["seeds"], holders["dht"], holders["problems"]
    peers = f"{tracker['named']} peers or more" if tracker["or_more"] else counted(tracker["named"], "peer")
    named = f"names {peers}, {tracker['complete']} with all of it"
    return [
        ["here", f"{here['blocks']} of {counted(here['of'], 'block')}"],
        ["tracker", named if tracker["answers"] else f"does not answer: {problems.get('tracker', '')}"],
        [
            "neighbours",
            f"{near['have_all']} of {near['connected']} have all, {near['have_some'] - near['have_all']} a part; "
            f"{near['of_this_site']} of them at this site",
        ],
        ["seeds", f"{seeds['have_all']} of {seeds['known']} known have all"],
        [
            "dht",
            f"names {counted(dht['providers'], 'peer')}" if dht["answers"] else f"fails: {problems.get('dht', '')}",
        ],
    ]


def _file_lines(result: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    rows = [["path", "size", "blocks", "here", "neighbours"]]
    for file in result["shown"]:
        least, most = file["neighbours_least"], file["neighbours_most"]
        copies = str(least) if least == most else f"{least} to {most}"
        rows.append([file["path"], size(file["bytes"]), str(file["blocks"]), str(file["here"]), copies])
    yield from columns(rows)
    if result["paths"] > len(result["shown"]):
        yield f"and {counted(result['paths'] - len(result['shown']), 'more path')}: name one of them"


def _block_lines(result: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    asked = sum(block["dht"] is not None for block in result["block_list"])
    rows = [["offset", "bytes", "block", "here", "neighbours", "dht", "came from", "asked", "stored"]]
    for block in result["block_list"]:
        rows.append(
            [
                str(block["offset"]),
                str(block["bytes"]),
                short(block["signature"]),
                "yes" if block["here"] else "no",
                str(block["neighbours"]),
                "-" if block["dht"] is None else str(block["dht"]),
                "-" if block["came_from"] is None else block["came_from"][:8],
                _at(block["asked_s"]),
                _at(block["stored_s"]),
            ]
        )
    yield from columns(rows)
    if asked < len(result["block_list"]):
        yield f"dht: how many peers it names for a block; the first {asked} blocks were looked up there"
    if result["blocks"] > len(result["block_list"]):
        yield f"and {counted(result['blocks'] - len(result['block_list']), 'more block')}"


def _at(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f} s"


def began(pull: Mapping[str, Any], version: str) -> str:
    """Which pull it was, in a line."""
    what = "the last pull of it here" if pull["version"] == version else "the last pull here, of another version"
    took = f"{moment(pull['began'])}, {pull['seconds']:.2f} s, {size(pull['bytes'])}, {size(pull['reused'])} reused"
    return f"{what}: {took}{'; it failed: ' + pull['problem'] if pull['problem'] else ''}"
