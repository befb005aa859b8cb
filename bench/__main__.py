"""``python -m bench``: the scenarios as commands. Exit 1 when a round failed or nothing could be measured."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Final

import click
from rich.console import Console

from bench.arguments import FILE, FOLDER, Names, Rate, Size, folder_option, in_a_folder, memory_folder, report_option
from bench.commands_reading import checks, edge, first_byte, ranges, read, sealing
from bench.commands_tools import alive, dashboard, line, predict, simulate
from bench.compare import SEEDS, busy_share, measured, print_lines, simulated
from bench.compare import compare as compare_lines
from bench.contenders import Contender, SmallContender, SwarmContender
from bench.contenders.aria2_swarm import Aria2Swarm
from bench.contenders.curl_nginx import CurlNginx
from bench.contenders.curl_swarm import CurlSwarm
from bench.contenders.libtorrent_pair import LibtorrentPair
from bench.contenders.libtorrent_small import LibtorrentSmall
from bench.contenders.libtorrent_swarm import LibtorrentSwarm
from bench.contenders.ours import Ours, OursSealed, OursUnchecked, OursUnhashed
from bench.contenders.ours_small import OursSmall
from bench.contenders.ours_swarm import OursSwarm
from bench.contenders.packaged import PACKAGED
from bench.contenders.syncthing_pair import SyncthingPair
from bench.contenders.syncthing_small import SyncthingSmall
from bench.contenders.syncthing_swarm import SyncthingSwarm
from bench.leftovers import scratch_folder
from bench.network import missing_nat, missing_network
from bench.packages import install_packages
from bench.pair import PairSettings, run_pair
from bench.picture import draw
from bench.processes import BenchError
from bench.report import print_small, print_table
from bench.scale import print_scale, run_scale, scale_json
from bench.scenarios import make_scenario
from bench.small import SmallSettings, run_small
from bench.swarm import SwarmSettings, run_swarm
from bench.swarm_report import print_swarm
from bench.takeover import TakeoverSettings, run_takeover

CONTENDERS: Final[tuple[Contender, ...]] = (
    Ours(),
    CurlNginx(),
    LibtorrentPair(),
    SyncthingPair(),
    OursSealed(),
    OursUnchecked(),
    OursUnhashed(),
)
SMALL_CONTENDERS: Final[tuple[SmallContender, ...]] = (OursSmall(), LibtorrentSmall(), SyncthingSmall())
SWARM_CONTENDERS: Final[tuple[SwarmContender, ...]] = (
    OursSwarm(),
    OursSwarm("ours-edge", profile="edge"),
    OursSwarm("ours-edge-no-tracker", profile="edge", ends_tracker=True),
    LibtorrentSwarm(),
    LibtorrentSwarm("libtorrent-superseed", superseeding=True),
    Aria2Swarm(),
    SyncthingSwarm(),
    *PACKAGED,
    CurlSwarm(),
)
PEERS: Final = {"plain": 4, "slow": 16, "sites": 15, "nat": 12}


@click.group()
def bench() -> None:
    """Measurements: ours beside the field, in one run."""
    # A shell lets what it starts in the background ignore SIGINT, and nohup SIGHUP: only that is meant to last.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


@bench.command()
@click.option("--size", type=Size(), default="512MiB", show_default=True, help="Bytes to pull.")
@click.option(
    "--contenders",
    type=Names(CONTENDERS),
    default="ours,nginx+curl,libtorrent,syncthing",
    show_default=True,
    help="Who takes part.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=3, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the payload's bytes.")
@folder_option
@report_option
def pair(size: int, contenders: list[Contender], rounds: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """One pull over loopback, from one origin to one consumer, to disk."""
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or Path(tempfile.gettempdir())) as scratch:
        report = run_pair(contenders, PairSettings(size, rounds, seed), scratch, errors.print)
    if out is not None:
        out.write_text(report.as_json())
    print_table(report, Console())
    if not report.rounds or not all(entry.ok for entry in report.rounds):
        sys.exit(1)


@bench.command()
@click.option("--peers", type=click.IntRange(4, 200), default=20, show_default=True, help="How many live through it.")
@click.option(
    "--away", type=click.IntRange(0, 86_400), default=600, show_default=True, help="Seconds without a tracker."
)
@click.option("--every", type=click.IntRange(1, 3600), default=30, show_default=True, help="Seconds between pulls.")
@click.option("--folder", type=FOLDER, help="Where homes go.")
@report_option
def takeover(peers: int, away: int, every: int, folder: Path | None, out: Path | None) -> None:
    """Trackers killed and replaced under live peers, and a time without any."""
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or Path(tempfile.gettempdir())) as scratch:
        report = run_takeover(TakeoverSettings(peers, away, every), scratch, errors.print)
    if out is not None:
        out.write_text(report.as_json())
    click.echo(report.as_json(), nl=False)
    if report.failed or report.restarted:
        sys.exit(1)


@bench.command()
@click.option("--files", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="How many.")
@click.option("--size", type=Size(), default="4KiB", show_default=True, help="Bytes of each file.")
@click.option(
    "--contenders",
    type=Names(SMALL_CONTENDERS),
    default="ours,libtorrent,syncthing",
    show_default=True,
    help="Who takes part.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=3, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the files' bytes.")
@folder_option
@report_option
def small(
    files: int,
    size: int,
    contenders: list[SmallContender],
    rounds: int,
    seed: int,
    folder: Path | None,
    out: Path | None,
) -> None:
    """Many small files over loopback: publish and pull, from one origin to one consumer."""
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        report = run_small(contenders, SmallSettings(files, size, rounds, seed), scratch, errors.print)
    if out is not None:
        out.write_text(report.as_json())
    print_small(report, Console())
    if not report.rounds or not all(entry.ok for entry in report.rounds):
        sys.exit(1)


@bench.command()
@click.option("--size", type=Size(), default="1GiB", show_default=True, help="Bytes to publish.")
@click.option("--peers", type=click.IntRange(1, 64), default=8, show_default=True, help="That pull cold.")
@click.option("--seeds", type=click.IntRange(1, 8), default=2, show_default=True, help="That they pull from.")
@click.option("--rounds", type=click.IntRange(1, 100), default=1, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the choice of files.")
@folder_option
@report_option
def origin(size: int, peers: int, seeds: int, rounds: int, seed: int, folder: Path | None, out: Path | None) -> None:
    """Publishing to a real S3 server beside a plain upload, and a cold rollout from it."""
    from bench.origin import OriginSettings, run_origin

    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        try:
            report = run_origin(OriginSettings(size, peers, seeds, rounds, seed), scratch, errors.print)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    text = json.dumps(report, indent=2)
    if out is not None:
        out.write_text(text + "\n")
    click.echo(json.dumps(report["rounds"], indent=2))


@bench.command()
@click.option("--scenario", type=click.Choice(["plain", "slow", "sites", "nat"]), default="plain", show_default=True)
@click.option("--peers", type=click.IntRange(1, 64), help="Besides the origin. [default: 4; slow 16, sites 15, nat 12]")
@click.option("--rate", type=Rate(), default="50mbit", show_default=True, help="Of every link, both ways.")
@click.option("--size", type=Size(), default="64MiB", show_default=True, help="Bytes to bring to every peer.")
@click.option(
    "--contenders",
    type=Names(SWARM_CONTENDERS),
    default="ours,libtorrent,aria2",
    show_default=True,
    help="Who takes part.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the payload's bytes.")
@folder_option
@report_option
@click.option("--picture", type=FILE, callback=in_a_folder, help="Draw completion curves there.")
def swarm(
    scenario: str,
    peers: int | None,
    rate: int,
    size: int,
    contenders: list[SwarmContender],
    rounds: int,
    seed: int,
    folder: Path | None,
    out: Path | None,
    picture: Path | None,
) -> None:
    """One origin to many peers, in network namespaces over shaped links. Needs root."""
    if why := missing_nat() if scenario == "nat" else missing_network():
        raise click.ClickException(why)
    try:
        network = make_scenario(scenario, peers or PEERS[scenario], rate)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(folder or memory_folder()) as scratch:
        report = run_swarm(contenders, SwarmSettings(network, size, rounds, seed), scratch, errors.print)
    if out is not None:
        out.write_text(report.as_json())
    if picture is not None:
        picture.write_text(draw(report))
    print_swarm(report, Console())
    if not report.rounds or not all(entry.ok for entry in report.rounds):
        sys.exit(1)


@bench.command()
@click.option("--rate", type=Rate(), default="50mbit", show_default=True, help="Of every link, both ways.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often.")
@click.option("--seed", default=1, show_default=True, help="Of the payload's bytes.")
@report_option
def scale(rate: int, rounds: int, seed: int, out: Path | None) -> None:
    """Growth with peers and with size, ours only. Needs root."""
    if why := missing_network():
        raise click.ClickException(why)
    errors = Console(stderr=True, highlight=False)
    with scratch_folder(memory_folder()) as scratch:
        reports = run_scale(rate, rounds, seed, scratch, errors.print)
    if out is not None:
        out.write_text(scale_json(reports))
    print_scale(reports, Console())
    if not all(report.rounds and all(entry.ok for entry in report.rounds) for report in reports):
        sys.exit(1)


@bench.command()
@click.argument("report", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--seeds", type=click.IntRange(1, 1000), default=SEEDS, show_default=True, help="To simulate.")
def compare(report: Path, seeds: int) -> None:
    """The simulator beside a REPORT of bench swarm. Exit 1 when they do not agree."""
    try:
        read = json.loads(report.read_text())
        lines = compare_lines(measured(read), simulated(read, range(1, seeds + 1)))
    except (BenchError, ValueError, KeyError) as error:
        raise click.ClickException(f"{report} cannot be compared: {error}") from error
    print_lines(report.name, lines, Console())
    click.echo(f"the measured processes took {busy_share(read):.0%} of the machine's cores, the simulated ones nothing")
    if not all(line.agrees for line in lines):
        sys.exit(1)


@bench.command()
@click.argument("names", nargs=-1, required=True)
def install(names: tuple[str, ...]) -> None:
    """Install contenders' Python packages, in an environment of the bench's own."""
    try:
        install_packages(list(names))
    except BenchError as error:
        raise click.ClickException(str(error)) from error


@bench.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dht(arguments: tuple[str, ...]) -> None:
    """Provider lookups with dead nodes, and what a sweep costs."""
    from bench.dht import main

    sys.exit(main(list(arguments)))


def _end(_number: int, _frame: FrameType | None) -> None:
    """On any of these unwind as on Ctrl-C, so that every process is ended and every file removed."""
    raise KeyboardInterrupt


for command in (read, ranges, first_byte, edge, sealing, checks, simulate, predict, dashboard, alive, line):
    bench.add_command(command)

if __name__ == "__main__":
    bench()
