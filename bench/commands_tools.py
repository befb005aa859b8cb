"""Commands of ``python -m bench`` about forecasts beside what came, and about the dashboard."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.arguments import FILE, FOLDER, Rate, Size, in_a_folder, memory_folder
from bench.leftovers import scratch_folder
from bench.network import missing_network
from bench.processes import BenchError
from bench.scenarios import make_scenario


@click.command()
@click.option("--scenario", type=click.Choice(["plain", "sites"]), default="plain", show_default=True)
@click.option("--peers", type=click.IntRange(1, 64), help="Besides the origin. [default: 16; of sites 15]")
@click.option("--rate", type=Rate(), default="20mbit", show_default=True, help="Of every link, both ways.")
@click.option("--size", type=Size(), default="24MiB", show_default=True, help="Bytes to bring to every peer.")
@click.option("--rollouts", type=click.IntRange(1, 20), default=3, show_default=True, help="One after another.")
@click.option("--seed", default=1, show_default=True, help="Of the payloads' bytes.")
@click.option("--folder", type=FOLDER, help="Where files go.")
@click.option("--json", "out", type=FILE, callback=in_a_folder, help="Write the report there.")
def simulate(
    scenario: str,
    peers: int | None,
    rate: int,
    size: int,
    rollouts: int,
    seed: int,
    folder: Path | None,
    out: Path | None,
) -> None:
    """Rollouts, each forecast by `aetherfs simulate` and then made. Needs root.

    Exit 1 when p50 or p95 of one is more than 20% off its forecast, as simulated or as calibrated by those before.
    """
    from bench.simulate import run_simulate

    if why := missing_network():
        raise click.ClickException(why)
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            lines = make_scenario(scenario, peers or (15 if scenario == "sites" else 16), rate)
            report = run_simulate(lines, size, rollouts, seed, scratch, errors.print)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    if out is not None:
        out.write_text(json.dumps(report.as_object(), indent=2) + "\n")
    click.echo(json.dumps(report.is_within))
    if not report.is_good:
        sys.exit(1)


@click.command()
@click.option("--only", default="", metavar="NAME", help="Pairs whose names begin so.")
@click.option("--folder", type=FOLDER, help="Where files go.")
@click.option("--json", "out", type=FILE, callback=in_a_folder, help="Write the report there.")
def predict(only: str, folder: Path | None, out: Path | None) -> None:
    """What analyze predicts beside what pulls move, on real data. Exit 1 when they differ by more than 3%."""
    from bench.predict import print_predict, run_predict

    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or Path(tempfile.gettempdir())) as scratch:
        try:
            report = run_predict(scratch, only, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    if out is not None:
        out.write_text(report.as_json())
    print_predict(report, Console())
    if not report.ok:
        sys.exit(1)


@click.command()
@click.option("--peers", type=click.IntRange(1, 50_000), default=10_000, show_default=True, help="Simulated peers.")
@click.option("--browsers", type=click.IntRange(0, 60), default=50, show_default=True, help="That listen.")
@click.option("--seconds", type=float, default=30.0, show_default=True, help="How long the rollout goes on.")
@click.option("--page", is_flag=True, help="In a real Chromium: cold loads, frames, bytes; then many browsers at once.")
@click.option("--only", default="", metavar="NAME,NAME", help="With --page: overview, rollout, peers, flow, blocks.")
@click.option("--loads", type=click.IntRange(1, 20), default=3, show_default=True, help="With --page: of each page.")
@click.option("--watched", type=float, default=20.0, show_default=True, help="With --page: seconds of frames of each.")
@click.option("--folder", type=FOLDER, help="Where files go.")
@click.option("--json", "out", type=FILE, callback=in_a_folder, help="Write the report there.")
def dashboard(
    peers: int,
    browsers: int,
    seconds: float,
    page: bool,
    only: str,
    loads: int,
    watched: float,
    folder: Path | None,
    out: Path | None,
) -> None:
    """What figures cost a tracker: CPU, memory, and bytes to each browser. With --page: how soon the dashboard's pages
    can be used, and what their frames cost. Exit 1 when anything is more than it may be.
    """
    from bench.dashboard import DashboardSettings, run_dashboard

    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            if page:
                told, is_within = _pages(peers, browsers, only, loads, watched, scratch, errors)
            else:
                report = run_dashboard(DashboardSettings(peers, browsers, seconds), scratch, errors.print)
                told, is_within = {**asdict(report), "is_within": report.is_within}, report.is_within
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    text = json.dumps(told, indent=2)
    if out is not None:
        out.write_text(text + "\n")
    click.echo(text)
    if not is_within:
        sys.exit(1)


def _pages(
    peers: int, browsers: int, only: str, loads: int, watched: float, scratch: Path, errors: Console
) -> tuple[dict[str, Any], bool]:
    from bench.dashboard_page import PageSettings, run_pages
    from bench.pages import PAGES

    wanted = [name for name in only.split(",") if name]
    if unknown := set(wanted) - {kind.name for kind in PAGES}:
        raise click.UsageError(f"no page {min(unknown)!r}: choose from {', '.join(kind.name for kind in PAGES)}")
    kinds = tuple(kind for kind in PAGES if not wanted or kind.name in wanted)
    report = run_pages(PageSettings(peers, browsers, kinds, loads, watched), scratch, errors.print)
    return report.as_told(), not report.short_of()


@click.command()
@click.option("--peers", type=click.IntRange(2, 50), default=10, show_default=True, help="All but one are killed.")
@click.option("--moves", type=click.IntRange(1, 1000), default=20, show_default=True, help="Of the followed tag.")
@click.option("--seed", default=1, show_default=True, help="Of when, and who.")
@click.option("--folder", type=FOLDER, help="Where files go.")
@click.option("--json", "out", type=FILE, callback=in_a_folder, help="Write the report there.")
def alive(peers: int, moves: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """How soon the dashboard's stream shows a death (15 s) and a moved tag (1 s). Exit 1 when one was later."""
    from bench.alive import AliveSettings, lines_of, run_alive

    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            report = run_alive(AliveSettings(peers, moves, seed), scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    if out is not None:
        out.write_text(json.dumps(report.as_object(), indent=2) + "\n")
    for name, figure in lines_of(report):
        click.echo(f"{name:16} " + ", ".join(f"{kind} {value:g}" for kind, value in figure.items()))
    if not report.is_within:
        sys.exit(1)


@click.command()
@click.option("--peers", type=click.IntRange(1, 32), default=3, show_default=True, help="Besides the origin.")
@click.option("--folder", type=FOLDER, help="Where files go.")
@click.option("--json", "out", type=FILE, callback=in_a_folder, help="Write the report there.")
def line(peers: int, folder: Path | None, out: Path | None) -> None:
    """What the dashboard says that peers moved, beside their interfaces' counters. Exit 1 when 5% off. Needs root."""
    from bench.line import SHAPES, run_line

    if why := missing_network():
        raise click.ClickException(why)
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            report = run_line(peers, SHAPES, scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    told = report.as_object()
    if out is not None:
        out.write_text(json.dumps(told, indent=2) + "\n")
    click.echo(json.dumps({name: told[name] for name in ("shapes", "is_within")}, indent=2))
    if not report.is_within:
        sys.exit(1)
