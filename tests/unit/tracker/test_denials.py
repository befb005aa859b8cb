"""Denials: numbered, found again, and bounded by what they take."""

from __future__ import annotations

import random
import sys

import pytest

from swarm.errors import NotFoundError
from swarm.limits import MIB
from swarm.principal import GROUPS_MAX, SUBJECT_NAME_CHARS, Principal
from swarm.tracker.denials import KEPT_MAX, Denials


def person(name: str) -> Principal:
    """With as many groups as an issuer may name; each call makes texts of its own, as each request does."""
    return Principal("user", name, tuple(f"{name}{number:0{SUBJECT_NAME_CHARS - 8}}" for number in range(GROUPS_MAX)))


def held_bytes(denials: Denials) -> int:
    """Of all texts that are kept of the refused, each once."""
    texts = {id(text): text for denial in denials._kept.values() for text in (denial.who.name, *denial.who.groups)}
    return sum(map(sys.getsizeof, texts.values()))


def test_one_person_who_is_refused_again_and_again_is_kept_once() -> None:
    denials = Denials(random.Random(1))
    first = denials.add(person("ann"), "read", "maps/roads", 7)
    for _ in range(KEPT_MAX - 1):
        denials.add(person("ann"), "read", "maps/roads", 8)
    assert denials.find(first.id) == first
    assert held_bytes(denials) < 40_000
    denials.add(person("ann"), "read", "maps/roads", 9)
    with pytest.raises(NotFoundError):
        denials.find(first.id)


def test_many_persons_take_a_bounded_amount_and_the_oldest_goes_first() -> None:
    denials = Denials(random.Random(2), kept_max=1000, refused_max_bytes=MIB)
    made = [denials.add(person(f"p{number}"), "read", "maps/roads", number) for number in range(200)]
    assert MIB // 2 < held_bytes(denials) <= MIB
    assert denials.find(made[-1].id).who == person("p199")
    with pytest.raises(NotFoundError):
        denials.find(made[0].id)
    # Who is forgotten is counted no longer: small ones find room again.
    small = [denials.add(Principal("user", f"s{number}"), "read", "maps/roads", 7) for number in range(1000)]
    assert denials.find(small[0].id).who.name == "s0"
    assert set(denials._refused) == {one.who for one in small}
    assert denials._refused_bytes < MIB


def test_one_who_takes_more_than_all_may_is_told_all_the_same() -> None:
    denials = Denials(random.Random(3), refused_max_bytes=100)
    denial = denials.add(person("ann"), "read", "maps/roads", 7)
    assert denials.find(denial.id).who.groups == person("ann").groups
