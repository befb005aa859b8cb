"""The small HTTP client: answers as they may come, in whatever parts, and what is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest

from swarm.loopback import answer, ask, connect


@contextmanager
def _answered(*parts: bytes) -> Iterator[socket.socket]:
    """A connection on which these parts come, one by one, and then the end."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        # Whoever has read the answer leaves, and what follows it is sent to nobody.
        with theirs, suppress(ConnectionError):
            for part in parts:
                theirs.sendall(part)

    sending = Thread(target=send)
    sending.start()
    try:
        with ours:
            yield ours
    finally:
        sending.join()


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
)
STATED = b"HTTP/1.1 404 Not Found\r\nServer: s\r\ncontent-length:  13 \r\n\r\nabc0123456789and what is not of it"


@pytest.mark.parametrize(("whole", "status"), [(CHUNKED, 200), (STATED, 404)])
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_an_answer_in_parts(whole: bytes, status: int, step: int) -> None:
    with _answered(*(whole[at : at + step] for at in range(0, len(whole), step))) as connection:
        found = answer(connection)
        assert found.status == status
        assert found.body.read() == b"abc0123456789"


def test_lines_come_before_the_answer_is_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(CHUNKED[: CHUNKED.index(b"3\r\nabc")] + b"4\r\none\n\r\n")
        assert answer(ours).body.readline() == b"one\n"


@pytest.mark.parametrize("end", [*range(0, 62, 3), *range(62, len(CHUNKED) - 1)])
def test_what_breaks_off_is_no_end(end: int) -> None:
    with _answered(CHUNKED[:end]) as connection, pytest.raises(ConnectionError):
        answer(connection).body.read()


@pytest.mark.parametrize(
    "whole",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_answer(whole: bytes) -> None:
    with _answered(whole) as connection, pytest.raises(ConnectionError):
        answer(connection).body.read()


def test_a_request_says_how_long_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ask(ours, "POST", "/x", {"A": "b"}, b"body")
        said = theirs.recv(1000)
    assert said.startswith(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert b"\r\nContent-Length: 4\r\n" in said
    assert said.endswith(b"A: b\r\n\r\nbody")


def test_who_takes_no_request_is_not_who_reads_our_output() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(ConnectionResetError):
        ask(ours, "GET", "/", {}, b"x" * 1_000_000)


def test_silence_ends_by_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, connect(server.getsockname()[1], 0.05) as connection:
        ask(connection, "GET", "/livez", {})
        with pytest.raises(TimeoutError):
            answer(connection)
