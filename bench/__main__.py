"""``python -m bench``: the scenarios as commands. Exit 1 when a round failed or nothing could be measured."""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Final

import click
from rich.console import Console

from bench.contenders import Contender
from bench.contenders.curl_nginx import CurlNginx
from bench.contenders.ours import Ours
from bench.pair import PairSettings, run_pair
from bench.report import print_table

CONTENDERS: Final[tuple[Contender, ...]] = (Ours(), CurlNginx())
UNITS: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Size(click.ParamType[int]):
    """A number of bytes with a unit, as 512MiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        matched = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(value))
        if matched is None or matched[2].upper() not in UNITS or not int(matched[1]):
            self.fail(f"{value!r} is no size: write it as 512MiB", param, ctx)
        return int(matched[1]) * UNITS[matched[2].upper()]


class Names(click.ParamType[list[Contender]]):
    """Contenders, by name, with commas between them."""

    name = "names"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[Contender]:
        if isinstance(value, list):
            return value
        known = {contender.name: contender for contender in CONTENDERS}
        wanted = [name for name in str(value).split(",") if name]
        for name in wanted:
            if name not in known:
                self.fail(f"{name!r} is no contender: choose from {', '.join(known)}", param, ctx)
        return [known[name] for name in dict.fromkeys(wanted)]


@click.group()
def bench() -> None:
    """Measurements: ours beside the field, in one run."""
    signal.signal(signal.SIGTERM, _end)


@bench.command()
@click.option("--size", type=Size(), default="512MiB", show_default=True, help="Bytes to pull.")
@click.option("--contenders", type=Names(), default="ours,curl", show_default=True, help="Who takes part.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=3, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the payload's bytes.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where files go.")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report there.")
def pair(size: int, contenders: list[Contender], rounds: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """One pull over loopback, from one origin to one consumer, to disk."""
    errors = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="aetherfs-bench-", dir=folder) as scratch:
        report = run_pair(contenders, PairSettings(size, rounds, seed), Path(scratch), errors.print)
    if out is not None:
        out.write_text(report.as_json())
    print_table(report, report.settings["contenders"], Console())
    if not report.rounds or not all(entry.ok for entry in report.rounds):
        sys.exit(1)


@bench.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dht(arguments: tuple[str, ...]) -> None:
    """Provider lookups with dead nodes, and what a sweep costs."""
    from bench.dht import main

    sys.exit(main(list(arguments)))


def _end(_number: int, _frame: FrameType | None) -> None:
    """On SIGTERM unwind as on Ctrl-C, so that every process is ended and every file removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    bench()
