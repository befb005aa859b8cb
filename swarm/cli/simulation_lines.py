"""What ``aetherfs simulate`` shows people, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from swarm.cli.output import columns, duration, moment, short, size
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.sim.forecast import Conditions
    from swarm.sim.simulation import Calibration, Simulation, Sweep

WAITS: Final = "a rollout counts that began after its forecast, reached about as many peers, and has ended"


def simulation_lines(found: Simulation) -> Iterable[str]:
    """The tables."""
    told, fetch, lines = found.forecast, found.fetch, found.conditions
    who = f"a consumer of {fetch.against}" if fetch.against else "a new consumer"
    yield f"{found.ref} ({short(found.version)}): {who} fetches {size(fetch.bytes)} in {counted(fetch.blocks, 'block')}"
    bound = duration(told.bound_s) if told.bound_s >= 1 else _seconds(told.bound_s)
    yield f"{lines_told(lines)}; the lines allow {bound}"
    yield ""
    yield from columns(
        [
            ["p50", "p95", "p99", "last", "origin sends", "copies", "requests", "wasted"],
            [
                *(foretold(value) for value in (told.p50_s, told.p95_s, told.p99_s, told.last_s)),
                size(told.origin_bytes),
                f"{told.origin_copies:.2f}",
                str(told.origin_requests),
                f"{100 * told.wasted_share:.1f}%",
            ],
        ]
    )
    if found.calibrated_p95_s is not None:
        yield (
            f"as {counted(found.calibrated_by, 'real rollout')} fared beside forecasts: p50 "
            f"{found.calibrated_p50_s:.2f} s, p95 {found.calibrated_p95_s:.2f} s"
        )
    store = found.store
    yield (
        f"object store, if nothing is in the seeds' memory: at most {store.gets} GET, {size(store.received_bytes)}, "
        f"{store.cost:.6f} {store.currency} ({store.prices})"
    )
    yield ""
    yield from sweep_lines(found.sweep)
    yield from (f"note: {note}" for note in found.notes)


def lines_told(lines: Conditions) -> str:
    """Who fetches over what, in words."""
    rate = f"{lines.link * 8 / 1e6:g} Mbit/s"
    where = f"in {counted(lines.sites, 'site')} of {rate} each" if lines.sites else f"of {rate} each"
    seeds = f"{counted(lines.seeds, 'seed')} of {lines.seed_rate * 8 / 1e6:g} Mbit/s"
    return f"{counted(lines.peers, 'peer')} {where}, {seeds}"


def _line(lines: Conditions) -> str:
    sites = f", {counted(lines.sites, 'site')}" if lines.sites else ""
    return f"{lines.link * 8 / 1e6:g} Mbit/s{sites}"


def sweep_lines(swept: Sweep) -> Iterator[str]:
    """The table of block sizes."""
    if not swept.steps:
        yield f"no sweep over block sizes: {swept.reason}"
        return
    yield (
        f"block sizes over {counted(len(swept.versions), 'version')}: what a move fetches on average, "
        f"and the last move to {counted(swept.peers, 'peer')}"
    )
    rows = [["parameter", "blocks", "fetch", "in blocks", "overhead", "p50", "p95", ""]]
    for step in swept.steps:
        rows.append(
            [
                f"{step.parameter_bytes >> 10} KiB",
                str(step.blocks),
                size(step.fetch_bytes),
                f"{step.fetch_blocks:.0f}",
                size(step.overhead_bytes),
                foretold(step.p50_s),
                foretold(step.p95_s),
                "in use" if step.is_in_use else "",
            ]
        )
    yield from columns(rows)


def calibration_lines(told: Calibration) -> Iterator[str]:
    """Forecasts beside what came."""
    if not told.kept:
        yield "no forecast is kept here yet: `aetherfs simulate REF` makes one"
        return
    rows = [["made", "version", "peers", "lines", "p50 foreseen", "came", "p95 foreseen", "came", "of"]]
    for kept in told.kept:
        actual = kept.actual
        came = [_seconds(actual.p50_s), _seconds(actual.p95_s)] if actual is not None else ["-", "-"]
        peers = f"{kept.conditions.peers}" + (f" ({actual.peers} came)" if actual is not None else "")
        forecasts = [foretold(kept.p50_s), came[0], foretold(kept.p95_s), came[1]]
        what = kept.ref if actual is None or kept.is_comparable else f"{kept.ref} (not compared)"
        rows.append([moment(kept.at), short(kept.version), peers, _line(kept.conditions), *forecasts, what])
    yield from columns(rows)
    if told.p50 is None or told.p95 is None:
        yield f"nothing can be compared yet: {told.reason or WAITS}"
        return
    yield (
        f"real rollouts took {told.p50:.2f} times the foreseen p50 and {told.p95:.2f} times the foreseen p95, "
        f"{_of_how_many(told.compared)}"
    )


def _of_how_many(compared: int) -> str:
    return "by the one that can be compared" if compared == 1 else f"the medians of {compared} that can be compared"


def foretold(seconds: float) -> str:
    """A time of a forecast: of what is too short to be told no more than that it is."""
    from swarm.sim.forecast import TOLD_FROM_S

    return _seconds(seconds) if seconds >= TOLD_FROM_S else f"< {TOLD_FROM_S:g} s"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s" if value < 99.5 else duration(value)
