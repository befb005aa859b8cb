"""The command sync: this home follows what a file lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from swarm.cli.following import NOBODY, subscription_lines
from swarm.cli.program import Program, options, pass_program
from swarm.errors import IncompleteError, NotFoundError
from swarm.units import counted

FILE_NAME = "aetherfs.toml"


@click.command()
@click.argument("file", default=FILE_NAME)
@click.option("--check", is_flag=True, help="Only tell what would change; exit 8 if anything would.")
@click.option("--prune", is_flag=True, help="Follow no longer what FILE does not list.")
@click.option("--no-wait", is_flag=True, help="Do not wait until all are current.")
@options
@pass_program
def sync(program: Program, file: str, check: bool, prune: bool, no_wait: bool) -> None:
    """Make this home follow what FILE lists.

    What nobody follows yet is brought up to date. What fails with one hinders no other, and is told, with exit code 8.
    Given again it says what stands.

    FILE is TOML. Each [[subscription]] has ref and directory, and may have keep, validate, hook, include,
    require_signer and signer_moves, which are the options of `aetherfs subscribe`. What names no signer requires those
    of this home's settings.
    """
    import msgspec

    from swarm.cli.perform import perform, signers_of
    from swarm.cli.references import whole
    from swarm.wants import parse_wants

    path = Path(file)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{file} is not there: write it (see `aetherfs sync --help`), or name another") from error
    wants = parse_wants(data, path)
    for wanted in wants:
        whole(program, wanted.ref)
    signers = signers_of(program)
    wants = [each if each.require_signer else msgspec.structs.replace(each, **signers) for each in wants]
    arguments = {"subscriptions": msgspec.to_builtins(wants), "prune": prune, "check": check, "wait": not no_wait}
    result = perform(program, "sync", arguments)
    program.output.result(result, _synced(program, result, check))
    if result["failed"]:
        behind = counted(len(result["failed"]), "subscription is", "subscriptions are")
        again = "tried again while `aetherfs peer` runs" if result["following"] else "repeat `aetherfs sync`"
        raise IncompleteError(f"{behind} not current, see above: mend what is wrong; {again}")
    if check and any(result[what] for what in ("added", "changed", "removed")):
        raise IncompleteError(f"this home does not follow what {file} lists: `aetherfs sync` makes it so")


def _synced(program: Program, result: Mapping[str, Any], check: bool) -> Iterable[str]:
    for what in ("added", "changed", "removed"):
        yield from (f"{'would be ' if check else ''}{what}: {directory}" for directory in result[what])
    yield from (f"followed, and not listed: {directory} (--prune ends that)" for directory in result["unlisted"])
    yield from (f"{directory}: {why}" for directory, why in result["failed"].items())
    if not any(result[what] for what in ("added", "changed", "removed", "unlisted")):
        yield "this home follows just what is listed"
    if not check:
        yield from subscription_lines(each for each in result["same"] if each["directory"] not in result["failed"])
    if not result["following"]:
        yield NOBODY
