"""The status command: what the process on this home does, holds and waits for, and why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from swarm.cli.output import columns, moment, size
from swarm.cli.program import Program, options, pass_program

WATCH_S: Final = 1.0


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
    """The status for people: what is known by name first, the rest as it comes."""
    return columns([[name.replace("_", " "), text] for name, text in _rows("", result)])


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
