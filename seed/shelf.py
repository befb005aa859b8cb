"""What one publisher brings for one dataset, on its way into packs: written while more comes.

A pack of about 32 MiB is one object and one write; some are written at a time while the next one fills. Its id begins
with a name of publisher and dataset, so that whoever takes up an interrupted publish, this seed or another, finds the
packs that no index names yet and learns from their heads what need not be sent again. What had not filled a pack is
lost with its seed. Nothing counts as kept before an index says so.

Blocking and thread-safe.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import Final

from seed.backfill import PACKS, PackStore
from seed.packs import HEAD_START, Contents, Location, PackBuilder, head_bytes, plain_size, read_head
from swarm.claims import SESSION_CHARS
from swarm.errors import FullError, NotFoundError, RemoteProtocolError
from swarm.limits import KIB, MIB
from swarm.signature import signature_of

# Packs of one shelf that are being written while the next fills.
WRITING: Final = 2
# Of a pack that is looked at, read at first: the head of a full one is seldom longer.
HEAD_GUESS_BYTES: Final = 16 * KIB
# What all shelves together hold in memory, and how long somebody waits for room.
ROOM_BYTES: Final = 512 * MIB
ROOM_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.5

log = logging.getLogger("aetherfs.seed")


class Room:
    """The bytes that all shelves may hold together. ``relieve`` makes some shelf write what it has."""

    def __init__(self, limit_bytes: int = ROOM_BYTES, deadline_s: float = ROOM_DEADLINE_S) -> None:
        self.relieve: Callable[[], None] = lambda: None
        self._limit_bytes = limit_bytes
        self._deadline_s = deadline_s
        self._used_bytes = 0
        self._changed = threading.Condition()

    def take(self, size_bytes: int) -> None:
        """Wait until there is room for so many bytes more. FullError when there is none for long."""
        deadline = time.monotonic() + self._deadline_s
        while True:
            with self._changed:
                if self._used_bytes + size_bytes <= self._limit_bytes:
                    self._used_bytes += size_bytes
                    return
            self.relieve()
            with self._changed:
                if self._used_bytes + size_bytes > self._limit_bytes:
                    self._changed.wait(_POLL_S)
            if time.monotonic() > deadline:
                raise FullError("this seed takes in as much as it can hold: publish again in a while, or add a seed")

    def give(self, size_bytes: int) -> None:
        """So many bytes are held no longer."""
        with self._changed:
            self._used_bytes -= size_bytes
            self._changed.notify_all()


class Shelf:
    """Blocks of one publisher and dataset. ``writers`` runs the writing of packs."""

    def __init__(self, packs: PackStore, publisher: bytes, dataset: str, room: Room, writers: Executor) -> None:
        self._packs = packs
        self._prefix = writer_of(publisher, dataset)
        self._room = room
        self._writers = writers
        # Held while blocks are laid out and their packs waited for; the other one for moments only.
        self._laying = threading.Lock()
        self._lock = threading.Lock()
        self._builder = PackBuilder()
        self._pending: dict[bytes, bytes] = {}
        self._under_way: deque[Future[None]] = deque()
        self._failure: BaseException | None = None
        self._places: dict[bytes, Location] = {}
        self._sizes: dict[bytes, int] = {}
        self._pack_bytes: dict[str, int] = {}

    @property
    def size_bytes(self) -> int:
        """What waits for its pack to be full, and may be written before."""
        return self._builder.size_bytes if self._failure is None else 0

    def find(self) -> None:
        """Take up what an interrupted publish has left: packs that no index names."""
        named = self._packs.known.packs()
        for key in self._packs.listed(PACKS + self._prefix):
            pack = key.removeprefix(PACKS)
            if pack in named:
                continue
            try:
                self._take(pack, self._contents(pack))
            except NotFoundError:
                continue
            except RemoteProtocolError as error:
                log.error("pack %s is not taken up: %s", pack, error)

    def _contents(self, pack: str) -> Contents:
        read = self._packs.objects.get_range
        data = read(PACKS + pack, 0, HEAD_GUESS_BYTES)
        length = head_bytes(data[: HEAD_START.size])
        if length > len(data):
            data += read(PACKS + pack, len(data), length - len(data))
        return read_head(pack, data)

    def _take(self, pack: str, contents: Contents) -> None:
        with self._lock:
            self._pack_bytes[pack] = contents.size_bytes
            self._places.update(contents.places)
            self._sizes.update(contents.sizes)

    def has(self, signature: bytes) -> bool:
        return signature in self._pending or signature in self._places

    def size_of(self, signature: bytes) -> int | None:
        """The plain bytes of a block that is here."""
        return self._sizes.get(signature)

    def length_of(self, signature: bytes) -> int:
        """The encoded bytes of a block, 0 for one that is not here."""
        pending, place = self._pending.get(signature), self._places.get(signature)
        return len(pending) if pending is not None else place.length if place is not None else 0

    def get(self, signature: bytes) -> bytes | None:
        """A block that is here, encoded. NotFoundError when its pack is gone."""
        pending = self._pending.get(signature)
        place = self._places.get(signature)
        if pending is not None or place is None:
            return pending
        return self._packs.objects.get_range(PACKS + place.pack, place.offset, place.length)

    def add(self, blocks: Sequence[tuple[bytes, bytes]]) -> None:
        """Take blocks that were verified, to lie one behind the other: whoever reads one will want the others.

        Waits while packs are written; raises what befell one.
        """
        self.check()
        taken = sum(len(encoded) for _, encoded in blocks)
        self._room.take(taken)
        with self._laying:
            try:
                for signature, encoded in blocks:
                    if self.has(signature):
                        continue
                    taken -= len(encoded)
                    self._sizes[signature] = plain_size(encoded)
                    self._pending[signature] = encoded
                    self._builder.add(signature, encoded)
                    if self._builder.is_full:
                        self._write()
            finally:
                self._room.give(taken)

    def end_pack(self) -> None:
        """Write what there is. What comes after goes into another pack."""
        with self._laying:
            if self._builder.size_bytes:
                self._write()

    def make_room(self) -> None:
        """Write what there is, if that can begin at once. A shelf that has failed does nothing."""
        if self._failure is None and self._laying.acquire(blocking=False):
            try:
                is_free = sum(not one.done() for one in self._under_way) < WRITING
                if is_free and self._builder.size_bytes and self._failure is None:
                    self._write()
            finally:
                self._laying.release()

    def _write(self) -> None:
        while len(self._under_way) >= WRITING:
            done = next((one for one in self._under_way if one.done()), self._under_way[0])
            self._under_way.remove(done)
            done.result()
        full, self._builder = self._builder, PackBuilder()
        pack = self._prefix + secrets.token_hex(8)
        self._under_way.append(self._writers.submit(self._written, pack, full))

    def _written(self, pack: str, full: PackBuilder) -> None:
        size_bytes = full.size_bytes
        data, places = full.finish(pack)
        try:
            self._packs.objects.put(PACKS + pack, data)
            with self._lock:
                self._pack_bytes[pack] = len(data)
                self._places.update(places)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            for signature in places:
                del self._pending[signature]
            self._room.give(size_bytes)

    def check(self) -> None:
        """Raise what befell a pack: this shelf is of no more use."""
        if self._failure is not None:
            raise self._failure

    @property
    def has_failed(self) -> bool:
        return self._failure is not None

    def settle(self) -> None:
        """Wait until all packs are written; raises what befell one."""
        self.end_pack()
        with self._laying:
            while self._under_way:
                self._under_way.popleft().result()
        self.check()

    def laid(self, needed: Iterable[bytes]) -> tuple[dict[str, int], dict[bytes, Location]]:
        """The packs, with their bytes, in which some of these blocks lie, and the places. Others are left out."""
        with self._lock:
            places = {signature: self._places[signature] for signature in needed if signature in self._places}
            return {place.pack: self._pack_bytes[place.pack] for place in places.values()}, places

    def forget(self, packs: Iterable[str]) -> None:
        """An index names these packs now."""
        with self._lock:
            for pack in packs:
                self._pack_bytes.pop(pack, None)
            self._places = {signature: at for signature, at in self._places.items() if at.pack in self._pack_bytes}
            self._sizes = {
                one: size for one, size in self._sizes.items() if one in self._places or one in self._pending
            }

    def drop(self, signatures: Iterable[bytes]) -> None:
        """These blocks are brought again: their packs go, or are gone."""
        with self._lock:
            for signature in signatures:
                self._places.pop(signature, None)

    def close(self) -> None:
        """Nobody brings anything any more: what there is is written, for another time."""
        try:
            self.settle()
        except Exception as error:
            log.info("what was brought is not kept for another time: %s", error)
        with self._laying:
            self._room.give(self._builder.size_bytes)
            self._builder = PackBuilder()


def writer_of(publisher: bytes, dataset: str) -> str:
    """What the ids of the packs begin with that a publisher brings for a dataset."""
    return signature_of(publisher + dataset.encode()).hex()[:SESSION_CHARS]
