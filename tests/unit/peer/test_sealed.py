"""Sealed frames: what was sealed is opened in its order, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.peer import sealed
from swarm.peer.sealed import HEAD_BYTES, SEALED_MAX_BYTES, Opener, Sealer, sealed_bytes
from swarm.peer.stream import parse_head
from swarm.peer.wire import ASK, BLOCK, FRAME, NOT_HERE
from tests.datasets import seeded

KEY = bytes(range(32))
FRAMES = ((BLOCK, seeded("block", 70_000)), (NOT_HERE, b""), (ASK, b"peer"), (BLOCK, b"\0"))


def _sealed(frames: tuple[tuple[int, bytes], ...] = FRAMES, key: bytes = KEY) -> list[bytes]:
    sealer, into = Sealer(key), memoryview(bytearray(SEALED_MAX_BYTES))
    return [bytes(sealer.seal(status, payload, into)) for status, payload in frames]


def _opened(data: bytes, key: bytes = KEY) -> list[tuple[int, bytes]]:
    opener, view = Opener(key), memoryview(data)
    frames: list[tuple[int, bytes]] = []
    while view:
        status, length = parse_head(opener.open(view[:HEAD_BYTES], memoryview(bytearray(FRAME.size))).tobytes())
        end = HEAD_BYTES + sealed_bytes(length)
        frames.append((status, opener.open(view[HEAD_BYTES:end], memoryview(bytearray(length))).tobytes()))
        view = view[end:]
    return frames


def test_frames_are_opened_as_they_were_sealed() -> None:
    assert tuple(_opened(b"".join(_sealed()))) == FRAMES


@given(st.data())
def test_one_bit_altered_anywhere_is_noticed(data: st.DataObject) -> None:
    stream = bytearray(b"".join(_sealed(FRAMES[1:])))
    at = data.draw(st.integers(0, 8 * len(stream) - 1))
    stream[at // 8] ^= 1 << at % 8
    with pytest.raises(ConnectionAbortedError):
        _opened(bytes(stream))


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2), (1,), (0, 1, 1)])
def test_a_frame_moved_repeated_or_left_out_is_noticed(order: tuple[int, ...]) -> None:
    frames = _sealed(((NOT_HERE, b""),) * 3)
    with pytest.raises(ConnectionAbortedError):
        _opened(b"".join(frames[at] for at in order))


def test_a_head_is_no_payload_of_the_same_size() -> None:
    sealer, into = Sealer(KEY), memoryview(bytearray(SEALED_MAX_BYTES))
    frame = bytes(sealer.seal(ASK, bytes(FRAME.size), into))
    with pytest.raises(ConnectionAbortedError):
        _opened(frame[HEAD_BYTES:] + frame[:HEAD_BYTES])


def test_another_stream_is_another_key() -> None:
    with pytest.raises(ConnectionAbortedError):
        _opened(b"".join(_sealed()), bytes(32))
    assert not set(_sealed()) & set(_sealed(key=bytes(32)))


def test_equal_frames_look_different() -> None:
    frames = _sealed(((BLOCK, b"the same"),) * 9)
    assert len({frame[at : at + 8] for frame in frames for at in (0, HEAD_BYTES)}) == 18


def test_a_key_is_spent_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SEALED_PER_KEY_MAX_BYTES", 20)
    sealer, into = Sealer(KEY), memoryview(bytearray(SEALED_MAX_BYTES))
    sealer.seal(BLOCK, b"ten bytes.", into)
    assert not sealer.is_spent
    sealer.seal(NOT_HERE, b"", into)
    assert sealer.is_spent
