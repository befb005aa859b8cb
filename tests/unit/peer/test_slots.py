"""The number of upload slots finds what fills the uplink, and stays low where few do."""

from __future__ import annotations

import heapq

import pytest

from swarm.peer.slots import SLOTS, Slots

BLOCK = 316_000
MBIT = 125_000.0


def slots_after(uplink: float, receiver: float, seconds: float, fewer_from: float = 1e9) -> tuple[Slots, float]:
    """Slots of a peer to whose uplink (bytes a second) receivers with that much each always ask; and what it sent in
    the last third, as a share of what it could.
    """
    slots = Slots()
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
    return slots, sent / (seconds / 3) / uplink


@pytest.mark.parametrize("uplink", [10 * MBIT, 50 * MBIT, 1000 * MBIT])
def test_receivers_that_are_fast_enough_need_no_more_than_the_least(uplink: float) -> None:
    slots, share = slots_after(uplink, uplink, 120)
    assert slots.number <= SLOTS + 1
    assert share > 0.95


def test_slow_receivers_are_given_as_many_as_fill_the_uplink() -> None:
    slots, share = slots_after(50 * MBIT, 2.5 * MBIT, 600)
    assert slots.number >= 16
    assert share > 0.85


def test_when_they_are_fast_again_the_number_goes_down() -> None:
    slots, share = slots_after(50 * MBIT, 2.5 * MBIT, 1800, fewer_from=600)
    assert slots.number <= SLOTS + 5
    assert share > 0.9


def test_what_is_sent_while_nobody_waits_tells_nothing() -> None:
    slots = Slots()
    for step in range(1000):
        slots.idle()
        slots.sent(BLOCK, step * 0.1)
    assert slots.number == SLOTS
