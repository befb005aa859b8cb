"""Commands of ``python -m bench`` about one peer: reading, its first byte, what an edge device takes, seals, checks."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from bench.arguments import Size, folder_option, memory_folder, report_option
from bench.at_rest import run_at_rest
from bench.leftovers import scratch_folder
from bench.network import missing_network
from bench.processes import BenchError


@click.command()
@click.option("--size", type=Size(), default="256MiB", show_default=True, help="Bytes of the file.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the file's bytes and the order of turns.")
@folder_option
@report_option
def read(size: int, rounds: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """A file read over HTTP from the agent, warm, beside nginx; and through a mount, beside the file itself."""
    from bench.contenders.curl_nginx import missing_nginx_or_curl
    from bench.read import run_read

    errors = Console(stderr=True, highlight=False)
    if why := missing_nginx_or_curl():
        raise click.ClickException(why)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            report = run_read(size, rounds, seed, scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    if out is not None:
        out.write_text(report.as_json())
    click.echo(json.dumps({"over_nginx": report.ratios()}))


@click.command()
@click.option(
    "--size", type=Size(), default="10GiB", show_default=True, help="Bytes of the dataset, made and forgotten."
)
@click.option("--ranges", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Of 1 MiB each.")
@click.option("--seed", default=1, show_default=True, help="Of the bytes and the places.")
def ranges(size: int, ranges: int, seed: int) -> None:
    """What one range of a large dataset costs to read from nothing."""
    from bench.ranges import run_ranges

    click.echo(json.dumps(run_ranges(size, ranges, seed)))


@click.command("firstbyte")
@click.option(
    "--delay", "delay_ms", type=click.IntRange(1, 1000), default=50, show_default=True, help="One way, in ms."
)
@click.option("--size", type=Size(), default="10KB", show_default=True, help="Bytes of a file.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the files' bytes.")
@folder_option
@report_option
def first_byte(delay_ms: int, size: int, rounds: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """Round trips until a reader far away has a file's first byte. Needs root; exit 1 when they are too many."""
    from bench.first_byte import FirstByteSettings, run_first_byte

    if why := missing_network():
        raise click.ClickException(why)
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            report = run_first_byte(FirstByteSettings(delay_ms / 1000, size, rounds, seed), scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    text = json.dumps(report, indent=2)
    if out is not None:
        out.write_text(text + "\n")
    click.echo(json.dumps(report))
    if not report["is_within"]:
        sys.exit(1)


@click.command()
@click.option("--others", type=click.IntRange(1, 200), default=48, show_default=True, help="Peers of the swarm.")
@click.option("--takers", type=click.IntRange(1, 200), default=6, show_default=True, help="That fetch from the device.")
@click.option("--size", type=Size(), default="64MiB", show_default=True, help="Bytes to pull.")
@click.option("--idle", "idle_s", type=float, default=30.0, show_default=True, help="Seconds of idleness.")
@folder_option
@report_option
def edge(others: int, takers: int, size: int, idle_s: float, folder: Path | None, out: Path | None) -> None:
    """Memory and CPU of a peer of profile edge, idle and under load. Exit 1 when it takes more than it may."""
    from bench.edge import EdgeSettings, run_edge

    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            report = run_edge(EdgeSettings(others, min(takers, others), size, idle_s), scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    text = json.dumps({**asdict(report), "is_within": report.is_within}, indent=2)
    if out is not None:
        out.write_text(text + "\n")
    click.echo(text)
    if not report.is_within:
        sys.exit(1)


@click.command()
@click.option("--size", type=Size(), default="256MiB", show_default=True, help="Bytes of blocks.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="How often.")
@folder_option
def sealing(size: int, rounds: int, folder: Path | None) -> None:
    """What sealing costs a peer's disk tier."""
    with scratch_folder(folder or memory_folder()) as scratch:
        click.echo("\n".join(run_at_rest(size, rounds, scratch).lines))


@click.command()
@click.option("--size", type=Size(), default="512MiB", show_default=True, help="Bytes to pull.")
@click.option("--seconds", type=click.IntRange(1, 3600), default=60, show_default=True, help="Of pulls, by turns.")
@click.option("--seed", default=1, show_default=True, help="Of the payload's bytes.")
@folder_option
@report_option
def checks(size: int, seconds: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """What checks and hashes cost on the loopback pair, as ratios within rounds, beside the noise."""
    from bench.checks import Cost, run_checks

    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or Path(tempfile.gettempdir())) as scratch:
        try:
            report = run_checks(size, seconds, seed, scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    if out is not None:
        out.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(f"{report['settings']['rounds']} rounds; MB/s: {json.dumps(report['mb_per_s'])}")
    click.echo("\n".join(Cost(**told).line for told in report["costs"]))
