"""Commands about what this home follows: subscribe, unsubscribe, subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from swarm.cli.data import absolute
from swarm.cli.output import short
from swarm.cli.program import Program, options, pass_program, signer_options
from swarm.errors import UsageError

NOBODY = "no process runs on this home: start `aetherfs peer`, and it is followed"


@click.command()
@click.argument("ref")
@click.argument("directory", metavar="DIR")
@click.option("--validate", metavar="CMD", help="Must succeed in a version's directory first.")
@click.option("--hook", metavar="CMD", help="Runs when a version has become current.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Old ones kept; 1 if not given.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only files that match; may be given again.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the first version.")
@signer_options
@options
@pass_program
def subscribe(
    program: Program,
    ref: str,
    directory: str,
    validate: str | None,
    hook: str | None,
    keep: int | None,
    include: tuple[str, ...],
    no_wait: bool,
) -> None:
    """Keep DIR/current at the version that REF means, switched atomically.

    The commands are lines for the shell, run in the version's directory with AETHERFS_REF, _DATASET, _TAG, _VERSION,
    _SERIAL, _DIRECTORY, _CURRENT, _PATH, _PREVIOUS_VERSION and _PREVIOUS_PATH in their environment.

    Given again for a DIR, what is not named stays as it was (--hook '' removes it, and so for the others), what was
    altered there is repaired, and a version that --validate refused is tried once more.
    """
    from swarm.cli.perform import perform
    from swarm.cli.references import whole

    named: dict[str, Any] = {"keep": keep, "validate": validate, "hook": hook}
    named["include"] = list(filter(None, include)) if include else None
    named["require_signer"] = "" if program.flags.get("require_signer") == "" else None
    arguments = {name: value for name, value in named.items() if value is not None}
    arguments |= {"ref": whole(program, ref), "directory": absolute(directory), "wait": not no_wait}
    result = perform(program, "subscribe", arguments)
    program.output.result(result, _subscribed(program, result))


def _subscribed(program: Program, result: Mapping[str, Any]) -> Iterable[str]:
    if result["version"]:
        yield f"{result['directory']}/current is {result['ref']} {short(result['version'])} (serial {result['serial']})"
    else:
        yield f"{result['directory']}/current will be {result['ref']}"
    if program.agent() is None:
        yield NOBODY


@click.command()
@click.argument("directory", metavar="DIR")
@options
@pass_program
def unsubscribe(program: Program, directory: str) -> None:
    """Follow a reference no longer; DIR stays as it is."""
    from swarm.cli.perform import perform

    result = perform(program, "unsubscribe", {"name": _name(directory)})
    program.output.result(result, [f"{result['directory']} stays as it is, and follows {result['ref']} no longer"])


@click.command()
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--pause", is_flag=True, help="Let DIR stay with its current version.")
@click.option("--resume", is_flag=True, help="Let DIR follow its reference again.")
@options
@pass_program
def subscriptions(program: Program, directory: str | None, pause: bool, resume: bool) -> None:
    """List what this home follows, and how that stands."""
    from swarm.cli.perform import perform

    if pause or resume:
        if directory is None or (pause and resume):
            raise UsageError("give one DIR with --pause or --resume")
        result = perform(program, "pause" if pause else "resume", {"name": _name(directory)})
        program.output.result(result, subscription_lines([result]))
        return
    result = perform(program, "subscriptions", {"name": _name(directory) if directory is not None else None})
    lines = list(subscription_lines(result["subscriptions"]))
    program.output.result(result, lines if result["following"] or not lines else [*lines, NOBODY])


def _name(directory: str) -> str:
    """A directory, or an id as the API tells it."""
    is_id = len(directory) == 16 and not directory.strip("0123456789abcdef")
    return directory if is_id else absolute(directory)


def subscription_lines(found: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Each subscription in words: what, where, which version, and what hinders it."""
    for each in found:
        version = short(each["version"]) if each["version"] else "nothing yet"
        yield f"{each['directory']}: {each['ref']} at {version} (serial {each['serial']})"
        said = ["paused"] if each["paused"] else [each["phase"]] if each["phase"] else []
        said += [each["problem"]] if each["problem"] else []
        said += ["no tracker confirms it"] if each["stale"] else []
        said += ["held back: a rollout lets others have a newer version"] if each.get("held") else []
        yield from (f"  {words}" for words in said)
