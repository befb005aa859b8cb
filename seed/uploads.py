"""Upload sessions: a publisher brings what the seed lacks, and gets a receipt when every block is kept.

Knowing a signature proves nothing: a block counts as present only if the publisher uploaded it itself, or may read a
dataset that it belongs to; anything else is "missing" and has to be brought. What comes is verified and laid into packs
at once (``shelf``), which are written while more comes; the receipt is given when the index is written. A publish that
was interrupted goes on, here or at another seed, behind the packs that were full. Bounded in sessions and bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from seed import table
from seed.backfill import PackStore
from seed.claim import Claim, Settled
from seed.keep import EarlyPacks, encoded_in_threads
from seed.packs import Kept, make_index
from seed.quotas import LimitOf, Quotas, check_room
from seed.session import Session, keep_alive
from seed.shelf import Room, Shelf, writer_of
from swarm.encoding import Encoded, encode_block, open_block
from swarm.errors import FullError, IntegrityError, NotFoundError, RemoteProtocolError, UnreachableError
from swarm.identity import PeerKey
from swarm.limits import ROOT_MAX_BYTES
from swarm.manifest import Manifest, assemble, parse_root
from swarm.objects.threads import Threads
from swarm.receipt import Receipt, seal_receipt
from swarm.signature import signature_of

SESSIONS_MAX: Final = 256
# Who has sent nothing for so long is not waited for at a graceful end.
UNDER_WAY_S: Final = 15.0
SESSION_IDLE_S: Final = 3600.0
# Finished sessions of which the log may soon name the version.
SETTLED_MAX: Final = 1024
# Threads that verify blocks and lay them out, and those that write packs.
LAYING_THREADS: Final = 8
WRITING_THREADS: Final = 4

MayRead = Callable[[str], bool]
Again = Callable[[Session, Sequence[bytes]], Awaitable[dict[bytes, bytes]]]
T = TypeVar("T")

log = logging.getLogger("aetherfs.seed")


class Uploads:
    """All sessions of a seed."""

    def __init__(
        self, packs: PackStore, key: PeerKey, room: Room | None = None, limit_of: LimitOf = lambda scope: None
    ) -> None:
        """``limit_of`` tells the quota of a scope; it may block."""
        self._packs = packs
        self._key = key
        self._quotas = Quotas(packs.known, limit_of)
        self._room = room or Room()
        self._room.relieve = self._relieve
        self._sessions: dict[str, Session] = {}
        # No upload begins any more.
        self.is_ending = False
        self._shelves: dict[tuple[bytes, str], Shelf] = {}
        self._settled: dict[str, Settled] = {}
        # By publisher and dataset, while somebody opens a shelf.
        self._opening: WeakValueDictionary[tuple[bytes, str], asyncio.Lock] = WeakValueDictionary()
        self._laying = Threads(LAYING_THREADS, "laying")
        self._writing = Threads(WRITING_THREADS, "packs")

    async def begin(self, dataset: str, publisher: bytes) -> str:
        """A new session's id. FullError when there are too many."""
        if self.is_ending:
            raise UnreachableError("this seed is ending and begins no upload: another one takes it, or this one later")
        await self._expire()
        if len(self._sessions) >= SESSIONS_MAX:
            raise FullError("this seed has as many uploads under way as it takes: try again later")
        session_id = secrets.token_hex(16)
        # Before it is looked what an interrupted publish has left.
        claim = Claim(self._packs, dataset, writer_of(publisher, dataset))
        await claim.renew()
        shelf = await self._shelf(dataset, publisher)
        session = Session(session_id, dataset, publisher, shelf, claim, time.monotonic())
        session.room_bytes = await self._in_thread(lambda: self._quotas.room(dataset))
        self._sessions[session_id] = session
        return session_id

    async def _shelf(self, dataset: str, publisher: bytes) -> Shelf:
        """What this publisher brings for this dataset; sessions at the same time share it."""
        # Nobody waits for what others have left: to take that up asks the store about each of their packs.
        opening = self._opening.setdefault((publisher, dataset), asyncio.Lock())
        async with opening:
            shelf = self._shelves.get((publisher, dataset))
            if shelf is None or shelf.has_failed:
                shelf = Shelf(self._packs, publisher, dataset, self._room, self._writing)
                await self._in_thread(shelf.find)
                self._shelves[publisher, dataset] = shelf
            return shelf

    def _relieve(self) -> None:
        """Have the shelf with the most in memory write it."""
        shelf = max(list(self._shelves.values()), key=lambda shelf: shelf.size_bytes, default=None)
        if shelf is not None:
            shelf.make_room()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """In the threads that may wait for packs to be written, of which others do not take notice."""
        return await asyncio.get_running_loop().run_in_executor(self._laying, call)

    def session(self, session_id: str, publisher: bytes) -> Session:
        """An open session of this publisher, or NotFoundError."""
        session = self._sessions.get(session_id)
        if session is None or session.publisher != publisher:
            raise NotFoundError("there is no such upload: begin it again; what was sent is kept")
        session.last_used = time.monotonic()
        return session

    async def missing(self, session: Session, signatures: Iterable[bytes], may_read: MayRead) -> list[bytes]:
        """Those of the blocks that the publisher has to bring."""
        asked = list(dict.fromkeys(signatures))
        return await self._in_thread(lambda: [one for one in asked if not self._is_present(session, one, may_read)])

    def _is_present(self, session: Session, signature: bytes, may_read: MayRead) -> bool:
        if session.shelf.has(signature) or signature in session.proved:
            return True
        return self._packs.has(signature) and self._packs.known.is_in_any(signature, may_read)

    async def bring(self, session: Session, blocks: Sequence[tuple[bytes, bytes]]) -> None:
        """Take blocks, each a signature and encoded bytes. IntegrityError for one that its signature does not name.

        Waits while packs are written. FullError when there is no room for long.
        """
        await session.claim.renew()
        for signature, encoded in blocks:
            if not session.shelf.has(signature) and not self._packs.has(signature):
                session.count(signature, len(encoded))
        check_room(session.dataset, session.room_bytes, session.brought_bytes)
        await self._in_thread(lambda: self._lay(session, blocks))

    def _lay(self, session: Session, blocks: Sequence[tuple[bytes, bytes]]) -> None:
        for signature, encoded in blocks:
            try:
                open_block(encoded, signature)
            except RemoteProtocolError as error:
                raise IntegrityError(f"the block was refused: {error}; read it again and repeat") from error
        packed = {signature for signature, _ in blocks if self._packs.has(signature)}
        session.proved |= packed
        session.shelf.add([block for block in blocks if block[0] not in packed])
        session.last_used = time.monotonic()

    async def commit(self, session: Session, root_bytes: bytes, may_read: MayRead) -> bytes:
        """Keep the version for good and give the sealed receipt.

        NotFoundError says how many blocks are missing, RemoteProtocolError what is wrong with the manifest.
        """
        session.shelf.check()
        manifest = await self._manifest(session, root_bytes, may_read)
        await self._in_thread(session.shelf.end_pack)  # which is written beside the checks
        needed = _blocks_of(manifest)
        # Of a version that is kept nothing is missing; what has been lost of it meanwhile shows when it is settled.
        is_kept = may_read(session.dataset) and self._packs.has_version(session.dataset, manifest.version)
        missing = [] if is_kept else await self.missing(session, needed, may_read)
        if missing:
            session.shelf.check()
            raise NotFoundError(f"{len(missing)} blocks of the version are missing: ask which, and upload them")
        _check_sizes(session.shelf, manifest)
        await self._keep(session, manifest, needed, self._found)
        receipt = self._receipt(session.dataset, session.publisher, manifest)
        await self._close(session)
        return receipt

    async def _keep(self, session: Session, manifest: Manifest, needed: list[bytes], again: Again) -> None:
        """Write what is left into a pack, then the index, unless the version is kept already; then see to it that all
        of it stays. ``again`` gives blocks that have to be laid anew.
        """
        await self._in_thread(session.shelf.settle)
        if not self._packs.has_version(session.dataset, manifest.version):
            length_of = session.shelf.length_of
            await self._in_thread(lambda: self._quotas.check(session.dataset, needed, length_of))
            await self._write_index(session, manifest, needed)

        async def lay(homeless: Sequence[bytes]) -> None:
            blocks = await again(session, homeless)
            session.shelf.drop(homeless)
            await self._in_thread(lambda: _lay_all(session.shelf, blocks))
            await self._write_index(session, manifest, needed)

        await session.claim.settle(manifest.version, needed, lay)

    async def _write_index(self, session: Session, manifest: Manifest, needed: list[bytes]) -> None:
        packs, places = session.shelf.laid(needed)
        wall_now = int(time.time())
        kept = Kept(session.dataset, manifest.version, wall_now, table.packed(needed))
        await self._packs.write(make_index(self._packs.known.next_wall_time(wall_now), packs, places, [kept]))
        session.shelf.forget(packs)

    async def _found(self, session: Session, homeless: Sequence[bytes]) -> dict[bytes, bytes]:
        """Blocks whose packs are condemned, while these are there. NotFoundError tells how many are gone already."""
        found: dict[bytes, bytes] = {}
        for signature in homeless:
            with contextlib.suppress(NotFoundError):
                found[signature] = bytes(await self._read(session, signature, ()))
        if len(found) < len(homeless):
            lost = [signature for signature in homeless if signature not in found]
            session.shelf.drop(lost)
            session.proved.difference_update(lost)
            raise NotFoundError(f"{len(lost)} blocks were removed meanwhile: ask which are missing, and upload them")
        return found

    @asynccontextmanager
    async def keeping(self, dataset: str) -> AsyncIterator[OwnKeeping]:
        """Keep a version that this very node is about to publish."""
        session = self._sessions[await self.begin(dataset, self._key.public)]
        early = EarlyPacks(self._packs, session.shelf)
        renewing = asyncio.create_task(keep_alive(session))
        try:
            yield OwnKeeping(self, session, early)
        finally:
            renewing.cancel()
            await asyncio.to_thread(early.close)
            await self._close(session)

    async def keep_own(
        self,
        session: Session,
        manifest: Manifest,
        early: EarlyPacks,
        encode: Callable[[bytes], bytes],
        progress: Callable[[int], None],
    ) -> tuple[bytes, list[bytes], int]:
        """See ``OwnKeeping.finish``."""
        needed = _blocks_of(manifest)
        lacking = [signature for signature in needed if not self._packs.has(signature)]
        await self._in_thread(early.handed_over)
        laid = [early.laid[signature] for signature in lacking if signature in early.laid]
        sent, done = sum(laid), len(laid)
        left = [signature for signature in lacking if not early.shelf.has(signature)]
        async with aclosing(encoded_in_threads(left, encode)) as made:
            async for signature, encoded in made:
                await self._in_thread(partial(early.shelf.add, [(signature, encoded)]))
                sent, done = sent + len(encoded), done + 1
                progress(done)

        async def again(_: Session, homeless: Sequence[bytes]) -> dict[bytes, bytes]:
            async with aclosing(encoded_in_threads(homeless, encode)) as made:
                return {signature: encoded async for signature, encoded in made}

        await self._keep(session, manifest, needed, again)
        return self._receipt(session.dataset, self._key.public, manifest), lacking, sent

    def _receipt(self, dataset: str, publisher: bytes, manifest: Manifest) -> bytes:
        receipt = Receipt(
            format=1,
            dataset=dataset,
            version=manifest.version,
            publisher=publisher,
            files=manifest.file_count,
            bytes=manifest.total_bytes,
            blocks=len(manifest.unique),
            root_size=len(manifest.root_bytes),
            wall_time=int(time.time()),
        )
        return seal_receipt(self._key, receipt)

    async def _manifest(self, session: Session, root_bytes: bytes, may_read: MayRead) -> Manifest:
        if len(root_bytes) > ROOT_MAX_BYTES:
            raise RemoteProtocolError("the manifest's root is longer than it may be")
        root = parse_root(root_bytes)
        version = signature_of(root_bytes)
        if not self._is_present(session, version, may_read):
            await self.bring(session, [(version, encode_block(root_bytes))])
        segments: dict[bytes, bytes] = {}
        listed = [ref.signature for ref in root.segment_refs]
        for signature in listed:
            if not self._is_present(session, signature, may_read):
                raise NotFoundError("segments of the manifest are missing: ask which, and upload them")
            encoded = await self._read(session, signature, listed)
            segments[signature] = bytes(open_block(encoded, signature))
            # The next publish of the dataset has most of them, and whoever pulls asks for them first.
            await asyncio.to_thread(self._packs.keep, {signature: encoded})
        return await asyncio.to_thread(assemble, root_bytes, segments)

    async def _read(self, session: Session, signature: bytes, group: Sequence[bytes]) -> Encoded:
        encoded: Encoded | None = await self._in_thread(lambda: session.shelf.get(signature))
        if encoded is None:
            encoded = await self._packs.get(signature, group)
        if encoded is None:
            raise NotFoundError(f"block {signature.hex()[:16]} was lost by the store: ask what is missing again")
        return encoded

    async def _close(self, session: Session) -> None:
        """The publish is kept, or given up: its lease ends, and its shelf with the last session."""
        self._sessions.pop(session.id, None)
        if not any(other.shelf is session.shelf for other in self._sessions.values()):
            if self._shelves.get((session.publisher, session.dataset)) is session.shelf:
                del self._shelves[session.publisher, session.dataset]
            await self._in_thread(session.shelf.close)
        await session.claim.end()
        self._settled[session.id] = Settled(session.id, session.dataset, session.publisher, session.claim)
        if len(self._settled) > SETTLED_MAX:
            del self._settled[next(iter(self._settled))]

    def under_way(self) -> int:
        """The sessions that somebody has used just now."""
        now = time.monotonic()
        return sum(1 for session in self._sessions.values() if now - session.last_used < UNDER_WAY_S)

    def settled(self, session_id: str, publisher: bytes) -> Settled:
        """A session of this publisher that has ended, or NotFoundError: one that is not known any more expires by
        itself.
        """
        settled = self._settled.get(session_id)
        if settled is None or settled.publisher != publisher:
            raise NotFoundError("there is no such upload any more: what it holds is let go by itself")
        return settled

    async def done(self, session_id: str) -> None:
        """The log names what this session kept."""
        settled = self._settled.pop(session_id, None)
        if settled is not None:
            await settled.claim.done()

    async def _expire(self) -> None:
        """Forget sessions that nobody uses; what they brought lies in packs for the next try."""
        now = time.monotonic()
        for session in [s for s in self._sessions.values() if now - s.last_used > SESSION_IDLE_S]:
            await self._close(session)

    async def close(self) -> None:
        """Wait for what is being written. Nothing is brought any more."""
        await asyncio.to_thread(self._laying.shutdown)
        await asyncio.to_thread(self._writing.shutdown)


