"""Which versions of a dataset are kept: what its tags point to, what is pinned, and what its rule says of the rest.

Without a rule everything that the log names is kept. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from swarm.log import DatasetName, Entry, Serial, WallTime
from swarm.records import Key

PINS_MAX: Final = 256
LAST_MAX: Final = 1_000_000
AGE_MAX_S: Final = 100 * 365 * 86_400


class KeepRule(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The rule of a dataset, number ``serial``. With ``last`` and ``age_s`` both None there is none: all is kept.

    ``last``: as many versions, those named last by the log. ``age_s``: those that a tag pointed to within so many
    seconds. With both, what either keeps is kept. ``pinned`` versions are kept whatever the rule says.
    """

    format: Literal[1]
    dataset: DatasetName
    serial: Serial
    last: Annotated[int, msgspec.Meta(ge=1, le=LAST_MAX)] | None
    age_s: Annotated[int, msgspec.Meta(ge=0, le=AGE_MAX_S)] | None
    pinned: Annotated[tuple[Key, ...], msgspec.Meta(max_length=PINS_MAX)]
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time

    @property
    def keeps_all(self) -> bool:
        return self.last is None and self.age_s is None


class History:
    """What the log of a dataset says of its versions, an entry at a time."""

    def __init__(self) -> None:
        self.serial = 0
        self.tags: dict[str, bytes] = {}
        # What tags mean to peers that a rollout holds back.
        self._settled: dict[str, bytes] = {}
        # Those named last stand at the end.
        self._named: dict[bytes, None] = {}
        # When the last tag left a version, or when it was named if none ever pointed to it.
        self._left: dict[bytes, int] = {}

    def apply(self, entry: Entry) -> None:
        """Take the next entry into account."""
        before = self.meant
        for move in entry.moves:
            self._settled.pop(move.tag, None)
            if move.version is None:
                self.tags.pop(move.tag, None)
            else:
                self.tags[move.tag] = move.version
                self._named.pop(move.version, None)
                self._named[move.version] = None
                self._left[move.version] = entry.wall_time
        self._settled.update((each.tag, each.settled) for each in entry.rollouts if each.is_under_way)
        self._left.update((version, entry.wall_time) for version in before - self.meant)
        self.serial = entry.serial

    @property
    def meant(self) -> set[bytes]:
        """The versions that tags mean to somebody now."""
        return {*self.tags.values(), *self._settled.values()}

    @property
    def versions(self) -> Iterable[bytes]:
        """Every version that the log names, those named last at the end."""
        return self._named.keys()

    def kept(self, rule: KeepRule | None, wall_now: float) -> set[bytes]:
        """The versions that are kept."""
        if rule is None or rule.keeps_all:
            return {*self._named, *(rule.pinned if rule is not None else ())}
        found = {*self.meant, *rule.pinned}
        if rule.last is not None:
            found.update(list(self._named)[-rule.last :])
        if rule.age_s is not None:
            found.update(version for version, left in self._left.items() if left + rule.age_s > wall_now)
        return found
