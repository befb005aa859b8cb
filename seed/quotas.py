"""Quotas: how many bytes the datasets of a scope may take in the object store. Blocking.

What counts is every block of every version that an index keeps, once, encoded; also of versions that wait to be
removed. Two publishes at once are each measured without the other, so they may go over by one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seed import table
from seed.known import Known
from swarm.errors import FullError

LimitOf = Callable[[str], int | None]
LengthOf = Callable[[bytes], int]


class Quotas:
    """``limit_of`` tells the quota of a scope, None for none."""

    def __init__(self, known: Known, limit_of: LimitOf) -> None:
        self._known = known
        self._limit_of = limit_of

    def room(self, dataset: str) -> int | None:
        """The bytes that the dataset's scope may still take; None for as many as there are."""
        scope = _scope_of(dataset)
        limit = self._limit_of(scope)
        return None if limit is None else limit - self._bytes(self._blocks(scope))

    def check(self, dataset: str, blocks: Iterable[bytes], length_of: LengthOf) -> None:
        """FullError if a version that consists of these blocks would bring its scope over its quota.

        ``length_of`` tells the encoded bytes of one that no pack holds yet. A version that adds nothing is fine.
        """
        scope = _scope_of(dataset)
        limit = self._limit_of(scope)
        if limit is None:
            return
        held = self._blocks(scope)
        new = set(blocks) - held
        used, added = self._bytes(held), sum(self._length(one, length_of) for one in new)
        if new and used + added > limit:
            raise FullError(_text(scope, limit, used, added))

    def _blocks(self, scope: str) -> set[bytes]:
        found: set[bytes] = set()
        for dataset, _, blocks in self._known.each_version():
            if _scope_of(dataset) == scope:
                found.update(table.each(blocks))
        return found

    def _bytes(self, blocks: Iterable[bytes]) -> int:
        return sum(self._length(one, lambda _: 0) for one in blocks)

    def _length(self, signature: bytes, otherwise: LengthOf) -> int:
        place = self._known.find(signature)
        return place.length if place is not None else otherwise(signature)


def check_room(dataset: str, room: int | None, brought: int) -> None:
    """FullError once more was brought than there was room for at the beginning."""
    if room is not None and brought > room:
        raise FullError(
            f"scope {_scope_of(dataset)} has {max(room, 0)} bytes left of its quota, and {brought} were brought: "
            "keep fewer versions (`aetherfs keep`, then `aetherfs gc`), or have a tracker raise it (`aetherfs quota`)"
        )


def _text(scope: str, limit: int, used: int, added: int) -> str:
    return (
        f"scope {scope} uses {used} of the {limit} bytes of its quota and this version adds {added}: keep fewer "
        "versions (`aetherfs keep`, then `aetherfs gc`), or have a tracker raise it (`aetherfs quota`)"
    )


def _scope_of(dataset: str) -> str:
    return dataset.partition("/")[0]
