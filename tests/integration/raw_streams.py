"""A stream of runs of a test's own making, which says and reads what it likes."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Final, Self

from swarm import canonical
from swarm.http.tls import RUN_PROTOCOL, peer_client_context
from swarm.identity import server_name_of
from swarm.peer.node import PeerNode
from swarm.peer.sealed import HEAD_BYTES, Opener, sealed_bytes
from swarm.peer.wire import FRAME, LENGTH, FrameKey

DEADLINE_S: Final = 20.0


class RawStream:
    """To ``giver``, with the papers of ``asker``."""

    def __init__(self, giver: PeerNode, asker: PeerNode) -> None:
        context = peer_client_context(asker.home.tls_files)
        context.set_alpn_protocols([RUN_PROTOCOL])
        connection = socket.create_connection(("127.0.0.1", giver.listener.port), timeout=DEADLINE_S)
        self._tls = context.wrap_socket(connection, server_hostname=server_name_of(giver.key.peer_id))
        self._opener: Opener | None = None

    def say(self, words: bytes) -> None:
        self._tls.sendall(words)

    def key(self) -> bytes:
        """What TLS carries first."""
        length = LENGTH.unpack(self._tls.recv(LENGTH.size))[0]
        return canonical.decode(self._tls.recv(length), FrameKey, limit_bytes=length).key

    def frame(self) -> tuple[int, bytes]:
        """The next answer, opened."""
        if self._opener is None:
            self._opener = Opener(self.key())
        head = self._opener.open(memoryview(self.read(HEAD_BYTES)), memoryview(bytearray(FRAME.size)))
        status, length = FRAME.unpack(head)
        sealed = self.read(sealed_bytes(length))
        return status, self._opener.open(memoryview(sealed), memoryview(bytearray(length))).tobytes()

    def read(self, size: int) -> bytes:
        """So many bytes as they come beside TLS, or fewer at the end."""
        data = b""
        while len(data) < size and (more := socket.socket.recv(self._tls, size - len(data))):
            data += more
        return data

    def close(self) -> None:
        self._tls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
