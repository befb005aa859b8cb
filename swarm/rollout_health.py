"""How far a rollout is, and what follows by itself from that. Pure: what peers report and the time are arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from swarm.rollout import WHOLE, Rollout, Who
from swarm.rollout_messages import Counts
from swarm.units import span_words

Verdict = Literal["", "promote", "abort"]
# So long after it a deadline is looked at: whoever had the version by then and goes home later aborts nothing. Longer
# than a tracker listens that has just begun.
DEADLINE_LOOKED_AT_S: Final = 600


class Heard(msgspec.Struct, frozen=True, gc=False):
    """A peer that follows the tag: the version that it has whole, and one that it has tried and could not take."""

    who: Who
    has: frozenset[bytes] = frozenset()
    failed: frozenset[bytes] = frozenset()


def counted(dataset: str, rollout: Rollout, heard: Iterable[Heard]) -> Counts:
    """How far the peers are: towards the version that goes out or, once that is taken back, towards the settled one."""
    if rollout.is_taken_back:
        return _going_back(rollout.settled, heard)
    peers = admitted = switched = failed = held = 0
    for each in heard:
        peers += 1
        is_in = rollout.admits(dataset, each.who) if rollout.is_under_way else rollout.target == rollout.version
        admitted += is_in
        if rollout.version in each.failed:
            failed += 1
        elif rollout.version in each.has:
            switched += 1
        elif not is_in:
            held += 1
    return Counts(peers, admitted, switched, failed, held, peers - switched - failed - held)


def _going_back(settled: bytes, heard: Iterable[Heard]) -> Counts:
    told = list(heard)
    back = sum(settled in each.has for each in told)
    failed = sum(settled in each.failed - each.has for each in told)
    return Counts(len(told), len(told), back, failed, 0, len(told) - back - failed)


def judged(rollout: Rollout, counts: Counts, wall_now: float) -> tuple[Verdict, str]:
    """What is to happen to a running rollout by itself, and why in words."""
    if rollout.state != "running":
        return "", ""
    plan, health = rollout.plan, rollout.plan.health
    age_s = wall_now - rollout.since
    if health is not None:
        tried = counts.switched + counts.failed
        if tried >= health.minimum and counts.failed * WHOLE > health.failed * tried:
            return (
                "abort",
                f"{counts.failed} of {tried} peers that tried could not take it, {percent(health.failed)} may",
            )
        is_due = health.deadline_s is not None and 0 < age_s - health.deadline_s <= DEADLINE_LOOKED_AT_S
        if is_due and counts.switched < health.minimum:
            said = f"{counts.switched} of at least {health.minimum} peers had it"
            return "abort", f"{said} {health.deadline_s} s after stage {rollout.stage + 1} began"
    if plan.auto_s is None or age_s < plan.auto_s or (health is not None and counts.switched < health.minimum):
        return "", ""
    return "promote", f"stage {rollout.stage + 1} has lasted {plan.auto_s} s"


def next_at(rollout: Rollout) -> int | None:
    """When the stage passes by itself at the earliest (wall seconds)."""
    if rollout.state != "running" or rollout.plan.auto_s is None:
        return None
    return rollout.since + rollout.plan.auto_s


def goes_on(rollout: Rollout, switched: int, wall_now: float) -> str:
    """When the next stage begins, in words; ``switched``: how many have the version. Empty unless it runs."""
    at = next_at(rollout)
    if at is None:
        return "waits for promote" if rollout.state == "running" else ""
    minimum = rollout.plan.health.minimum if rollout.plan.health is not None else 0
    once = f"once {minimum} peer{'s have' if minimum > 1 else ' has'} it" if switched < minimum else ""
    if (left_s := at - wall_now) >= 1:
        return f"goes on in {span_words(left_s)}{f' at the earliest, {once}' if once else ''}"
    return f"goes on {once}" if once else "is about to go on"


def percent(parts: int) -> str:
    """A share in words."""
    return f"{parts * 100 / WHOLE:g}%"


def stage_words(rollout: Rollout) -> str:
    """Whom the stage of now lets in, in words."""
    labels = dict.fromkeys(label for stage in rollout.plan.stages[: rollout.stage + 1] for label in stage.labels)
    share = rollout.plan.stages[rollout.stage].parts
    return " and ".join([*labels, *([percent(share)] if share or not labels else [])])


def who_words(author: str) -> str:
    """Who did something, as short as one is told from another: ``user:alice``, ``peer:4bzw7mkaqd3x``."""
    kind, _, name = author.partition(":")
    return f"peer:{name[:12]}" if kind == "peer" else author


def says(rollout: Rollout, counts: Counts, wall_now: float) -> str:
    """How a rollout stands, in one sentence."""
    have = f"{counts.switched} of {counts.peers} peers have it"
    have += f", {counts.failed} could not take it" if counts.failed else ""
    by = f" by {who_words(rollout.author)}" if rollout.author else ""
    why = f": {rollout.reason}" if rollout.reason else ""
    if rollout.state == "done":
        return f"done, everybody is let in; {have}"
    if not rollout.is_under_way:
        back = f"{counts.switched} of {counts.peers} peers are back at the version before"
        back += f", {counts.failed} could not go back" if counts.failed else ""
        return f"{rollout.state}{by}{why}; {back}"
    stage = f"stage {rollout.stage + 1} of {len(rollout.plan.stages)} ({stage_words(rollout)})"
    waits = f"{have}, {counts.held} held back, {counts.behind} on their way"
    if rollout.state == "paused":
        return f"paused{by}{why}, in {stage}; {waits}"
    nobody = "" if counts.admitted or not counts.peers else "; nobody is let in yet"
    return f"{stage}; {waits}{nobody}; {goes_on(rollout, counts.switched, wall_now)}"
