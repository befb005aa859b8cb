"""A small origin: publishers, taggers and ``gc`` on a stage, over the code that seeds run, with logs of a version an
entry.

What a log keeps is its last two versions and what it points to. ``check`` looks, after every call that removes or
commits, whether each version that is kept can still be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from seed import settle, table
from seed.backfill import INDEXES, PACKS, PackStore
from seed.collect import Collector, Report
from seed.compaction import Compactor
from seed.known import Known
from seed.marking import DEAD_SHARE, Seen, stranded
from seed.packs import Kept, Location, PackBuilder, decode_index, encode_index, make_index
from seed.seeing import Sight, read_blocks
from swarm import claims
from swarm.claims import Condemned, Version, keys_below
from swarm.encoding import encode_raw
from swarm.errors import IncompleteError, NotFoundError
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.signature import signature_of
from swarm.tracker.entries import log_key
from tests.model.stage import Stage

LOGS = "datasets/"
KEPT = 2
LEASE_S = 7200
RECEIPT_S = 86_400


@dataclass
class Origin:
    """The store, and how its processes behave. The flags take a defence out, to see that the check finds it."""

    rng: random.Random
    looks: bool = True
    claims_first: bool = True
    gc_looks_again: bool = True
    gc_is_final: bool = True
    objects: MemoryObjectStore = field(default_factory=MemoryObjectStore)
    wall_now: float = 1_000_000.0
    acknowledged: int = 0
    refused: int = 0

    def stage(self) -> Stage:
        return Stage(self.objects, self.rng, self.check)

    # ---- processes ----------------------------------------------------------------------------------------------

    def publisher(self, dataset: str, numbers: Iterable[int]) -> Callable[[ObjectStore], None]:
        """Publishes the version that consists of some numbered blocks."""
        blocks = dict(map(block_of, numbers))
        root = b"root" + b"".join(sorted(blocks))
        version = (dataset, signature_of(root))
        blocks[version[1]] = root

        def work(objects: ObjectStore) -> None:
            session = secrets.token_hex(16)
            token = session[:16] + secrets.token_hex(8)
            claims.claim(objects, session, dataset, b"", self.wall_now + LEASE_S)
            known = Known()
            _refresh(objects, known)
            self._settle(objects, known, version, blocks, token)
            _append(objects, dataset, version[1])
            self.acknowledged += 1
            claims.withdraw(objects, token)
            claims.withdraw(objects, session)

        return work

    def _settle(
        self, objects: ObjectStore, known: Known, version: Version, blocks: dict[bytes, bytes], token: str
    ) -> None:
        """As a seed does it."""
        missing = [s for s in blocks if known.find(s) is None]
        if not self.claims_first:
            standing = settle.look(objects)
        for _ in range(20):
            if missing or not known.has_version(*version):
                _keep(objects, known, version, blocks, missing, self.wall_now)
            claims.claim(objects, token, *version, self.wall_now + RECEIPT_S)
            if not self.looks:
                return
            if self.claims_first:
                standing = settle.look(objects)
                _refresh(objects, known)
            missing = standing.homeless(known, blocks)
            if not self.claims_first:
                return
            if not missing and standing.names(known, version):
                settle.back_again(objects, version)
                return
            if not missing:
                _keep(objects, known, version, blocks, missing, self.wall_now)
        raise IncompleteError("gc is always quicker")

    def tagger(self, dataset: str) -> Callable[[ObjectStore], None]:
        """Goes back to some version of the log, as a tracker does it."""

        def work(objects: ObjectStore) -> None:
            entries = _entries(objects, dataset)
            if not entries:
                return
            version = (dataset, self.rng.choice(entries))
            session = secrets.token_hex(16)
            claims.claim(objects, session, *version, self.wall_now + LEASE_S)
            if self.looks and claims.is_gone(objects, version):
                self.refused += 1
            else:
                _append(objects, *version)
                self.acknowledged += 1
            claims.withdraw(objects, session)

        return work

    def gc(self, grace_s: float) -> Callable[[ObjectStore], None]:
        def work(objects: ObjectStore) -> None:
            sight = Sight(objects, lambda _: _kept(objects), frozenset)
            if not self.gc_looks_again:
                sight = Stale(objects, lambda _: _kept(objects), frozenset)
            collector = Collector(sight) if self.gc_is_final else Pardoning(sight)
            with contextlib.suppress(IncompleteError):  # The next one repeats it.
                collector.run(self.wall_now, grace_s)

        return work

    def compactor(self) -> Callable[[ObjectStore], None]:
        """Merges indexes once, as seeds do in the background."""

        async def merge(objects: ObjectStore) -> None:
            packs = PackStore(objects)
            await packs.refresh()
            await Compactor(packs, random.Random(1)).once()

        return lambda objects: asyncio.run(merge(objects))

    # ---- checks -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every version that is kept can be read."""
        known = Known()
        _refresh(self.objects, known)
        packs = {key.removeprefix(PACKS) for key in self.objects.list(PACKS)}
        for dataset, version in _kept(self.objects):
            assert known.has_version(dataset, version), f"nobody knows what {dataset} {version.hex()[:8]} consists of"
            for block in table.each(known.blocks_of(dataset, version)):
                places = [place.pack for place in known.places(block)]
                assert packs.intersection(places), f"{dataset} {version.hex()[:8]} lacks {block.hex()[:8]}: {places}"

    def check_is_clean(self, seen: Seen) -> None:
        """Nothing dead is left, when nothing has been under way for longer than the grace."""
        assert frozenset(seen.versions) == seen.live == seen.kept & frozenset(seen.versions)
        assert not seen.condemned and not seen.leases
        assert seen.packs == frozenset(seen.places) == frozenset(seen.sizes)
        for pack in seen.packs:
            assert seen.dead_share(pack) < DEAD_SHARE
        gone = {key.removeprefix(claims.GONE) for key in self.objects.list(claims.GONE)}
        assert not gone & {f"{dataset}/{version.hex()}" for dataset, version in seen.live}
        for dataset, version in seen.live:
            places = {block: _place(seen, block) for block in table.each(seen.versions[dataset, version].blocks)}
            assert len(dict(read_blocks(self.objects, places))) == len(places)

    def settled(self) -> Seen:
        """The store after some runs of gc, each more than a grace and a receipt's life after the one before."""
        for _ in range(4):
            self.wall_now += 2 * RECEIPT_S
            self.gc(1.0)(self.objects)
        return Sight(self.objects, lambda _: _kept(self.objects), frozenset).see(self.wall_now)


