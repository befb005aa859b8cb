"""The audit: what is noted, what of it is written, and what shows when somebody takes pages away."""

from __future__ import annotations

import pytest

from swarm import authority
from swarm.identity import PeerKey
from swarm.objects.memory import MemoryObjectStore
from swarm.principal import ANONYMOUS, Principal
from swarm.tracker import sealed
from swarm.tracker.audit import KEPT_S, Audit, Page, page_key, pages_of
from swarm.tracker.auditing import EVENTS_PER_PAGE_MAX, REFUSED_EVERY_S, REFUSED_KINDS_MAX, WAITING_MAX, Event, Waiting

NOW = 1_800_000_000.0
CA = authority.create(PeerKey(bytes(32)), NOW)
ALICE = Principal("user", "alice")


def event(number: int) -> Event:
    return Event(int(NOW), "user:alice", "publish", f"maps/roads{number}", "", 1)


def written(count: int) -> tuple[MemoryObjectStore, Audit]:
    """An audit of so many pages, by two trackers in turn."""
    objects = MemoryObjectStore()
    one, other = Audit(objects, CA), Audit(objects, CA)
    for number in range(count):
        (one, other)[number % 2].write((event(number),), NOW)
    return objects, one


def test_what_two_trackers_write_is_one_chain_and_the_newest_comes_first() -> None:
    objects, _ = written(5)
    found = Audit(objects, CA).read(0, 3)
    assert [one.subject for _, one in pages_of(found)] == ["maps/roads4", "maps/roads3", "maps/roads2"]
    rest = Audit(objects, CA).read(found.before, 3)
    assert [serial for serial, _ in pages_of(rest)] == [2, 1]
    assert (rest.before, rest.missing, found.missing) == (0, (), ())


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ((3,), "page 3 is gone"),
        ((1, 2), "pages 1 to 2 are gone"),
        ((5,), "page 5 is gone, which this tracker has seen"),
    ],
)
def test_a_page_that_somebody_takes_away_is_missed(taken: tuple[int, ...], said: str) -> None:
    objects, audit = written(5)
    assert audit.read(0, 10).missing == ()
    for serial in taken:
        objects.delete(page_key(serial))
    assert said in audit.read(0, 10).missing
    audit.write((event(9),), NOW)
    if taken == (5,):
        newest = Audit(objects, CA).read(0, 1).pages[0]
        assert [one.action for one in newest.events] == ["publish", "missing"]
    assert Audit(objects, CA).read(0, 10).missing, "also who comes later sees it"


def test_a_page_that_somebody_else_wrote_counts_for_nothing() -> None:
    objects, _ = written(3)
    page = Page(1, 2, b"", (event(7),), int(NOW))
    objects.put(page_key(2), sealed.seal(PeerKey(b"\1" * 32), page))
    found = Audit(objects, CA).read(0, 10)
    assert "page 2 is gone" in found.missing
    assert "maps/roads7" not in [one.subject for _, one in pages_of(found)]
    # One that the CA has sealed, but for another place.
    objects.put(page_key(2), objects.get(page_key(1)))
    assert "page 2 is another than the one that was written" in Audit(objects, CA).read(0, 10).missing


def test_old_pages_go_and_are_not_missed() -> None:
    objects, audit = written(4)
    audit.write((event(4),), NOW + KEPT_S)
    later = NOW + KEPT_S + 10
    assert audit.forget(later) == 4
    found = Audit(objects, CA).read(0, 10)
    assert [serial for serial, _ in pages_of(found)] == [5]
    assert found.missing == ()
    audit.write((event(5),), later)
    objects.delete(page_key(5))
    assert "pages 5 to 5 are gone" in Audit(objects, CA).read(0, 10).missing


def test_what_is_refused_is_counted_and_told_once_a_minute() -> None:
    waiting = Waiting()
    for _ in range(1000):
        waiting.refused(ALICE, "read", "maps/roads")
    first = waiting.due(0.0, NOW)
    assert [(one.actor, one.action, one.subject, one.detail, one.count) for one in first] == [
        ("user:alice", "refused", "maps/roads", "read", 1000)
    ]
    waiting.written(first)
    waiting.refused(ALICE, "read", "maps/roads")
    assert waiting.due(REFUSED_EVERY_S - 1, NOW) == ()
    assert len(waiting.due(REFUSED_EVERY_S, NOW)) == 1


def test_a_stranger_cannot_fill_the_store() -> None:
    waiting = Waiting()
    for number in range(10_000):
        waiting.refused(ANONYMOUS, "read", f"a/{number}")
        waiting.refused(Principal("user", f"u{number}"), "read", f"a/{number}")
    found = waiting.due(0.0, NOW)
    assert len(found) == REFUSED_KINDS_MAX + 1
    assert sum(one.count for one in found) == 20_000
    assert ("anyone", "-", 10_000) in [(one.actor, one.subject, one.count) for one in found]


def test_what_cannot_wait_for_a_store_that_is_away_is_counted() -> None:
    waiting = Waiting()
    for number in range(WAITING_MAX + 7):
        waiting.done(ALICE, "publish", f"a/{number}", "", NOW)
    told: list[Event] = []
    while events := waiting.due(0.0, NOW):
        assert len(events) <= EVENTS_PER_PAGE_MAX
        told += events
        waiting.written(events)
    assert len(told) == WAITING_MAX + 1
    assert [one.count for one in told if one.action == "lost"] == [7]
