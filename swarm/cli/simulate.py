"""``aetherfs simulate``: what a rollout of a version would take, before it is made; and how that fared before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from swarm.cli.program import Program, options, pass_program, setting_option, signer_options
from swarm.errors import UsageError

if TYPE_CHECKING:
    from swarm.analysis.fetch import Fetch
    from swarm.cli.compared import Version
    from swarm.cli.diff import Local
    from swarm.objects.bill import Prices
    from swarm.sim.calibration import Kept
    from swarm.sim.forecast import Conditions, Forecast
    from swarm.sim.simulation import Fetched, Simulation, StoreCost, Sweep

# Beyond so many peers one run takes long, and differs little from another.
ONE_RUN_PEERS: Final = 100


@click.command()
@click.argument("what", metavar="REF|PATH", required=False)
@click.option("--peers", type=click.IntRange(1, 2000), default=16, show_default=True, help="How many fetch it.")
@click.option(
    "--link",
    default="50mbit",
    show_default=True,
    metavar="RATE",
    help="Of each peer's line; with --sites of each site's.",
)
@click.option("--sites", type=click.IntRange(0, 200), default=0, help="So many, whose peers share their site's line.")
@click.option("--seeds", type=click.IntRange(1, 32), default=1, show_default=True, help="How many keep it.")
@click.option("--seed-link", metavar="RATE", help="Of each seed's line.  [default: as --link]")
@click.option("--lan", default="1gbit", show_default=True, metavar="RATE", help="Of peers within a site.")
@click.option(
    "--delay",
    type=click.FloatRange(0, 1000),
    default=5.0,
    show_default=True,
    metavar="MS",
    help="One way, to the middle.",
)
@click.option(
    "--start",
    type=click.FloatRange(0, 3600),
    metavar="S",
    help="What a pull takes besides moving blocks.  [default: as the pulls of this home did]",
)
@click.option("--against", metavar="REF", help="The version that consumers have; without it, nothing is there yet.")
@click.option(
    "--runs",
    type=click.IntRange(1, 64),
    help="Simulations, of which medians are told.  [default: 3; 1 beyond 100 peers]",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulations' chance.")
@click.option(
    "--versions",
    type=click.IntRange(2, 32),
    default=4,
    show_default=True,
    help="Of the tag's history, for the sweep over block sizes.",
)
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    metavar="MB",
    help="How much of that history is read.",
)
@click.option("--no-sweep", is_flag=True, help="Without that sweep: nothing is read but tables.")
@click.option(
    "--calibration", "only_calibration", is_flag=True, help="Show earlier forecasts beside what came of them."
)
@click.option("--html", "page", metavar="FILE", help="Also write a report that opens in a browser, offline.")
@setting_option("prices", "FILE")
@signer_options
@options
@pass_program
def simulate(program: Program, /, what: str | None, only_calibration: bool, page: str | None, **given: Any) -> None:
    """Forecast a rollout of REF or PATH: when peers have it, and what the origin gives.

    PATH is taken as it would be published; a name that could be both is a version, if there is one: write ./NAME for
    the directory. The decisions of real peers are run over simulated lines. The sweep shows what this history would
    cost at other block sizes. Forecasts are kept, and compared with the real rollouts that follow.
    """
    from swarm.cli.analyze import to_json, write_page
    from swarm.cli.at_hand import agent_at_hand
    from swarm.cli.forecasts import calibration_of, learn_rollouts
    from swarm.cli.simulation_lines import calibration_lines, simulation_lines

    if only_calibration:
        with agent_at_hand(program) as agent:
            told = calibration_of(program, learn_rollouts(program, agent, again=True))
        program.output.result(to_json(told), calibration_lines(told))
        return
    if what is None:
        raise UsageError("simulate needs a version or a directory: write `aetherfs simulate REF|PATH`")
    found = _simulation(program, what, conditions_of(program, given), given)
    if page is not None:
        from swarm.cli.simulation_page import simulation_page

        write_page(page, simulation_page(found))
    program.output.result(to_json(found), simulation_lines(found))


def conditions_of(program: Program, given: dict[str, Any]) -> Conditions:
    """The options as conditions. UsageError for rates that are none."""
    from swarm.amounts import rate_of
    from swarm.sim.forecast import Conditions

    return Conditions(
        peers=given["peers"],
        link=rate_of(given["link"]),
        sites=min(given["sites"], given["peers"]),
        seeds=given["seeds"],
        seed_link=rate_of(given["seed_link"]) if given["seed_link"] else 0.0,
        lan=rate_of(given["lan"]),
        delay_s=given["delay"] / 1000,
        start_s=given["start"] if given["start"] is not None else start_here(program) or 0.0,
    )


def start_here(program: Program) -> float | None:
    """What pulls of this home took besides moving blocks; None where none is traced."""
    from swarm.peer.traces import Traces
    from swarm.sim.starting import start_of

    return start_of(Traces(program.settings.home / "pulls").all())


def _simulation(program: Program, what: str, conditions: Conditions, given: dict[str, Any]) -> Simulation:
    from swarm.analysis.fetch import fetch_of
    from swarm.analysis.recut import sizes_of
    from swarm.cli.analyze import stoppable
    from swarm.cli.at_hand import agent_at_hand
    from swarm.cli.compared import Version
    from swarm.cli.diff import Local, version_or_local
    from swarm.cli.forecasts import learn_rollouts, tell_trackers
    from swarm.cli.prices import prices_for
    from swarm.cli.progress import showing
    from swarm.cli.references import names_path, whole
    from swarm.cli.sweeping import no_sweep, swept_of
    from swarm.encoding import encode_block
    from swarm.sim.forecast import forecast

    prices_for(program)  # what is wrong with that file is told before anything is read
    is_path = names_path(program, what)
    refs = [whole(program, ref) for ref in (None if is_path else what, given["against"]) if ref is not None]
    with (
        stoppable() as stop,
        agent_at_hand(program) if refs else nullcontext() as agent,
        showing(program.output, "simulate") as progress,
    ):
        newer = Local(program, what) if agent is None or is_path else version_or_local(program, agent, what)
        older = Version(program, agent, given["against"]) if agent is not None and given["against"] else None
        fetch = fetch_of(newer.manifest, older.manifest if older is not None else None)
        # The manifest's parts go through the swarm before the blocks, in the same way.
        sizes = (*(len(encode_block(data)) for data in fetch.segments), *sizes_of(fetch))
        runs = given["runs"] or (3 if conditions.peers <= ONE_RUN_PEERS else 1)
        told = forecast(sizes, conditions, runs=runs, seed=given["seed"], progress=_told_to(progress))
        swept = no_sweep("--no-sweep was given")
        if not given["no_sweep"]:
            swept = swept_of(program, agent, newer, older, conditions, given, progress, lambda: stop.is_asked)
        reason = learn_rollouts(program, agent) if agent is not None else ""
        kept = kept_of(what, newer, older, conditions, fetch, told)
        untold = tell_trackers(agent, kept, told) if agent is not None and kept is not None else ""
    return _made(program, what, newer, older, conditions, fetched(fetch, older), told, swept, reason, kept, untold)


def kept_of(
    what: str, newer: Local | Version, older: Version | None, conditions: Conditions, fetch: Fetch, told: Forecast
) -> Kept | None:
    """The forecast as it is kept; None for one of nothing, or of no dataset."""
    from swarm.sim.calibration import Kept

    dataset = getattr(newer, "dataset", "") or (older.dataset if older is not None else "")
    if not dataset or not told.runs:
        return None
    version, times = newer.manifest.version.hex(), (told.p50_s, told.p95_s, told.last_s)
    return Kept(time.time(), what, dataset, version, conditions, fetch.bytes, *times)


def _told_to(progress: Callable[[dict[str, Any]], None]) -> Callable[[int, int], None]:
    return lambda done, total: progress(
        {"event": "progress", "phase": "simulate", "waiting_for": f"run {done + 1} of {total}"}
    )


def fetched(fetch: Fetch, older: Version | None) -> Fetched:
    """What a consumer fetches."""
    from swarm.sim.simulation import Fetched

    against = older.ref if older is not None else None
    return Fetched(against, fetch.bytes, len(fetch.blocks), fetch.manifest_bytes(), fetch.manifest.total_bytes)


def _made(
    program: Program,
    what: str,
    newer: Local | Version,
    older: Version | None,
    conditions: Conditions,
    fetch: Fetched,
    told: Forecast,
    swept: Sweep,
    reason: str,
    kept: Kept | None,
    untold: str,
) -> Simulation:
    from swarm.cli.forecasts import calibrated, calibration_of, keep
    from swarm.cli.prices import prices_for
    from swarm.sim.simulation import Simulation

    if kept is not None:
        keep(program, kept)
    before = calibration_of(program, reason)
    p50, p95, compared = calibrated(program, told, conditions)
    return Simulation(
        ref=what,
        version=newer.manifest.version.hex(),
        conditions=conditions,
        fetch=fetch,
        forecast=told,
        store=store_cost(fetch, prices_for(program)),
        sweep=swept,
        calibration=before,
        calibrated_p50_s=p50,
        calibrated_p95_s=p95,
        calibrated_by=compared,
        notes=(*notes_of(told, conditions), *([untold] if untold else [])),
    )


def notes_of(told: Forecast, conditions: Conditions) -> Iterator[str]:
    """What has to be known of the figures."""
    from swarm.sim.forecast import TOLD_FROM_S

    if told.p95_s < TOLD_FROM_S and told.blocks:
        yield (
            "what takes less than a second is told as that: hearing of a move, connections and putting in place take "
            "tenths of it that are not simulated"
        )
    if told.simulated_blocks < told.blocks:
        yield f"{told.simulated_blocks} of {told.blocks} blocks were simulated; the rest follows from these"
    if conditions.start_s:
        yield f"{conditions.start_s:.2f} s of it is what a pull takes besides moving blocks"
    else:
        yield "what a pull takes besides moving blocks is left out, as none was traced here: say it with --start S"
    yield "not modelled: other traffic on these lines, disks, processors, and consumers that begin late"


def store_cost(fetch: Fetched, prices: Prices) -> StoreCost:
    """What seeds that have nothing in memory read from the object store: each block once among all of them."""
    from seed.extents import EXTENT_BYTES
    from swarm.objects.bill import bill_of
    from swarm.objects.meter import Spent
    from swarm.sim.simulation import StoreCost

    received = fetch.bytes + fetch.manifest_bytes
    spent = Spent(get=-(-received // EXTENT_BYTES), received_bytes=received)
    bill = bill_of(spent, prices)
    return StoreCost(spent.get, received, round(bill.spent, 9), prices.currency, prices.name)
