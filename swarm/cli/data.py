"""Commands that move data: publish, pull, cat, ls, verify."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from swarm.cli.gates import check_result, gates_of, rehearsed, waiting_of
from swarm.cli.output import as_of, columns, duration, moment, short, size
from swarm.cli.program import Program, if_serial_option, options, pass_program, signer_options
from swarm.cli.rolling import at_once_option, plan_of, plan_options, staged_line
from swarm.errors import IntegrityError, NotFoundError, UsageError
from swarm.paths import shown
from swarm.units import counted


@click.command()
@click.argument("path")
@click.argument("names", metavar="NAME:TAG...", nargs=-1, required=True)
@click.option("--message", "-m", default="", metavar="TEXT", help="What is new, for the history.")
@click.option(
    "--links",
    type=click.Choice(["refuse", "skip", "follow"]),
    default="refuse",
    show_default=True,
    help="What to do with a link that leads out of PATH.",
)
@if_serial_option
@click.option("--dry-run", is_flag=True, help="Tell what would happen; send and announce nothing.")
@click.option("--validate", multiple=True, metavar="CMD", help="Must succeed before it is announced; given again: all.")
@click.option(
    "--rules", metavar="FILE", help="Where [budget] and [publish] stand; aetherfs.toml here, if there is one."
)
@click.option("--wait", default="stored", show_default=True, metavar="stored|copies=N", help="Until when to wait.")
@click.option("--within", default="10m", show_default=True, metavar="TIME", help="Wait for copies at most so long.")
@plan_options
@at_once_option
@options
@pass_program
def publish(
    program: Program,
    /,
    path: str,
    names: tuple[str, ...],
    message: str,
    links: str,
    if_serial: int | None,
    dry_run: bool,
    validate: tuple[str, ...],
    rules: str | None,
    wait: str,
    within: str,
    at_once: bool,
    **given: Any,
) -> None:
    """Publish a directory or file under one or more tags: all of them move, or none.

    FILE is TOML. [budget] may limit size, files, delta (what a consumer of the version before fetches: "5%", but
    delta_floor, "20MB", is never too much), and time, as it is simulated for so many peers (1) with a link ("50mbit")
    each; what is over a limit is not announced, and ends with 1. [publish] validate is a list of commands like
    --validate. These are lines for the shell, run in the directory once its blocks are stored, with AETHERFS_DATASET,
    _TAGS, _VERSION, _PATH, _FILES, _BYTES and _TYPED_IN, the folder where publish was typed, in their environment;
    one that fails ends it with 1, unannounced.

    --wait stored: until a seed keeps every block, as ever. --wait copies=N: until N other peers, seeds not counted,
    hold all of it too; ends with 8 when TIME is over.

    With --canary, --canary-label or --stages tags that others follow already go out in stages: see `aetherfs rollout`.
    """
    from swarm.cli.perform import perform
    from swarm.cli.prices import prices_for, with_cost
    from swarm.cli.references import check_message, new_name
    from swarm.names import parse

    prices = prices_for(program)
    dataset_names = [new_name(name) for name in names]
    source = existing(path)
    arguments = {
        "path": source,
        "names": dataset_names,
        "message": check_message(message),
        "links": links,
        "if_serial": if_serial,
        **gates_of(program, rules, validate),
        **waiting_of(wait, within),
        "dry_run": dry_run,
        "plan": plan_of(given),
        "at_once": at_once,
    }
    result = perform(program, "publish", arguments)
    if "store" in result:
        result["store"] = with_cost(result["store"], prices)
    dataset = parse(dataset_names[0]).dataset
    told = {**result, "tags": [f"{dataset}:{tag}" for tag in result["tags"]]}
    program.output.result(result, rehearsed(told) if dry_run else _published(told, dataset))
    check_result(result)


def _published(result: Mapping[str, Any], dataset: str) -> Iterable[str]:
    tags = ", ".join(result["tags"])
    if result["unchanged"]:
        yield f"nothing changed: {tags} is {short(result['version'])} already (serial {result['serial']})"
    else:
        yield f"published {short(result['version'])} as {tags} (serial {result['serial']})"
        yield from staged_line(result, dataset)
    yield (
        f"{counted(result['files'], 'file')}, {size(result['bytes'])} in {counted(result['blocks'], 'block')}; "
        f"{result['new_blocks']} new, {size(result['uploaded'])} uploaded in {duration(result['seconds'])}"
    )


@click.command()
@click.argument("ref")
@click.argument("directory", metavar="DIR")
@click.option("--include", multiple=True, metavar="GLOB", help="Only files that match; may be given again.")
@click.option("--force", is_flag=True, help="Replace files in the way that were altered, or are no pull's.")
@signer_options
@options
@pass_program
def pull(program: Program, ref: str, directory: str, include: tuple[str, ...], force: bool) -> None:
    """Bring a version into a directory; what is there already is reused."""
    from swarm.cli.perform import perform
    from swarm.cli.references import whole

    arguments = {"ref": whole(program, ref), "directory": absolute(directory), "include": list(include)}
    result = perform(program, "pull", {**arguments, "force": force})
    program.output.result(result, _pulled(result, directory))


def _pulled(result: Mapping[str, Any], directory: str) -> Iterable[str]:
    sources = result["from"]
    yield f"{result['ref']} {short(result['version'])} (serial {result['serial']}) is in {directory}{as_of(result)}"
    yield (
        f"{counted(result['files'], 'file')}, {size(result['bytes'])} in {duration(result['seconds'])}: "
        f"{size(sources['peers'])} from peers, {size(sources['origin'])} from the origin, "
        f"{size(sources['reused'])} reused"
    )


@click.command()
@click.argument("ref", metavar="REF/PATH")
@signer_options
@options
@pass_program
def cat(program: Program, ref: str) -> None:
    """Write one file of a version to standard output."""
    from swarm.cli.perform import perform_cat
    from swarm.cli.references import within

    if program.json:
        raise UsageError("cat writes the file's bytes, which are no JSON: leave --json away, or use ls or inspect")
    perform_cat(program, {"ref": within(program, ref)}, sys.stdout.buffer)
    sys.stdout.buffer.flush()


@click.command()
@click.argument("ref", metavar="[REF[/PATH]]", required=False)
@signer_options
@options
@pass_program
def ls(program: Program, ref: str | None) -> None:
    """List the datasets, or the files of a version."""
    from swarm.cli.perform import perform
    from swarm.cli.references import anywhere

    result = perform(program, "ls", {"ref": None if ref is None else anywhere(program, ref)})
    if "datasets" in result:
        lines = columns([[item["dataset"], " ".join(item["tags"])] for item in result["datasets"]])
    else:
        lines = columns([_entry(entry) for entry in result["entries"]])
    program.output.result(result, lines)


def _entry(entry: Mapping[str, Any]) -> list[str]:
    letter = {"file": "-", "directory": "d", "symlink": "l"}.get(entry["kind"], "?")
    mode = letter + stat.filemode(int(str(entry["mode"]), 8))[1:]
    target = f" -> {entry['target']}" if entry.get("target") else ""
    return [mode, f"{entry['size']:>12}", moment(entry["mtime_ns"] / 1e9), entry["path"] + target]


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("ref")
@signer_options
@options
@pass_program
def verify(program: Program, directory: str, ref: str) -> None:
    """Compare a directory with a version, byte for byte."""
    from swarm.cli.perform import perform
    from swarm.cli.references import whole

    result = perform(program, "verify", {"directory": existing(directory), "ref": whole(program, ref)})
    differences = result["differences"]
    if not differences:
        what = f"{result['ref']} {short(result['version'])}{as_of(result)}"
        left = counted(result["left_out"], "entry", "entries")
        chosen = f", but for {left} that --include left out" if result["left_out"] else ""
        program.output.result(result, [f"{directory} is exactly {what}{chosen}"])
        return
    program.output.result(result, differences)
    problem = f"{directory} differs from {result['ref']} in {counted(len(differences), 'place')}: {_repair(directory)}"
    raise IntegrityError(problem) from None


def _repair(directory: str) -> str:
    """What brings a directory back to its version."""
    from swarm.versions import subscribed_at

    root = subscribed_at(Path(directory))
    if root is not None:
        return f"`aetherfs subscribe` with {root} again repairs what is current there"
    return "pull it again with --force to repair it"


def absolute(path: str) -> str:
    """The path as another process must be told it: from the root, links unresolved. JSON tells it, so it is UTF-8."""
    full = whole_path(path)
    try:
        full.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{shown(full)} is not UTF-8: rename it, or name a link to it that is") from error
    return full


def whole_path(path: str) -> str:
    """A path for this process alone."""
    if not path or "\0" in path:
        raise UsageError(f"{path!r} is not a path: give a file or directory")
    return os.path.abspath(path)


def existing(path: str) -> str:
    """As ``absolute``, for what must be there. NotFoundError otherwise."""
    full = absolute(path)
    if not os.path.lexists(full):
        raise NotFoundError(f"{path} is not there: check the path")
    return full
