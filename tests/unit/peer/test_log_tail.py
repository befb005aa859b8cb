"""Of a long log only its end is read, as far as is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from swarm.log import Entry
from swarm.peer.log_tail import ENTRIES_MAX, PAGE, log_tail


def entry(serial: int, wall_time: int) -> Entry:
    return Entry(1, "maps/roads", serial, b"", wall_time, "publish", (), "", None, b"p" * 32)


class Log:
    """Entries of one second each, or of the times given."""

    def __init__(self, length: int, times: dict[int, int] | None = None) -> None:
        self.entries = [entry(at, (times or {}).get(at, at)) for at in range(1, length + 1)]
        self.reads: list[tuple[int, int]] = []

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        self.reads.append((after, limit))
        return self.entries[after : after + limit]

    def tail(self, since: float, wanted: int, last: int | None = None) -> tuple[list[int], bool]:
        last = len(self.entries) if last is None else last
        found, is_all = asyncio.run(log_tail(self.read, last, since, lambda seen: len(seen) >= wanted))
        return [each.serial for each in found], is_all


def test_it_ends_where_there_is_enough_or_all_is_older() -> None:
    log = Log(10_000)
    assert log.tail(0, 20) == (list(range(10_001 - PAGE, 10_001)), False)
    assert log.reads == [(10_000 - PAGE, PAGE)]
    log = Log(10_000)
    found, is_all = log.tail(10_001 - PAGE, 10_000)
    assert is_all and len(log.reads) == 2 and found[0] == 10_001 - 2 * PAGE, "one page older than asked for ends it"
    log = Log(10_000)
    found, is_all = log.tail(0, 10_000)
    assert (len(found), is_all, len(log.reads)) == (ENTRIES_MAX, False, ENTRIES_MAX // PAGE)
    assert found == list(range(10_001 - ENTRIES_MAX, 10_001))


def test_it_reads_a_short_log_whole_and_up_to_a_serial_alone() -> None:
    assert Log(3).tail(0, 20) == ([1, 2, 3], True)
    assert Log(3).tail(0, 3) == ([1, 2, 3], True)
    assert Log(PAGE + 1).tail(0, 1000) == (list(range(1, PAGE + 2)), True)
    assert Log(500).tail(0, 1, last=2) == ([1, 2], True)
    assert Log(0).tail(0, 1) == ([], True)


def test_one_publisher_whose_clock_is_off_hides_nothing_before() -> None:
    log = Log(3 * PAGE, {3 * PAGE: 0, 3 * PAGE - 1: 0})
    found, is_all = log.tail(PAGE + 1, 10_000)
    assert found == list(range(1, 3 * PAGE + 1)) and is_all
