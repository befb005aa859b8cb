"""The command that shows what is wrong with the swarm, and silences what somebody knows of already."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from swarm.cli.output import columns, duration, moment
from swarm.cli.program import Program, options, pass_program


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Also what is not firing (yet, or any more).")
@options
@click.pass_context
def alerts(context: click.Context, everything: bool) -> None:
    """Show what is wrong with the swarm, what to do about it, and what is silenced."""
    if context.invoked_subcommand is None:
        _show(context.ensure_object(Program), everything)


@alerts.command()
@click.option("--rule", default="", metavar="RULE", help="Alerts of this rule, as AetherfsDiskNearlyFull.")
@click.option("--subject", default="", metavar="TEXT", help="Alerts about this; * stands for anything.")
@click.option("--for", "for_", default="2h", show_default=True, metavar="TIME", help="For how long: 30m, 7d.")
@click.option("--comment", default="", metavar="TEXT", help="Why.")
@options
@pass_program
def silence(program: Program, rule: str, subject: str, for_: str, comment: str) -> None:
    """Tell no webhook of some alerts for a while. For admins."""
    from swarm.amounts import span_of
    from swarm.cli.perform import perform

    asked = {"rule": rule, "subject": subject, "for_s": span_of(for_), "comment": comment}
    result = perform(program, "silence", asked)
    program.output.result(result, [f"silenced until {moment(result['until'])} as {result['id']}"])


@alerts.command()
@click.argument("id")
@options
@pass_program
def unsilence(program: Program, id: str) -> None:
    """End a silence."""
    from swarm.cli.perform import perform

    result = perform(program, "unsilence", {"id": id})
    program.output.result(result, [f"{result['id']} is ended"])


def _show(program: Program, everything: bool) -> None:
    from swarm.cli.perform import perform

    program.start_logging()
    told = perform(program, "alerts", {})
    program.output.result(told, shown(told, time.time(), everything=everything))


def shown(told: Mapping[str, Any], wall_now: float, *, everything: bool) -> Iterable[str]:
    """For people: a line of what and about what, and under it why and what to do."""
    chosen = [alert for alert in told["alerts"] if everything or alert["state"] == "firing"]
    if not chosen:
        yield "nothing is wrong that this home may see"
    for alert in chosen:
        state = "silenced" if alert["silenced"] and alert["state"] == "firing" else alert["state"]
        said, since = ("over for", alert["resolved"]) if state == "resolved" else ("for", alert["since"])
        lasted = f"{said} {duration(max(0, wall_now - since))}"
        yield f"{alert['severity']:8}  {state:8}  {alert['rule']}  {alert['subject']}  {lasted}"
        yield f"          {alert['summary']}"
        yield f"          -> {alert['remedy']}"
    silences = told["silences"]
    if silences:
        yield "silences:"
        yield from columns(
            [
                [
                    each["id"],
                    each["rule"] or "*",
                    each["subject"] or "*",
                    moment(each["until"]),
                    each["by"],
                    each["comment"],
                ]
                for each in silences
            ]
        )
    if told["webhook"].get("failure"):
        yield f"the webhook is not told: {told['webhook']['failure']}"
