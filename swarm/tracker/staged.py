"""What the log of a dataset says of rollouts, and whether an entry may follow upon it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from swarm.beginning import unsettled
from swarm.errors import ConflictError
from swarm.log import Entry
from swarm.rollout import Plan, Rollout, follows, went_at_once
from swarm.snapshot import TagState

# Versions of a tag that are remembered: the one of now, the one before it, and some for when that is taken back.
MEANT_MAX: Final = 4


@dataclass(slots=True)
class Staged:
    """By tag: how it goes out if its last move was one in stages, by which plan if it has one, and the entry that
    changed that plan last; what it meant since it was rolled back, the version of now last, without what was not
    settled.
    """

    rollouts: dict[str, Rollout] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    planned: dict[str, Entry] = field(default_factory=dict)
    meant: dict[str, tuple[bytes, ...]] = field(default_factory=dict)

    def apply(self, entry: Entry) -> None:
        """Take the next entry into account."""
        for move in entry.moves:
            before = self.rollouts.pop(move.tag, None)
            if move.version is not None:
                self._means(move.tag, move.version, entry, unsettled(before, entry, move.tag))
        self.rollouts.update((rollout.tag, rollout) for rollout in entry.rollouts)
        for each in entry.plans:
            self.planned[each.tag] = entry
            self.plans.pop(each.tag, None)
            if each.plan is not None:
                self.plans[each.tag] = each.plan

    def _means(self, tag: str, version: bytes, entry: Entry, gone: bytes | None) -> None:
        # By a rollback somebody went away from what the tag meant before it.
        known = self.meant.get(tag, ()) if entry.kind != "rollback" else ()
        self.meant[tag] = (*(each for each in known if each not in (version, gone)), version)[-MEANT_MAX:]

    def copy(self) -> Staged:
        return replace(
            self,
            rollouts=dict(self.rollouts),
            plans=dict(self.plans),
            planned=dict(self.planned),
            meant=dict(self.meant),
        )

    def at_once(self, tag: str, tags: Mapping[str, TagState]) -> Rollout | None:
        """A tag's last move as a rollout that can be taken back, if it went to everybody and the tag meant another
        version before.
        """
        state, before = tags.get(tag), self.meant.get(tag, ())[:-1]
        if tag in self.rollouts or state is None or not before:
            return None
        return went_at_once(tag, state.version, before[-1], state.serial)

    def settled(self, tag: str, tags: Mapping[str, TagState]) -> bytes | None:
        """What a tag means to those whom no rollout lets in; None for one that is not there."""
        rollout, state = self.rollouts.get(tag), tags.get(tag)
        if rollout is not None and rollout.is_under_way:
            return rollout.settled
        return state.version if state is not None else None

    def check(self, entry: Entry, tags: Mapping[str, TagState], *, at_once: bool) -> None:
        """ConflictError for rollouts that are not what follows upon the log, and for moves that leave a plan out."""
        for rollout in entry.rollouts:
            known = self.rollouts.get(rollout.tag) or self.at_once(rollout.tag, tags)
            if entry.kind == "rollout":
                is_next = known is not None and follows(known, rollout)
            else:
                is_next = rollout.settled == self.settled(rollout.tag, tags)
            if not is_next:
                raise ConflictError(
                    f"{rollout.tag!r} of {entry.dataset} has moved since this rollout was stated: look, then repeat"
                )
        if entry.kind in ("publish", "tag") and not at_once:
            self._check_planned(entry, tags)

    def _check_planned(self, entry: Entry, tags: Mapping[str, TagState]) -> None:
        for move in entry.moves:
            plan, own, before = self.plans.get(move.tag), entry.rollout_of(move.tag), self.settled(move.tag, tags)
            is_staged = plan is not None and before is not None and before != move.version
            if is_staged and (own is None or own.plan != plan):
                raise ConflictError(
                    f"{move.tag!r} of {entry.dataset} goes out by a plan that this entry does not state: repeat, or "
                    "give --at-once, which takes the right to tag"
                )
