"""The taking side as false givers, slow ones and whoever sits on the line meet it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from swarm import canonical
from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.http.tls import peer_server_context, run_client_context
from swarm.identity import server_name_of
from swarm.peer import stream as taking
from swarm.peer.buffers import Buffers
from swarm.peer.node import PeerNode
from swarm.peer.sealed import SEALED_MAX_BYTES, Sealer
from swarm.peer.stream import Answer, RunStream
from swarm.peer.wire import BLOCK, FRAME, NOT_HERE, FrameKey, framed
from tests.integration.raw_streams import DEADLINE_S
from tests.integration.swarm_rig import Swarm

KEY: Final = bytes(range(32))
KEY_FRAME: Final = framed(canonical.encode(FrameKey(1, KEY)))
# So short that each part that comes is told of.
PROGRESS_S: Final = 1e-6
# More than a frame's head and the seals of it and of a block.
SEALS_BYTES: Final = 1000
BLOCKS: Final = (b"\0" * 300_000, b"\0" + b"other" * 20_000)

Say = Callable[[bytes], None]
Script = Callable[[ssl.SSLSocket, Say], None]


class Taken:
    """What a run brought, or has brought by now."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.answers: list[Answer] = []

    def begun(self, position: int = 0) -> list[float]:
        """When it was told that bytes of a block came."""
        return [answer.now for answer in self.answers if answer.is_begun and answer.position == position]

    def come(self, position: int) -> int:
        """Bytes that it is told to have come of a block."""
        return max((answer.encoded_bytes for answer in self.answers if answer.position == position), default=0)


def _run(
    tmp_path: Path,
    script: Script,
    count: int = len(BLOCKS),
    act: Callable[[RunStream], None] | None = None,
    taken: Taken | None = None,
) -> Taken:
    """A run asked of a giver that follows a script: past its handshake it is given TLS, and what writes beside it."""
    taken = taken or Taken()

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            giver, asker = await swarm.peer("giver"), await swarm.peer("asker")
            await asyncio.to_thread(_ask, giver, asker)

    def _ask(giver: PeerNode, asker: PeerNode) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            giving = threading.Thread(target=_give, args=(listening, giver))
            giving.start()
            connected = socket.create_connection(listening.getsockname(), timeout=DEADLINE_S)
            name = server_name_of(giver.key.peer_id)
            stream = RunStream(giver.key.peer_id, name, run_client_context(asker.home.tls_files), connected)
            if act is not None:
                threading.Thread(target=act, args=(stream,)).start()
            try:
                buffers = Buffers(SEALED_MAX_BYTES)
                stream.run(
                    b"head",
                    b"request",
                    count,
                    buffers,
                    lambda _, block: taken.blocks.append(bytes(block)),
                    taken.answers.append,
                )
            finally:
                stream.close()
                giving.join()

    def _give(listening: socket.socket, giver: PeerNode) -> None:
        connection, _ = listening.accept()
        connection.settimeout(DEADLINE_S)
        try:
            with peer_server_context(giver.home.tls_files).wrap_socket(connection, server_side=True) as tls:
                tls.recv(64)
                script(tls, lambda data: socket.socket.sendall(tls, data))
        except OSError:
            pass  # the asker has left

    asyncio.run(main())
    return taken


def _frames(*payloads: bytes) -> list[bytes]:
    sealer, into = Sealer(KEY), memoryview(bytearray(SEALED_MAX_BYTES))
    return [bytes(sealer.seal(BLOCK, payload, into)) for payload in payloads]


