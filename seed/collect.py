"""``gc``: condemns what nobody needs, and removes it a grace later. Blocking.

A run has four steps. Each can be broken off between any two calls, and any number of runs may go on at once: the
argument why no live block is lost stands in ARCHITECTURE.md, and ``tests/model`` tries it.

1. What was condemned a grace ago is carried out: what is still needed of it is copied elsewhere, then indexes, packs
   and record go. What is condemned is never pardoned: another run may be removing it already.
2. Packs that are mostly dead are packed anew, within a budget.
3. What nobody needs now is condemned.
4. Leases that expired are removed, what killed starts left, and what was said to be gone and is not.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from seed.backfill import INDEXES, PACKS
from seed.finding import Found, found
from seed.marking import Plan, Seen, bounded, is_whole, plan, purge_plan, remainder, stranded, to_repack
from seed.packs import Index
from seed.seeing import Sight, copy_blocks, write_index
from swarm import claims
from swarm.claims import CONDEMNED_MAX, Condemned, Version, keys_below
from swarm.errors import IncompleteError
from swarm.limits import MIB
from swarm.objects import ObjectStore
from swarm.objects.probes import PROBES, is_abandoned

DEFAULT_GRACE_S: Final = 86_400
DEFAULT_BUDGET_BYTES: Final = 1024 * MIB
# Rounds of moving what is needed out of condemned packs, while others condemn what it was moved to.
ROUNDS: Final = 8
# The claim under which it is looked at whether a version is there after all.
LOOK_S: Final = 3600


@dataclass(slots=True)
class Report:
    """What a run did, or would do. ``condemned_bytes`` are those of packs that an index names; ``unnamed_packs`` are
    the others, left by uploads that came to nothing: how large these are is not known.
    """

    condemned_versions: int = 0
    condemned_packs: int = 0
    condemned_bytes: int = 0
    unnamed_packs: int = 0
    removed_versions: int = 0
    removed_packs: int = 0
    removed_indexes: int = 0
    repacked_bytes: int = 0
    expired_leases: int = 0
    live_versions: int = 0
    waiting_records: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Collector:
    """Runs of ``gc`` over a store."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._objects: ObjectStore = sight.objects

    def dry_run(self, wall_now: float, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> tuple[Report, Found]:
        """What a run would condemn now, in numbers and object by object; nothing is written."""
        seen = self._sight.see(wall_now)
        report = Report(live_versions=len(seen.live), waiting_records=len(seen.condemned))
        _tell(report, seen, plan(seen))
        report.repacked_bytes = sum(place.length for place in to_repack(seen, budget_bytes).values())
        report.expired_leases = len(seen.leases) - len(seen.live_leases)
        return report, found(seen, keys_below(self._objects, PROBES))

    def run(
        self, wall_now: float, grace_s: float = DEFAULT_GRACE_S, budget_bytes: int = DEFAULT_BUDGET_BYTES
    ) -> Report:
        """One run. IntegrityError for a damaged store, of which nothing is removed."""
        report = Report()
        seen = self._carry_out_due(self._sight.see(wall_now), grace_s, report)
        worth = to_repack(seen, budget_bytes)
        if worth:
            report.repacked_bytes = copy_blocks(self._objects, worth, _next_wall_time(seen))
            seen = self._sight.see(wall_now)
        self._condemn(seen, plan(seen), report)
        if grace_s <= 0:
            seen = self._carry_out_due(self._sight.see(wall_now), grace_s, report)
        self._clear_leases(seen, report)
        self._heal(wall_now)
        report.live_versions = len(seen.live)
        report.waiting_records = len(claims.condemned(self._objects))
        return report

    def purge(self, wall_now: float) -> Report:
        """Remove what only purged versions have, without a grace; the report is of what went."""
        report = Report()
        seen = self._carry_out_purges(self._sight.see(wall_now), report)
        for _ in range(ROUNDS):
            planned = purge_plan(seen)
            if not planned.packs and not planned.indexes:
                break
            record_id, record = self._write_record(seen, planned)
            seen = self.carry_out(record_id, record, wall_now, report)
        report.live_versions = len(seen.live)
        return report

    def _carry_out_purges(self, seen: Seen, report: Report) -> Seen:
        """Go on with purges that were broken off: their indexes may be gone, and the packs are not."""
        for record_id, record in sorted(seen.condemned.items()):
            if record.versions and seen.removed.issuperset(record.versions):
                seen = self.carry_out(record_id, record, seen.wall_now, report)
        return seen

    # ---- condemning ---------------------------------------------------------------------------------------------

    def _condemn(self, seen: Seen, planned: Plan, report: Report) -> None:
        if planned.packs or planned.indexes:
            self._write_record(seen, planned)
            _tell(report, seen, planned)

    def _write_record(self, seen: Seen, planned: Plan) -> tuple[str, Condemned]:
        """Condemn as much of a plan as a record holds: its id, and what it says."""
        held = bounded(seen, planned, CONDEMNED_MAX)
        packs, indexes, versions = map(_in_order, (held.packs, held.indexes, held.versions))
        record_id, record = secrets.token_hex(16), Condemned(1, int(seen.wall_now), packs, indexes, versions)
        claims.condemn(self._objects, record_id, record)
        self._say_gone(versions)
        return record_id, record

    def _say_gone(self, versions: Iterable[Version]) -> None:
        said = self._gone()
        for key in map(claims.gone_key, versions):
            if key not in said:
                self._objects.put_if_absent(key, b"")

    def _gone(self) -> set[str]:
        """The keys of the versions that are said to be gone."""
        return set(keys_below(self._objects, claims.GONE))

    # ---- carrying out -------------------------------------------------------------------------------------------

    def _carry_out_due(self, seen: Seen, grace_s: float, report: Report) -> Seen:
        # The oldest first: what an older one removes may name packs of a later one.
        for record_id, record in sorted(seen.condemned.items(), key=lambda item: (item[1].wall_time, item[0])):
            if record.wall_time + grace_s <= seen.wall_now:
                seen = self.carry_out(record_id, record, seen.wall_now, report)
        return seen

    def carry_out(self, record_id: str, record: Condemned, wall_now: float, report: Report) -> Seen:
        """Remove what a record condemns: the store as it is then."""
        seen = self._settled(record, wall_now)
        if record_id in seen.condemned:
            self._remove(record_id, record, seen, report)
            return self._sight.see(wall_now)
        return seen

    def _remove(self, record_id: str, record: Condemned, seen: Seen, report: Report) -> None:
        gone = frozenset(record.versions) - seen.live
        self._rewrite([seen.indexes[key] for key in record.indexes if key in seen.indexes], seen, gone)
        # Whoever copies the store takes an index that is still there for one whose packs are.
        for index in record.indexes:
            self._objects.delete(INDEXES + index)
        for pack in record.packs:
            self._objects.delete(PACKS + pack)
        self._objects.delete(claims.CONDEMNED + record_id)
        report.removed_versions += len(gone)
        report.removed_packs += len(seen.packs.intersection(record.packs))
        report.removed_indexes += len(seen.indexes.keys() & frozenset(record.indexes))

    def _settled(self, record: Condemned, wall_now: float) -> Seen:
        """The store, once all are told what goes and nothing that is needed lies in condemned packs alone."""
        for _ in range(ROUNDS):
            self._say_gone(record.versions)
            seen = self._sight.see(wall_now)
            left = stranded(seen)
            if left:
                copy_blocks(self._objects, left, _next_wall_time(seen))
            elif self._gone().issuperset(map(claims.gone_key, set(record.versions) - seen.live)):
                return seen
        raise IncompleteError("others write to the object store all the time: repeat `aetherfs gc` later")

    def _rewrite(self, indexes: list[Index], seen: Seen, gone: frozenset[Version]) -> None:
        """Write down what is left of indexes that go. Each alone: what two say of one block are two places of it."""
        for left in (remainder(index, seen, gone) for index in indexes):
            if left is not None:
                write_index(self._objects, left)

    # ---- clearing up --------------------------------------------------------------------------------------------

    def _clear_leases(self, seen: Seen, report: Report) -> None:
        for session in seen.leases.keys() - seen.live_leases.keys():
            claims.withdraw(self._objects, session)
            report.expired_leases += 1
        for key in [key for key in keys_below(self._objects, PROBES) if is_abandoned(key, seen.wall_now)]:
            self._objects.delete(key)

    def _heal(self, wall_now: float) -> None:
        """Versions that are there and said to be gone: a run was broken off, or overtaken by who published again.

        As who makes a version live: a claim first, then a look.
        """
        seen = self._sight.see(wall_now)
        gone = self._gone()
        for version in sorted(v for v in seen.live - seen.condemned_versions if claims.gone_key(v) in gone):
            session = secrets.token_hex(16)
            claims.claim(self._objects, session, *version, wall_now + LOOK_S)
            if is_whole(self._sight.see(wall_now), version):
                self._objects.delete(claims.gone_key(version))
            claims.withdraw(self._objects, session)


def _tell(report: Report, seen: Seen, planned: Plan) -> None:
    report.condemned_versions = len(planned.versions)
    report.condemned_packs = len(planned.packs)
    report.condemned_bytes = planned.dead_bytes
    report.unnamed_packs = len(planned.packs - seen.sizes.keys())


def _in_order(found: frozenset[Any]) -> tuple[Any, ...]:
    return tuple(sorted(found))


def _next_wall_time(seen: Seen) -> int:
    """So that what is written now counts before all that is known."""
    return max([int(seen.wall_now), *(at + 1 for index in seen.indexes.values() for _, _, at in index.packs)])
