"""Asking neighbours for blocks that a reader waits for: few, now, in order, and from whoever has them.

A download spreads many blocks over everybody (``scheduler``); this is for one file's range, where the first block
counts. Whoever holds the whole version is asked before an origin, near before far, the least busy first; whoever stays
silent is left for another; an origin that names somebody else is believed if that peer is a neighbour, and insisted
with if not. What comes is handed on, encoded, in a thread; the caller verifies it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from swarm.errors import AetherError, FullError, IncompleteError, RemoteProtocolError, UnreachableError
from swarm.limits import RUN_MAX_BLOCKS, SHOWN_MAX_BYTES, SHOWN_TOGETHER_MAX
from swarm.peer import showing
from swarm.peer.channels import Channel, Channels
from swarm.peer.download import Parts
from swarm.peer.stream import Answer
from swarm.peer.wire import ASK, BLOCK, BUSY, NOT_HERE, NOT_ORIGIN, PRODUCER, SEED, RunRequest
from swarm.peer.wire import Holding as HoldingMessage
from swarm.units import counted

# A run that brings nothing for so long is left for another neighbour; longer when there is no other.
SILENCE_S: Final = 1.5
# Who failed is asked after all others for so long.
PAUSE_S: Final = 10.0
# Nobody else is looked for more often than this.
LOOK_EVERY_S: Final = 2.0
# When all have been asked in vain, they are asked again after this; so is one that is busy.
AGAIN_S: Final = 0.3
# Runs under way at one neighbour: two hide the gap between them, and it takes four of one peer's.
RUNS_EACH_MAX: Final = 2
# Nobody is told any more that we want news of a version, so long after its last block was asked for.
IDLE_S: Final = 50.0
# A stream that a reader used is ready for its next read for so long: far away, a new one costs three round trips. The
# other end closes it after a minute.
REST_S: Final = 50.0

log = logging.getLogger("aetherfs.asking")
_runs = itertools.count(3 << 61)


def keepers(channels: Channels, dataset: str) -> list[Channel]:
    """Neighbours that may keep versions of a dataset for good, the likeliest first: a tracker may be a seed as well."""
    found = [one for one in channels.open.values() if one.role != "peer" and one.caller.may_read(dataset)]
    return sorted(found, key=lambda channel: channel.role != "seed")


class Wanted(NamedTuple):
    """A block. ``size`` is its plain size where that is known; ``of_manifest``: it is the root or a segment."""

    signature: bytes
    size: int | None
    of_manifest: bool = False


Keep = Callable[[Wanted, memoryview], None]


@dataclass(slots=True)
class _Holder:
    """A neighbour, as far as it told what it holds; ``paused_until`` when it failed last."""

    peer: str
    origin: int = NOT_ORIGIN
    is_near: bool = False
    is_whole: bool = False
    knows_entry: bool = False
    paused_until: float = 0.0
    runs: int = 0

    def rank(self, now: float) -> tuple[bool, int, bool, bool, int]:
        """Who comes first has the lowest."""
        return self.paused_until > now, self.origin, not self.is_whole, not self.is_near, self.runs


@dataclass(slots=True)
class _Answers:
    """How a run went: what is left of it, who was named for which block."""

    left: dict[Wanted, None]
    named: dict[Wanted, str] = field(default_factory=dict)
    is_missing: bool = False
    is_busy: bool = False
    at: float = 0.0


class Bringer:
    """Blocks of one version from neighbours. A follower of the version while it is in use.

    ``find`` looks for more neighbours. Call ``close`` at the end.
    """

    def __init__(
        self,
        parts: Parts,
        dataset: str,
        version: bytes,
        entry: bytes,
        find: Callable[[], Awaitable[None]],
        stall_s: float,
    ) -> None:
        self.dataset = dataset
        self.version = version
        self.entry = entry
        self.wire_bytes = 0
        self._parts = parts
        self._find = find
        self._stall_s = stall_s
        self._holders: dict[str, _Holder] = {}
        self._changed = asyncio.Event()
        self._freed = asyncio.Event()
        self._is_following = False
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0.0

    # ---- following --------------------------------------------------------------------------------------------------

    def peer_holds(self, channel: Channel, message: HoldingMessage) -> None:
        holder = self._holder(channel)
        holder.origin, holder.is_whole = message.origin, message.complete
        holder.knows_entry = True
        self._changed.set()

    def peer_has(self, channel: Channel, indices: tuple[int, ...]) -> None:
        """Which of a version's blocks these are shows only the whole manifest."""

    def peer_ready(self, peer_id: str, run: int) -> None:
        """Nobody stands by for a reader."""

    def peer_left(self, peer_id: str) -> None:
        self._holders.pop(peer_id, None)

    def _holder(self, channel: Channel) -> _Holder:
        known = self._holders.get(channel.peer_id)
        if known is None:
            known = self._holders[channel.peer_id] = _Holder(channel.peer_id, is_near=channel.near)
        return known

    def start(self) -> None:
        """Follow the version from now on, until nobody has asked for a while."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._is_following:
            return
        self._is_following = True
        self._parts.exchange.follow(self)
        # Who keeps things has it if anybody does: it is asked at once, while others tell what they hold.
        for channel in keepers(self._parts.channels, self.dataset):
            self._holder(channel).origin = SEED if channel.role == "seed" else PRODUCER

    def close(self) -> None:
        """Follow it no longer."""
        for timer in (self._idle, self._looking):
            if timer is not None:
                timer.cancel()
        self._idle = self._looking = None
        if self._is_following:
            self._is_following = False
            self._parts.exchange.unfollow(self)
            self._holders.clear()

    def waiting_for(self) -> str:
        """In words, what keeps blocks from coming."""
        if not self._holders:
            return "a neighbour that holds this version"
        return f"blocks asked of {counted(len(self._holders), 'neighbour')}"

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def bring(self, wanted: Sequence[Wanted], keep: Keep) -> None:
        """Have these blocks, in this order, each given to ``keep`` in a thread, which refuses one that is wrong by
        RemoteProtocolError. IncompleteError when nothing comes for long.
        """
        self._users += 1
        self.start()
        try:
            await self._bring(dict.fromkeys(wanted), keep)
        finally:
            self._users -= 1
            if not self._users:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.close)

    async def _bring(self, left: dict[Wanted, None], keep: Keep) -> None:
        progressed = time.monotonic()
        lacking: set[str] = set()
        named: list[str] = []
        insist = False
        shown: set[str] = set()
        while left:
            holder = self._next(lacking, named)
            if holder is not None and holder.peer not in shown:
                shown.add(holder.peer)
                if await self._shown(holder, left, keep):
                    continue
            if holder is not None and holder.runs >= RUNS_EACH_MAX:
                self._freed.clear()
                await self._freed.wait()
                continue
            if holder is None:
                if time.monotonic() - progressed > self._stall_s:
                    raise IncompleteError(self._stalled())
                await self._wait(is_again=bool(lacking))
                lacking.clear()
                insist = True
                continue
            answers = await self._run(holder, left, keep, insist=insist)
            if len(answers.left) < len(left):
                progressed = time.monotonic()
            elif answers.is_missing:
                lacking.add(holder.peer)
            left = answers.left
            # Who was named for what is left is asked next, once; from then on whoever names somebody is insisted with.
            insist = insist or bool(named)
            fit = [peer for peer in dict.fromkeys(answers.named.values()) if self._is_fit(peer, lacking)]
            named = [] if insist else fit[:1]
            insist = insist or (bool(answers.named) and not named)

    async def _shown(self, holder: _Holder, left: dict[Wanted, None], keep: Keep) -> bool:
        """Have what is short of a manifest come over the channel, while a stream is made: whether anything did."""
        channel = self._parts.channels.open.get(holder.peer)
        short = [one for one in left if one.of_manifest and (one.size or 0) < SHOWN_MAX_BYTES][:SHOWN_TOGETHER_MAX]
        if not short or channel is None or channel.version < showing.SINCE or self._parts.fetcher.is_ready(holder.peer):
            return False
        self._parts.fetcher.warm(holder.peer, REST_S)
        entry = b"" if holder.knows_entry else self.entry
        asked = {one.signature: one for one in short}
        found = await self._parts.exchange.showing.ask(channel, self.dataset, self.version, entry, tuple(asked))
        try:
            for signature, encoded in found.items():
                await asyncio.to_thread(keep, asked[signature], memoryview(encoded))
                self._count(holder, asked[signature], len(encoded))
                left.pop(asked[signature])
        except RemoteProtocolError as error:
            self._blame(holder, error)
            return True
        return bool(found)

    def _is_fit(self, peer: str, lacking: set[str]) -> bool:
        """Whether somebody who was named is a neighbour that has not failed lately."""
        holder = self._holders.get(peer)
        return holder is not None and peer not in lacking and holder.paused_until <= time.monotonic()

    def _stalled(self) -> str:
        return (
            f"nobody who can be reached gives what is read of {self.dataset}@{self.version.hex()[:12]}; "
            "see `aetherfs status`, and repeat when a holder is up"
        )

    def _next(self, lacking: set[str], named: Sequence[str]) -> _Holder | None:
        """Whom to ask next."""
        now = time.monotonic()
        for peer in named:
            if peer in self._holders and peer not in lacking:
                return self._holders[peer]
        asked = [holder for holder in self._holders.values() if holder.peer not in lacking]
        free = [holder for holder in asked if holder.runs < RUNS_EACH_MAX and holder.paused_until <= now]
        return min(free or asked, key=lambda holder: holder.rank(now), default=None)

    async def _wait(self, *, is_again: bool) -> None:
        """Until somebody else may have what we want."""
        self._look()
        self._changed.clear()
        try:
            async with asyncio.timeout(AGAIN_S if is_again else LOOK_EVERY_S):
                await self._changed.wait()
        except asyncio.TimeoutError:
            self._parts.exchange.ask_again(self)

    def _look(self) -> None:
        now = time.monotonic()
        if (self._looking is None or self._looking.done()) and now - self._looked_at > LOOK_EVERY_S:
            self._looked_at = now
            self._looking = asyncio.create_task(self._found())

    async def _found(self) -> None:
        try:
            await self._find()
        except UnreachableError as error:
            log.info("no more neighbours for now: %s", error)

    async def _run(self, holder: _Holder, left: dict[Wanted, None], keep: Keep, *, insist: bool) -> _Answers:
        """One run of as many as one may name; it is left when nothing comes of it and there is somebody else."""
        asked = list(itertools.islice(left, RUN_MAX_BLOCKS))
        answers = _Answers(dict(left), at=time.monotonic())
        entry = b"" if holder.knows_entry else self.entry
        signatures = tuple(wanted.signature for wanted in asked)
        request = RunRequest(1, next(_runs), self.dataset, self.version, entry, insist, signatures)

        def answered(answer: Answer) -> None:
            self._answered(holder, asked[answer.position], answer, answers)

        taking = asyncio.create_task(
            self._parts.fetcher.take(
                holder.peer, request, lambda at, encoded: keep(asked[at], encoded), answered, REST_S
            )
        )
        holder.runs += 1
        try:
            await self._watch(taking, holder, answers)
            holder.knows_entry = holder.knows_entry or len(answers.left) < len(left)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            holder.runs -= 1
            self._freed.set()
        if not answers.is_missing and not answers.named and len(answers.left) == len(left):
            holder.paused_until = time.monotonic() + (AGAIN_S if answers.is_busy else PAUSE_S)
            if answers.is_busy and len(self._holders) == 1:
                await asyncio.sleep(AGAIN_S)
        return answers

    def _answered(self, holder: _Holder, wanted: Wanted, answer: Answer, answers: _Answers) -> None:
        answers.at = answer.now
        if answer.is_begun:
            return
        if answer.status == BLOCK:
            answers.left.pop(wanted, None)
            self._count(holder, wanted, answer.encoded_bytes)
        elif answer.status == ASK:
            answers.named[wanted] = answer.ask
        elif answer.status == NOT_HERE:
            answers.is_missing = True
        elif answer.status == BUSY:
            answers.is_busy = True

    def _count(self, holder: _Holder, wanted: Wanted, encoded_bytes: int) -> None:
        self.wire_bytes += encoded_bytes
        self._parts.traffic.wire_received_bytes += encoded_bytes
        size = wanted.size or encoded_bytes
        self._parts.traffic.received[holder.peer] += size
        self._parts.traffic.taken["origin" if holder.origin else "peers"] += size

    def _blame(self, holder: _Holder, error: RemoteProtocolError) -> None:
        self._holders.pop(holder.peer, None)
        self._parts.channels.ban(holder.peer, str(error))

    async def _watch(self, taking: asyncio.Task[None], holder: _Holder, answers: _Answers) -> None:
        """Until the run is over or has been silent for too long."""
        while not taking.done():
            await asyncio.wait([taking], timeout=SILENCE_S / 3)
            silent_s = time.monotonic() - answers.at
            if not taking.done() and silent_s > SILENCE_S and len(self._holders) > 1:
                log.info("peer %s is silent: another is asked", holder.peer[:8])
                return
        try:
            taking.result()
        except RemoteProtocolError as error:
            self._blame(holder, error)
        except FullError:
            raise
        except AetherError as error:
            holder.paused_until = time.monotonic() + PAUSE_S
            log.info("a read from %s broke off: %s", holder.peer[:8], error)
