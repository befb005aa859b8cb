"""The versions that this peer has open for reading, and the blocks on their way to readers: each once for all who wait.

A block is looked for in the tiers (memory, disk, directories that hold it), then in this peer's own holding of the
version, then asked of neighbours. What came from neighbours is verified, given out, and kept in the tiers. A tag is
looked up for each who opens it, by a look that began after it asked; all who come meanwhile, and require the same
signers, share the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

from swarm.encoding import RAW, Encoded, decode_block, open_block
from swarm.errors import AetherError, NotAllowedError, RemoteProtocolError
from swarm.limits import MIB, ROOT_MAX_BYTES
from swarm.manifest import parse_root
from swarm.names import Reference
from swarm.outline import BlockPart, FilePart, Outline
from swarm.peer.ahead import Allowance
from swarm.peer.asking import REST_S, Bringer, Wanted, keepers
from swarm.peer.find import Resolved
from swarm.peer.keeping import Keeping
from swarm.peer.snapshot import File, Snapshot
from swarm.segments import BlockSegmentRef, FileSegmentRef
from swarm.signers import Required

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

OPEN_MAX: Final = 64
# Decoded segments take some times what they weigh.
PARTS_MAX_BYTES: Final = 4 * MIB
# A tag that no tracker confirmed is not looked up again for so long: each look waits for trackers that do not answer.
STALE_S: Final = 5.0
LOOKS_MAX: Final = 1024
CHECKED_MAX: Final = 1024

AnyRef = FileSegmentRef | BlockSegmentRef
Part = TypeVar("Part", FilePart, BlockPart)
log = logging.getLogger("aetherfs.reading")


class Snapshots:
    """What one peer reads."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        ahead_bytes = node.settings.ahead_bytes
        self.allowance = Allowance(node.settings.memory_bytes if ahead_bytes is None else ahead_bytes)
        self._open: OrderedDict[tuple[str, bytes], tuple[Outline, Bringer]] = OrderedDict()
        self._bringers: WeakValueDictionary[tuple[str, bytes], Bringer] = WeakValueDictionary()
        self._parts: OrderedDict[FileSegmentRef | BlockSegmentRef, FilePart | BlockPart] = OrderedDict()
        self._parts_bytes = 0
        self._coming: dict[bytes, asyncio.Future[memoryview]] = {}
        self._bringing: dict[asyncio.Task[None], tuple[str, bytes]] = {}
        self.keeping = Keeping(node.access)
        self._checked: OrderedDict[bytes, None] = OrderedDict()
        # What a tag means depends on the signers that are required of whoever moves it.
        self._looks: OrderedDict[tuple[Reference, Required | None], _Look] = OrderedDict()
        self._loop = asyncio.get_running_loop()

    # ---- opening ----------------------------------------------------------------------------------------------------

    async def open(self, reference: Reference) -> Snapshot:
        """What a reference means now, open for reading. NotFoundError, UnreachableError."""
        reference = await self._node.finder.completed(reference)
        expected = self._expected(reference)
        try:
            return await self.at(await self._resolve(reference))
        finally:
            if expected is not None and not expected.done():
                expected.cancel()

    def _expected(self, reference: Reference) -> asyncio.Task[Snapshot] | None:
        """While a tag is looked up: have at hand what it meant last, and a stream to who is likely to give the rest."""
        node = self._node
        for channel in keepers(node.channels, reference.dataset)[:1]:
            node.fetcher.warm(channel.peer_id, REST_S)
        known = None
        with contextlib.suppress(AetherError):  # such as that what is known of it was purged
            known = node.finder.known(reference) if not reference.signature else None
        if known is None or (reference.dataset, known.version) in self._open:
            return None
        opening = asyncio.create_task(self.at(known))
        opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may not be needed
        return opening

    async def _resolve(self, reference: Reference) -> Resolved:
        if reference.signature is not None:
            known = self._node.finder.fixed(reference)
            if known is not None:
                return known
        name = Reference(reference.scope, reference.name, reference.tag, reference.signature)
        key = name, self._node.finder.required
        look = self._looks.get(key)
        if look is None:
            # A look's tasks inherit what is required from whoever makes them begin.
            look = self._looks[key] = _Look(lambda: self._node.finder.resolve(name))
            if len(self._looks) > LOOKS_MAX:
                self._looks.popitem(last=False)
        self._looks.move_to_end(key)
        return await look.take()

    async def at(self, resolved: Resolved) -> Snapshot:
        """A version, open for reading. It is ``resolved`` for whoever asks: what is open knows of no signers."""
        key = resolved.dataset, resolved.version
        self.keeping.refuse_purged(key)
        known = self._open.get(key)
        if known is None:
            bringer = self._bringers.setdefault(key, self._bringer(resolved))
            plain = await self._alone(bringer, Wanted(resolved.version, None, of_manifest=True))
            if len(plain) > ROOT_MAX_BYTES:
                raise RemoteProtocolError(f"the manifest of {resolved.dataset} is longer than it may be")
            self.keeping.refuse_purged(key)
            known = self._open.setdefault(key, (Outline(parse_root(bytes(plain))), bringer))
            while len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)[1][1].close()
        self._open.move_to_end(key)
        return Snapshot(self, resolved, *known)

    def _bringer(self, resolved: Resolved) -> Bringer:
        from swarm.peer.pull import find_neighbours

        node = self._node

        async def find() -> None:
            await find_neighbours(node, resolved.dataset, resolved.version)

        return Bringer(node.parts, resolved.dataset, resolved.version, resolved.entry, find, node.settings.stall_s)

    def is_checked(self, version: bytes) -> bool:
        """Whether the whole file table of a version was seen to be right."""
        return version in self._checked

    def checked(self, version: bytes) -> None:
        self._checked[version] = None
        if len(self._checked) > CHECKED_MAX:
            self._checked.popitem(last=False)

    def was_read(self, snapshot: Snapshot, file: File, begin: int, end: int) -> None:
        """Somebody was given these bytes of a file."""
        self._node.read_counts.note(snapshot, file, begin, end)

    async def close(self) -> None:
        """Nobody reads any more."""
        for look in self._looks.values():
            look.close()
        for bringer in list(self._bringers.values()):
            bringer.close()
        self._open.clear()

    def refuse_purged(self, bringer: Bringer) -> None:
        """NotAllowedError for who reads a version that was purged meanwhile."""
        self.keeping.refuse_purged((bringer.dataset, bringer.version))

    async def let_go(self, dataset: str, version: bytes) -> None:
        """After a version was purged: whoever reads it is refused, and what is under way for it is at its end. From
        then on nothing of it comes into the stores by readers.
        """
        key = dataset, version
        known = self._open.pop(key, None)
        if known is not None:
            self._forget_parts(known[0])
        self._checked.pop(version, None)
        await asyncio.sleep(0)  # a task that has not begun would be cancelled without settling what it promised
        bringing = [task for task, whose in self._bringing.items() if whose == key]
        for task in bringing:
            task.cancel()
        await asyncio.gather(*bringing, return_exceptions=True)
        bringer = self._bringers.pop(key, None)
        if bringer is not None:
            bringer.close()
        await asyncio.to_thread(self.keeping.wait_until_over, key)

    def _forget_parts(self, outline: Outline) -> None:
        refs: list[AnyRef] = [*outline.root.file_segments, *outline.root.block_segments]
        for ref in refs:
            if ref in self._parts:
                del self._parts[ref]
                self._parts_bytes -= ref.size

    # ---- parts of manifests -----------------------------------------------------------------------------------------

    async def file_part(self, bringer: Bringer, ref: FileSegmentRef) -> FilePart:
        return await self._part(bringer, ref, FilePart)

    async def block_part(self, bringer: Bringer, ref: BlockSegmentRef) -> BlockPart:
        return await self._part(bringer, ref, BlockPart)

    def have_parts(self, bringer: Bringer, refs: Sequence[AnyRef]) -> None:
        """Have these segments come, unless the first is at hand."""
        if refs[0] not in self._parts:
            self.want(bringer, [_of_manifest(ref) for ref in refs if ref not in self._parts])

    async def _part(self, bringer: Bringer, ref: Any, make: Callable[[Any, bytes], Part]) -> Part:
        """A segment as the root describes it: decoded ones are remembered, whatever version they are read for."""
        self.refuse_purged(bringer)
        known = self._parts.get(ref)
        if known is not None:
            self._parts.move_to_end(ref)
            return cast(Part, known)
        plain = await self._alone(bringer, _of_manifest(ref))
        part = await asyncio.to_thread(make, ref, bytes(plain))
        self.refuse_purged(bringer)
        if ref not in self._parts:
            self._parts[ref] = part
            self._parts_bytes += ref.size
            while self._parts_bytes > PARTS_MAX_BYTES and len(self._parts) > 1:
                self._parts_bytes -= self._parts.popitem(last=False)[0].size
        return part

    async def _alone(self, bringer: Bringer, wanted: Wanted) -> memoryview:
        return await self.awaited(bringer, wanted, self.want(bringer, [wanted])[0])

    # ---- blocks -----------------------------------------------------------------------------------------------------

    def want(self, bringer: Bringer, wanted: Sequence[Wanted]) -> list[asyncio.Future[memoryview]]:
        """These blocks, plain, in this order. A future is shared by all who want its block: nobody cancels it.
        NotAllowedError once the version is purged.
        """
        self.refuse_purged(bringer)
        futures: list[asyncio.Future[memoryview]] = []
        new: dict[bytes, Wanted] = {}
        for one in wanted:
            future = self._coming.get(one.signature)
            if future is None:
                future = self._loop.create_future()
                at_hand = self._at_hand(one)
                if at_hand is not None:
                    future.set_result(at_hand)
                else:
                    self._coming[one.signature] = future
                    new[one.signature] = one
            futures.append(future)
        if new:
            bringing = self._bring(bringer, {one: self._coming[one.signature] for one in new.values()})
            task = self._node.tasks.start(bringing)
            self._bringing[task] = bringer.dataset, bringer.version
            task.add_done_callback(self._bringing.pop)
        return futures

    async def awaited(self, bringer: Bringer, wanted: Wanted, future: asyncio.Future[memoryview]) -> memoryview:
        """A block that ``want`` promised. NotAllowedError when the version was purged meanwhile."""
        try:
            # Others may wait for the same block: it is not ours to cancel.
            plain = future.result() if future.done() else await asyncio.shield(future)
        except NotAllowedError:
            # It was on its way for another version too, and only that one may be purged.
            plain = await asyncio.shield(self.want(bringer, [wanted])[0])
        self.refuse_purged(bringer)
        return plain

    def _at_hand(self, wanted: Wanted) -> memoryview | None:
        """A block that lies in memory as it is: not worth a thread."""
        encoded = self._node.memory.get(wanted.signature)
        if encoded is None or encoded[0] != RAW or wanted.size not in (None, len(encoded) - 1):
            return None
        return memoryview(encoded)[1:]

    async def _bring(self, bringer: Bringer, wanted: Mapping[Wanted, asyncio.Future[memoryview]]) -> None:
        error = AetherError("reading was broken off")
        try:
            missing = await asyncio.to_thread(self._from_tiers, bringer, list(wanted))
            missing = [one for one in missing if not await self._from_holding(bringer, one)]
            if missing:
                await bringer.bring(missing, functools.partial(self._take, bringer))
        except AetherError as failure:
            error = failure
        finally:
            error = self.keeping.purged((bringer.dataset, bringer.version)) or error
            # What was given out is no longer ours: somebody else may be looking for the same block by now.
            for one, future in wanted.items():
                if not future.done():
                    self._coming.pop(one.signature, None)
                    future.set_exception(error)
                    future.exception()  # there may be nobody left to hear of it

    def _settle(self, signature: bytes, plain: memoryview) -> None:
        """Give a block to all who wait for it, once."""
        future = self._coming.pop(signature, None)
        if future is not None and not future.done():
            future.set_result(plain)

    def _given(self, wanted: Wanted, plain: bytes | memoryview) -> None:
        """From a thread: a block is there."""
        self._loop.call_soon_threadsafe(self._settle, wanted.signature, memoryview(plain))

    def _from_tiers(self, bringer: Bringer, wanted: Sequence[Wanted]) -> list[Wanted]:
        """In a thread: give out what the stores of this peer have, in order; what they lack. What the disk has comes
        into memory by it.
        """
        missing: list[Wanted] = []
        for one in wanted:
            with self.keeping.of((bringer.dataset, bringer.version)):
                encoded = self._node.store.get(one.signature)
            if encoded is None:
                missing.append(one)
            else:
                self._given(one, decode_block(encoded, one.size))
        return missing

    async def _from_holding(self, bringer: Bringer, wanted: Wanted) -> bool:
        """Whether this peer's own holding of the version gives it: a manifest that is here, a seed's object store."""
        holding = await self._node.holdings.find(bringer.dataset, bringer.version)
        encoded: Encoded | None = await holding.read(wanted.signature) if holding is not None else None
        if encoded is None:
            return False
        self._settle(wanted.signature, memoryview(open_block(encoded, wanted.signature, wanted.size)))
        return True

    def _take(self, bringer: Bringer, wanted: Wanted, encoded: memoryview) -> None:
        """In the thread of a run: verify a block, give it out, keep it. Of a version that is purged neither."""
        with contextlib.suppress(NotAllowedError), self.keeping.of((bringer.dataset, bringer.version)):
            self._keep(wanted, encoded)

    def _keep(self, wanted: Wanted, encoded: memoryview) -> None:
        own = bytes(encoded)
        self._given(wanted, open_block(own, wanted.signature, wanted.size))
        try:
            self._node.store.put(wanted.signature, own)
        except AetherError as error:
            log.warning("what was read is not kept: %s", error)


