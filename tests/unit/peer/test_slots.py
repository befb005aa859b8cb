"""The number of upload slots finds what fills the uplink, and stays low where few do."""

from __future__ import annotations

import heapq
from statistics import median

import pytest

from swarm.peer.slots import BLOCK_S, FIRST, LEAST, MOST, Slots

BLOCK = 316_000
MBIT = 125_000.0


def slots_after(uplink: float, receiver: float, seconds: float, fewer_from: float = 1e9) -> tuple[float, float]:
    """Slots of a peer to whose uplink (bytes a second) receivers with that much each always ask, and what it sent, as a
    share of what it could: in the last third, the number that it had most of the time.
    """
    slots = Slots()
    numbers: list[int] = []
    sending: list[float] = []
    now = sent = 0.0
    while now < seconds:
        while len(sending) < slots.number:
            receiver_now = uplink if now > fewer_from else receiver
            heapq.heappush(sending, now + BLOCK / min(receiver_now, uplink / slots.number))
        slots.busy(now)
        now = heapq.heappop(sending)
        slots.sent(BLOCK, now)
        sent += BLOCK if now > seconds * 2 / 3 else 0
        numbers += [slots.number] if now > seconds * 2 / 3 else []
    return median(numbers), sent / (seconds / 3) / uplink


@pytest.mark.parametrize("uplink", [1 * MBIT, 10 * MBIT, 50 * MBIT, 1000 * MBIT])
def test_as_many_are_sent_at_a_time_as_let_each_be_whole_soon(uplink: float) -> None:
    number, share = slots_after(uplink, uplink, 6000 * MBIT / uplink)
    fitting = min(MOST, max(LEAST, round(uplink * BLOCK_S / BLOCK)))
    assert fitting - 1 <= number <= max(fitting + 1, 1.5 * fitting)
    assert share > 0.95


def test_a_slow_uplink_is_known_after_a_few_blocks() -> None:
    number, _ = slots_after(10 * MBIT, 10 * MBIT, 6 * FIRST * BLOCK / (10 * MBIT))
    assert number <= LEAST + 1


def test_slow_receivers_are_given_as_many_as_fill_the_uplink() -> None:
    number, share = slots_after(50 * MBIT, 2.5 * MBIT, 600)
    assert number >= 16
    assert share > 0.85


def test_when_they_are_fast_again_the_number_goes_down() -> None:
    number, share = slots_after(50 * MBIT, 2.5 * MBIT, 1800, fewer_from=600)
    assert number <= MOST
    assert share > 0.9


def test_what_is_sent_while_nobody_waits_tells_nothing() -> None:
    slots = Slots()
    for step in range(1000):
        slots.idle()
        slots.sent(BLOCK, step * 0.1)
    assert slots.number == FIRST
