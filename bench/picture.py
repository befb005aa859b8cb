"""Completion curves as a picture: the share of peers that have everything, over time, against the bound. SVG by hand.

One line per contender, of the round whose last judged peer is the median one; the bound is the dashed upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from bench.swarm_report import SwarmReport, SwarmRound

WIDTH: Final = 720
HEIGHT: Final = 360
LEFT: Final = 48
RIGHT: Final = 170
TOP: Final = 24
BOTTOM: Final = 40
TICKS: Final = 6
COLOURS: Final = (
    *("#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f", "#b08900", "#4a4e4d", "#1b98e0", "#7a3b2e", "#d1495b", "#6a994e"),
    *("#c77dff", "#5f0f40"),
)


def draw(report: SwarmReport) -> str:
    """The picture of a report; a contender without a good round has no curve, and is named as such."""
    shown = {name: found for name, rounds in report.by_contender().items() if (found := median_round(rounds))}
    judged = report.settings["judged_peers"]
    times = {name: judged_times(found, judged) for name, found in shown.items()}
    end_s = 1.05 * max([report.bound_s, *(max(seconds) for seconds in times.values())])
    lines = [_frame(end_s), _upright(report.bound_s, end_s)]
    for number, (name, seconds) in enumerate(times.items()):
        rounds = report.by_contender()[name]
        counted = sum(entry.ok for entry in rounds)
        lines.append(_curve(_label(name, seconds, counted, len(rounds)), seconds, end_s, number))
    failed = [name for name in report.by_contender() if name not in shown]
    lines += [_named(f"{name}: no good round", len(shown) + number, "black") for number, name in enumerate(failed)]
    title = f"{len(judged)} peers, {report.settings['size_bytes'] / 2**20:.0f} MiB, {report.settings['scenario']}"
    lines.append(f'<text x="{LEFT}" y="{TOP - 8}">{escape(title)}: share of peers complete, over seconds</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    return "\n".join([f'{head} font-size="12">', '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>\n"])


def median_round(rounds: Sequence[SwarmRound]) -> SwarmRound | None:
    """The good round in the middle, by its last peer; the faster one of two."""
    good = sorted((entry for entry in rounds if entry.ok), key=lambda entry: entry.last_over_bound or 0.0)
    return good[(len(good) - 1) // 2] if good else None


def judged_times(found: SwarmRound, judged: Sequence[int]) -> list[float]:
    """When the judged peers were complete, in order."""
    return sorted(second for peer in judged if (second := found.seconds[peer]) is not None)


def _curve(label: str, seconds: Sequence[float], end_s: float, number: int) -> str:
    points = [(_x(0, end_s), _y(0))]
    for done, second in enumerate(seconds, 1):
        points += [(_x(second, end_s), points[-1][1]), (_x(second, end_s), _y(done / len(seconds)))]
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    return f"{line}\n{_named(label, number, colour)}"


def _label(name: str, seconds: Sequence[float], counted: int, rounds: int) -> str:
    """When its last peer was complete; how many rounds counted, where not all did."""
    return f"{name} {seconds[-1]:.1f} s" + (f" ({counted} of {rounds})" if counted < rounds else "")


def _named(label: str, number: int, colour: str) -> str:
    at = f'x="{WIDTH - RIGHT + 10}" y="{TOP + 32 + 18 * number}"'
    return f'<text {at} fill="{colour}">{escape(label)}</text>'


def _upright(bound_s: float, end_s: float) -> str:
    x = f"{_x(bound_s, end_s):.1f}"
    line = f'<line x1="{x}" y1="{_y(0):.1f}" x2="{x}" y2="{_y(1):.1f}" stroke="black" stroke-dasharray="5 4"/>'
    return f'{line}\n<text x="{WIDTH - RIGHT + 10}" y="{TOP + 14}">bound {bound_s:.1f} s</text>'


def _frame(end_s: float) -> str:
    parts = [f'<path d="M{LEFT} {_y(1):.1f}V{_y(0):.1f}H{WIDTH - RIGHT}" fill="none" stroke="black"/>']
    for tick in range(TICKS):
        second, share = end_s * tick / (TICKS - 1), tick / (TICKS - 1)
        parts.append(f'<text x="{_x(second, end_s):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{second:.1f}</text>')
        parts.append(f'<text x="{LEFT - 6}" y="{_y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    return "\n".join(parts)


def _x(second: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * second / end_s


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
