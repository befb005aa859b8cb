"""What readers have ahead of them: bounded together, whoever goes on and whoever does not."""

from __future__ import annotations

import contextlib
import random

import pytest

from swarm.errors import BusyError
from swarm.limits import MIB
from swarm.peer.ahead import MOST_BYTES, READERS_LEAST, TOGETHER_BYTES, Allowance, Share


def test_one_reader_has_more_while_it_goes_on() -> None:
    allowance = Allowance(64 * MIB)
    with allowance.reader() as share:
        seen = [share.ahead_bytes]
        for _ in range(4):
            share.renew(0)
            seen.append(share.ahead_bytes)
        assert seen == [MIB, 2 * MIB, 4 * MIB, MOST_BYTES, MOST_BYTES]
        assert share.batch_bytes == TOGETHER_BYTES
    assert (allowance.readers, allowance.taken_bytes) == (0, 0)


def test_readers_that_stand_still_leave_later_ones_nothing_ahead_and_what_is_freed_is_had_again() -> None:
    allowance = Allowance(8 * MIB)
    with contextlib.ExitStack() as stack:
        shares = [stack.enter_context(allowance.reader()) for _ in range(8)]
        assert [share.ahead_bytes for share in shares] == [MIB] * 4 + [0] * 4
        stack.close()
    with allowance.reader() as share:
        assert share.ahead_bytes == MIB


def test_what_all_hold_stays_within_the_total() -> None:
    rng = random.Random(5)
    allowance = Allowance(12 * MIB)
    with contextlib.ExitStack() as stack:
        held: dict[Share, int] = {}
        for _ in range(3000):
            if len(held) < 9 and rng.random() < 0.02:
                held[stack.enter_context(allowance.reader())] = 0
            for share in held:
                if rng.random() < 0.7:
                    held[share] = max(held[share] - rng.randrange(MIB), 0)
                    share.renew(held[share])
                    if held[share] <= share.ahead_bytes:
                        held[share] += share.batch_bytes
            assert sum(held.values()) <= allowance.taken_bytes <= allowance.total_bytes


def test_who_comes_when_all_places_are_taken_is_told_to_come_again() -> None:
    allowance = Allowance(MIB)
    with contextlib.ExitStack() as stack:
        for _ in range(READERS_LEAST):
            stack.enter_context(allowance.reader())
        with pytest.raises(BusyError, match="try again") as caught, allowance.reader():
            pass
        assert caught.value.wait_s >= 1
        assert allowance.readers == READERS_LEAST
    with allowance.reader() as share:
        assert share.ahead_bytes == share.batch_bytes == 0
