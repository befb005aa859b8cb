"""The taking end of a stream of runs, in a thread: from the TLS socket into one reused buffer, block after block.

Each block is handed on before the next is read, so whoever verifies and stores it in that call slows the sender down to
the disk's pace, and no more than one block is in memory for each stream. OpenSSL, BLAKE3 and the disk let go of the
interpreter: two streams of a neighbour keep two cores busy, at half the CPU of reading through an event loop. Blocks
are not decoded or verified here.

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

from swarm.errors import NotAllowedError, RemoteProtocolError, UnreachableError
from swarm.http.tls import break_off
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.wire import ASK, BLOCK, FRAME, REASON_MAX_BYTES, REFUSED

ASK_MAX_BYTES: Final = 64
HANDSHAKE_TIMEOUT_S: Final = 10.0
STALL_TIMEOUT_S: Final = 30.0
# Of a block that may take longer than this it is told when it begins, and every so often that bytes of it come: it is
# slow and not silent.
SLOW_BLOCK_S: Final = 0.01
PROGRESS_S: Final = 0.5
# Of a slow block so many bytes gather in the socket, for at most this long, before the thread wakes to read them: once
# for many packets and not once for each. Far less than a socket holds at first (128 KiB), so the sender never waits.
GATHER_BYTES: Final = 48 * 1024
NAP_MAX_S: Final = 0.05
NAP_MIN_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Answer:
    """How a block of a run was answered, with ``encoded_bytes`` of a BLOCK.

    Or (``is_begun``) that its first bytes came, or more.
    """

    position: int
    now: float
    status: int
    ask: str = ""
    encoded_bytes: int = 0
    is_begun: bool = False


_LIMITS: Final = {BLOCK: ENCODED_MAX_BYTES, ASK: ASK_MAX_BYTES, REFUSED: REASON_MAX_BYTES}
Keep = Callable[[int, memoryview], None]
Tell = Callable[[Answer], None]


def parse_head(head: bytes | bytearray) -> tuple[int, int]:
    """Status and length of a frame. RemoteProtocolError for what no honest peer sends."""
    status, length = FRAME.unpack(head)
    limit = _LIMITS.get(status, 0)
    if status > REFUSED or length > limit:
        raise RemoteProtocolError(f"a frame of status {status} claims {length} bytes, the limit is {limit}")
    return status, length


class RunStream:
    """Runs asked of a peer, over a connection of their own. ``connected`` is a socket to it."""

    def __init__(self, peer: str, server_name: str, context: ssl.SSLContext, connected: socket.socket) -> None:
        self._peer = peer
        self._name = server_name
        self._context = context
        self._socket = connected
        self._tls: ssl.SSLSocket | None = None
        self._is_aborted = False
        self._block_s = SLOW_BLOCK_S
        self._rate_bytes_per_s = GATHER_BYTES / SLOW_BLOCK_S

    def run(self, head: bytes, request: bytes, count: int, buffer: memoryview, keep: Keep, tell: Tell) -> None:
        """Ask for a run of ``count`` blocks and pass on its answers, in order. Blocking.

        ``head`` goes before the first run. ``keep`` is given each block, encoded, as a view of ``buffer`` that is valid
        in the call. UnreachableError when the connection breaks or stays silent; what ``keep`` raises ends the run.
        """
        try:
            if self._tls is None:
                self._tls = self._open()
                request = head + request
            self._tls.sendall(request)
            for position in range(count):
                self._answer(self._tls, position, buffer, keep, tell)
        except OSError as error:
            raise UnreachableError(f"peer {self._peer[:8]} broke off: {error or type(error).__name__}") from error

    def _open(self) -> ssl.SSLSocket:
        self._socket.settimeout(HANDSHAKE_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = self._context.wrap_socket(self._socket, server_hostname=self._name, do_handshake_on_connect=False)
        self._socket = wrapped
        if self._is_aborted:
            raise ConnectionAbortedError("it is no longer wanted")
        wrapped.do_handshake()
        wrapped.settimeout(STALL_TIMEOUT_S)
        return wrapped

    def _answer(self, tls: ssl.SSLSocket, position: int, buffer: memoryview, keep: Keep, tell: Tell) -> None:
        self._fill(tls, buffer[: FRAME.size])
        status, length = parse_head(buffer[: FRAME.size].tobytes())
        payload = buffer[:length]
        if status != BLOCK:
            self._fill(tls, payload)
            text = payload.tobytes().decode("utf-8", "replace")
            if status == REFUSED:
                raise NotAllowedError(f"peer {self._peer[:8]} gives no more: {text if text.isprintable() else '?'}")
            ask = text if status == ASK else ""
            tell(Answer(position, time.monotonic(), status, ask))
            return
        began = time.monotonic()
        is_slow = self._block_s >= SLOW_BLOCK_S
        if is_slow:
            begun = Answer(position, began, status, is_begun=True)
            tell(begun)
            self._fill_slowly(tls, payload, lambda now: tell(replace(begun, now=now)))
        else:
            self._fill(tls, payload)
        self._block_s = time.monotonic() - began
        self._rate_bytes_per_s = length / max(self._block_s, NAP_MIN_S)
        keep(position, payload)
        if not is_slow:
            tell(Answer(position, began, status, is_begun=True))
        tell(Answer(position, time.monotonic(), status, encoded_bytes=length))

    def _fill(self, tls: ssl.SSLSocket, view: memoryview) -> None:
        while view:
            count = tls.recv_into(view)
            if not count:
                raise ConnectionResetError("it ended a run in the middle")  # it may be closing: no blame
            view = view[count:]

    def _fill_slowly(self, tls: ssl.SSLSocket, view: memoryview, goes_on: Callable[[float], None]) -> None:
        """Fill the view, asleep while bytes gather; ``goes_on`` is told, now and then, that some came."""
        came = told = time.monotonic()
        tls.settimeout(0.0)
        try:
            while len(view):
                count = _read_ready(tls, view)
                now = time.monotonic()
                if count:
                    came, view = now, view[count:]
                elif now - came > STALL_TIMEOUT_S:
                    raise TimeoutError("nothing came of a block")
                else:
                    time.sleep(self._nap_s(len(view)))
                if now - told >= PROGRESS_S and came > told:
                    told = now
                    goes_on(now)
        finally:
            tls.settimeout(STALL_TIMEOUT_S)

    def _nap_s(self, left_bytes: int) -> float:
        """How long enough of a block needs to come, or what is left of it."""
        return min(NAP_MAX_S, max(NAP_MIN_S, min(GATHER_BYTES, left_bytes) / self._rate_bytes_per_s))

    @property
    def is_usable(self) -> bool:
        """Whether another run can be asked for: the far end has neither closed it nor said what it was not asked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        has_more = self._tls is not None and self._tls.pending()
        return not self._is_aborted and not has_more and not poll.poll(0)

    def abort(self) -> None:
        """End what is under way in the thread, from another one."""
        self._is_aborted = True
        break_off(self._socket)

    def close(self) -> None:
        """Let go of the connection; nothing is under way."""
        self._socket.close()


def _read_ready(tls: ssl.SSLSocket, view: memoryview) -> int:
    """How many bytes were there to be read; 0 when no whole record is."""
    try:
        count = tls.recv_into(view)
    except ssl.SSLWantReadError:
        return 0
    if not count:
        raise ConnectionResetError("it ended a run in the middle")  # it may be closing: no blame
    return count
