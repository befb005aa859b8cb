"""Log entries that begin rollouts, and go on with them."""

from __future__ import annotations

import msgspec

from swarm import log
from swarm.log import Entry, Move, TagPlan
from swarm.records import Rule
from swarm.rollout import WHOLE, Action, Health, Plan, Rollout, Stage, acted, begun
from tests.unit.log_samples import FIRST, GRANT, OTHER, PUBLISHER, TOTALS, V1, V2, WALL, after, grant_of, signed

PLAN = Plan((Stage(("ring=canary",), 500), Stage((), 2500), Stage((), WHOLE)), 600, Health(200, 3, 3600))
FIRST_DATA = signed(FIRST)


def begin(tag: str = "latest", plan: Plan = PLAN, version: bytes = V2, settled: bytes = V1) -> Rollout:
    """The rollout that entry 2 begins."""
    return begun(tag, version, settled, 2, plan, WALL, f"peer:{PUBLISHER.peer_id}")


STAGED = after(
    FIRST_DATA, format=2, kind="publish", moves=(Move("latest", V2),), totals=TOTALS, message="", rollouts=(begin(),)
)


def gone_on(entry: Entry, action: Action, *, full: bool = False, data: bytes = b"") -> Entry:
    """The entry of a tracker (OTHER) that does something with a rollout which another states."""
    [rollout] = entry.rollouts
    new = acted(rollout, action, full=full, wall_time=WALL + 1, author="user:ops", reason="it was seen")
    return after(
        data or signed(entry),
        format=2,
        kind="rollout",
        moves=(Move(rollout.tag, new.target),),
        message="",
        rollouts=(new,),
        publisher=OTHER.public,
    )


def planned(plan: Plan | None = PLAN) -> Entry:
    """An entry that gives a tag a plan."""
    made = after(FIRST_DATA, format=2, kind="plan", moves=(), message="by user:ops", plans=(TagPlan("latest", plan),))
    return msgspec.structs.replace(made, publisher=OTHER.public)


def half(entry: Entry) -> bytes:
    """As its publisher seals it."""

    if entry.publisher == OTHER.public:
        return log.seal_entry(OTHER, entry, grant_of(OTHER.public, Rule("publish", "*")))
    return log.seal_entry(PUBLISHER, entry, GRANT)
