"""The taking end of a stream of runs, in a thread: from the socket into reused buffers, block after block.

Each block is handed on before the next is read, so whoever verifies and stores it in that call slows the sender down to
the disk's pace, and no more than one block is in memory for each stream, and one more where it is opened. The socket,
BLAKE3 and the disk let go of the interpreter: two streams of a neighbour keep two cores busy. The thread wakes when a
block is whole, or once for many packets of a slow one. Blocks are not decoded or verified here.

A connection carries runs one after another. What does not fit the protocol (a frame longer than a block may be) raises
RemoteProtocolError.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from swarm import canonical
from swarm.errors import NotAllowedError, RemoteProtocolError, UnreachableError
from swarm.http.line import LINE
from swarm.http.past_tls import limit_waits, read_past, read_ready
from swarm.http.tls import break_off
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.buffers import Buffers
from swarm.peer.pace import UNPACED, Pace
from swarm.peer.sealed import Opener, sealed_bytes
from swarm.peer.wire import ASK, BLOCK, FRAME, LENGTH, REASON_MAX_BYTES, REFUSED, FrameKey

ASK_MAX_BYTES: Final = 64
HANDSHAKE_TIMEOUT_S: Final = 10.0
STALL_TIMEOUT_S: Final = 30.0
# Of a block that may take longer than this it is told when it begins, and every so often that bytes of it come: it is
# slow and not silent.
SLOW_BLOCK_S: Final = 0.01
PROGRESS_S: Final = 0.5
# Of a slow block so many bytes gather in the socket, for at most this long, before the thread wakes to take them: the
# system would wake it for each packet. Far less than a socket holds at first (128 KiB), so the sender never waits.
GATHER_BYTES: Final = 48 * 1024
NAP_MAX_S: Final = 0.05
NAP_MIN_S: Final = 0.002
FRAME_KEY_MAX_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """How a block of a run was answered, with ``encoded_bytes`` of a BLOCK.

    Or (``is_begun``) that its first bytes came, or more: about ``encoded_bytes`` so far, of ``whole_bytes``.
    """

    position: int
    now: float
    status: int
    ask: str = ""
    encoded_bytes: int = 0
    is_begun: bool = False
    whole_bytes: int = 0


_LIMITS: Final = {BLOCK: ENCODED_MAX_BYTES, ASK: ASK_MAX_BYTES, REFUSED: REASON_MAX_BYTES}
Keep = Callable[[int, memoryview], None]
Tell = Callable[[Answer], None]
# Told when some bytes came, and how many are left.
GoesOn = Callable[[float, int], None]


def parse_head(head: bytes | bytearray) -> tuple[int, int]:
    """Status and length of a frame. RemoteProtocolError for what no honest peer sends."""
    status, length = FRAME.unpack(head)
    limit = _LIMITS.get(status, 0)
    if status > REFUSED or length > limit or (status == BLOCK and not length):
        raise RemoteProtocolError(f"a frame of status {status} claims {length} bytes, the limit is {limit}")
    return status, length


class RunStream:
    """Runs asked of a peer, over a connection of their own. ``connected`` is a socket to it, or one that it
    has made itself and TLS has proved to be its. Blocks are read at the
    ``pace``, which holds up the sender as soon as the socket's own buffer is full.
    """

    def __init__(
        self,
        peer: str,
        server_name: str,
        context: ssl.SSLContext,
        connected: socket.socket,
        pace: Pace = UNPACED,
    ) -> None:
        self._pace = pace
        self.peer = peer
        self._name = server_name
        self._context = context
        self._socket = connected
        self._opener: Opener | None = None
        self._is_greeted = False
        self._is_aborted = False
        self._block_s = SLOW_BLOCK_S
        self._rate_bytes_per_s = GATHER_BYTES / SLOW_BLOCK_S

    def run(self, head: bytes, request: bytes, count: int, buffers: Buffers, keep: Keep, tell: Tell) -> None:
        """Ask for a run of ``count`` blocks and pass on its answers, in order. Blocking.

        ``head`` goes before the first run, unless the far end is greeted. ``keep`` is given each block, encoded, as a
        view that is valid in the call; ``buffers`` hold SEALED_MAX_BYTES. UnreachableError when the connection breaks
        or stays silent; what ``keep`` raises ends the run.
        """
        try:
            if not self._is_greeted:
                self._shake_hands()
            self._say(request if self._is_greeted else head + request)
            self._is_greeted = True
            if self._opener is None:
                self._opener = self._learn_key()
            for position in range(count):
                self._answer(self._opener, position, buffers, keep, tell)
        except OSError as error:
            raise UnreachableError(f"peer {self.peer[:8]} broke off: {error or type(error).__name__}") from error

    def greet(self, head: bytes) -> None:
        """Be ready for a run before one is wanted: it then costs no round trips of its own. The key that answers are
        sealed with comes before the first of them, and is not waited for here. Blocking.
        """
        try:
            self._shake_hands()
            self._say(head)
            self._is_greeted = True
        except OSError as error:
            raise UnreachableError(f"peer {self.peer[:8]} broke off: {error or type(error).__name__}") from error

    def _shake_hands(self) -> None:
        self._socket.settimeout(HANDSHAKE_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit_waits(self._socket, socket.SO_RCVTIMEO, PROGRESS_S)
        wrapped = self._socket
        if not isinstance(wrapped, ssl.SSLSocket):
            wrapped = self._context.wrap_socket(wrapped, server_hostname=self._name, do_handshake_on_connect=False)
            self._socket = wrapped
            if self._is_aborted:
                raise ConnectionAbortedError("it is no longer wanted")
            wrapped.do_handshake()
        LINE.opened(wrapped)

    def _learn_key(self) -> Opener:
        """What the answers are sealed with."""
        wrapped = self._socket
        assert isinstance(wrapped, ssl.SSLSocket), "hands are shaken first"
        length = LENGTH.unpack(_read(wrapped, LENGTH.size))[0]
        if length > FRAME_KEY_MAX_BYTES:
            raise RemoteProtocolError(f"a key of {length} bytes is announced: {FRAME_KEY_MAX_BYTES} is the most")
        key = canonical.decode(_read(wrapped, length), FrameKey, limit_bytes=FRAME_KEY_MAX_BYTES).key
        if wrapped.pending():
            raise RemoteProtocolError("something follows the key of a stream")
        return Opener(key)

    def _say(self, words: bytes) -> None:
        self._socket.settimeout(STALL_TIMEOUT_S)
        self._socket.sendall(words)

    def _answer(self, opener: Opener, position: int, buffers: Buffers, keep: Keep, tell: Tell) -> None:
        status, length = parse_head(self._small(opener, FRAME.size))
        if status == BLOCK:
            self._block(opener, position, length, buffers, keep, tell)
            return
        text = self._small(opener, length).decode("utf-8", "replace")
        if status == REFUSED:
            raise NotAllowedError(f"peer {self.peer[:8]} gives no more: {text if text.isprintable() else '?'}")
        tell(Answer(position, time.monotonic(), status, text if status == ASK else ""))

    def _small(self, opener: Opener, length: int) -> bytearray:
        """What is sealed by itself and is no block."""
        sealed, plain = bytearray(sealed_bytes(length)), bytearray(length)
        self._fill(memoryview(sealed))
        opener.open(memoryview(sealed), memoryview(plain))
        return plain

    def _block(self, opener: Opener, position: int, length: int, buffers: Buffers, keep: Keep, tell: Tell) -> None:
        """A block, in a buffer only from now on: a stream that waits for its turn needs none."""
        began = time.monotonic()
        begun = Answer(position, began, BLOCK, is_begun=True, whole_bytes=length)
        is_slow = self._block_s >= SLOW_BLOCK_S

        def goes_on(now: float, left_bytes: int) -> None:
            tell(replace(begun, now=now, encoded_bytes=max(0, length - left_bytes)))

        with buffers.lent() as buffer:
            sealed = buffer[: sealed_bytes(length)]
            if is_slow:
                tell(begun)
            # At a pace of our own a part is waited for as it is: naps would come on top of it.
            if is_slow and not self._pace.is_limited:
                self._gather(sealed, goes_on)
            else:
                self._fill(sealed, goes_on)
            self._block_s = time.monotonic() - began
            self._rate_bytes_per_s = length / max(self._block_s, NAP_MIN_S)
            with buffers.lent() as plain:
                keep(position, opener.open(sealed, plain))
        if not is_slow:
            tell(begun)
        tell(Answer(position, time.monotonic(), BLOCK, encoded_bytes=length))

    def _fill(self, view: memoryview, goes_on: GoesOn | None = None) -> None:
        """Fill the view, past TLS, however long the system waits for it; ``goes_on`` as for a slow block, which this
        may turn out to be. TimeoutError after a long silence.
        """
        self._socket.settimeout(None)
        heard = time.monotonic()
        while view:
            try:
                count = _some(read_past(self._socket, view[: self._pace.part_bytes(len(view))]))
            except BlockingIOError:
                _check_silence(heard)
                continue
            view = view[count:]
            self._pace.wait(count)
            heard = time.monotonic()
            if view and goes_on is not None:
                goes_on(heard, len(view))

    def _gather(self, view: memoryview, goes_on: GoesOn) -> None:
        """Fill the view, asleep while bytes gather; ``goes_on`` is told, now and then, that some came."""
        self._socket.settimeout(None)
        heard = told = time.monotonic()
        while view:
            time.sleep(self._nap_s(len(view)))
            try:
                count = _some(read_ready(self._socket, view[: self._pace.part_bytes(len(view))]))
            except BlockingIOError:
                _check_silence(heard)
                continue
            view = view[count:]
            self._pace.wait(count)
            heard = time.monotonic()
            if heard - told >= PROGRESS_S:
                told = heard
                goes_on(heard, len(view))

    def _nap_s(self, left_bytes: int) -> float:
        """How long enough of a block needs to come, or what is left of it."""
        return min(NAP_MAX_S, max(NAP_MIN_S, min(GATHER_BYTES, left_bytes) / self._rate_bytes_per_s))

    @property
    def is_usable(self) -> bool:
        """Whether another run can be asked for: the far end has neither closed it nor said what it was not asked, as
        it says its key after a greeting.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP if self._opener is None else select.POLLIN | select.POLLRDHUP)
        return not self._is_aborted and not poll.poll(0)

    def abort(self) -> None:
        """End what is under way in the thread, from another one."""
        self._is_aborted = True
        break_off(self._socket)

    def close(self) -> None:
        """Let go of the connection; nothing is under way."""
        LINE.closing(self._socket)
        self._socket.close()


def _some(count: int) -> int:
    """So many bytes came. ConnectionResetError for none: the far end may be closing, so nobody is blamed."""
    if not count:
        raise ConnectionResetError("it ended a run in the middle")
    return count


def _check_silence(heard: float) -> None:
    if time.monotonic() - heard > STALL_TIMEOUT_S:
        raise TimeoutError("nothing comes")


def _read(tls: ssl.SSLSocket, size: int) -> bytes:
    """So many bytes that TLS carries, in HANDSHAKE_TIMEOUT_S. ConnectionResetError when it ends before."""
    deadline = time.monotonic() + HANDSHAKE_TIMEOUT_S
    data = b""
    while len(data) < size:
        tls.settimeout(max(0.001, deadline - time.monotonic()))
        more = tls.recv(size - len(data))
        if not more:
            raise ConnectionResetError("it ended before its first word")
        data += more
    return data
