"""One sentence on how a rollout stands, and one on all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.figure_messages import Trend
from swarm.tracker.figures.reasons import span_words
from swarm.tracker.figures.rollouts import CURRENT, FAILED, FETCHING, LOST, WAITING, RolloutFigures


def trend_of(rollout: RolloutFigures, stalled: int) -> Trend:
    """How it goes, in one word."""
    behind = rollout.behind
    if not rollout.wanted:
        return "idle"
    if not behind:
        return "well"
    if rollout.is_paused:
        return "paused"
    if rollout.counts[FAILED] + rollout.counts[LOST] == behind:
        return "failed"
    # Whom a stage holds back waits for others, not for bytes.
    if stalled and stalled >= behind - rollout.held:
        return "stalled"
    return "slow" if stalled else "running"


def verdict_of(rollout: RolloutFigures, trend: Trend, stalled: int, eta_s: float | None) -> str:
    """ "`stable` of maps/roads: 962 of 1,000 current, 3 min left, origin 1.8% of the bytes"."""
    parts = [f"{rollout.counts[CURRENT]:,} of {rollout.wanted:,} current"]
    if not rollout.wanted:
        parts = ["nobody follows it now"]
    elif trend == "well":
        parts = [f"all {rollout.wanted:,} current" if rollout.wanted > 1 else "its only follower is current"]
        if rollout.done:
            parts.append(f"in {span_words(rollout.done[-1])}")
    parts += _behind(rollout, trend, stalled, eta_s)
    peers, origin, *_ = rollout.sources()
    if peers + origin:
        parts.append(f"origin {100 * origin / (peers + origin):.1f}% of the bytes")
    return f"`{rollout.tag}` of {rollout.dataset}: {', '.join(parts)}"


def _behind(rollout: RolloutFigures, trend: Trend, stalled: int, eta_s: float | None) -> list[str]:
    """What there is to say of those that are not current."""
    found = []
    if failed := rollout.counts[FAILED]:
        found.append(f"{failed:,} failed")
    if lost := rollout.counts[LOST]:
        found.append(f"{lost:,} not heard of any more")
    if trend == "paused":
        found.append("paused")
    elif trend == "stalled":
        found.append("nothing moves")
    elif trend in ("running", "slow") and eta_s is not None:
        found.append(f"{span_words(eta_s)} left" if eta_s >= 1 else "less than a second left")
    if trend == "slow":
        found.append(f"{stalled:,} stalled")
    if trend == "running" and rollout.stage[1] and rollout.held == rollout.behind:
        found.append(f"stage {rollout.stage[0]} of {rollout.stage[1]} done, waits for promote")
    elif trend == "running" and eta_s is None and rollout.counts[WAITING] and not rollout.counts[FETCHING]:
        found.append("about to begin")
    return found


ORDER: tuple[Trend, ...] = ("failed", "stalled", "slow", "paused", "running", "well", "idle")


def worst_of(trends: Sequence[Trend]) -> Trend:
    """The one that wants most to be looked at."""
    return min(trends, key=ORDER.index, default="idle")


def overall(rows: Sequence[tuple[Trend, str]], peers: int) -> str:
    """One sentence on everything: the rows as (trend, their own sentence), the worst first."""
    there = f"{peers:,} peer{'s' * (peers != 1)}"
    if not rows:
        return f"{there}, and nobody follows a tag yet"
    trend = worst_of([trend for trend, _ in rows])
    worst = [sentence for row, sentence in rows if row == trend]
    if trend in ("well", "idle"):
        tags = f"{len(rows)} tag{'s' * (len(rows) != 1)}"
        return worst[0] if len(rows) == 1 else f"all is well: {tags}, {there}, everybody is current"
    others = len(rows) - 1
    return worst[0] + (f"; and {others} more tag{'s' * (others != 1)}" if others else "")
