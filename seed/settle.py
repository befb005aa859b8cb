"""What a seed looks at before it gives its word for a version: whether all that it rests on stays.

To be looked at once the claim on the version is written. A pack that is not condemned then and is there stays: whoever
condemns it later reads the claim. Records are read before the lists, so what was carried out between the two is not in
them any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seed.backfill import INDEXES, PACKS
from seed.known import Known
from swarm import claims
from swarm.claims import Version, keys_below
from swarm.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Standing:
    """The packs (ids) and indexes (keys) that are there and are not condemned."""

    packs: frozenset[str]
    indexes: frozenset[str]

    def homeless(self, known: Known, blocks: Iterable[bytes]) -> list[bytes]:
        """The blocks that lie in no standing pack."""
        return [s for s in blocks if not known.lies_in(s, self.packs)]

    def names(self, known: Known, version: Version) -> bool:
        """Whether a standing index says what the version consists of."""
        return any((v.dataset, v.version) == version and v.key in self.indexes for v in known.versions())


def look(objects: ObjectStore) -> Standing:
    """What stands. Blocking. Read the indexes into ``known`` afterwards: their places are then of what is there."""
    records = claims.condemned(objects).values()
    condemned_packs = {pack for record in records for pack in record.packs}
    condemned_indexes = {INDEXES + index for record in records for index in record.indexes}
    indexes = frozenset(keys_below(objects, INDEXES)) - condemned_indexes
    packs = frozenset(key.removeprefix(PACKS) for key in keys_below(objects, PACKS)) - condemned_packs
    return Standing(packs, indexes)


def back_again(objects: ObjectStore, version: Version) -> None:
    """A version that was said to be gone stands again. For who has claimed it and looked."""
    if claims.is_gone(objects, version):
        objects.delete(claims.gone_key(version))
