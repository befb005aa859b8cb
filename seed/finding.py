"""What ``gc`` finds in a store, object by object: what goes as the store is, and what goes later. Pure.

``gc --dry-run --json`` tells it, and whoever looks at a bucket from outside compares: nothing may lie there that no
version needs and that is in neither list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from seed.backfill import INDEXES, PACKS
from seed.marking import Plan, Seen, plan
from swarm.claims import CONDEMNED, LEASES
from swarm.objects.probes import is_abandoned


@dataclass(frozen=True, slots=True)
class Found:
    """Keys in order. ``later`` goes once the leases in force have run out, at ``until`` (wall seconds), if nothing new
    is claimed.
    """

    goes: tuple[str, ...]
    later: tuple[str, ...]
    until: int | None


def found(seen: Seen, probes: Iterable[str]) -> Found:
    """``probes``: the keys that starts wrote to see what the store honours."""
    probes = frozenset(probes)
    goes = _planned(plan(seen)) | _condemned(seen)
    goes |= {LEASES + session for session in seen.leases.keys() - seen.live_leases.keys()}
    goes |= {key for key in probes if is_abandoned(key, seen.wall_now)}
    later = _planned(plan(replace(seen, leases={}))) | {LEASES + session for session in seen.live_leases} | probes
    until = max((lease.expires for lease in seen.live_leases.values()), default=None)
    return Found(tuple(sorted(goes)), tuple(sorted(later - goes)), until)


def _planned(planned: Plan) -> set[str]:
    return {PACKS + pack for pack in planned.packs} | {INDEXES + index for index in planned.indexes}


def _condemned(seen: Seen) -> set[str]:
    """What the first run after the grace removes, with the records that say so."""
    packs = {PACKS + pack for pack in seen.condemned_packs & seen.packs}
    indexes = {INDEXES + index for index in seen.condemned_indexes & seen.indexes.keys()}
    return packs | indexes | {CONDEMNED + record for record in seen.condemned}
