"""Serving runs: the giving side of the exchange, a thread for each stream.

Every request is checked by itself: the caller's certificate, its grant for the dataset, the version's place in the
dataset, the block's place in the version. What fails one of these looks like a block that is not here. A thread reads a
block when its turn has come and writes it; whose turn it is decides ``Uploads``. A run can be cancelled in part, over
the channel. Threads and streams are bounded, in all and for each peer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from swarm import clock
from swarm.encoding import Encoded
from swarm.errors import AetherError, NotAllowedError, RemoteProtocolError
from swarm.limits import HEADER_DEADLINE_S, RUNS_SERVED_MAX
from swarm.peer.access import Access, Caller
from swarm.peer.buffers import Buffers
from swarm.peer.giving import GivenStream
from swarm.peer.holdings import Holding, Holdings
from swarm.peer.pace import UNPACED, Pace
from swarm.peer.sealed import SEALED_MAX_BYTES
from swarm.peer.traffic import Traffic
from swarm.peer.turns import Turns
from swarm.peer.wire import ASK, BLOCK, BUSY, NOT_HERE, RunRequest

STREAMS_PER_PEER_MAX: Final = 8
# So many more of one peer are told that they are too many; others are closed without a word.
REFUSED_PER_PEER_MAX: Final = 8
STREAMS_MAX: Final = RUNS_SERVED_MAX
# Threads that wait for strangers to shake hands; beyond that, whoever has been waited for longest goes. Many, since all
# neighbours of an origin may come at once.
STRANGERS_MAX: Final = 256
# Threads beyond the streams: for strangers, and for telling who came too late.
THREADS_MAX: Final = STREAMS_MAX + 2 * STRANGERS_MAX
# Whoever waits for a turn looks so often whether its asker is still there.
LOOK_S: Final = 2.0

T = TypeVar("T")
log = logging.getLogger("aetherfs.serve")


class RunServer:
    """Answers run requests. ``context`` is the listener's, which demands a certificate of the swarm. Blocks go at the
    ``pace``, ``slots_most`` at a time, and to whom ``gives`` does not allow, none.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        access: Access,
        holdings: Holdings,
        traffic: Traffic,
        pace: Pace = UNPACED,
        gives: Callable[[str], bool] = lambda peer: True,
        slots_most: int = RUNS_SERVED_MAX,
    ) -> None:
        self._pace = pace
        self._gives = gives
        self._context = context
        self._access = access
        self._holdings = holdings
        self._traffic = traffic
        self._turns = Turns(self._is_ready, slots_most)
        self.on_ready: Callable[[str, int], None] | None = None
        self._threads = ThreadPoolExecutor(THREADS_MAX, "given")
        self._buffers = Buffers(SEALED_MAX_BYTES)
        self._loop = asyncio.get_running_loop()
        # What the loop and the threads share is behind one lock.
        self._lock = threading.Lock()
        self._streams: dict[GivenStream, concurrent.futures.Future[Any] | None] = {}
        self._strangers: dict[GivenStream, None] = {}
        self._per_peer: Counter[str] = Counter()
        self._is_closing = False

    def shows(self, peer: str) -> bool:
        """Whether a peer may be shown parts of manifests past streams, which alone keep to a pace."""
        return self._gives(peer) and not self._pace.is_limited

    def count_shown(self, peer: str, sent_bytes: int) -> None:
        """It was."""
        if sent_bytes:
            self._count(peer, BLOCK, sent_bytes, sent_bytes)

    def cancel(self, peer: str, run: int, signatures: Sequence[bytes]) -> None:
        """Do not send these blocks of a run; none named means all that is left."""
        self._turns.cancel(peer, run, signatures)

    def stand_by(self, peer: str, run: int, version: bytes, signature: bytes) -> None:
        """A peer stands by for a block of a version that it may read; ``on_ready`` is told of its turn, on the loop."""
        self._turns.stand_by(peer, run, version, signature)

    def gave(self, peer: str, size_bytes: int) -> None:
        """We had a block from this peer."""
        self._turns.gave(peer, size_bytes)

    def _is_ready(self, peer: str, run: int) -> None:
        if self.on_ready is not None:
            self._loop.call_soon_threadsafe(self.on_ready, peer, run)

    def takes_only(self, peer: str) -> None:
        """This peer gives others nothing: send nobody to it, until it has left."""
        self._turns.takes_only(peer)

    def peer_left(self, peer: str) -> None:
        """Send nobody to this peer any more."""
        self._turns.left(peer)

    def accept(self, connection: socket.socket, left_s: float = HEADER_DEADLINE_S) -> None:
        """Take over a connection that is to carry runs, before its handshake, which may take so long. On the loop."""
        self._take_over(GivenStream(connection, self._context, self._buffers, left_s, self._pace))

    def give(self, asker: str, connection: socket.socket, context: ssl.SSLContext) -> None:
        """The same on a connection that we have made to a peer which asked us to."""
        self._take_over(GivenStream(connection, context, self._buffers, pace=self._pace, asker=asker))

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def has_room(self, peer: str) -> bool:
        """Whether one more stream of a peer would be given on."""
        with self._lock:
            return self._per_peer[peer] < STREAMS_PER_PEER_MAX and self._per_peer.total() < STREAMS_MAX

    def _take_over(self, stream: GivenStream) -> None:
        with self._lock:
            is_full = self._is_closing or len(self._streams) >= THREADS_MAX
            if not is_full:
                self._streams[stream] = None
                if len(self._strangers) >= STRANGERS_MAX:
                    longest = next(iter(self._strangers))
                    del self._strangers[longest]
                    longest.abort()
                self._strangers[stream] = None
        if is_full:
            stream.close()
        else:
            self._threads.submit(self._give, stream)

    async def close(self) -> None:
        """End every stream and wait for its thread."""
        with self._lock:
            self._is_closing = True
            for stream, awaited in self._streams.items():
                stream.abort()
                if awaited is not None:
                    awaited.cancel()
        await asyncio.to_thread(self._threads.shutdown)

    # ---- in a thread --------------------------------------------------------------------------------------------

    def _give(self, stream: GivenStream) -> None:
        """One stream, from its handshake to its end."""
        try:
            stream.open()
            with self._counted(stream) as why_not:
                run = stream.next_run(HEADER_DEADLINE_S)
                if why_not:
                    raise NotAllowedError(why_not)
                while run is not None:
                    self._answer(stream, self._access.caller(stream.peer, stream.grant, clock.wall_now()), run)
                    run = stream.next_run()
        except (RemoteProtocolError, NotAllowedError) as error:
            log.info("a stream of %s is refused: %s", stream.peer[:8] or "a stranger", error)
            stream.refuse(str(error))
        except (OSError, concurrent.futures.CancelledError) as error:
            log.debug("%s left in the middle of a run: %s", stream.peer[:8], error)
        except Exception:
            log.exception("a stream of runs failed")
        finally:
            with self._lock:
                del self._streams[stream]
                self._strangers.pop(stream, None)
                if not self._streams:
                    self._buffers.forget()
            stream.close()

    @contextlib.contextmanager
    def _counted(self, stream: GivenStream) -> Iterator[str]:
        """Count a stream whose peer is known now: why it is one too many, or nothing.

        ConnectionAbortedError for one that is not worth a word.
        """
        peer = stream.peer
        with self._lock:
            self._strangers.pop(stream, None)
            number, total = self._per_peer[peer], self._per_peer.total()
            if number >= STREAMS_PER_PEER_MAX + REFUSED_PER_PEER_MAX:
                raise ConnectionAbortedError("it has opened far too many")
            self._per_peer[peer] += 1
        try:
            if number >= STREAMS_PER_PEER_MAX:
                yield "this peer has as many streams of runs open as it may"
            elif total >= STREAMS_MAX:
                yield "there are as many streams of runs open here as may be: come back later"
            else:
                yield ""
        finally:
            with self._lock:
                self._per_peer[peer] -= 1
                if not self._per_peer[peer]:
                    del self._per_peer[peer]

    def _answer(self, stream: GivenStream, caller: Caller, run: RunRequest) -> None:
        if not self._gives(caller.peer_id):
            stream.send(BUSY, count=len(run.signatures))
            return
        try:
            holding = self._holding(stream, caller, run)
        except AetherError as error:
            log.info("a version cannot be looked for now: %s", error)
            stream.send(BUSY, count=len(run.signatures))
            return
        if holding is None:
            stream.send(NOT_HERE, count=len(run.signatures))
            return
        is_data = run.signatures[0] in holding.manifest.index_of
        if not self._turns.begin(caller.peer_id, run, spared=bool(holding.origin) and is_data):
            stream.send(BUSY, count=len(run.signatures))
            return
        try:
            self._serve(stream, run, holding)
        finally:
            self._turns.end(caller.peer_id, run.run)

    def _holding(self, stream: GivenStream, caller: Caller, run: RunRequest) -> Holding | None:
        if not caller.may_read(run.dataset) or not self._access.shows(run.dataset, run.version, run.entry):
            return None
        known = self._holdings.get(run.dataset, run.version)
        return known or self._on_loop(stream, self._holdings.find(run.dataset, run.version))

    def _serve(self, stream: GivenStream, run: RunRequest, holding: Holding) -> None:
        """Answer each block in order, when its turn comes."""
        for signature in run.signatures:
            while (turn := self._turns.wait(stream.peer, run.run, LOOK_S)) is None:
                if stream.is_gone:
                    raise ConnectionResetError("it left while it waited")
            sent_bytes = 0
            if turn.status == BLOCK:
                sent_bytes = self._give_block(stream, holding, signature)
            else:
                stream.send(turn.status, turn.ask.encode())
            self._count(stream.peer, turn.status, sent_bytes, _plain_bytes(holding, signature, sent_bytes))
            self._turns.done(stream.peer, run.run, sent_bytes=sent_bytes)

    def _give_block(self, stream: GivenStream, holding: Holding, signature: bytes) -> int:
        """Send a block; its encoded bytes, 0 if it is not here, or cannot be read now: an object store may be away."""
        try:
            encoded = holding.get(signature, lambda work: self._on_loop(stream, work))
        except AetherError as error:
            log.info("block %s cannot be read now: %s", signature.hex()[:16], error)
            stream.send(BUSY)
            return 0
        self._write(stream, encoded)
        return len(encoded or b"")

    def _write(self, stream: GivenStream, encoded: Encoded | None) -> None:
        if encoded is None:
            stream.send(NOT_HERE)
        else:
            stream.send(BLOCK, encoded)

    def _count(self, peer: str, status: int, sent_bytes: int, plain_bytes: int) -> None:
        with self._lock:
            self._traffic.redirected += status == ASK
            self._traffic.refused += status == BLOCK and not sent_bytes
            self._traffic.wire_sent_bytes += sent_bytes
            if sent_bytes:
                self._traffic.sent[peer] += plain_bytes

    def _on_loop(self, stream: GivenStream, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what has to be done on the loop, unless all ends."""
        with self._lock:
            if self._is_closing:
                work.close()
                raise ConnectionAbortedError("this peer is closing")
            awaited = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._streams[stream] = awaited
        try:
            return awaited.result()
        finally:
            with self._lock:
                self._streams[stream] = None


def _plain_bytes(holding: Holding, signature: bytes, encoded_bytes: int) -> int:
    """The size of a block before it was encoded, as whoever gets it counts it; of a manifest's as it was sent."""
    index = holding.manifest.index_of.get(signature)
    return holding.manifest.unique[index].size if index is not None else encoded_bytes