def test_blocks_come_sealed_beside_tls(tmp_path: Path) -> None:
    def honest(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        for frame in _frames(*BLOCKS):
            say(frame)

    taken = _run(tmp_path, honest)
    assert tuple(taken.blocks) == BLOCKS
    assert [a.encoded_bytes for a in taken.answers if not a.is_begun] == [len(block) for block in BLOCKS]


@pytest.mark.parametrize("at", [0, 20, 21, 150_000, 300_000, 300_030])
def test_what_is_altered_on_the_line_is_neither_kept_nor_blamed(at: int, tmp_path: Path) -> None:
    def alter(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        frame = bytearray(_frames(BLOCKS[0])[0])
        frame[at] ^= 1
        say(bytes(frame) + bytes(100))

    with pytest.raises(UnreachableError, match="not what was sent"):
        _run(tmp_path, alter, 1)


def test_what_ends_in_the_middle_is_nobodys_fault(tmp_path: Path) -> None:
    def end(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        say(_frames(BLOCKS[0])[0][:-1])

    with pytest.raises(UnreachableError, match="in the middle"):
        _run(tmp_path, end)


@pytest.mark.parametrize(
    "first",
    [
        b"\x00\x10\x00\x00",  # a key of a megabyte
        framed(b"\xc1garbage"),
        framed(canonical.encode([1, bytes(16)])),  # half a key
        framed(canonical.encode([2, bytes(32)])),
        KEY_FRAME + b"more",
    ],
)
def test_a_first_word_that_is_no_key_is_blamed(first: bytes, tmp_path: Path) -> None:
    with pytest.raises(RemoteProtocolError):
        _run(tmp_path, lambda tls, _: tls.sendall(first))


def test_frames_inside_tls_are_not_taken(tmp_path: Path) -> None:
    def inside(tls: ssl.SSLSocket, _: Say) -> None:
        tls.sendall(KEY_FRAME)
        tls.sendall(b"".join(_frames(*BLOCKS)))

    with pytest.raises(UnreachableError):
        _run(tmp_path, inside)


def _by_degrees(frame: bytes, say: Say, taken: Taken, position: int) -> None:
    """Give a block in parts, each when it was told that the one before it came."""
    size = len(frame) // 5
    for start in range(0, len(frame), size):
        end = time.monotonic() + DEADLINE_S
        while taken.come(position) < start - SEALS_BYTES:
            assert time.monotonic() < end, "it is not told that bytes come"
            time.sleep(0.005)
        say(frame[start : start + size])


def test_a_slow_block_is_told_to_be_slow_and_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "PROGRESS_S", PROGRESS_S)
    taken = Taken()

    def slow(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        _by_degrees(_frames(BLOCKS[0])[0], say, taken, 0)

    _run(tmp_path, slow, 1, taken=taken)
    assert tuple(taken.blocks) == BLOCKS[:1]
    begun = taken.begun()
    assert len(begun) >= 3
    assert begun == sorted(begun)
    assert not taken.answers[-1].is_begun
    came = [answer.encoded_bytes for answer in taken.answers]
    assert came == sorted(came)
    assert len({each for each in came if 0 < each < len(BLOCKS[0])}) >= 4, "what is here of it is told before"
    assert {answer.whole_bytes for answer in taken.answers[:-1]} == {len(BLOCKS[0])}


def test_a_block_that_turns_out_to_be_slow_is_told_of_before_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "PROGRESS_S", PROGRESS_S)
    monkeypatch.setattr(taking, "SLOW_BLOCK_S", 60.0)
    taken = Taken()

    def quick_then_slow(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        quick, slow = _frames(*BLOCKS[:2])
        say(quick)
        _by_degrees(slow, say, taken, 1)

    _run(tmp_path, quick_then_slow, 2, taken=taken)
    assert tuple(taken.blocks) == BLOCKS[:2]
    assert len(taken.begun(1)) >= 3


def test_a_block_of_no_bytes_is_what_no_honest_peer_sends() -> None:
    with pytest.raises(RemoteProtocolError):
        taking.parse_head(FRAME.pack(BLOCK, 0))
    assert taking.parse_head(FRAME.pack(BLOCK, 1)) == (BLOCK, 1)


def test_a_giver_that_falls_silent_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "PROGRESS_S", 0.05)
    taken = Taken()

    def silent(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        say(_frames(BLOCKS[0])[0][:100_000])
        while not taken.begun():
            time.sleep(0.005)
        monkeypatch.setattr(taking, "STALL_TIMEOUT_S", 0.3)
        tls.recv(1)  # until the asker leaves

    with pytest.raises(UnreachableError, match="nothing comes"):
        _run(tmp_path, silent, taken=taken)


def test_what_is_no_longer_wanted_ends_in_the_middle_of_a_block(tmp_path: Path) -> None:
    begun = threading.Event()

    def half(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        say(_frames(BLOCKS[0])[0][:100_000])
        begun.set()
        tls.recv(1)

    def abort(stream: RunStream) -> None:
        assert begun.wait(DEADLINE_S)
        stream.abort()

    with pytest.raises(UnreachableError):
        _run(tmp_path, half, act=abort)


def test_a_refusal_of_a_block_has_no_payload(tmp_path: Path) -> None:
    def refuse(tls: ssl.SSLSocket, say: Say) -> None:
        tls.sendall(KEY_FRAME)
        say(bytes(Sealer(KEY).seal(NOT_HERE, b"", memoryview(bytearray(SEALED_MAX_BYTES)))))

    taken = _run(tmp_path, refuse, 1)
    assert [answer.status for answer in taken.answers] == [NOT_HERE]
