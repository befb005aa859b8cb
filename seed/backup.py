"""Copies a swarm's object store into another one, while the swarm goes on: a backup, and the way back. Blocking.

What the copy holds is whole at any moment, so it can be broken off and repeated: an index comes after its packs, an
entry of a log after everything that it names. Therefore what is to be reached is settled first: the heads of the logs,
then the indexes, then the packs, which is how one sorted list tells them. Packs are copied, then those indexes, then
the logs up to those heads. Packs, indexes and entries are written once, so what is there is not sent again. ``gc`` and
the merging of indexes remove objects meanwhile, an index after what takes its place was written, and before its packs:
when a pack or an index that was settled on has gone, another round settles anew.

Not copied is what is of this very store and moment: leases of publishes in flight, what ``gc`` has condemned (nothing
is, in the copy), where trackers are, probes, counts of requests. Nothing is removed from the copy unless that is asked
for.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from seed.backfill import INDEXES, PACKS
from swarm.claims import keys_below
from swarm.errors import AetherError, ConflictError, IncompleteError, IntegrityError, NotFoundError
from swarm.objects import ObjectStore
from swarm.tracker.entries import DATASETS, log_key
from swarm.tracker.keys import CA_KEY, SECRET_KEY

# Objects that are under way at once, each whole in memory: a pack has about 32 MiB.
WORKERS: Final = 4
ROUNDS_MAX: Final = 8
NOT_COPIED: Final = ("uploads/", "gc/", "swarm/trackers/", "probes/", "costs/")
OWN_KEYS: Final = (CA_KEY, SECRET_KEY)
_ENTRY: Final = re.compile(rf"{DATASETS}([^/]+/[^/]+)/log/([0-9]{{20}})")

Heads = dict[str, int]
Told = Callable[["Report"], None]


@dataclass(slots=True)
class Report:
    """What was done: objects and bytes that were sent, objects that were there, entries of logs, rounds.

    ``verified`` were read back, of which ``repaired`` were not what they should be; ``deleted`` were removed.
    """

    copied: int = 0
    bytes: int = 0
    unchanged: int = 0
    entries: int = 0
    rounds: int = 0
    verified: int = 0
    repaired: int = 0
    deleted: int = 0


@dataclass(slots=True)
class _There:
    """What one of the stores holds: the heads of logs, and its packs and indexes."""

    heads: Heads = field(default_factory=dict)
    packs: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


class Copy:
    """From one store to another. ``told`` hears of the report as it grows."""

    def __init__(self, source: ObjectStore, target: ObjectStore, told: Told = lambda report: None) -> None:
        self._source = source
        self._target = target
        self._told = told
        self.report = Report()
        self._own_keys: list[str] = []

    def run(self, *, verify: bool = False, delete: bool = False) -> Report:
        """Copy everything. ``verify`` reads back what it wrote, and what was there; ``delete`` removes what is not in
        the source any more.

        NotFoundError for a source without a swarm, ConflictError for a target that holds another swarm or another
        history, IncompleteError when the source changes faster than it can be copied, IntegrityError for what is
        damaged in the target and cannot be written anew.
        """
        with ThreadPoolExecutor(WORKERS, "copy") as pool:
            self._copy_own_keys()
            while (settled := self._round(pool)) is None:
                if self.report.rounds == ROUNDS_MAX:
                    raise IncompleteError(
                        f"packs or indexes went in each of {ROUNDS_MAX} rounds: copy again when less is collected"
                    )
            if verify:
                self._verify(pool, settled)
            if delete:
                self._delete(pool, settled)
        return self.report

    # ---- one round --------------------------------------------------------------------------------------------------

    def _round(self, pool: ThreadPoolExecutor) -> _There | None:
        """One round over everything: what the copy holds for certain now, None if it has to be settled anew."""
        self.report.rounds += 1
        wanted = _survey(self._source)
        there = _survey(self._target)
        self._check_histories(wanted.heads, there.heads)
        self._each(pool, self._copy_mutable, sorted(wanted.others))
        if not all(self._each(pool, self._copy_once, sorted(wanted.packs - there.packs))):
            return None
        self.report.unchanged += len(wanted.packs & there.packs) + len(wanted.indexes & there.indexes)
        if not all(self._each(pool, self._copy_once, sorted(wanted.indexes - there.indexes))):
            return None
        self._each(pool, lambda dataset: self._copy_log(dataset, wanted.heads, there.heads), sorted(wanted.heads))
        return wanted

    def _each(self, pool: ThreadPoolExecutor, work: Callable[[str], bool], keys: Iterable[str]) -> list[bool]:
        """Do the work for each key, a few at once."""
        under_way: deque[Future[bool]] = deque()
        done: list[bool] = []
        try:
            for key in keys:
                under_way.append(pool.submit(work, key))
                if len(under_way) >= WORKERS:
                    done.append(under_way.popleft().result())
                    self._told(self.report)
            while under_way:
                done.append(under_way.popleft().result())
        finally:
            for future in under_way:
                future.cancel()
        self._told(self.report)
        return done

    def _copy_once(self, key: str) -> bool:
        """Copy what is written once and is not there yet. False if it has gone."""
        data = _get(self._source, key)
        if data is None:
            return False
        self._put(key, data)
        return True

    def _copy_mutable(self, key: str) -> bool:
        """Copy what may have changed, if it has."""
        data = _get(self._source, key)
        if data is None:
            return False
        if data == _get(self._target, key):
            self.report.unchanged += 1
        else:
            self._put(key, data)
        return True

    def _put(self, key: str, data: bytes) -> None:
        self._target.put(key, data)
        self.report.copied += 1
        self.report.bytes += len(data)

    def _copy_log(self, dataset: str, wanted: Heads, there: Heads) -> bool:
        """Copy entries one after the other, so that the copy's log is dense whenever this ends."""
        for serial in range(there.get(dataset, 0) + 1, wanted[dataset] + 1):
            key = log_key(dataset, serial)
            data = self._source.get(key)
            if not self._target.put_if_absent(key, data) and self._target.get(key) != data:
                raise _other_history(dataset, serial)
            self.report.entries += 1
            self.report.bytes += len(data)
        return True

    # ---- what must agree --------------------------------------------------------------------------------------------

    def _copy_own_keys(self) -> None:
        """The swarm's own keys first: they tell whether the target holds another swarm."""
        keys = self._own_keys = [key for prefix in OWN_KEYS for key in keys_below(self._source, prefix)]
        if CA_KEY not in keys:
            raise NotFoundError("the store to copy from holds no swarm: check its address")
        for key in keys:
            data = self._source.get(key)
            if not self._target.put_if_absent(key, data) and self._target.get(key) != data:
                raise ConflictError("the store to copy to holds another swarm: choose one that is empty, or its copy")

    def _check_histories(self, wanted: Heads, there: Heads) -> None:
        """Each log of the target must be the beginning of the source's: by the chain, its last entry says so."""
        for dataset, head in there.items():
            if head > wanted.get(dataset, 0):
                raise ConflictError(
                    f"the store to copy to is ahead of the other (entry {head} of {dataset}): copy the other way, or "
                    "choose an empty one"
                )
            if self._source.get(log_key(dataset, head)) != self._target.get(log_key(dataset, head)):
                raise _other_history(dataset, head)

    # ---- afterwards -------------------------------------------------------------------------------------------------

    def _verify(self, pool: ThreadPoolExecutor, settled: _There) -> None:
        """Read back everything that was settled on, and compare. Keys and entries are never written over."""
        self._each(pool, self._compare, sorted(settled.packs | settled.indexes))
        self._each(pool, self._compare_mutable, sorted(settled.others))
        entries = (log_key(dataset, n) for dataset, head in settled.heads.items() for n in range(1, head + 1))
        self._each(pool, self._compare_fixed, [*self._own_keys, *entries])

    def _compare(self, key: str) -> bool:
        data = _get(self._source, key)
        if data is not None:
            self.report.verified += 1
            if _get(self._target, key) != data:
                self._put(key, data)
                self.report.repaired += 1
        return True

    def _compare_mutable(self, key: str) -> bool:
        """What differs was changed since it was copied, or is damaged: it is copied again, and then has to be right."""
        data = _get(self._source, key)
        if data is not None:
            self.report.verified += 1
            if _get(self._target, key) != data:
                self._put(key, data)
                if _get(self._target, key) != data:
                    raise IntegrityError(f"{key} does not come back as it was written: copy into another store")
        return True

    def _compare_fixed(self, key: str) -> bool:
        self.report.verified += 1
        if _get(self._target, key) != self._source.get(key):
            raise IntegrityError(f"{key} is damaged in the copy: copy into an empty store")
        return True

    def _delete(self, pool: ThreadPoolExecutor, settled: _There) -> None:
        """Remove what was not settled on, indexes before packs. Entries of logs and keys are never."""
        # What the source holds by now is not the measure: what took the place of a copied index was not copied.
        there = _survey(self._target)
        for left, known in (
            (there.indexes, settled.indexes),
            (there.packs, settled.packs),
            (there.others, settled.others),
        ):
            self._each(pool, self._remove, sorted(left - known))

    def _remove(self, key: str) -> bool:
        self._target.delete(key)
        self.report.deleted += 1
        return True


def _survey(objects: ObjectStore) -> _There:
    """What a store holds: logs as of before the indexes, and those as of before the packs."""
    found = _There()
    assert sorted((DATASETS, INDEXES, PACKS)) == [DATASETS, INDEXES, PACKS]
    for key in keys_below(objects, ""):
        if (match := _ENTRY.fullmatch(key)) is not None:
            found.heads[match[1]] = max(found.heads.get(match[1], 0), int(match[2]))
        elif key.startswith(INDEXES):
            found.indexes.add(key)
        elif key.startswith(PACKS):
            found.packs.add(key)
        elif not key.startswith(NOT_COPIED) and key.split("/0")[0] not in OWN_KEYS:
            found.others.add(key)
    return found


def _get(objects: ObjectStore, key: str) -> bytes | None:
    try:
        return objects.get(key)
    except NotFoundError:
        return None


def _other_history(dataset: str, serial: int) -> AetherError:
    return ConflictError(
        f"the store to copy to has another history of {dataset} (entry {serial} differs): choose an empty one"
    )
