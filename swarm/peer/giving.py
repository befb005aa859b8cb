"""The giving end of a stream of runs, in a thread: requests out of a blocking TLS socket, sealed frames past it.

A frame is one write, in which the system waits with the interpreter let go. Little stays unsent in the socket, so what
is written is soon with the asker. Each wait has a deadline: for the handshake, for a whole request, for the asker to
take anything.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import ssl
import time
from typing import Final

from swarm import canonical
from swarm.encoding import Encoded
from swarm.errors import LocalProtocolError, NotAllowedError, RemoteProtocolError
from swarm.http.line import LINE
from swarm.http.past_tls import limit_waits, write_past
from swarm.http.serve import peer_in
from swarm.http.tls import break_off
from swarm.identity import server_name_of
from swarm.limits import HEADER_DEADLINE_S, LOG_ENTRY_MAX_BYTES, RECORD_MAX_BYTES, RUN_REQUEST_MAX_BYTES
from swarm.peer.buffers import Buffers
from swarm.peer.pace import UNPACED, Pace
from swarm.peer.sealed import Sealer
from swarm.peer.wire import (
    FRAME_KEY_BYTES,
    LENGTH,
    REASON_MAX_BYTES,
    REFUSED,
    FrameKey,
    RunHead,
    RunRequest,
    framed,
)

UNSENT_MAX_BYTES: Final = 128 * 1024
# A stream that carries no run is ended after this long.
STREAM_IDLE_S: Final = 60.0
# An asker that takes nothing for so long has left.
STALL_TIMEOUT_S: Final = 30.0
# And one that takes less than this on average of a frame, beyond that time, holds up those who wait for its slot.
LEAST_RATE_BYTES_PER_S: Final = 4096
HEAD_MAX_BYTES: Final = 2 * RECORD_MAX_BYTES + 64
REQUEST_MAX_BYTES: Final = RUN_REQUEST_MAX_BYTES + LOG_ENTRY_MAX_BYTES


class GivenStream:
    """One connection of an asker. ``peer`` and ``grant`` are set by ``open``; all but ``abort`` is for one thread.

    ``buffers`` hold SEALED_MAX_BYTES. Handshake and head have ``opening_s`` in all. Frames go at the ``pace``.
    ``asker``: we have dialled that peer, which asked us to.
    """

    def __init__(
        self,
        connection: socket.socket,
        context: ssl.SSLContext,
        buffers: Buffers,
        opening_s: float = HEADER_DEADLINE_S,
        pace: Pace = UNPACED,
        asker: str = "",
    ) -> None:
        self._asker = asker
        self._opened_by = time.monotonic() + opening_s
        self._buffers = buffers
        self._pace = pace
        self._sealer: Sealer | None = None
        self.peer = ""
        self.grant = b""
        self._socket = connection
        self._context = context
        self._is_aborted = False

    def open(self) -> None:
        """Shake hands and read the head. OSError, RemoteProtocolError, NotAllowedError."""
        self._socket.settimeout(self._left_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit_waits(self._socket, socket.SO_SNDTIMEO, STALL_TIMEOUT_S)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX_BYTES)
        wrapped = self._context.wrap_socket(
            self._socket,
            server_side=not self._asker,
            server_hostname=server_name_of(self._asker) if self._asker else None,
            do_handshake_on_connect=False,
        )
        self._socket = wrapped
        LINE.opened(wrapped)
        if self._is_aborted:
            raise ConnectionAbortedError("this peer is closing")
        wrapped.do_handshake()
        key = secrets.token_bytes(FRAME_KEY_BYTES)
        wrapped.sendall(framed(canonical.encode(FrameKey(1, key))))
        self._sealer = Sealer(key)
        peer = peer_in(wrapped.getpeercert())
        if peer is None:
            raise NotAllowedError("a run needs a certificate of the swarm")
        data = self._message(HEAD_MAX_BYTES, self._left_s)
        if data is None:
            raise ConnectionResetError("it left before its first word")
        self.peer, self.grant = peer, canonical.decode(data, RunHead, limit_bytes=HEAD_MAX_BYTES).grant

    @property
    def _left_s(self) -> float:
        """Of the time to open it; a little at least, since none would mean for ever."""
        return max(0.01, self._opened_by - time.monotonic())

    def next_run(self, timeout_s: float = STREAM_IDLE_S) -> RunRequest | None:
        """The next request; None when no more come, or may. RemoteProtocolError for what is none."""
        if self._sealer is not None and self._sealer.is_spent:
            return None
        try:
            data = self._message(REQUEST_MAX_BYTES, timeout_s)
        except TimeoutError:
            return None
        return canonical.decode(data, RunRequest, limit_bytes=REQUEST_MAX_BYTES) if data is not None else None

    def _message(self, limit_bytes: int, timeout_s: float) -> bytes | None:
        """A message after its length; None when the asker has left before it. TimeoutError when it does not begin in
        time, or is not whole soon after it began.
        """
        first = self._read(1, time.monotonic() + timeout_s)
        if not first:
            return None
        deadline = time.monotonic() + min(timeout_s, HEADER_DEADLINE_S)
        head = first + self._read(LENGTH.size - 1, deadline)
        length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
        if length > limit_bytes:
            raise RemoteProtocolError(f"a message of {length} bytes is announced: {limit_bytes} is the most")
        data = self._read(length, deadline)
        if len(head) < LENGTH.size or len(data) < length:
            raise RemoteProtocolError("a run's request ends in the middle")
        return data

    def _read(self, size: int, deadline: float) -> bytes:
        """So many bytes, or fewer at the end. TimeoutError when they do not come in time."""
        data = bytearray(size)
        view = memoryview(data)
        while view:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("a request does not come")
            self._socket.settimeout(left_s)
            count = self._socket.recv_into(view)
            if not count:
                break
            view = view[count:]
        return bytes(data[: size - len(view)])

    def send(self, status: int, payload: Encoded | memoryview = b"", count: int = 1) -> None:
        """A frame, or several that are alike and empty. Returns when all but UNSENT_MAX_BYTES is on its way."""
        if self._sealer is None:
            raise LocalProtocolError("a frame was about to be sent before the handshake")
        with self._buffers.lent() as into:
            end = 0
            for _ in range(count):
                end += len(self._sealer.seal(status, payload, into[end:]))
            self._write(into[:end])

    def _write(self, view: memoryview) -> None:
        """Past TLS, all of it, at our pace. TimeoutError when the asker takes nothing for long, or next to nothing."""
        self._socket.settimeout(None)
        while view:
            part = view[: self._pace.part_bytes(len(view))]
            self._pace.wait(len(part))
            self._write_part(part)
            view = view[len(part) :]

    def _write_part(self, view: memoryview) -> None:
        deadline = time.monotonic() + STALL_TIMEOUT_S + len(view) / LEAST_RATE_BYTES_PER_S
        while view:
            try:
                view = view[write_past(self._socket, view) :]
            except BlockingIOError:
                raise TimeoutError("it takes nothing") from None
            if view and time.monotonic() > deadline:
                raise TimeoutError("it takes next to nothing")

    def refuse(self, reason: str) -> None:
        """Tell the asker why it gets no more."""
        with contextlib.suppress(OSError):
            if self._sealer is not None:
                self.send(REFUSED, reason.encode()[:REASON_MAX_BYTES])

    @property
    def is_gone(self) -> bool:
        """Whether the asker has left."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return self._is_aborted or bool(poll.poll(0))

    def abort(self) -> None:
        """End what is under way in the thread, from another one."""
        self._is_aborted = True
        break_off(self._socket)

    def close(self) -> None:
        """Let go of the connection."""
        LINE.closing(self._socket)
        self._socket.close()

    def __repr__(self) -> str:
        return f"<GivenStream to {self.peer[:8] or 'nobody yet'}>"
