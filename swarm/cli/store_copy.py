"""``store copy``: a backup of a swarm's object store, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from swarm.cli.output import size
from swarm.cli.program import Program, options, pass_program
from swarm.errors import UsageError

if TYPE_CHECKING:
    from seed.backup import Report


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--verify", is_flag=True, help="Read everything back, and compare.")
@click.option("--delete", is_flag=True, help="Remove from TO what is not in FROM any more (gc, purge).")
@options
@pass_program
def copy(program: Program, source: str, target: str, verify: bool, delete: bool) -> None:
    """Copy a swarm's object store into another one: a backup, or the way back.

    FROM and TO are addresses as --store takes them. The swarm goes on meanwhile. What is there is not sent again, so a
    copy can be broken off and repeated, and brought up to date. Start trackers and seeds over a copy with the secret of
    the swarm: peers give back what its logs lack.
    """
    from dataclasses import asdict

    from seed.backup import Copy
    from swarm.cli.progress import showing
    from swarm.cli.swarm_store import open_swarm
    from swarm.objects.open import check_address, open_store

    if source.rstrip("/") == target.rstrip("/"):
        raise UsageError("FROM and TO are the same store: give two addresses")
    check_address(target)
    with (
        closing(open_swarm(source, "check the address to copy from")) as from_store,
        closing(open_store(target)) as to_store,
        showing(program.output, "copy") as progress,
    ):
        report = Copy(from_store, to_store, _teller(progress)).run(verify=verify, delete=delete)
    program.output.result(asdict(report), _lines(report, target))


def _teller(progress: Callable[[dict[str, Any]], None]) -> Callable[[Report], None]:
    def tell(report: Report) -> None:
        progress({"event": "progress", "phase": "copy", "done_bytes": report.bytes})

    return tell


def _lines(report: Report, target: str) -> list[str]:
    lines = [
        f"{target} holds the whole store: {report.copied} objects and {report.entries} entries of logs copied "
        f"({size(report.bytes)}), {report.unchanged} were there"
    ]
    if report.verified:
        lines.append(f"{report.verified} objects read back, {report.repaired} of them written anew")
    if report.deleted:
        lines.append(f"{report.deleted} objects removed that are no longer in the other store")
    return lines
