"""One sentence on how a rollout stands, and one on all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.figure_messages import Trend
from swarm.rollout_health import goes_on, who_words
from swarm.tracker.figures.members import CURRENT, FAILED, FETCHING, LOST, WAITING
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.steering import tidy
from swarm.units import span_words


def trend_of(rollout: RolloutFigures, stalled: int) -> Trend:
    """How it goes, in one word."""
    if rollout.taken is not None:
        return "taken back"
    if not rollout.wanted:
        return "idle"
    if rollout.is_paused and not rollout.is_overtaken:
        return "paused"
    if not rollout.behind:
        # All have it, and yet a stage is open: those that come to follow the tag may not be let in.
        is_open = rollout.stage[1] and not rollout.is_overtaken
        return "running" if is_open else rollout.back.word if rollout.back is not None else "well"
    # Whom a stage holds back waits for others, not for bytes.
    left = rollout.behind - rollout.held
    if left and rollout.counts[FAILED] + rollout.counts[LOST] == left:
        return "failed"
    if rollout.is_overtaken:
        return "overtaken"
    if stalled and stalled >= left:
        return "stalled"
    return "slow" if stalled else "running"


def verdict_of(rollout: RolloutFigures, trend: Trend, stalled: int, eta_s: float | None, wall_now: float) -> str:
    """ "`stable` of maps/roads: 962 of 1,000 current, 3 min left, origin 1.8% of the bytes"."""
    parts = [*_how_many(rollout, trend), *_behind(rollout, trend, stalled, eta_s), *_staged(rollout, trend, wall_now)]
    peers, origin, *_ = rollout.sources()
    if peers + origin:
        parts.append(f"origin {100 * origin / (peers + origin):.1f}% of the bytes")
    return f"`{rollout.tag}` of {rollout.dataset}: {', '.join(parts)}"


def _how_many(rollout: RolloutFigures, trend: Trend) -> list[str]:
    """Who has what the tag means by it, and what it takes back."""
    there = "back" if rollout.back is not None else "current"
    told = [rollout.back.words] if rollout.back is not None else []
    current, wanted = rollout.counts[CURRENT], rollout.wanted
    if rollout.taken is not None:
        return [*told, rollout.taken.words, f"{current:,} of {wanted:,} had it"]
    if not wanted:
        return [*told, "nobody follows it now"]
    if rollout.behind:
        return [*told, f"{current:,} of {wanted:,} {there}{' when another came' if trend == 'overtaken' else ''}"]
    told.append(f"all {wanted:,} {there}" if wanted > 1 else f"its only follower is {there}")
    return [*told, *([f"in {span_words(rollout.done[-1])}"] if rollout.done else [])]


def _behind(rollout: RolloutFigures, trend: Trend, stalled: int, eta_s: float | None) -> list[str]:
    """What there is to say of those that are not current."""
    found = []
    if failed := rollout.counts[FAILED]:
        found.append(f"{failed:,} failed")
    if lost := rollout.counts[LOST]:
        found.append(f"{lost:,} not heard of any more")
    if trend == "stalled":
        found.append("nothing moves")
    elif trend in ("running", "slow") and eta_s is not None:
        found.append(f"{span_words(eta_s)} left" if eta_s >= 1 else "less than a second left")
    if trend == "slow":
        found.append(f"{stalled:,} stalled")
    waits = rollout.counts[WAITING] > rollout.held and not rollout.counts[FETCHING]
    if trend == "running" and eta_s is None and waits:
        found.append("about to begin")
    return found


def _staged(rollout: RolloutFigures, trend: Trend, wall_now: float) -> list[str]:
    """Which stage it is in, and what it waits for."""
    stage, staged = f"stage {rollout.stage[0]} of {rollout.stage[1]}", rollout.staged
    if staged is None or not rollout.stage[1] or not rollout.wanted or rollout.is_overtaken:
        return []
    if trend == "paused":
        why = f" ({tidy(staged.reason)})" if staged.reason else ""
        return [f"paused in {stage} by {who_words(staged.author)}{why}"]
    if rollout.held < rollout.behind:
        return [stage]
    stage += " done" if rollout.counts[CURRENT] else " lets nobody in"
    return [stage, goes_on(staged, rollout.counts[CURRENT], wall_now)]


ORDER: tuple[Trend, ...] = (
    "failed",
    "stalled",
    "slow",
    "paused",
    "running",
    "aborted",
    "rolled back",
    "taken back",
    "overtaken",
    "well",
    "idle",
)


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
