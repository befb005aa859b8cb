"""What publish is told of budgets, validators and waiting, and what it says of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from swarm.cli.output import columns, duration, short, size
from swarm.cli.program import Program
from swarm.errors import AetherError, IncompleteError, NotFoundError, UsageError
from swarm.paths import shown
from swarm.units import counted

FILE_NAME: Final = "aetherfs.toml"
COPIES: Final = "copies="


def gates_of(program: Program, rules: str | None, validate: Sequence[str]) -> dict[str, Any]:
    """The verb's arguments about gates: of the file, and of the command line."""
    path = Path(rules or FILE_NAME)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        if rules is not None:
            raise NotFoundError(f"{rules} is not there: write it, or leave --rules away") from error
        return _told(None, tuple(validate)) if validate else {}
    import msgspec

    from swarm.wants import parse_file

    file = parse_file(data, path)
    if rules is None and (file.budget is not None or file.validate):
        # What is typed in a directory of somebody else's runs commands of theirs: say which.
        runs = f"; its commands: {', '.join(shown(line) for line in file.validate)}" if file.validate else ""
        program.output.note(f"publish: held to {path}{runs}")
    budget = msgspec.to_builtins(file.budget) if file.budget is not None else None
    return _told(budget, (*file.validate, *validate))


def _told(budget: dict[str, Any] | None, validate: tuple[str, ...]) -> dict[str, Any]:
    from swarm.wants import VALIDATORS_MAX

    if len(validate) > VALIDATORS_MAX or not all(validate):
        raise UsageError(f"{len(validate)} validators: at most {VALIDATORS_MAX} are run, and none may be empty")
    return {"budget": budget, "validate": list(validate), "typed_in": os.getcwd()}


def waiting_of(wait: str, within: str) -> dict[str, Any]:
    """The verb's arguments about waiting. UsageError."""
    from swarm.amounts import span_of

    within_s = span_of(within)
    if wait == "stored":
        return {}
    number = wait.removeprefix(COPIES)
    if not wait.startswith(COPIES) or not number.isascii() or not number.isdigit() or not int(number):
        raise UsageError(f"--wait is {wait[:40]!r}: write stored, or copies=3")
    return {"copies": int(number), "within_s": within_s}


def rehearsed(result: Mapping[str, Any]) -> Iterator[str]:
    """What would happen."""
    tags = ", ".join(result["tags"])
    if result["unchanged"]:
        yield f"nothing would change: {tags} is {short(result['version'])} already"
    else:
        yield f"would publish {short(result['version'])} as {tags}"
    # Other versions of the dataset may have some of these: then less is uploaded.
    at = " or ".join(f"{each['tag']} {short(each['version'])}" for each in result["consumers"])
    new = f", {result['new_blocks']} of them ({size(result['new_bytes'])}) not in {at}" if at else ""
    yield (
        f"{counted(result['files'], 'file')}, {size(result['bytes'])} in {counted(result['blocks'], 'block')}{new}; "
        f"{size(result['read'])} were read in {duration(result['seconds'])}"
    )
    for consumer in result["consumers"]:
        yield (
            f"who has {consumer['tag']} {short(consumer['version'])} fetches {size(consumer['fetch_bytes'])} "
            f"({100 * consumer['share']:.3g}%) in {counted(consumer['fetch_blocks'], 'block')}"
        )
    if not result["consumers"]:
        yield "there is no version before: every consumer fetches all of it"
    yield from columns([["ok" if line["kept"] else "OVER", line["words"]] for line in result["budget"]])
    yield from (f"would run: {line}" for line in result["validate"])
    yield "nothing was sent or announced"


def check_result(result: Mapping[str, Any]) -> None:
    """AetherError for a dry run that is over its budget, IncompleteError where fewer copies came than were wanted."""
    if result.get("over_budget"):
        raise AetherError("over the budget: a publish would end like this, with nothing announced")
    copies, wanted = result.get("copies"), result.get("copies_wanted")
    if copies is not None and wanted is not None and copies < wanted:
        raise IncompleteError(
            f"it is published, and {copies} of {wanted} other peers hold all of it so far: see `aetherfs explain`"
        )
