"""At which rate a version comes: also over a link so slow that a block takes many seconds."""

from __future__ import annotations

from swarm.peer.works import STILL_S, Work

BLOCK = 400_000


def rates_of(work: Work, arrivals: dict[int, int], until_s: int) -> list[float]:
    """The rate after each second, looked at twice a second; ``arrivals``: bytes by the second at which they came."""
    found = []
    for half in range(2 * until_s + 1):
        if half % 2 == 0:
            work.peers += arrivals.get(half // 2, 0)
        work._measure(100.0 + half / 2)
        if half % 2 == 0:
            found.append(work.rate)
    return found


def test_a_link_on_which_a_block_takes_seconds_has_a_rate_between_blocks() -> None:
    found = rates_of(Work(), dict.fromkeys(range(5, 60, 5), BLOCK), 59)
    assert found[4] == 0.0, "nothing has come yet"
    assert all(BLOCK / 5 * 0.7 < rate < BLOCK / 5 * 1.3 for rate in found[5:])


def test_a_link_on_which_a_block_takes_a_minute_has_a_rate_by_what_came_of_it() -> None:
    work, found = Work(), []
    for second in range(120):
        work.coming = second * 5000 % BLOCK
        work.peers = second * 5000 - work.coming
        work._measure(100.0 + second)
        found.append(work.rate)
    assert all(4900 < rate < 5100 for rate in found[2:])


def test_what_came_of_a_block_that_broke_off_does_not_hide_what_comes_after() -> None:
    work = Work()
    for second in range(60):
        work.coming = second % 20 * 5000
        work._measure(100.0 + second)
        if second > 2:
            assert 2000 < work.rate < 5100, second


def test_a_fast_one_that_ends_falls_at_once_and_is_still_in_the_end() -> None:
    found = rates_of(Work(), dict.fromkeys(range(1, 6), 25 * BLOCK), 5 + int(STILL_S))
    assert found[5] == 25 * BLOCK
    assert found[10] < found[5] / 4
    assert found[-2] > 0.0
    assert found[-1] == 0.0
