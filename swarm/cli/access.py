"""Commands about who may do what: the policy's rules, their history, and why something is allowed or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import click

from swarm.cli.output import columns, duration, moment
from swarm.cli.program import Program, options, pass_program
from swarm.errors import UsageError
from swarm.units import counted

RIGHTS: Final = ("read", "publish", "tag", "delete", "admin")
DENIAL: Final = "d-"


@click.group()
def access() -> None:
    """Say who may do what; what no rule allows is refused.

    WHO is user:NAME, service:NAME, group:NAME, peer:ID, label:KEY=VALUE, members (every peer) or anyone. RIGHT is read,
    publish, tag (move tags), delete (remove tags) or admin (all of these, and the swarm itself). PATTERN is
    'scope/name', 'scope/*', '*', or @token: what the peer's own join token named.
    """


Command = Callable[..., Any]


def of_rules(command: Command) -> Command:
    """The arguments of a command that takes rules."""
    for each in (
        click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True),
        click.argument("right", type=click.Choice(RIGHTS)),
        click.argument("who"),
    ):
        command = each(command)
    return command


@access.command()
@of_rules
@options
@pass_program
def allow(program: Program, who: str, right: str, patterns: tuple[str, ...]) -> None:
    """Add rules."""
    _change(program, {"allow": _rules(who, right, patterns)})


@access.command()
@of_rules
@options
@pass_program
def remove(program: Program, who: str, right: str, patterns: tuple[str, ...]) -> None:
    """Remove rules; takes effect everywhere within a minute."""
    _change(program, {"remove": _rules(who, right, patterns)})


@access.command()
@click.argument("time", metavar="TIME")
@options
@pass_program
def lifetime(program: Program, time: str) -> None:
    """Set how long peers may go on when no tracker answers: 10m to 30d; 7d at first."""
    from swarm.cli.enrol import seconds_of
    from swarm.limits import CERTIFICATE_LIFETIME_S, GRANT_LIFETIME_MIN_S

    seconds = seconds_of(time)
    if not GRANT_LIFETIME_MIN_S <= seconds <= CERTIFICATE_LIFETIME_S:
        least, most = duration(GRANT_LIFETIME_MIN_S), duration(CERTIFICATE_LIFETIME_S)
        raise UsageError(f"{time} is no lifetime of grants: they count for {least} to {most}; name a time in between")
    _change(program, {"grant_lifetime_s": seconds})


@access.command()
@options
@pass_program
def ls(program: Program) -> None:
    """Show the rules."""
    from swarm.cli.perform import perform

    result = perform(program, "access", {})
    program.output.result(result, _shown(result))


@access.command()
@click.option("--before", type=click.IntRange(min=1), metavar="VERSION", help="Only versions before this one.")
@options
@pass_program
def history(program: Program, before: int | None) -> None:
    """Show who changed the rules, and how; newest first."""
    from swarm.cli.perform import perform

    result = perform(program, "access-history", {"before": before})
    rows = [[str(one["serial"]), _when(one), one["by"] or "-", one["change"]] for one in result["versions"]]
    program.output.result(result, columns(rows))


@access.command()
@click.argument("asked", metavar="WHO RIGHT REF | DENIAL", nargs=-1, required=True)
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that WHO is in.")
@options
@pass_program
def explain(program: Program, asked: tuple[str, ...], groups: tuple[str, ...]) -> None:
    """Say which rule decides, or why something was refused.

    WHO may be `me`. DENIAL is the number that a refusal names, d-... It is remembered for a while by the tracker that
    refused.
    """
    from swarm.cli.perform import perform

    if len(asked) == 1 and asked[0].startswith(DENIAL):
        result = perform(program, "explain", {"denial": asked[0]})
    elif len(asked) == 3 and asked[1] in RIGHTS:
        who, right, ref = asked
        result = perform(program, "explain", {"who": who, "right": right, "ref": ref, "groups": list(groups)})
    else:
        raise UsageError(f"write `explain WHO RIGHT REF`, RIGHT one of {', '.join(RIGHTS)}, or `explain d-...`")
    program.output.result(result, _explained(result))


def _rules(who: str, right: str, patterns: tuple[str, ...]) -> list[dict[str, str]]:
    from swarm.principal import check_subject

    return [{"subject": check_subject(who), "right": right, "pattern": pattern} for pattern in patterns]


def _change(program: Program, arguments: Mapping[str, Any]) -> None:
    from swarm.cli.perform import perform

    result = perform(program, "access", arguments)
    members = counted(result["recalled"], "member")
    taken = [f"taken from {members}, who hear of it within a minute"] if result["recalled"] else []
    same = "" if result["changed"] else "nothing changed: "
    rules = counted(len(result["rules"]), "rule")
    program.output.result(result, [f"{same}version {result['serial']} of the policy, {rules}", *taken])


def _shown(result: Mapping[str, Any]) -> Iterable[str]:
    yield from columns([[rule["subject"], rule["right"], rule["pattern"]] for rule in result["rules"]])
    yield f"grants of peers live {duration(result['grant_lifetime_s'])}; version {result['serial']}"


def _explained(result: Mapping[str, Any]) -> Iterable[str]:
    when = f" (refused {moment(result['at'])})" if result["at"] else ""
    may = "may" if result["allowed"] else "may not"
    yield f"{result['who']} {may} {result['right']} {result['dataset']}{when}"
    yield f"because: {result['why']}"
    if result["allowed"] and result["at"]:
        yield "so there was no such dataset, or the rule is newer"
    if result["remedy"]:
        yield f"to allow it: {result['remedy']}"


def _when(version: Mapping[str, Any]) -> str:
    return moment(version["wall_time"]) if version["wall_time"] else "-"
