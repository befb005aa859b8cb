"""Gossip: each entry once to each who may read it, at a bounded rate; who was away is told what it lacks."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping

from swarm.peer import gossip as gossip_module
from swarm.peer.gossip import Compare, Decision, Gossip, Tell

ROADS = "library/roads"
SECRET = "library/secret"


class Book:
    """A ledger of entries that are their own text."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[int, bytes]] = {}

    def record(self, dataset: str, serial: int) -> tuple[bytes, int, bool]:
        known = self.entries.setdefault(dataset, {})
        entry = f"{dataset} {serial}".encode()
        before, is_new = max(known, default=0), serial not in known
        known[serial] = entry
        return entry, before, is_new

    def heads(self) -> Mapping[str, int]:
        return {dataset: max(known) for dataset, known in self.entries.items()}

    def above(self, dataset: str, serial: int) -> Iterable[bytes]:
        return [entry for at, entry in sorted(self.entries.get(dataset, {}).items()) if at > serial]


def reads_all(dataset: str) -> bool:
    return True


def reads_roads(dataset: str) -> bool:
    return dataset == ROADS


def made(*peers: str) -> tuple[Gossip, Book]:
    book = Book()
    gossip = Gossip(book, random.Random(0))
    for peer in peers:
        gossip.opened(peer, reads_all)
    return gossip, book


def told(decisions: Iterable[Decision]) -> list[str]:
    return [decision.peer for decision in decisions if isinstance(decision, Tell)]


def test_news_goes_to_everyone_but_whom_it_came_from_and_once() -> None:
    gossip, _ = made("a", "b", "c")
    assert told(gossip.learnt(ROADS, 1, b"1", 0.0, source="b")) == ["a", "c"]
    assert gossip.learnt(ROADS, 1, b"1", 0.0, source="a") == []


def test_nobody_is_told_what_it_may_not_read() -> None:
    gossip, book = made("a")
    gossip.opened("b", reads_roads)
    assert told(gossip.learnt(SECRET, 1, b"1", 0.0)) == ["a"]
    book.record(SECRET, 1)
    book.record(ROADS, 1)
    (greeting,) = gossip.opened("b", reads_roads)
    assert greeting == Compare("b", ((ROADS, 1),), True)
    assert [d.entry for d in gossip.compared("b", (), True, 0.0) if isinstance(d, Tell)] == [b"library/roads 1"]


def test_who_was_away_is_told_what_it_lacks_at_once() -> None:
    gossip, book = made("a")
    for serial in range(1, 6):
        book.record(ROADS, serial)
    answers = gossip.compared("a", ((ROADS, 3),), True, 0.0)
    assert answers == [Tell("a", b"library/roads 4"), Tell("a", b"library/roads 5")]
    assert gossip.compared("a", ((ROADS, 5),), True, 0.0) == []


def test_of_datasets_that_a_part_of_the_heads_does_not_name_nothing_is_sent() -> None:
    gossip, book = made("a")
    book.record(ROADS, 1)
    assert gossip.compared("a", (), False, 0.0) == []
    assert told(gossip.compared("a", (), True, 0.0)) == ["a"]


def test_a_gap_is_asked_about() -> None:
    gossip, _ = made("a", "b")
    decisions = gossip.learnt(ROADS, 7, b"7", 0.0, source="a", before=4)
    assert Compare("a", ((ROADS, 4),), False) in decisions
    assert not [d for d in gossip.learnt(ROADS, 8, b"8", 0.0, source="a", before=7) if isinstance(d, Compare)]


def test_each_neighbour_is_told_at_a_bounded_rate_and_in_the_end_everything_that_found_room() -> None:
    gossip, _ = made("a")
    first = [d for n in range(200) for d in gossip.learnt(ROADS, n + 1, b"%d" % n, 0.0, before=n)]
    assert len(first) == gossip_module.TELL_BURST
    gossip.check_invariants()
    later = [len(gossip.tick(float(now))) for now in range(1, 8)]
    assert max(later) <= gossip_module.TELL_RATE
    assert len(first) + sum(later) == 200


def test_what_waits_is_bounded() -> None:
    gossip, _ = made("a")
    for n in range(5000):
        gossip.learnt(ROADS, n + 1, b"%d" % n, 0.0)
    gossip.check_invariants()


def test_what_one_neighbour_sends_and_asks_is_bounded() -> None:
    gossip, book = made("a")
    assert sum(gossip.may_come("a", 0.0) for _ in range(5000)) == gossip_module.TAKE_BURST
    assert not gossip.may_come("stranger", 0.0)
    book.record(ROADS, 1)
    assert sum(bool(gossip.compared("a", (), True, 100.0)) for _ in range(50)) == gossip_module.COMPARE_BURST


def test_heads_are_bounded_and_say_that_they_are_not_all() -> None:
    gossip, book = made()
    for number in range(gossip_module.HEADS_MAX + 1):
        book.record(f"library/d{number}", 1)
    (greeting,) = gossip.opened("a", reads_all)
    assert isinstance(greeting, Compare)
    assert len(greeting.heads) == gossip_module.HEADS_MAX
    assert not greeting.whole


def test_a_random_neighbour_is_compared_with_every_half_minute() -> None:
    gossip, _ = made("a", "b")
    found = [d.peer for now in range(100, 701) for d in gossip.tick(float(now)) if isinstance(d, Compare)]
    assert len(found) == 20
    assert set(found) == {"a", "b"}


def test_an_entry_reaches_a_thousand_in_a_few_hops_and_who_joins_late_too() -> None:
    rng = random.Random(7)
    names = [f"p{number}" for number in range(1000)]
    books = {name: Book() for name in names}
    nets = {name: Gossip(books[name], random.Random(rng.random())) for name in names}
    for at, name in enumerate(names[1:-1], 1):
        for other in rng.sample(names[:at], min(at, 4)):
            nets[name].opened(other, reads_all)
            nets[other].opened(name, reads_all)
    hops: dict[str, int] = {}
    sent = 0
    queue: deque[tuple[str, str, int]] = deque([("p17", "", 0)])
    while queue:
        name, source, hop = queue.popleft()
        sent += 1
        entry, before, is_new = books[name].record(ROADS, 1)
        if is_new:
            hops[name] = hop
            for peer in told(nets[name].learnt(ROADS, 1, entry, 0.1 * hop, source=source, before=before)):
                queue.append((peer, name, hop + 1))
    assert len(hops) == 999
    assert max(hops.values()) <= 8
    assert sent <= 2 * 4 * 1000, "at most one message each way on each edge"
    nets["p999"].opened("p3", reads_all)
    (heads,) = nets["p3"].opened("p999", reads_all)
    assert heads == Compare("p999", ((ROADS, 1),), True)
    assert told(nets["p3"].compared("p999", (), True, 9.0)) == ["p999"]
