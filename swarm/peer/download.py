"""A download: the shell around a scheduler.

It turns what channels and runs report into events, performs the instructions that come back, verifies each block in a
thread before it is stored, and drops a peer that sent a wrong one. It ends when every block is stored, or raises what
stopped it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from swarm.encoding import open_block
from swarm.errors import AetherError, IncompleteError, RemoteProtocolError, UnreachableError
from swarm.limits import KIB
from swarm.peer.blocks import STORED
from swarm.peer.channels import Channel, Channels
from swarm.peer.exchange import Exchange
from swarm.peer.fetch import Fetcher
from swarm.peer.holdings import Holding, Holdings
from swarm.peer.instructions import CancelRun, Connect, Finished, Instruction, StandBy, StartRun
from swarm.peer.picker import indices_of
from swarm.peer.scheduler import TICK_S, Scheduler
from swarm.peer.stream import Answer
from swarm.peer.tasks import Tasks
from swarm.peer.telling import Telling
from swarm.peer.trace import Ending, Recorder, RunTrace
from swarm.peer.traffic import Traffic
from swarm.peer.wire import ASK, BLOCK, BUSY, Cancel, RunRequest, StandingBy
from swarm.peer.wire import Holding as HoldingMessage

ASK_AGAIN_S: Final = 5.0
LOOK_EVERY_S: Final = 30.0
STALL_S: Final = 60.0
# So much of blocks that are not whole is progress too: at 64 kbit/s, the least limit, one may take two minutes.
SOME_BYTES: Final = 64 * KIB

log = logging.getLogger("aetherfs.download")


class Sink(Protocol):
    """Where verified plain bytes go. Blocking, thread-safe."""

    def write(self, index: int, plain: bytes | memoryview) -> None: ...


@dataclass(slots=True)
class Sources:
    """Plain bytes of a download by where they came from; ``wire_bytes`` as they travelled, encoded, those of blocks
    that are not whole yet, or never will be, among them.
    """

    peers: int = 0
    origin: int = 0
    reused: int = 0
    wire_bytes: int = 0
    wasted: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a download works with."""

    exchange: Exchange
    channels: Channels
    fetcher: Fetcher
    holdings: Holdings
    traffic: Traffic
    own_id: str


