"""Rollouts go on: trackers make these log entries, for whoever asks for it and may, and when health says so.

Each is the entry after the one that it was decided by, written with put-if-absent. So of two trackers, or operators,
that act at the same moment one is first, and the other looks again at what is true now. Blocks on the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from swarm import log
from swarm.claims import Version
from swarm.errors import ConflictError, NotFoundError
from swarm.identity import PeerKey
from swarm.log import Entry, Move, TagPlan
from swarm.objects import ObjectStore
from swarm.rollout import Plan, Rollout
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.log_state import Head
from swarm.tracker.members import Members
from swarm.tracker.revivals import claimed
from swarm.tracker.staged import Staged

ATTEMPTS: Final = 16
Committed = tuple[bytes, Entry]
# What an entry is to say besides its place in the log, by what is known; nothing for none. And what it makes live.
Made = tuple[dict[str, Any], Sequence[Version]]


class Rolling:
    """The entries that one tracker makes, under its own ``key``."""

    def __init__(self, objects: ObjectStore, catalogue: Catalogue, members: Members, key: PeerKey) -> None:
        self._objects = objects
        self._catalogue = catalogue
        self._members = members
        self.key = key

    def change(
        self,
        dataset: str,
        tag: str,
        changed: Callable[[Rollout], Rollout | None],
        wall_now: float,
        if_serial: int | None = None,
        *,
        at_once: bool = False,
    ) -> Committed | None:
        """Commit what ``changed`` makes of a tag's rollout as it is; None if it makes nothing of it.

        NotFoundError for a tag without one, unless ``at_once``: then its last move counts as one that is done.
        ConflictError when an entry after ``if_serial`` has moved the tag, and where it never meant anything else.
        """

        def made(head: Head, staged: Staged) -> Made | None:
            known = staged.rollouts.get(tag)
            if known is None and at_once:
                known = _taken_for_one(dataset, tag, head, staged)
            if known is None:
                raise no_rollout(dataset, tag)
            new = changed(known)
            if new is None:
                return None
            revived = [(dataset, new.settled)] if new.is_taken_back else []
            return {"kind": "rollout", "moves": (Move(tag, new.target),), "rollouts": (new,)}, revived

        return self._committed(dataset, made, wall_now, if_serial)

    def set_plan(
        self, dataset: str, tag: str, plan: Plan | None, author: str, wall_now: float, if_serial: int | None = None
    ) -> Committed | None:
        """Let what is published to a tag go out by a plan, or at once. None if it does already.

        ConflictError when the plan was changed after entry ``if_serial``.
        """

        def made(head: Head, staged: Staged) -> Made | None:
            last = staged.planned.get(tag)
            if if_serial is not None and last is not None and last.serial > if_serial:
                raise ConflictError(log.conflict_text(last, [tag]))
            if staged.plans.get(tag) == plan:
                return None
            return {"kind": "plan", "moves": (), "plans": (TagPlan(tag, plan),), "message": f"by {author}"}, []

        return self._committed(dataset, made, wall_now, None)

    def _committed(
        self, dataset: str, made: Callable[[Head, Staged], Made | None], wall_now: float, if_serial: int | None
    ) -> Committed | None:
        conflict = ConflictError(f"others change {dataset} all the time: repeat")
        for _ in range(ATTEMPTS):
            head, previous, staged = self._catalogue.staged(dataset)
            found = made(head, staged)
            if found is None:
                return None
            says, revived = found
            entry = msgspec.structs.replace(self._next(dataset, head.serial, previous, wall_now), **says)
            try:
                with claimed(self._objects, revived, wall_now):
                    return self._catalogue.append(log.seal_entry(self.key, entry, self._grant(wall_now)), if_serial)
            except ConflictError as error:
                conflict = error
                if self._catalogue.head(dataset).serial < entry.serial:
                    raise  # Nobody was first: it is what the entry says.
        raise conflict

    def _next(self, dataset: str, serial: int, previous: bytes, wall_now: float) -> Entry:
        return Entry(
            format=2,
            dataset=dataset,
            serial=serial + 1,
            previous=previous,
            wall_time=int(wall_now),
            kind="rollout",
            moves=(),
            message="",
            totals=None,
            publisher=self.key.public,
        )

    def _grant(self, wall_now: float) -> bytes:
        """Fresh each time: a tracker's own papers may be older than a grant lives."""
        papers, _ = self._members.admit_keeper(self.key.public, "tracker", wall_now)
        return papers.grant


def _taken_for_one(dataset: str, tag: str, head: Head, staged: Staged) -> Rollout:
    tags = {each.tag: each for each in head.tags}
    if tag not in tags:
        raise NotFoundError(f"{dataset} has no tag {tag!r}: see its tags with `aetherfs ls {dataset}`")
    found = staged.at_once(tag, tags)
    if found is None:
        raise ConflictError(
            f"{dataset}:{tag} has nothing to go back to: it is new, or was rolled back already; "
            "`aetherfs rollback --to SERIAL` goes to any entry of its history"
        )
    return found


def no_rollout(dataset: str, tag: str) -> NotFoundError:
    """What is said of a tag that goes out at once."""
    return NotFoundError(
        f"{dataset}:{tag} has no rollout: what was published last went out at once; "
        "`aetherfs publish --canary 5%` begins one, `aetherfs rollout set` gives the tag a plan"
    )
