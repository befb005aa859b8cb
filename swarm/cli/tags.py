"""Commands about versions and their names: inspect, history, tag, rollback, rm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from swarm.cli.output import columns, duration, moment, short, size
from swarm.cli.program import Program, if_serial_option, options, pass_program, signer_options
from swarm.cli.rolling import at_once_option, plan_of, plan_options, staged_line
from swarm.limits import HISTORY_MAX
from swarm.units import counted


@click.command()
@click.argument("ref")
@signer_options
@options
@pass_program
def inspect(program: Program, ref: str) -> None:
    """Show what is known of one version."""
    from swarm.cli.perform import perform
    from swarm.cli.references import whole
    from swarm.cli.retention import rule_lines

    result = perform(program, "inspect", {"ref": whole(program, ref)})
    keep = " ".join(rule_lines(result["keep"])) if result.get("keep") else "-"
    shown = {
        **result,
        "bytes": f"{result['bytes']} ({size(result['bytes'])})",
        "time": moment(result["time"]),
        "keep": keep,
    }
    program.output.result(result, columns([[name, str(value)] for name, value in shown.items()]))


@click.command()
@click.argument("ref", metavar="NAME[:TAG]")
@click.option("--last", type=click.IntRange(1, HISTORY_MAX), metavar="N", help="The newest N entries alone.")
@options
@pass_program
def history(program: Program, ref: str, last: int | None) -> None:
    """Show the log of a dataset, newest last.

    Each entry with who did it, or asked a tracker for it, and why. NAME alone shows the moves of all its tags,
    NAME:TAG those of one tag, NAME@SIGNATURE those to one version. Of the last 20 entries of a tag or of all it tells
    what who followed had to fetch, and in what time 95% of them had it, where that is known; where an entry moves
    several tags, the most of these. Of a very long log the last 10,000 entries are read.
    """
    from swarm.cli.perform import perform
    from swarm.cli.references import whole
    from swarm.names import parse

    with_figures = not parse(whole(program, ref), default_tag=None).names_version
    limited = {"last": last} if last is not None else {}
    result = perform(program, "history", {"ref": ref, "figures": with_figures, **limited})
    program.output.result(result, log_lines(result["entries"], with_figures=with_figures))
    if result.get("has_earlier"):
        more = "see more with --last N" if last is not None else "they are not shown"
        program.output.note(f"there are earlier entries: {more}")


def log_lines(entries: Iterable[Mapping[str, Any]], *, with_figures: bool) -> list[str]:
    """A row an entry. What moves cost is not told of those to one version alone."""
    rows = [["serial", "time", "kind", "moves", "files", "size", "fetched", "95% in", "by", "message"]]
    rows += [_figured(entry) for entry in entries]
    at = rows[0].index("fetched")
    return columns(rows if with_figures else [row[:at] + row[at + 2 :] for row in rows])


def _figured(entry: Mapping[str, Any]) -> list[str]:
    """An entry. A move that went back is marked."""
    serial, when, kind, by, moves, _, weight, said = _logged(entry)
    back = entry.get("back_to")
    fetched, p95_s = entry.get("fetch_bytes"), entry.get("p95_s")
    return [
        serial,
        when,
        f"{kind} <- {back}" if back is not None else kind,
        moves,
        str(entry["files"]) if entry.get("files") is not None else "-",
        weight or "-",
        size(fetched) if fetched is not None else "-",
        duration(p95_s) if p95_s is not None else "-",
        by.removeprefix("by "),
        said,
    ]


def _logged(entry: Mapping[str, Any]) -> list[str]:
    moves = " ".join(f"{move['tag']}={short(move['version'])}" for move in entry["moves"])
    amount = counted(entry["files"], "file") if entry.get("files") is not None else ""
    weight = size(entry["bytes"]) if entry.get("bytes") is not None else ""
    from swarm.rollout_health import who_words

    by, reason = entry.get("author"), entry.get("reason")
    plans = [f"{tag} goes out by another plan" for tag in entry.get("planned", ())]
    said = " ".join(filter(None, [entry["message"], *map(_staged, entry.get("rollouts", ())), reason, *plans]))
    by = f"by {who_words(by) if by else short(entry['publisher'])}"
    return [str(entry["serial"]), moment(entry["time"]), entry["kind"], by, moves, amount, weight, said]


def _staged(rollout: Mapping[str, Any]) -> str:
    is_back = rollout["state"] in ("aborted", "rolled back")
    stage = "" if is_back else f", stage {rollout['stage'] + 1} of {rollout['stages']}"
    return f"[{rollout['tag']} {rollout['state']}{stage}]"


@click.command()
@click.argument("ref")
@click.argument("names", metavar="NAME:TAG...", nargs=-1, required=True)
@if_serial_option
@plan_options
@at_once_option
@options
@pass_program
def tag(
    program: Program, /, ref: str, names: tuple[str, ...], if_serial: int | None, at_once: bool, **given: Any
) -> None:
    """Give a version other names: all of them, or none."""
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name, whole

    arguments = {"ref": whole(program, ref), "names": [new_name(name) for name in names], "if_serial": if_serial}
    result = perform(program, "tag", {**arguments, "plan": plan_of(given), "at_once": at_once})
    program.output.result(result, _moved(result))


@click.command()
@click.argument("name", metavar="NAME:TAG")
@click.option("--to", type=click.IntRange(min=1), metavar="SERIAL", help="Entry of the history to go back to.")
@click.option("--reason", "-m", default="", metavar="TEXT", help="Why, for the history.")
@if_serial_option
@options
@pass_program
def rollback(program: Program, name: str, to: int | None, reason: str, if_serial: int | None) -> None:
    """Let a tag point to the version that it had before."""
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name

    arguments = {"name": new_name(name), "to": to, "reason": reason, "if_serial": if_serial}
    result = perform(program, "rollback", arguments)
    program.output.result(result, _moved(result))


@click.command()
@click.argument("names", metavar="NAME:TAG...", nargs=-1, required=True)
@if_serial_option
@options
@pass_program
def rm(program: Program, names: tuple[str, ...], if_serial: int | None) -> None:
    """Remove tags, all or none; their versions stay in the history."""
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name

    result = perform(program, "rm", {"names": [new_name(name) for name in names], "if_serial": if_serial})
    program.output.result(result, _moved(result))


def _moved(result: Mapping[str, Any]) -> Iterable[str]:
    already = " already" if result.get("unchanged") else ""
    for tag, version in result["tags"].items():
        name = f"{result['dataset']}:{tag}"
        yield f"{name} is {short(version)}{already} (serial {result['serial']})" if version else f"{name} is removed"
    yield from staged_line(result, result["dataset"])