class Download:
    """One version being fetched into a sink. ``done`` are the blocks that need not be fetched.

    ``find`` is called at the start and whenever nothing moves: it looks for more neighbours and connects to them.
    """

    def __init__(
        self,
        parts: Parts,
        holding: Holding,
        sink: Sink,
        done: Iterable[int],
        find: Callable[[], Awaitable[None]],
        rng: random.Random,
        stall_s: float = STALL_S,
        trace: Recorder | None = None,
    ) -> None:
        self.dataset = holding.dataset
        self.version = holding.version
        self.entry = holding.entry
        self.holding = holding
        self.sources = Sources()
        self.scheduler = Scheduler([block.size for block in holding.manifest.unique], done, rng, parts.own_id)
        self._parts = parts
        self._sink = sink
        self._find = find
        self._stall_s = stall_s
        self._telling = Telling()
        self._tell_timer: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self._runs: dict[int, asyncio.Task[None]] = {}
        # Of the block that each run is at: the encoded bytes that are here, and about how many plain ones that is.
        self._coming: dict[int, tuple[int, int]] = {}
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._last_progress = time.monotonic()
        # When something came last, and how much had by then.
        self._heard = (self._last_progress, 0)
        self._trace = trace or Recorder(self._last_progress, 0.0)

    async def run(self) -> None:
        """Fetch everything that is missing. IncompleteError when nothing moves for long, FullError when the disk is
        full.
        """
        try:
            self._perform(self.scheduler.tick(time.monotonic()))
            if not self._ended.done():
                self._parts.exchange.follow(self)
                self._tasks.start(self._look())
                self._tasks.start(self._tick()).add_done_callback(self._ticked)
            await self._ended
        finally:
            if self._tell_timer is not None:
                self._tell_timer.cancel()
                self._tell()
            self._parts.exchange.unfollow(self)
            await self._tasks.close()
            self.sources.wasted = self.scheduler.fetched_twice_bytes

    @property
    def coming_bytes(self) -> int:
        """About how many plain bytes are here of blocks that are not whole yet."""
        return sum(plain for _, plain in self._coming.values())

    # ---- what channels report -----------------------------------------------------------------------------------

    def peer_holds(self, channel: Channel, message: HoldingMessage) -> None:
        bitmap = None if message.complete else message.bits
        peer, now = channel.peer_id, time.monotonic()
        self._trace.joined(peer, message.origin, channel.near, now)
        self._perform(
            self.scheduler.peer_joined(peer, origin=message.origin, bitmap=bitmap, now=now, near=channel.near)
        )

    def peer_has(self, channel: Channel, indices: tuple[int, ...]) -> None:
        self._perform(self.scheduler.peer_has(channel.peer_id, indices, time.monotonic()))

    def peer_ready(self, peer_id: str, run: int) -> None:
        self._perform(self.scheduler.block_ready(peer_id, run, time.monotonic()))

    def peer_left(self, peer_id: str) -> None:
        now = time.monotonic()
        self._trace.left(peer_id, now)
        self._perform(self.scheduler.peer_left(peer_id, now))

    # ---- performing ---------------------------------------------------------------------------------------------

    def _perform(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case StartRun():
                    self._runs[instruction.run] = self._tasks.start(self._run(instruction))
                case StandBy():
                    self._stand_by(instruction)
                case CancelRun():
                    self._cancel(instruction)
                case Connect():
                    self._tasks.start(self._connect(instruction.peer))
                case Finished():
                    if not self._ended.done():
                        self._ended.set_result(None)

    def _stand_by(self, instruction: StandBy) -> None:
        channel = self._parts.channels.open.get(instruction.peer)
        if channel is not None:
            channel.send(StandingBy(instruction.run, self.version, instruction.index))

    def _cancel(self, instruction: CancelRun) -> None:
        channel = self._parts.channels.open.get(instruction.peer)
        signatures = tuple(self.holding.manifest.unique[index].signature for index in instruction.indices)
        if channel is not None:
            channel.send(Cancel(instruction.run, () if instruction.whole else signatures))
        task = self._runs.get(instruction.run)
        if instruction.whole and task is not None:
            task.cancel()

    async def _connect(self, peer: str) -> None:
        try:
            await self._parts.channels.connect(peer)
        except AetherError as error:
            log.debug("peer %s, named by another, is not to be had: %s", peer[:8], error)

    async def _run(self, run: StartRun) -> None:
        """One run: ask, hand each block over as it comes, report the end."""
        unique = self.holding.manifest.unique
        request = RunRequest(
            format=1,
            run=run.run,
            dataset=self.dataset,
            version=self.version,
            entry=b"",
            insist=run.insist,
            signatures=tuple(unique[index].signature for index in run.indices),
        )

        busy = 0
        traced = self._trace.run(run.peer, time.monotonic())

        def keep(position: int, encoded: memoryview) -> None:
            self._verify_and_write(run.peer, run.indices[position], encoded, traced)

        def answered(answer: Answer) -> None:
            nonlocal busy
            busy += answer.status == BUSY
            if answer.is_begun:
                traced.begun(run.indices[answer.position], answer.now)
            elif answer.status != BLOCK:
                traced.refused += 1
            self._answered(run, run.indices[answer.position], answer)

        failed = True
        ending: Ending = "broken"
        try:
            await self._parts.fetcher.take(run.peer, request, keep, answered)
            failed, ending = busy == len(run.indices), "whole"
        except asyncio.CancelledError:
            ending = "cancelled"
            raise
        except RemoteProtocolError as error:
            self._parts.channels.ban(run.peer, str(error))
            self.peer_left(run.peer)
        except AetherError as error:
            log.info("a run from %s broke off: %s", run.peer[:8], error)
        finally:
            self._trace.ended(traced, time.monotonic(), ending)
            self._runs.pop(run.run, None)
            self._coming.pop(run.run, None)
        self._perform(self.scheduler.run_ended(run.run, time.monotonic(), failed=failed))

    def _answered(self, run: StartRun, index: int, answer: Answer) -> None:
        if self._ended.done():
            return
        if answer.is_begun:
            self._came(run.run, index, answer)
            self._perform(self.scheduler.block_begun(run.run, index, answer.now))
        elif answer.status != BLOCK:
            ask = answer.ask if answer.status == ASK else None
            banned = ask is not None and self._parts.channels.is_banned(ask)
            busy = answer.status == BUSY
            refused = self.scheduler.block_refused
            self._perform(refused(run.run, index, answer.now, ask=ask, banned=banned, busy=busy))
        else:
            self._came(run.run, index, answer)
            del self._coming[run.run]
            if self.scheduler.block_received(run.run, index, answer.now):
                self._stored(run.peer, index, answer.now)

    def _came(self, run: int, index: int, answer: Answer) -> None:
        """Count what is new of the block that a run is at: over a slow link it takes longer than a moment."""
        before, plain = self._coming.get(run, (0, 0))
        more = max(0, answer.encoded_bytes - before)
        self._parts.traffic.wire_received_bytes += more
        self.sources.wire_bytes += more
        if answer.whole_bytes:
            plain = self.holding.manifest.unique[index].size * answer.encoded_bytes // answer.whole_bytes
        self._coming[run] = (before + more, plain)
        if self.sources.wire_bytes - self._heard[1] >= SOME_BYTES:
            self._heard = (answer.now, self.sources.wire_bytes)

    def _has_stalled(self, now: float) -> bool:
        """Whether so long nothing was stored, and nothing worth the name came."""
        return now - max(self._last_progress, self._heard[0]) > self._stall_s

    def _stored(self, peer: str, index: int, now: float) -> None:
        """One more block is verified and in its place."""
        self._last_progress = now
        size = self.holding.manifest.unique[index].size
        self._parts.traffic.received[peer] += size
        self._parts.exchange.runs.gave(peer, size)
        neighbour = self.scheduler.neighbours.get(peer)
        if neighbour is not None and neighbour.origin:
            self.sources.origin += size
            self._parts.traffic.taken["origin"] += size
        else:
            self.sources.peers += size
            self._parts.traffic.taken["peers"] += size
        self._parts.holdings.stored(self.holding, index)
        self._telling.stored(index, self.scheduler.picker.copies(index), now)
        self._tell_by(self._telling.due)
        self._perform(self.scheduler.block_stored(index, now))

    def _tell_by(self, due: float) -> None:
        """Tell at that time of the loop's clock, which is ``time.monotonic``, or before."""
        if self._tell_timer is not None:
            if self._tell_timer.when() <= due:
                return
            self._tell_timer.cancel()
        self._tell_timer = self._loop.call_at(due, self._tell)

    def _tell(self) -> None:
        """Let neighbours know what is new here."""
        self._tell_timer = None
        blocks = self._telling.take()
        neighbours = self.scheduler.neighbours

        def news(peer: str) -> tuple[int, ...]:
            neighbour = neighbours.get(peer)
            return tuple(indices_of(blocks & ~neighbour.have if neighbour is not None else blocks))

        self._parts.exchange.tell(self, news)

    def _verify_and_write(self, peer: str, index: int, encoded: memoryview, traced: RunTrace) -> None:
        """In the thread of a run: what is not the block ends the run, and what the disk refuses the download."""
        if self.scheduler.blocks.state[index] == STORED:
            return
        block = self.holding.manifest.unique[index]
        came = time.monotonic()
        try:
            plain = open_block(encoded, block.signature, block.size)
            verified = time.monotonic()
            self._sink.write(index, plain)
        except RemoteProtocolError:
            self._loop.call_soon_threadsafe(self._bad_block, peer)
            raise
        except AetherError as error:
            self._loop.call_soon_threadsafe(self._fail, error)
            raise
        traced.received(index, block.size, came, verified, time.monotonic())

    def _bad_block(self, peer: str) -> None:
        self._parts.traffic.bad_blocks += 1
        self._parts.traffic.bad_from[peer] += 1

    def _fail(self, error: AetherError) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    # ---- time ---------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Look for neighbours: at once, again when nothing moves, and now and then while it does."""
        while True:
            looked = time.monotonic()
            try:
                await self._find()
            except UnreachableError as error:
                log.info("no more neighbours for now: %s", error)
            await asyncio.sleep(ASK_AGAIN_S)
            while time.monotonic() < min(self._last_progress + ASK_AGAIN_S, looked + LOOK_EVERY_S):
                await asyncio.sleep(ASK_AGAIN_S)

    def _ticked(self, task: asyncio.Task[None]) -> None:
        """Without ticks nothing goes on: a defect there ends the download, which says so."""
        if not task.cancelled() and task.exception() is not None:
            self._fail(AetherError(f"{self.dataset} cannot be fetched: {task.exception()!r}; this is a defect"))

    async def _tick(self) -> None:
        asked = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self._perform(self.scheduler.tick(now))
            if now - max(self._last_progress, asked) > ASK_AGAIN_S:
                asked = now
                self._parts.exchange.ask_again(self)
            if self._has_stalled(now):
                done, total = self.scheduler.blocks.stored, len(self.scheduler.sizes)
                self._fail(
                    IncompleteError(
                        f"{self.dataset} is incomplete: {done} of {total} blocks are here and nothing came for "
                        f"{self._stall_s:.0f} s; it waits for {self.scheduler.waiting_for()}; repeat to go on"
                    )
                )
