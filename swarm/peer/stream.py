"""The taking end of a stream of runs, in a thread: from the TLS socket into one reused buffer, block after block.

Each block is handed on before the next is read, so whoever verifies and stores it in that call slows the sender down to
the disk's pace, and no more than one block is in memory for each stream. OpenSSL, BLAKE3 and the disk let go of the
interpreter: two streams of a neighbour keep two cores busy, at half the CPU of reading through an event loop. Blocks
are not decoded or verified here.

One POST carries runs, one after another, in its body; the response is a stream of frames. What does not fit the
protocol (a frame longer than a block may be, an end in the middle) raises RemoteProtocolError.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.http.problem import error_from
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.wire import ASK, BLOCK, FRAME, RUN_PATH

ASK_MAX_BYTES: Final = 64
REFUSAL_MAX_BYTES: Final = 128 * 1024
HANDSHAKE_TIMEOUT_S: Final = 10.0
STALL_TIMEOUT_S: Final = 30.0
# Of a block that may take longer than this it is told when it begins, and every so often that bytes of it come: it is
# slow and not silent.
SLOW_BLOCK_S: Final = 0.01
PROGRESS_S: Final = 0.5
STEP_BYTES: Final = 64 * 1024


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


Keep = Callable[[int, memoryview], None]
Tell = Callable[[Answer], None]


def parse_head(head: bytes | bytearray) -> tuple[int, int]:
    """Status and length of a frame. RemoteProtocolError for what no honest peer sends."""
    status, length = FRAME.unpack(head)
    limit = {BLOCK: ENCODED_MAX_BYTES, ASK: ASK_MAX_BYTES}.get(status, 0)
    if status > ASK or length > limit:
        raise RemoteProtocolError(f"a frame of status {status} claims {length} bytes, the limit is {limit}")
    return status, length


class RunStream:
    """One request to a peer, over a connection of its own. ``connected`` is a socket to it."""

    def __init__(self, peer: str, server_name: str, context: ssl.SSLContext, connected: socket.socket) -> None:
        self._peer = peer
        self._name = server_name
        self._context = context
        self._socket = connected
        self._response: http.client.HTTPResponse | None = None
        self._is_aborted = False
        self._block_s = SLOW_BLOCK_S

    def run(
        self, request: bytes, headers: Sequence[tuple[str, str]], count: int, buffer: bytearray, keep: Keep, tell: Tell
    ) -> None:
        """Ask for a run of ``count`` blocks and pass on its answers, in order. Blocking.

        ``keep`` is given each block, encoded, as a view of ``buffer`` that is valid in the call. UnreachableError when
        the connection breaks or stays silent; what ``keep`` raises ends the run.
        """
        try:
            if self._response is None:
                self._open(headers)
            self._socket.sendall(b"%x\r\n%b\r\n" % (len(request), request))
            if self._response is None:
                self._response = self._begin()
            for position in range(count):
                self._answer(self._response, position, memoryview(buffer), keep, tell)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"peer {self._peer[:8]} broke off: {error or type(error).__name__}") from error

    def _open(self, headers: Sequence[tuple[str, str]]) -> None:
        self._socket.settimeout(HANDSHAKE_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = self._context.wrap_socket(self._socket, server_hostname=self._name, do_handshake_on_connect=False)
        self._socket = wrapped
        if self._is_aborted:
            raise ConnectionAbortedError("it is no longer wanted")
        wrapped.do_handshake()
        wrapped.settimeout(STALL_TIMEOUT_S)
        lines = [f"POST {RUN_PATH} HTTP/1.1", f"Host: {self._name}", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in headers]
        wrapped.sendall("\r\n".join([*lines, "", ""]).encode())

    def _begin(self) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(self._socket, method="POST")
        response.begin()
        if response.status != 200:
            raise error_from(response.status, response.read(REFUSAL_MAX_BYTES), f"peer {self._peer[:8]}")
        return response

    def _answer(
        self, response: http.client.HTTPResponse, position: int, buffer: memoryview, keep: Keep, tell: Tell
    ) -> None:
        self._fill(response, buffer[: FRAME.size])
        status, length = parse_head(buffer[: FRAME.size].tobytes())
        payload = buffer[:length]
        if status != BLOCK:
            self._fill(response, payload)
            ask = payload.tobytes().decode("ascii", "replace") if status == ASK else ""
            tell(Answer(position, time.monotonic(), status, ask))
            return
        began = time.monotonic()
        is_slow = self._block_s >= SLOW_BLOCK_S
        if is_slow:
            begun = Answer(position, began, status, is_begun=True)
            tell(begun)
            self._fill_slowly(response, payload, lambda now: tell(replace(begun, now=now)))
        else:
            self._fill(response, payload)
        self._block_s = time.monotonic() - began
        keep(position, payload)
        if not is_slow:
            tell(Answer(position, began, status, is_begun=True))
        tell(Answer(position, time.monotonic(), status, encoded_bytes=length))

    def _fill(self, response: http.client.HTTPResponse, view: memoryview) -> None:
        # An empty read would wait for what follows.
        if len(view) and response.readinto(view) != len(view):
            raise RemoteProtocolError(f"peer {self._peer[:8]} ended a run in the middle")

    def _fill_slowly(
        self, response: http.client.HTTPResponse, view: memoryview, goes_on: Callable[[float], None]
    ) -> None:
        """Fill the view; ``goes_on`` is told, now and then, that bytes came."""
        told = time.monotonic()
        while len(view):
            self._fill(response, view[:STEP_BYTES])
            view = view[STEP_BYTES:]
            if (now := time.monotonic()) - told >= PROGRESS_S:
                told = now
                goes_on(now)

    @property
    def is_usable(self) -> bool:
        """Whether another run can be asked for: the far end has neither closed it nor said what it was not asked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not self._is_aborted and not poll.poll(0)

    def abort(self) -> None:
        """End what is under way in the thread, from another one."""
        self._is_aborted = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection; nothing is under way."""
        if self._response is not None:
            self._response.close()
        self._socket.close()
