"""Buffers are used again, and let go of when told to."""

from __future__ import annotations

from swarm.peer.buffers import Buffers


def test_a_buffer_given_back_is_the_next_one_taken() -> None:
    buffers = Buffers(4096)
    first, second = buffers.take(), buffers.take()
    first[:3] = b"abc"
    assert bytes(second[:3]) == b"\0\0\0"
    buffers.give_back(first)
    assert buffers.take() is first
    assert len(first) == 4096


def test_what_nobody_uses_can_be_forgotten() -> None:
    buffers = Buffers(4096)
    first = buffers.take()
    buffers.give_back(first)
    buffers.forget()
    assert buffers.take() is not first
