"""``store check``: whether what is kept can be read from the object store, and mending what cannot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from swarm.cli.output import short, size
from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import IntegrityError
from swarm.units import counted

SHOWN: Final = 20


@click.command()
@click.option("--quick", is_flag=True, help="Logs, indexes and sizes; no block is read.")
@click.option("--repair", is_flag=True, help="Mend what this seed or another peer still holds; the seed has to run.")
@setting_option("store", "URL")
@options
@pass_program
def check(program: Program, quick: bool, repair: bool) -> None:
    """Check that everything that is kept can be read; on a seed's or tracker's home.

    Exit code 6 if something cannot, and was not mended.
    """
    result = _repaired(program) if repair else _checked(program, quick)
    program.output.result(result, _lines(result))
    if not result["ok"]:
        count = len(result["damaged"])
        advice = "publish those versions again, or restore a backup" if repair else "repeat with --repair on a seed"
        raise IntegrityError(
            f"{count} objects are damaged and {len(result['incomplete'])} versions incomplete: {advice}"
        )


def _checked(program: Program, quick: bool) -> dict[str, Any]:
    from seed.check import Checker
    from swarm.cli.swarm_store import swarm_store

    program.home.check_enrolled()
    with swarm_store(program) as objects:
        return Checker(objects, program.home.trust()).run(time.time(), quick=quick).as_json()


def _repaired(program: Program) -> dict[str, Any]:
    from swarm.cli.perform import perform

    return perform(program, "repair", {})


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{counted(result['versions'], 'version')}, {counted(result['indexes'], 'index', 'indexes')} and "
        f"{counted(result['packs'], 'pack')} looked at, {counted(result['blocks'], 'block')} "
        f"({size(result['bytes'])}) hashed"
    )
    if "repaired_blocks" in result:
        yield f"repaired: {result['repaired_blocks']} blocks brought, {result['repaired_indexes']} indexes written anew"
    for damage in result["damaged"][:SHOWN]:
        yield f"{damage['key']}: {damage['why']} ({damage['blocks']} needed blocks)"
    for version in result["incomplete"][:SHOWN]:
        lacking = f"lacks {version['blocks']} blocks" if version["blocks"] is not None else "nothing tells its blocks"
        yield f"{version['dataset']}@{short(version['version'])}: {lacking}"
    if result["ok"]:
        yield "everything that is kept can be read"
