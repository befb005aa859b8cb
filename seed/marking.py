"""What of an object store is needed, and what may go. Pure: the store as it was read is an argument.

A version is live that the logs keep, or that a lease claims. A block is needed that a live version consists of. Packs
are chosen so that every needed block lies in one, those with the smallest dead share first; the rest may go. Packs
that are condemned or not there count for nothing, whatever the indexes say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from seed import table
from seed.packs import HEAD_START, Index, Kept, Location, Table, column
from swarm.claims import SESSION_CHARS, Condemned, Lease, Version
from swarm.limits import CLOCK_SKEW_S

# A signature and two numbers.
HEAD_BYTES_PER_BLOCK: Final = 40
# Half of a pack dead: packing anew then gains as many bytes as it costs to write.
DEAD_SHARE: Final = 0.5


@dataclass(frozen=True)
class Seen:
    """A store, read in this order: condemned, leases, logs, indexes, packs.

    ``kept`` are the versions that the logs and rules keep, ``removed`` those that have to go whatever says otherwise.
    """

    condemned: Mapping[str, Condemned]
    leases: Mapping[str, Lease]
    kept: frozenset[Version]
    removed: frozenset[Version]
    indexes: Mapping[str, Index]
    packs: frozenset[str]
    wall_now: float

    @cached_property
    def live_leases(self) -> dict[str, Lease]:
        """Leases in force. Clocks differ."""
        return {s: lease for s, lease in self.leases.items() if lease.expires + CLOCK_SKEW_S > self.wall_now}

    @cached_property
    def condemned_packs(self) -> frozenset[str]:
        return frozenset(pack for record in self.condemned.values() for pack in record.packs)

    @cached_property
    def condemned_indexes(self) -> frozenset[str]:
        return frozenset(index for record in self.condemned.values() for index in record.indexes)

    @cached_property
    def condemned_versions(self) -> frozenset[Version]:
        return frozenset(version for record in self.condemned.values() for version in record.versions)

    @cached_property
    def versions(self) -> dict[Version, Kept]:
        """Every version in an index."""
        return {(kept.dataset, kept.version): kept for index in self.indexes.values() for kept in index.versions}

    @cached_property
    def live(self) -> frozenset[Version]:
        """The versions that are there and are kept or claimed."""
        claimed = {(lease.dataset, lease.version) for lease in self.live_leases.values()}
        whole = {lease.dataset for lease in self.live_leases.values() if not lease.version}
        wanted = {v for v in self.versions if v in self.kept or v in claimed or v[0] in whole}
        return frozenset(wanted - self.removed)

    @cached_property
    def needed(self) -> frozenset[bytes]:
        """The blocks of the live versions."""
        return frozenset(block for version in self.live for block in table.each(self.versions[version].blocks))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The bytes of every pack that an index names."""
        return {pack: size for index in self.indexes.values() for pack, size, _ in index.packs}

    @cached_property
    def places(self) -> dict[str, dict[bytes, Location]]:
        """By pack, where blocks lie in it."""
        found: dict[str, dict[bytes, Location]] = {}
        for index in self.indexes.values():
            for signature, place in Table(index).places():
                found.setdefault(place.pack, {})[signature] = place
        return found

    @cached_property
    def standing(self) -> frozenset[str]:
        """The packs that blocks may rest on."""
        return self.packs - self.condemned_packs

    @cached_property
    def standing_versions(self) -> frozenset[Version]:
        """The versions in indexes that are not condemned."""
        standing = (index for key, index in self.indexes.items() if key not in self.condemned_indexes)
        return frozenset(version for index in standing for version in _versions_of(index))

    def live_bytes(self, pack: str) -> int:
        places = self.places.get(pack, {})
        return sum(place.length for signature, place in places.items() if signature in self.needed)

    def dead_share(self, pack: str) -> float:
        """How much of a pack that an index names is neither needed nor the head that tells of what is."""
        places = self.places.get(pack, {})
        needed = [place.length + HEAD_BYTES_PER_BLOCK for s, place in places.items() if s in self.needed]
        return max(0.0, 1 - (HEAD_START.size + sum(needed)) / self.sizes[pack]) if needed else 1.0

    def is_being_written(self, pack: str) -> bool:
        """Whether the lease of the session that writes this pack is in force."""
        return any(session[:SESSION_CHARS] == pack[:SESSION_CHARS] for session in self.live_leases)


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be condemned: ids of packs and indexes, and versions; the bytes of those packs that indexes name."""

    packs: frozenset[str]
    indexes: frozenset[str]
    versions: frozenset[Version]
    dead_bytes: int


def plan(seen: Seen) -> Plan:
    """What may go of a store. What is condemned already is not in it."""
    # Of those that only condemned indexes name, the ones that no record names: they would go untold.
    dead = (seen.standing_versions | (seen.versions.keys() - seen.condemned_versions)) - seen.live
    packs = seen.standing - _cover(seen)
    packs = frozenset(pack for pack in packs if not seen.is_being_written(pack))
    stale = packs | (frozenset(seen.sizes) - seen.packs)
    indexes = frozenset(
        key
        for key, index in seen.indexes.items()
        if key not in seen.condemned_indexes and not _stays(index, dead, stale)
    )
    return Plan(packs, indexes, dead, sum(seen.sizes.get(pack, 0) for pack in packs))


def purge_plan(seen: Seen) -> Plan:
    """What has to go at once for versions that were ordered to be purged: every pack with a block that only they have,
    also if it is condemned already. What others need of these packs is moved when they go.
    """
    versions = seen.removed.intersection(seen.versions)
    own = {block for version in versions for block in table.each(seen.versions[version].blocks)} - seen.needed
    packs = frozenset(pack for pack, places in seen.places.items() if pack in seen.packs and own.intersection(places))
    indexes = frozenset(key for key, index in seen.indexes.items() if not _stays(index, versions, packs))
    return Plan(packs, indexes, versions, sum(seen.sizes[pack] for pack in packs))


def bounded(seen: Seen, planned: Plan, most: int) -> Plan:
    """As much of a plan as a record holds, ``most`` of each kind, versions first that none names yet.

    A pack goes only with all versions that it goes for, since those are told, and with all indexes that name it.
    """
    versions = sorted(planned.versions, key=lambda version: (version in seen.condemned_versions, version))
    indexes = sorted(planned.indexes)
    untold = {block for version in versions[most:] for block in table.each(seen.versions[version].blocks)}
    named = {pack for key in indexes[most:] for pack, _, _ in seen.indexes[key].packs}
    packs = sorted(
        pack for pack in planned.packs if pack not in named and untold.isdisjoint(seen.places.get(pack, ()))
    )[:most]
    dead_bytes = sum(seen.sizes.get(pack, 0) for pack in packs)
    return Plan(frozenset(packs), frozenset(indexes[:most]), frozenset(versions[:most]), dead_bytes)


def _stays(index: Index, dead: frozenset[Version], stale: frozenset[str]) -> bool:
    """Whether an index has nothing to lose, and something to say."""
    if any(pack in stale for pack, _, _ in index.packs):
        return False
    if dead.intersection(_versions_of(index)):
        return False
    return bool(index.packs or index.versions)


def _versions_of(index: Index) -> set[Version]:
    return {(kept.dataset, kept.version) for kept in index.versions}


def is_whole(seen: Seen, version: Version) -> bool:
    """Whether nothing that a version rests on is condemned or not there."""
    if version not in seen.standing_versions or any(version in record.versions for record in seen.condemned.values()):
        return False
    resting = {signature for pack in seen.standing for signature in seen.places.get(pack, ())}
    return all(block in resting for block in table.each(seen.versions[version].blocks))


def _cover(seen: Seen) -> frozenset[str]:
    """Packs in which every needed block lies that lies in a standing one."""
    open_blocks = set(seen.needed)
    chosen: set[str] = set()
    for pack in _best_first(seen):
        found = open_blocks.intersection(seen.places[pack])
        if found:
            chosen.add(pack)
            open_blocks -= found
    return frozenset(chosen)


def _best_first(seen: Seen) -> list[str]:
    """The standing packs that indexes name, those with the smallest dead share first."""
    shares = {pack: seen.dead_share(pack) for pack in seen.standing & frozenset(seen.places)}
    return sorted(shares, key=lambda pack: (shares[pack], pack))


def stranded(seen: Seen) -> dict[bytes, Location]:
    """Needed blocks that lie in condemned packs alone, with a place there."""
    resting = {signature for pack in seen.standing for signature in seen.places.get(pack, ())}
    found: dict[bytes, Location] = {}
    for pack in sorted(seen.packs & seen.condemned_packs):
        for signature, place in seen.places.get(pack, {}).items():
            if signature in seen.needed and signature not in resting:
                found[signature] = place
    return found


def to_repack(seen: Seen, budget_bytes: int) -> dict[bytes, Location]:
    """The needed blocks of the packs that are worth packing anew, most dead first, at most so many bytes of them."""
    found: dict[bytes, Location] = {}
    chosen = _cover(seen)
    for pack in sorted(chosen, key=lambda one: (-seen.dead_share(one), one)):
        live = seen.live_bytes(pack)
        if seen.dead_share(pack) < DEAD_SHARE or live > budget_bytes or seen.is_being_written(pack):
            continue
        budget_bytes -= live
        found |= {s: place for s, place in seen.places[pack].items() if s in seen.needed and s not in found}
    return found


def remainder(index: Index, seen: Seen, gone: frozenset[Version]) -> Index | None:
    """What is left of an index when condemned packs and ``gone`` versions are; None if that is nothing."""
    return reduced(
        index,
        lambda pack, _: pack in seen.standing,
        lambda kept: (kept.dataset, kept.version) not in gone,
    )


def reduced(
    index: Index, has_place: Callable[[str, bytes], bool], has_version: Callable[[Kept], bool] = lambda kept: True
) -> Index | None:
    """An index with fewer places (pack and signature) and versions; None if none is left."""
    left = [(s, place) for s, place in Table(index).places() if has_place(place.pack, s)]
    named = {place.pack for _, place in left}
    packs = tuple(pack for pack in index.packs if pack[0] in named)
    number_of = {pack: number for number, (pack, _, _) in enumerate(packs)}
    versions = tuple(filter(has_version, index.versions))
    if not left and not versions:
        return None
    return msgspec.structs.replace(
        index,
        packs=packs,
        signatures=b"".join(signature for signature, _ in left),
        pack_of=column(number_of[place.pack] for _, place in left),
        offsets=column(place.offset for _, place in left),
        lengths=column(place.length for _, place in left),
        versions=versions,
    )
