"""The report of ``aetherfs simulate`` as one HTML file that opens offline. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.analysis.page import page, table, text, tiles
from swarm.cli.simulation_lines import foretold
from swarm.sim.forecast import TOLD_FROM_S
from swarm.sim.simulation import Calibration, Simulation, Sweep
from swarm.units import counted, size

WIDTH, HEIGHT = 640, 220
LEFT, BOTTOM, TOP = 44, 24, 10


def simulation_page(found: Simulation) -> str:
    """Figures, the curve of completion, block sizes, and earlier forecasts beside what came."""
    told, fetch, lines = found.forecast, found.fetch, found.conditions
    who = f"a consumer of {fetch.against}" if fetch.against else "a new consumer"
    figures = [
        (foretold(told.p50_s), "until half of the peers have it"),
        (foretold(told.p95_s), "until 95% of them have it"),
        (foretold(told.last_s), f"until the last has it; the lines allow {told.bound_s:.2f} s"),
        (
            size(told.origin_bytes),
            f"sent by the origin: {told.origin_copies:.2f} copies, {counted(told.origin_requests, 'request')}",
        ),
        (f"{found.store.cost:.6f} {found.store.currency}", f"at most, for {found.store.gets} GET of the object store"),
    ]
    rate = f"{lines.link * 8 / 1e6:g} Mbit/s"
    where = f"in {counted(lines.sites, 'site')} of {rate} each" if lines.sites else f"with {rate} each"
    parts = [
        f"<h1>{text(found.ref)}</h1>",
        f'<p class="soft">version <code>{text(found.version)}</code>; {text(who)} fetches {size(fetch.bytes)} in '
        f"{counted(fetch.blocks, 'block')}; {counted(lines.peers, 'peer')} {text(where)}, "
        f"{counted(lines.seeds, 'seed')}</p>",
        tiles(figures),
        "<h2>When peers have it</h2>" + curve(told.curve, lines.peers),
        _sweep(found.sweep),
        _calibration(found.calibration),
        "<h2>Notes</h2><ul>" + "".join(f"<li>{text(note)}</li>" for note in found.notes) + "</ul>",
    ]
    return page(f"Forecast of {found.ref}", parts)


def curve(points: Sequence[tuple[float, int]], peers: int) -> str:
    """How many are complete over time, as a line with its figures beside the axes."""
    if not points:
        return "<p>Nothing is fetched.</p>"
    if points[-1][0] < TOLD_FROM_S:
        return "<p>All of them within a second, of which too little is simulated to be drawn.</p>"
    last = points[-1][0] or 1.0
    wide, high = WIDTH - LEFT - 10, HEIGHT - BOTTOM - TOP

    def place(seconds: float, count: int) -> str:
        return f"{LEFT + wide * seconds / last:.1f},{TOP + high * (1 - count / peers):.1f}"

    steps = [place(0.0, 0)]
    before = 0
    for seconds, count in points:
        steps += [place(seconds, before), place(seconds, count)]
        before = count
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" style="max-width:{WIDTH}px" '
        f'aria-label="{peers} peers: half have it after {_at(points, peers / 2):.2f} s, all after {last:.2f} s">'
        f'<path d="M{LEFT} {TOP}V{TOP + high}H{LEFT + wide}" fill="none" stroke="currentColor" opacity=".4"/>'
        f'<polyline points="{" ".join(steps)}" fill="none" stroke="var(--hot)" stroke-width="2"/>'
        f'<g fill="currentColor" font-size="12"><text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{peers}</text>'
        f'<text x="{LEFT - 6}" y="{TOP + high}" text-anchor="end">0</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">0 s</text>'
        f'<text x="{LEFT + wide}" y="{HEIGHT - 6}" text-anchor="end">{last:.2f} s</text></g></svg>'
    )


def _at(points: Sequence[tuple[float, int]], count: float) -> float:
    return next((seconds for seconds, reached in points if reached >= count), points[-1][0])


def _sweep(swept: Sweep) -> str:
    if not swept.steps:
        return f"<h2>Block sizes</h2><p>Not tried: {text(swept.reason)}.</p>"
    rows = [
        (
            f"{step.parameter_bytes >> 10} KiB{' (in use)' if step.is_in_use else ''}",
            str(step.blocks),
            size(step.fetch_bytes),
            f"{step.fetch_blocks:.0f}",
            size(step.overhead_bytes),
            foretold(step.p50_s),
            foretold(step.p95_s),
        )
        for step in swept.steps
    ]
    return "<h2>Block sizes</h2>" + table(
        f"Over {counted(len(swept.versions), 'version')}: what moves fetch on average; times of the last, "
        f"to {counted(swept.peers, 'peer')}",
        ("parameter", "blocks", "fetch", "in blocks", "overhead", "p50", "p95"),
        rows,
        (1, 2, 3, 4, 5, 6),
    )


def _calibration(told: Calibration) -> str:
    rows = [
        (
            f"<code>{text(kept.version[:12])}</code>",
            text(kept.ref),
            str(kept.conditions.peers),
            foretold(kept.p50_s),
            _seconds(kept.actual.p50_s if kept.actual is not None else None),
            foretold(kept.p95_s),
            _seconds(kept.actual.p95_s if kept.actual is not None else None),
        )
        for kept in told.kept
    ]
    heads = ("version", "of", "peers", "p50", "came", "p95", "came")
    words = (
        f"{told.compared} can be compared: rollouts took {told.p95} times what was forecast at p95"
        if told.p95 is not None
        else f"None can be compared yet{': ' + told.reason if told.reason else ''}"
    )
    return "<h2>Earlier forecasts beside what came</h2>" + table(words, heads, rows, (2, 3, 4, 5, 6))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
