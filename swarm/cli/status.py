"""The status command: what the process on this home does, holds and waits for, and why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from swarm.cli.output import columns, duration, moment, short, size
from swarm.cli.program import Program, options, pass_program
from swarm.units import counted

WATCH_S: Final = 1.0
# So many of what is followed or held are listed.
SHOWN: Final = 10
# Certificates are renewed weeks before they end.
CERTIFICATE_SOON_S: Final = 3 * 86_400
NOT_ASKED: Final = "not asked yet"
TOLD_ABOVE: Final = frozenset({"runs", "uptime_s", "subscriptions", "datasets", "waiting_for"})


@click.command()
@click.option("--watch", "-w", is_flag=True, help="Show it again every second, until Ctrl-C.")
@options
@pass_program
def status(program: Program, watch: bool) -> None:
    """Show what this peer does, holds and waits for."""
    from swarm.cli.perform import perform

    result = perform(program, "status", {})
    if not watch:
        program.output.result(result, status_lines(result))
        return
    program.when_interrupted = ""
    while True:
        if program.json:
            program.output.emit(result)
        else:
            clear = "\x1b[H\x1b[2J" if program.output.stdout.isatty() else ""
            program.output.stdout.write(clear)
            program.output.result(result, [*status_lines(result), ""])
        time.sleep(WATCH_S)
        result = perform(program, "status", {})


def status_lines(result: Mapping[str, Any]) -> list[str]:
    """The status for people: what this home is, whether it is well, what it follows and holds; then all the rest."""
    rest = {name: value for name, value in result.items() if name not in TOLD_ABOVE}
    details = columns([[name.replace("_", " "), text] for name, text in _rows("", rest)])
    return [*columns(_summary(result, time.time())), "", *details] if "runs" in result else details


def _summary(result: Mapping[str, Any], wall_now: float) -> list[list[str]]:
    """A row for each thing that its user asks first."""
    runs = f"{' and '.join(filter(None, [', '.join(result['runs'][:-1]), result['runs'][-1]]))}"
    rows = [["runs", f"{runs}; {result['peer_id'][:12]}, up {duration(result['uptime_s'])}"]]
    rows += _labelled("is well", problems_of(result, wall_now) or [_well(result)])
    rows += _labelled("follows", [_followed(each) for each in result["subscriptions"]] or ["nothing"])
    rows += _labelled("holds", [_held(each) for each in result["datasets"]] or ["nothing"])
    rows += _labelled("waits for", [f"{name}: {why}" for name, why in result["waiting_for"].items()])
    if result["addresses"]["tracker"]:
        rows.append(["dashboard", f"https://{result['addresses']['tracker']}/ui/"])
    return rows


def _labelled(label: str, told: list[str]) -> list[list[str]]:
    more = [f"and {len(told) - SHOWN} more, see --json"] if len(told) > SHOWN else []
    return [[label if not at else "", text] for at, text in enumerate([*told[:SHOWN], *more])]


def _well(result: Mapping[str, Any]) -> str:
    neighbours = counted(len(result["neighbours"]), "neighbour")
    seeds = counted(len(result["seeds"]), "other seed" if "seed" in result["runs"] else "seed")
    return f"yes: a tracker answers; {neighbours}, {seeds}"


def problems_of(result: Mapping[str, Any], wall_now: float) -> list[str]:
    """What is not well, in words; none where all is."""
    tracker, store = result["tracker_state"], result.get("store", {})
    found = [] if tracker in ("answers", NOT_ASKED) else [f"no: {tracker}"]
    found += ["not known yet: no tracker was asked so far"] if tracker == NOT_ASKED else []
    if store.get("state", "answers") != "answers":
        found.append(f"no: the object store is {store['state']}: {store['why']}")
    if not result["seeds"] and "seed" not in result["runs"] and tracker == "answers":
        found.append("no: no seed is there, without which nobody publishes: start one with `aetherfs seed`")
    if (left_s := result["certificate_expires"] - wall_now) < CERTIFICATE_SOON_S:
        until = f"expires in {duration(left_s)}" if left_s > 0 else "has expired"
        found.append(f"no: this home's certificate {until}: it is renewed as soon as a tracker answers")
    if result["bad_blocks"]:
        found.append(f"{counted(result['bad_blocks'], 'bad block was', 'bad blocks were')} refused from others")
    return found + [
        f"no: {each['directory']}: {each['problem']}" for each in result["subscriptions"] if each["problem"]
    ]


def _followed(each: Mapping[str, Any]) -> str:
    version = f"{short(each['version'])} (serial {each['serial']})" if each["version"] else "nothing yet"
    paused = ", paused" if each["paused"] else ""
    return f"{each['ref']} in {each['directory']}: at {version}{paused}"


def _held(each: Mapping[str, Any]) -> str:
    share = "all" if each["complete"] else f"{each['held'] / max(1, each['blocks']):.0%}"
    return f"{each['dataset']}@{short(each['version'])}: {share} of {size(each['bytes'])}"


def _rows(prefix: str, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in result.items():
        label = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _rows(f"{label} ", value)
        elif isinstance(value, list):
            yield label, ", ".join(_short(item) for item in value) or "-"
        elif name == "certificate_expires":
            yield label, moment(value)
        elif isinstance(value, int) and not isinstance(value, bool) and name.endswith("bytes"):
            yield label, size(value)
        else:
            yield label, _short(value)


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_short(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:.1f}"
    return "-" if value in (None, "") else str(value)
