"""Upload sessions: a publisher brings what the seed lacks, and gets a receipt when every block is kept.

Knowing a signature proves nothing: a block counts as present only if the publisher uploaded it itself, or may read a
dataset that it belongs to; anything else is "missing" and has to be brought. What was uploaded survives an interrupted
publish, on the seed's disk, for the same publisher and dataset. Bounded in sessions and bytes.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seed.backfill import PackStore
from seed.keep import EarlyPacks, PackWriter, encoded_in_threads
from swarm.encoding import encode_block, open_block
from swarm.errors import FullError, IntegrityError, NotFoundError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import MIB, ROOT_MAX_BYTES
from swarm.manifest import Manifest, assemble, parse_root
from swarm.objects.meter import Account
from swarm.receipt import Receipt, seal_receipt
from swarm.signature import signature_of
from swarm.store.disk import DiskStore

SESSIONS_MAX: Final = 256
SESSION_IDLE_S: Final = 3600.0
STAGED_MAX_BYTES: Final = 64 * 1024 * MIB
LEASES: Final = "uploads/"

MayRead = Callable[[str], bool]


@dataclass(slots=True)
class Session:
    """A publish in flight. ``staged`` holds what this publisher has uploaded for this dataset, now or before."""

    id: str
    dataset: str
    publisher: bytes
    staged: DiskStore
    last_used: float
    # What it asks of the object store.
    account: Account = field(default_factory=Account)


class Uploads:
    """All sessions of a seed. ``folder`` is where uploads lie until their publish commits."""

    def __init__(self, packs: PackStore, key: PeerKey, folder: Path) -> None:
        self._packs = packs
        self._key = key
        self._folder = folder
        self._sessions: dict[str, Session] = {}

    async def begin(self, dataset: str, publisher: bytes) -> str:
        """A new session's id. FullError when there are too many."""
        await self._expire()
        if len(self._sessions) >= SESSIONS_MAX:
            raise FullError("this seed has as many uploads under way as it takes: try again later")
        session_id = secrets.token_hex(16)
        staged = await self._staged(dataset, publisher)
        lease = f"{dataset} {int(time.time())}".encode()
        await asyncio.to_thread(self._packs.objects.put, LEASES + session_id, lease)
        self._sessions[session_id] = Session(session_id, dataset, publisher, staged, time.monotonic())
        return session_id

    async def _staged(self, dataset: str, publisher: bytes) -> DiskStore:
        """Where this publisher's uploads for this dataset lie; sessions at the same time share it."""
        for session in self._sessions.values():
            if (session.dataset, session.publisher) == (dataset, publisher):
                return session.staged
        name = signature_of(publisher + dataset.encode()).hex()[:32]
        return await asyncio.to_thread(DiskStore, self._folder / name, STAGED_MAX_BYTES)

    def session(self, session_id: str, publisher: bytes) -> Session:
        """An open session of this publisher, or NotFoundError."""
        session = self._sessions.get(session_id)
        if session is None or session.publisher != publisher:
            raise NotFoundError("there is no such upload: begin it again; what was sent is kept")
        session.last_used = time.monotonic()
        return session

    def missing(self, session: Session, signatures: Iterable[bytes], may_read: MayRead) -> list[bytes]:
        """Those of the blocks that the publisher has to bring."""
        return [s for s in dict.fromkeys(signatures) if not self._is_present(session, s, may_read)]

    def _is_present(self, session: Session, signature: bytes, may_read: MayRead) -> bool:
        if session.staged.has(signature):
            return True
        return self._packs.has(signature) and self._packs.known.is_in_any(signature, may_read)

    async def put(self, session: Session, signature: bytes, encoded: bytes) -> None:
        """Take a block. IntegrityError if it is not the one that the signature names."""
        try:
            await asyncio.to_thread(open_block, encoded, signature)
        except RemoteProtocolError as error:
            raise IntegrityError(f"the block was refused: {error}; read it again and repeat") from error
        await asyncio.to_thread(session.staged.put, signature, encoded)

    async def commit(self, session: Session, root_bytes: bytes, may_read: MayRead) -> bytes:
        """Keep the version for good and give the sealed receipt.

        NotFoundError says how many blocks are missing, RemoteProtocolError what is wrong with the manifest.
        """
        manifest = await self._manifest(session, root_bytes, may_read)
        needed = _blocks_of(manifest)
        missing = self.missing(session, needed, may_read)
        if missing:
            raise NotFoundError(f"{len(missing)} blocks of the version are missing: ask which, and upload them")
        if not self._packs.has_version(session.dataset, manifest.version):
            await self._keep(session, manifest, needed)
        receipt = self._receipt(session.dataset, session.publisher, manifest)
        await self._close(session)
        return receipt

    @asynccontextmanager
    async def keeping(self, dataset: str) -> AsyncIterator[OwnKeeping]:
        """Keep a version that this very node is about to publish."""
        lease = LEASES + secrets.token_hex(16)
        await asyncio.to_thread(self._packs.objects.put, lease, f"{dataset} {int(time.time())}".encode())
        early = EarlyPacks(self._packs)
        try:
            yield OwnKeeping(self, dataset, early)
        finally:
            await asyncio.to_thread(early.close)
            await asyncio.to_thread(self._packs.objects.delete, lease)

    async def keep_own(
        self,
        dataset: str,
        manifest: Manifest,
        early: EarlyPacks,
        encode: Callable[[bytes], bytes],
        progress: Callable[[int], None],
    ) -> tuple[bytes, list[bytes], int]:
        """See ``OwnKeeping.finish``."""
        needed = _blocks_of(manifest)
        lacking = [signature for signature in needed if not self._packs.has(signature)]
        writer = await asyncio.to_thread(early.handed_over)
        laid = [early.laid[signature] for signature in lacking if signature in early.laid]
        sent, done = sum(laid), len(laid)
        if not self._packs.has_version(dataset, manifest.version):
            left = [signature for signature in lacking if signature not in early.laid]
            try:
                async with aclosing(encoded_in_threads(left, encode)) as made:
                    async for signature, encoded in made:
                        await writer.add(signature, encoded)
                        sent, done = sent + len(encoded), done + 1
                        progress(done)
                await writer.finish(dataset, manifest.version, needed)
            finally:
                await writer.abandon()
        return self._receipt(dataset, self._key.public, manifest), lacking, sent

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
            await self.put(session, version, encode_block(root_bytes))
        segments: dict[bytes, bytes] = {}
        for ref in root.segment_refs:
            if not self._is_present(session, ref.signature, may_read):
                raise NotFoundError("segments of the manifest are missing: ask which, and upload them")
            encoded = await self._read(session, ref.signature)
            segments[ref.signature] = bytes(open_block(encoded, ref.signature))
        return await asyncio.to_thread(assemble, root_bytes, segments)

    async def _read(self, session: Session, signature: bytes) -> bytes:
        encoded = await asyncio.to_thread(session.staged.get, signature)
        if encoded is None:
            encoded = await self._packs.get(signature)
        if encoded is None:
            raise NotFoundError(f"block {signature.hex()[:16]} was lost on the seed's disk: ask what is missing again")
        return bytes(encoded)

    async def _keep(self, session: Session, manifest: Manifest, needed: list[bytes]) -> None:
        """Write what no pack holds yet into packs, then the index."""
        sizes = {block.signature: block.size for block in manifest.unique}
        writer = PackWriter(self._packs)
        try:
            for signature in needed:
                if self._packs.has(signature):
                    continue
                encoded = await self._read(session, signature)
                size = sizes.get(signature)
                if size is not None:
                    # A block of another size than the manifest says would pass as uploaded, and fail at every reader.
                    await asyncio.to_thread(open_block, encoded, signature, size)
                await writer.add(signature, encoded)
            await writer.finish(session.dataset, manifest.version, needed)
        finally:
            await writer.abandon()

    async def _close(self, session: Session) -> None:
        """The publish is kept: its staged uploads are no longer needed."""
        self._sessions.pop(session.id, None)
        if not any(other.staged is session.staged for other in self._sessions.values()):
            await asyncio.to_thread(_clear, session.staged)
        await asyncio.to_thread(self._packs.objects.delete, LEASES + session.id)

    async def _expire(self) -> None:
        """Forget sessions that nobody uses; what they uploaded stays for the next try."""
        now = time.monotonic()
        for session in [s for s in self._sessions.values() if now - s.last_used > SESSION_IDLE_S]:
            del self._sessions[session.id]
            await asyncio.to_thread(self._packs.objects.delete, LEASES + session.id)


@dataclass(slots=True)
class OwnKeeping:
    """A version of this node's own, on its way into packs. Its bytes are at hand, so nothing is uploaded."""

    uploads: Uploads
    dataset: str
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
        kept = await self.uploads.keep_own(self.dataset, manifest, self.early, encode, progress)
        self.version = manifest.version
        return kept


def _blocks_of(manifest: Manifest) -> list[bytes]:
    """All that a version consists of: its root, its segments, its blocks."""
    return list(dict.fromkeys([manifest.version, *manifest.segments, *(block.signature for block in manifest.unique)]))


def _clear(staged: DiskStore) -> None:
    for signature in staged.held():
        staged.remove(signature)
