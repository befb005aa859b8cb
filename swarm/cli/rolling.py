"""Commands about rollouts in stages: rollout, wait, and the options by which publish and tag begin one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeVar

import click

from swarm.cli.output import moment, short
from swarm.cli.program import Program, if_serial_option, options, pass_program
from swarm.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
Plan = dict[str, Any]


def plan_options(function: F) -> F:
    """The options that make a plan: ``plan_of`` reads them."""
    for option in reversed(
        (
            click.option("--canary", metavar="SHARE", help="Let this share in first: 5%. Then everybody."),
            click.option(
                "--canary-label",
                "canary_labels",
                multiple=True,
                metavar="KEY=VALUE",
                help="Let peers with this label in first; may be given again.",
            ),
            click.option(
                "--stages", metavar="LIST", help="Whom to let in, stage by stage: site=paris,5%,region=eu+25%,100%."
            ),
            click.option("--auto", metavar="TIME", help="How long a stage lasts at least: 10m; else until promoted."),
            click.option("--max-failed", metavar="SHARE", help="Abort when more than this share could not take it."),
            click.option(
                "--min-peers", type=click.IntRange(min=1), metavar="N", help="Judge that once N have tried it; 1."
            ),
            click.option("--deadline", metavar="TIME", help="Abort when N have not got it within this time."),
        )
    ):
        function = option(function)
    return function


at_once_option = click.option("--at-once", is_flag=True, help="Whatever plan the tag has (takes the right to tag).")


def plan_of(options: Mapping[str, Any]) -> Plan | None:
    """The plan that options make, None if none is given. UsageError."""
    if not any(options[name] for name in ("canary", "canary_labels", "stages")):
        if any(options[name] for name in ("auto", "max_failed", "min_peers", "deadline")):
            raise UsageError("these are of a rollout in stages: give --canary, --canary-label or --stages as well")
        return None
    from swarm.rollout_messages import PlanItem
    from swarm.rollout_messages import plan_of as checked

    plan = {"stages": _stages(options), "auto_s": _span(options["auto"]), "health": _health(options)}
    import msgspec

    try:
        checked(msgspec.convert(plan, PlanItem))
    except msgspec.ValidationError as error:
        raise UsageError(f"this is no plan: {error}") from error
    return plan


def _stages(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    canary, labels, listed = options["canary"], list(options["canary_labels"]), options["stages"]
    if listed and (canary or labels):
        raise UsageError("--stages names the first stage as well: give it, or --canary and --canary-label")
    stages = [_stage(text) for text in listed.split(",")] if listed else []
    if not listed:
        stages = [{"share": share_of(canary) if canary else 0.0, "labels": labels}]
    # Who is let in by labels alone does not shut out the share of before.
    for before, stage in pairwise(stages):
        stage["share"] = stage["share"] or before["share"]
    return stages if stages[-1]["share"] == 1 else [*stages, {"share": 1.0, "labels": []}]


def _stage(text: str) -> dict[str, Any]:
    """A stage as it is written: labels and a share, joined by +."""
    parts = [part.strip() for part in text.split("+")]
    shares = [share_of(part) for part in parts if part.endswith("%")]
    if len(shares) > 1:
        raise UsageError(f"{text[:80]!r} names two shares: a stage has one, and labels, as in site=paris+5%")
    return {"share": shares[0] if shares else 0.0, "labels": [part for part in parts if not part.endswith("%")]}


def _health(options: Mapping[str, Any]) -> dict[str, Any] | None:
    if not any(options[name] for name in ("max_failed", "min_peers", "deadline")):
        return None
    failed = share_of(options["max_failed"]) if options["max_failed"] else 0.0
    return {"failed": failed, "minimum": options["min_peers"] or 1, "deadline_s": _span(options["deadline"])}


def share_of(text: str) -> float:
    """A share as a person writes it, ``5%`` or ``0.5%``. UsageError."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not (text.endswith("%") and 0 <= share <= 1):
        raise UsageError(f"{text[:40]!r} is not a share: write 5%, 0.5% or 100%")
    return share


def _span(text: str | None) -> int | None:
    from swarm.amounts import span_of

    return span_of(text) if text is not None else None


@click.group()
def rollout() -> None:
    """Let a version out in stages: see how that goes, and steer it.

    `aetherfs publish --canary 5%` begins one; `rollout set` gives a tag a plan for all that is published to it. Peers
    that are not let in stay with the version before, however they read the tag.
    """


@rollout.command()
@click.argument("name", metavar="NAME:TAG")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Count peers with this label alone.")
@options
@pass_program
def status(program: Program, name: str, labels: tuple[str, ...]) -> None:
    """Show how a rollout stands."""
    _perform(program, name, None, labels=list(labels))


def _verb(action: str, words: str) -> None:
    """A subcommand that does one thing with a rollout."""

    @rollout.command(action, help=words)
    @click.argument("name", metavar="NAME:TAG")
    @click.option("--reason", "-m", default="", metavar="TEXT", help="Why, for the history.")
    @if_serial_option
    @options
    @pass_program
    def command(program: Program, name: str, reason: str, if_serial: int | None) -> None:
        _perform(program, name, action, reason=reason, if_serial=if_serial)