class Stale(Sight):
    """Remembers what it saw first: a gc that does not look again when it carries out."""

    _seen: Seen | None = None

    def see(self, wall_now: float) -> Seen:
        seen = super().see(wall_now)
        if self._seen is None:
            self._seen = seen
        return Seen(
            seen.condemned, self._seen.leases, self._seen.kept, seen.removed, self._seen.indexes, seen.packs, wall_now
        )


class Pardoning(Collector):
    """Takes out of a record what has become live, instead of moving it: what looks simpler, and is wrong. Another gc
    that looked before removes it all the same, and who came between the two was not told.
    """

    def carry_out(self, record_id: str, record: Condemned, wall_now: float, report: Report) -> Seen:
        self._say_gone(record.versions)
        seen = self._sight.see(wall_now)
        if record_id not in seen.condemned:
            return seen
        needed = {place.pack for place in stranded(seen).values()}
        left = tuple(pack for pack in record.packs if pack not in needed)
        pardoned = Condemned(1, record.wall_time, left, record.indexes, record.versions)
        if needed:
            claims.condemn(self._objects, record_id, pardoned)
            seen = replace(seen, condemned={**seen.condemned, record_id: pardoned})
        self._remove(record_id, pardoned, seen, report)
        return self._sight.see(wall_now)


def block_of(number: int) -> tuple[bytes, bytes]:
    plain = random.Random(number).randbytes(40 + number)
    return signature_of(plain), plain


def _place(seen: Seen, block: bytes) -> Location:
    return next(seen.places[pack][block] for pack in sorted(seen.standing) if block in seen.places[pack])


def _keep(
    objects: ObjectStore, known: Known, version: Version, blocks: dict[bytes, bytes], missing: list[bytes], wall: float
) -> None:
    """Lay some blocks into packs of two, and write the index."""
    packs: dict[str, int] = {}
    places: dict[bytes, Location] = {}
    for start in range(0, len(missing), 2):
        builder, pack = PackBuilder(), secrets.token_hex(16)
        for signature in missing[start : start + 2]:
            builder.add(signature, encode_raw(blocks[signature]))
        data, found = builder.finish(pack)
        objects.put(PACKS + pack, data)
        packs[pack] = len(data)
        places |= found
    kept = Kept(*version, int(wall), table.packed(blocks))
    key, index = INDEXES + secrets.token_hex(16), make_index(known.next_wall_time(int(wall)), packs, places, [kept])
    objects.put(key, encode_index(index))
    known.add(key, index)


def _refresh(objects: ObjectStore, known: Known) -> None:
    listed = set(keys_below(objects, INDEXES))
    for key in set(known.keys()) - listed:
        known.forget(key)
    for key in sorted(listed - set(known.keys())):
        try:
            known.add(key, decode_index(objects.get(key)))
        except NotFoundError:
            continue


def _append(objects: ObjectStore, dataset: str, version: bytes) -> None:
    serial = len(_entries(objects, dataset)) + 1
    while not objects.put_if_absent(log_key(dataset, serial), version):
        serial += 1


def _entries(objects: ObjectStore, dataset: str) -> list[bytes]:
    return [objects.get(key) for key in keys_below(objects, f"{LOGS}{dataset}/log/")]


def _kept(objects: ObjectStore) -> frozenset[Version]:
    """The last two versions of each log."""
    found: set[Version] = set()
    keys = list(keys_below(objects, LOGS))
    for dataset in {key.removeprefix(LOGS).partition("/log/")[0] for key in keys}:
        named: dict[bytes, None] = {}
        for version in _entries(objects, dataset):
            named.pop(version, None)
            named[version] = None
        found.update((dataset, version) for version in list(named)[-KEPT:])
    return frozenset(found)
