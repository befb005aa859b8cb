"""The command that shows what was done in the swarm, by whom, and what was refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from swarm.cli.output import columns, moment
from swarm.cli.program import Program, options, pass_program

EVENTS_MAX: Final = 10_000


@click.command()
@click.option("--since", default="1d", show_default=True, metavar="TIME", help="How far back: 1h, 30d.")
@click.option(
    "--actor",
    default="",
    metavar="WHO",
    help="Only what user:NAME, service:NAME or peer:ID did; 8 of its characters do.",
)
@options
@pass_program
def audit(program: Program, since: str, actor: str) -> None:
    """Show who published, moved, removed, granted, joined or was refused; newest last."""
    from swarm.amounts import span_of
    from swarm.cli.at_hand import agent_throughout
    from swarm.cli.perform import perform

    arguments: dict[str, Any] = {"since": int(time.time()) - span_of(since), "actor": actor, "before": 0}
    events: list[dict[str, Any]] = []
    missing: dict[str, None] = {}
    with agent_throughout(program) as be_there:
        while True:
            be_there()
            page = perform(program, "audit", arguments)
            events += page["events"]
            missing |= dict.fromkeys(page.get("missing", ()))
            arguments["before"] = page["before"]
            if not page["before"] or len(events) >= EVENTS_MAX:
                break
    events.reverse()
    result = {"events": events, "missing": list(missing), "complete": not page["before"]}
    program.output.result(result, _shown(result))


def _shown(result: Mapping[str, Any]) -> Iterable[str]:
    yield from columns([_row(event) for event in result["events"]])
    for what in result["missing"]:
        yield f"MISSING: {what}"
    if not result["complete"]:
        yield f"only the last {len(result['events'])} are shown: give a shorter --since"


def _row(event: Mapping[str, Any]) -> list[str]:
    times = f"{event['count']} times" if event["count"] > 1 else ""
    return [moment(event["wall_time"]), event["actor"], event["action"], event["subject"], event["detail"], times]