@dataclass(slots=True)
class OwnKeeping:
    """A version of this node's own, on its way into packs. Its bytes are at hand, so nothing is uploaded."""

    uploads: Uploads
    session: Session
    early: EarlyPacks
    # Empty until it is kept.
    version: bytes = b""

    def take(self, signature: bytes, raw: bytes) -> None:
        """Take a block, raw encoded, while the rest is still being read: see ``EarlyPacks.take``."""
        self.early.take(signature, raw)

    def all_taken(self) -> None:
        """All has been read: see ``EarlyPacks.all_taken``."""
        self.early.all_taken()

    async def finish(
        self, manifest: Manifest, encode: Callable[[bytes], bytes], progress: Callable[[int], None]
    ) -> tuple[bytes, list[bytes], int]:
        """The receipt of the whole version, the blocks that were new, their encoded bytes.

        ``encode`` gives a block that was not taken, in a thread; whatever it raises ends it. ``progress`` gets the
        blocks done.
        """
        kept = await self.uploads.keep_own(self.session, manifest, self.early, encode, progress)
        self.version = manifest.version
        return kept

    async def done(self) -> None:
        """The log names the version."""
        await self.uploads.done(self.session.id)


def _blocks_of(manifest: Manifest) -> list[bytes]:
    """All that a version consists of: its root, its segments, its blocks."""
    return list(dict.fromkeys([manifest.version, *manifest.segments, *(block.signature for block in manifest.unique)]))


def _lay_all(shelf: Shelf, blocks: Mapping[bytes, bytes]) -> None:
    shelf.add(list(blocks.items()))
    shelf.settle()


def _check_sizes(shelf: Shelf, manifest: Manifest) -> None:
    """A block of another size than the manifest says would pass as uploaded, and fail at every reader."""
    for block in manifest.unique:
        if shelf.size_of(block.signature) not in (None, block.size):
            raise RemoteProtocolError(f"block {block.signature.hex()[:16]} has not the size that the manifest says")