_verb("pause", "Let nobody go ahead any more; who has the version keeps it.")
_verb("resume", "Let a paused rollout go on.")
_verb("abort", "End a rollout that is under way: everybody goes back to the version before.")
_verb("rollback", "Let everybody go back to the version before, also when it is done, or went out at once.")


@rollout.command()
@click.argument("name", metavar="NAME:TAG")
@click.option("--full", is_flag=True, help="Let everybody in.")
@click.option("--reason", "-m", default="", metavar="TEXT", help="Why, for the history.")
@if_serial_option
@options
@pass_program
def promote(program: Program, name: str, full: bool, reason: str, if_serial: int | None) -> None:
    """Begin the next stage; a paused rollout goes on with it."""
    _perform(program, name, "promote", full=full, reason=reason, if_serial=if_serial)


@rollout.command()
@click.argument("name", metavar="NAME:TAG")
@plan_options
@click.option("--clear", is_flag=True, help="Let what is published go out at once.")
@click.option("--if-serial", type=click.IntRange(min=0), metavar="N", help="Only if entry N is what changed it last.")
@options
@pass_program
def set(program: Program, /, name: str, clear: bool, if_serial: int | None, **given: Any) -> None:
    """Give a tag a plan by which all that is published to it goes out; without options, show it."""
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name

    arguments = {"name": new_name(name), "plan": plan_of(given), "clear": clear, "if_serial": if_serial}
    result = perform(program, "rollout-plan", arguments)
    program.output.result(result, plan_lines(result))


@click.command()
@click.argument("name", metavar="NAME:TAG")
@click.option("--share", default="100%", show_default=True, metavar="SHARE", help="Of how many peers.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Of peers with this label alone.")
@click.option("--admitted", is_flag=True, help="Of those whom the rollout has let in.")
@click.option("--timeout", metavar="TIME", help="Give up after this time: 10m.")
@options
@pass_program
def wait(program: Program, name: str, share: str, labels: tuple[str, ...], admitted: bool, timeout: str | None) -> None:
    """Wait until a share of the peers has what NAME:TAG means now.

    Exit code 0 when they have; 8 when it takes too long; 1 when the rollout was aborted or rolled back, or another
    version was published meanwhile.
    """
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name

    program.when_interrupted = f"the rollout goes on without this; `aetherfs rollout status {name}` shows how it stands"
    arguments: dict[str, Any] = {"name": new_name(name), "share": share_of(share), "labels": list(labels)}
    result = perform(program, "wait", {**arguments, "admitted": admitted, "timeout_s": _span(timeout)})
    program.output.result(result, _lines(result))


def staged_line(result: Mapping[str, Any], dataset: str) -> Iterable[str]:
    """What is said of tags of a dataset that go out in stages."""
    for name in (f"{dataset}:{tag}" for tag in result.get("staged", ())):
        yield f"{name} goes out in stages: `aetherfs rollout status {name}` shows how that stands"


def _perform(program: Program, name: str, action: str | None, **more: Any) -> None:
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name

    result = perform(program, "rollout", {"name": new_name(name), "action": action, **more})
    program.output.result(result, _lines(result))


def _lines(told: Mapping[str, Any]) -> Iterable[str]:
    yield f"{told['dataset']}:{told['tag']} {short(told['version'])} (entry {told['begun']}): {told['says']}"
    if told["state"] in ("running", "paused"):
        yield f"others stay with {short(told['settled'])}"
        yield from _plan_lines(told["plan"], told["stage"])
    if (until := told.get("listening_until")) is not None:
        yield f"the tracker has just begun: until {moment(until)} it may not have heard of all peers"
    if told["next_at"] is not None:
        yield f"the next stage begins by itself at {moment(told['next_at'])} at the earliest"


def plan_lines(told: Mapping[str, Any]) -> Iterable[str]:
    """A tag's own plan in words."""
    if told["plan"] is None:
        yield f"{told['dataset']}:{told['tag']} goes out at once"
        return
    yield f"{told['dataset']}:{told['tag']} goes out in stages (entry {told['serial']}, by {told['author']})"
    yield from _plan_lines(told["plan"], None)


def _plan_lines(plan: Mapping[str, Any], now: int | None) -> Iterable[str]:
    stages = [_stage_words(stage) for stage in plan["stages"]]
    if now is not None:
        stages[now] = f"[{stages[now]}]"
    auto = f", each for {plan['auto_s']} s at least" if plan["auto_s"] is not None else ", each until promoted"
    yield f"stages: {', '.join(stages)}{auto}"
    if (health := plan["health"]) is not None:
        within = f", or {health['minimum']} have not got it within {health['deadline_s']} s"
        yield (
            f"aborted when more than {health['failed'] * 100:g}% of {health['minimum']} or more could not take it"
            f"{within if health['deadline_s'] is not None else ''}"
        )


def _stage_words(stage: Mapping[str, Any]) -> str:
    share = [f"{stage['share'] * 100:g}%"] if stage["share"] or not stage["labels"] else []
    return "+".join([*stage["labels"], *share])