def _of_manifest(ref: AnyRef) -> Wanted:
    return Wanted(ref.signature, ref.size, of_manifest=True)


class _Look:
    """Looks at one tag, each shared by all who asked before it began."""

    def __init__(self, look: Callable[[], Any]) -> None:
        self._look = look
        self._running: asyncio.Task[Resolved] | None = None
        self._next: asyncio.Task[Resolved] | None = None
        self._stale: tuple[float, Resolved] | None = None

    async def take(self) -> Resolved:
        """What the tag means, by a look that begins now or later."""
        if self._stale is not None and time.monotonic() - self._stale[0] < STALE_S:
            return self._stale[1]
        if self._running is None or self._running.done():
            task = self._running = self._start(None)
        elif self._next is None:
            task = self._next = self._start(self._running)
        else:
            task = self._next
        return await asyncio.shield(task)

    def _start(self, before: asyncio.Task[Resolved] | None) -> asyncio.Task[Resolved]:
        task = asyncio.create_task(self._one(before))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to hear of it
        return task

    def close(self) -> None:
        for task in (self._running, self._next):
            if task is not None:
                task.cancel()

    async def _one(self, before: asyncio.Task[Resolved] | None) -> Resolved:
        if before is not None:
            await asyncio.wait([before])
            self._running, self._next = self._next, None
        found: Resolved = await self._look()
        self._stale = (time.monotonic(), found) if found.is_stale else None
        return found
