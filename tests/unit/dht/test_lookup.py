"""One lookup: whom it asks, what holds it up and what does not, and that it ends."""

from __future__ import annotations

from swarm.dht.lookup import ASKED_MAX, AT_ONCE, SHORTLIST_MAX, WIDE, Lookup
from tests.unit.dht.samples import contact_of, node_at

TARGET = node_at(0)


def lookup_of(numbers: list[int], width: int = 8) -> Lookup:
    lookup = Lookup(TARGET, width)
    for number in numbers:
        lookup.learn(node_at(number), contact_of(number))
    return lookup


def asked(lookup: Lookup) -> list[int]:
    return [int.from_bytes(id, "big") for id, _ in lookup.next()]


def closest(lookup: Lookup) -> list[int]:
    return [int.from_bytes(id, "big") for id, _ in lookup.closest()]


def test_the_closest_are_asked_first_and_each_once() -> None:
    lookup = lookup_of([9, 3, 7, 1, 5, 8])
    assert asked(lookup) == [1, 3, 5, 7, 8]
    assert asked(lookup) == []
    lookup.answered(node_at(3))
    assert asked(lookup) == [9]
    assert not lookup.is_done


def test_it_ends_when_the_closest_have_answered_however_many_are_farther() -> None:
    lookup = lookup_of(list(range(1, 40)), width=8)
    while not lookup.is_done:
        for number in asked(lookup):
            lookup.answered(node_at(number))
    assert closest(lookup) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_nodes_named_on_the_way_are_followed() -> None:
    lookup = lookup_of([1000], width=3)
    assert asked(lookup) == [1000]
    for number in (4, 2, 900):
        lookup.learn(node_at(number), contact_of(number))
    lookup.answered(node_at(1000))
    assert asked(lookup) == [2, 4, 900]


def test_a_failed_node_makes_room_for_a_farther_one() -> None:
    lookup = lookup_of([1, 2, 3], width=2)
    assert asked(lookup) == [1, 2]
    lookup.failed(node_at(1))
    assert asked(lookup) == [3]
    lookup.answered(node_at(2))
    lookup.answered(node_at(3))
    assert lookup.is_done
    assert closest(lookup) == [2, 3]


def test_slow_nodes_hold_nobody_up() -> None:
    lookup = lookup_of(list(range(1, 20)), width=5)
    first = asked(lookup)
    assert len(first) == AT_ONCE
    for number in first:
        lookup.slow(node_at(number))
    assert asked(lookup) == [6, 7, 8, 9, 10]
    for number in range(6, 11):
        lookup.answered(node_at(number))
    assert lookup.is_done, "with enough answers those that are slow are not waited for"
    lookup.answered(node_at(1))
    assert closest(lookup)[0] == 1, "an answer that comes late counts"


def test_in_a_small_network_a_slow_node_is_waited_for() -> None:
    lookup = lookup_of([1, 2])
    asked(lookup)
    lookup.answered(node_at(1))
    lookup.slow(node_at(2))
    assert not lookup.is_done
    lookup.failed(node_at(2))
    assert lookup.is_done


def test_silent_nodes_are_asked_only_when_nothing_was_found() -> None:
    lookup = lookup_of([5])
    lookup.learn(node_at(1), contact_of(1), is_silent=True)
    assert asked(lookup) == [5]
    lookup.answered(node_at(5))
    assert lookup.is_done
    assert lookup.insist()
    assert asked(lookup) == [1]
    lookup.answered(node_at(1))
    assert lookup.is_done
    assert not lookup.insist()


def test_a_lookup_is_bounded_whatever_is_named() -> None:
    lookup = Lookup(TARGET, 8)
    total = 0
    number = 1 << 150
    lookup.learn(node_at(number), contact_of(1))
    while not lookup.is_done:
        for id, _ in lookup.next():
            total += 1
            lookup.answered(id)
            for _ in range(16):
                number -= 1  # always somebody closer
                lookup.learn(node_at(number), contact_of(1))
    assert total == ASKED_MAX
    assert len(lookup._entries) <= SHORTLIST_MAX


def test_nobody_known_is_an_end() -> None:
    lookup = Lookup(TARGET, 8)
    assert lookup.is_done
    assert lookup.closest() == []


def test_what_is_not_found_near_a_key_is_looked_for_farther_away() -> None:
    lookup = lookup_of(list(range(1, 41)))

    def ask_all() -> list[int]:
        all_asked: list[int] = []
        while found := asked(lookup):
            all_asked += found
            for number in found:
                lookup.answered(node_at(number))
        return all_asked

    assert ask_all() == list(range(1, 9))
    assert lookup.insist()
    assert ask_all() == list(range(9, WIDE + 1))
    assert not lookup.insist()
