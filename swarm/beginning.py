"""Which rollouts an entry begins: of the tags that it moves, those that have a plan, or are given one. And which end.

A tag that is not there yet, or means this version to everybody already, has nobody to be held back: it moves at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from swarm import canonical
from swarm.answers import Found
from swarm.errors import NotAllowedError, NotFoundError
from swarm.identity import peer_id_of
from swarm.limits import RECORD_MAX_BYTES
from swarm.log import Entry, Move
from swarm.names import Reference
from swarm.rollout import Plan, Rollout, begun

# Labels of all stages, as long as they may be.
PLAN_MAX_BYTES: Final = 2 * RECORD_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Staging:
    """How an entry's tags are to go out: by ``plan``; ``at_once``; or as each tag's own plan says."""

    plan: Plan | None = None
    at_once: bool = False

    def plans_for(self, moves: Sequence[Move], own: Mapping[str, bytes]) -> dict[str, Plan]:
        """By tag, the plans of those that have one. ``own``: the tags' own, encoded."""
        if self.at_once:
            return {}
        if self.plan is not None:
            return {move.tag: self.plan for move in moves}
        tags = [move.tag for move in moves if move.tag in own]
        return {tag: canonical.decode(own[tag], Plan, limit_bytes=PLAN_MAX_BYTES) for tag in tags}


BY_PLAN: Final = Staging()


async def staged(entry: Entry, plans: Mapping[str, Plan], lookup: Callable[[Reference], Awaitable[Found]]) -> Entry:
    """The entry with the rollouts that it begins. ``lookup`` tells what a reference means now."""
    rollouts = []
    for move in entry.moves:
        settled = await _settled(entry.dataset, move.tag, lookup) if move.tag in plans else None
        if settled is not None and move.version is not None and settled != move.version:
            made = (move.tag, move.version, settled, entry.serial, plans[move.tag], entry.wall_time)
            rollouts.append(begun(*made, author=f"peer:{peer_id_of(entry.publisher)}"))
    return msgspec.structs.replace(entry, format=2, rollouts=tuple(rollouts)) if rollouts else entry


async def _settled(dataset: str, tag: str, lookup: Callable[[Reference], Awaitable[Found]]) -> bytes | None:
    """What a tag means to those whom no rollout lets in; None for one that is not there, or was purged."""
    scope, _, name = dataset.partition("/")
    try:
        entry = (await lookup(Reference(scope, name, tag))).entry
    except (NotFoundError, NotAllowedError):
        return None
    rollout = entry.rollout_of(tag)
    if rollout is not None and rollout.is_under_way:
        return rollout.settled
    return next((move.version for move in entry.moves if move.tag == tag), None)


def unsettled(before: Rollout | None, entry: Entry, tag: str) -> bytes | None:
    """The version that an entry takes away from a tag before everybody was let in, or takes back; None if it does not.
    ``before``: the tag's rollout as of the entry that moved it last. Nobody goes back to such a version by itself.
    """
    own = entry.rollout_of(tag)
    if own is not None and own.is_taken_back:
        return own.version
    if before is None or not before.is_under_way or Move(tag, before.version) in entry.moves:
        return None
    return before.version
