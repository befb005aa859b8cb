"""As much of HTTP/1.1 as a call to the agent on loopback needs: a request, an answer of stated length or in parts.

The standard client loads the parsers of mail and TLS too, a fifth of a short command's time. What is no such answer,
and one that ends too soon, is a ConnectionError. One call a connection; the caller closes it.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Mapping
from typing import Final, NamedTuple

HOST: Final = "127.0.0.1"
BUFFER_BYTES: Final = 256 * 1024
HEAD_LINE_MAX_BYTES: Final = 64 * 1024
HEAD_LINES_MAX: Final = 100


class Answer(NamedTuple):
    """The status, and the body as a file to read; it ends where the answer says, or raises ConnectionError."""

    status: int
    body: io.BufferedReader


def connect(port: int, timeout_s: float) -> socket.socket:
    """A connection whose every step may take so long. OSError when there is none."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect((HOST, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection: socket.socket, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> None:
    """Send a request. ConnectionError when the other side takes it no more."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + body)
    except BrokenPipeError as error:  # which elsewhere means that nobody reads our output
        raise ConnectionResetError(error.errno, error.strerror) from error


def answer(connection: socket.socket) -> Answer:
    """The answer to what was asked, as soon as its head is there."""
    file: io.BufferedReader = io.BufferedReader(_Received(connection), BUFFER_BYTES)
    status = _status(_line(file))
    headers = dict(_headers(file))
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, io.BufferedReader(_Parts(file), BUFFER_BYTES))
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise ConnectionError("an answer without a length")
    return Answer(status, io.BufferedReader(_Stretch(file, int(length)), BUFFER_BYTES))


def _status(line: bytes) -> int:
    protocol, _, rest = line.partition(b" ")
    code = rest[:3]
    if not protocol.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
        raise ConnectionError(f"no answer of HTTP: {line[:40]!r}")
    return int(code)


def _headers(file: io.BufferedReader) -> list[tuple[str, str]]:
    """Names in lower case, and values, up to the empty line."""
    found: list[tuple[str, str]] = []
    while line := _line(file):
        name, _, value = line.decode("latin-1").partition(":")
        found.append((name.lower(), value.strip()))
        if len(found) > HEAD_LINES_MAX:
            raise ConnectionError("an answer with too many headers")
    return found


def _line(file: io.BufferedReader) -> bytes:
    line = file.readline(HEAD_LINE_MAX_BYTES)
    if not line.endswith(b"\n"):
        raise ConnectionError("the connection was closed" if not line else "an answer that breaks off in its head")
    return line.rstrip(b"\r\n")


class _Received(io.RawIOBase):
    """What comes on a connection. Unlike the socket's own file it does not keep the connection open."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._connection.recv_into(buffer)


class _Stretch(io.RawIOBase):
    """So many bytes of a file."""

    def __init__(self, file: io.BufferedReader, length: int) -> None:
        self._file = file
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left:
            return 0
        with memoryview(buffer)[: self._left] as part:
            count = self._file.readinto1(part)
        if not count:
            raise ConnectionError("the answer broke off")
        self._left -= count
        return count


class _Parts(_Stretch):
    """Stretches, each behind its length, up to one of no bytes."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file, 0)
        self._is_first, self._is_ended = True, False

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left and not self._is_ended:
            self._begin()
        return super().readinto(buffer)

    def _begin(self) -> None:
        if not self._is_first and _line(self._file):
            raise ConnectionError("a part of an answer is longer than it says")
        self._is_first = False
        text = _line(self._file).partition(b";")[0].strip()
        if not text or text.strip(b"0123456789abcdefABCDEF"):
            raise ConnectionError("a part of an answer without a length")
        self._left = int(text, 16)
        if not self._left:
            self._is_ended = True
            _headers(self._file)
