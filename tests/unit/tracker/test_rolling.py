"""Rollouts in the log: what may be committed, and trackers that act at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from swarm.errors import ConflictError, NotFoundError
from swarm.identity import PeerKey
from swarm.log import Entry, Move
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.records import Rule
from swarm.retention import History, KeepRule
from swarm.rollout import Rollout, acted, went_at_once
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.members import Members
from swarm.tracker.rolling import Rolling
from tests.unit.log_samples import FIRST, OTHER, SEED, TOTALS, V1, V2, WALL, after, authority, changed, grant_of, signed
from tests.unit.rollout_samples import PLAN, STAGED, begin, gone_on, half, planned

ROADS = "library/roads"
V3 = bytes(32)


def tracker(objects: ObjectStore, key: PeerKey = OTHER) -> tuple[Catalogue, Rolling]:
    """One of several over a store."""
    grant = grant_of(key.public, Rule("publish", "*"))
    members = cast(Members, SimpleNamespace(admit_keeper=lambda *_: (SimpleNamespace(grant=grant), None)))
    catalogue = Catalogue(objects, authority())
    return catalogue, Rolling(objects, catalogue, members, key)


def staged() -> tuple[ObjectStore, Catalogue, Rolling]:
    objects = MemoryObjectStore()
    catalogue, rolling = tracker(objects)
    for entry in (FIRST, STAGED):
        catalogue.append(half(entry))
    return objects, catalogue, rolling


def doing(action: str) -> Callable[[Rollout], Rollout]:
    return lambda known: acted(known, action, full=False, wall_time=WALL, author="", reason="")  # type: ignore[arg-type]


def test_two_trackers_that_abort_make_one_entry() -> None:
    objects, one, rolling = staged()
    two, other = tracker(objects, SEED)
    two.head(ROADS)

    def once(known: Rollout) -> Rollout | None:
        return doing("abort")(known) if known.is_under_way else None

    def late(known: Rollout) -> Rollout | None:
        if known.is_under_way:
            assert rolling.change(ROADS, "latest", once, WALL) is not None, "the other is first, after this look"
        return once(known)

    assert other.change(ROADS, "latest", late, WALL) is None
    head, _, state = two.staged(ROADS)
    assert head.serial == one.head(ROADS).serial == 3
    assert (state.rollouts["latest"].state, {tag.tag: tag.version for tag in head.tags}["latest"]) == ("aborted", V1)


def test_of_two_who_have_seen_the_same_one_is_refused() -> None:
    objects, _, rolling = staged()
    _, other = tracker(objects)
    assert rolling.change(ROADS, "latest", doing("pause"), WALL, if_serial=2) is not None
    with pytest.raises(ConflictError, match="entry 3 of library/roads was first: rollout of 'latest'"):
        other.change(ROADS, "latest", doing("promote"), WALL, if_serial=2)
    with pytest.raises(ConflictError, match="is paused"):
        other.change(ROADS, "latest", doing("pause"), WALL)
    with pytest.raises(NotFoundError, match="has no rollout"):
        other.change(ROADS, "v1", doing("pause"), WALL)


def test_what_went_out_at_once_is_taken_back_once() -> None:
    objects = MemoryObjectStore()
    catalogue, rolling = tracker(objects)
    catalogue.append(half(FIRST))
    back = partial(rolling.change, ROADS, "latest", doing("rollback"), WALL, at_once=True)
    with pytest.raises(ConflictError, match="nothing to go back to: it is new"):
        back()
    with pytest.raises(NotFoundError, match="has no tag 'none'"):
        rolling.change(ROADS, "none", doing("rollback"), WALL, at_once=True)
    for version in (V2, V3):
        again = after(
            catalogue.entry(ROADS, catalogue.head(ROADS).serial), kind="publish", moves=(Move("latest", version),)
        )
        catalogue.append(half(msgspec.structs.replace(again, totals=TOTALS, message="")))
    head, _, state = catalogue.staged(ROADS)
    tags = {tag.tag: tag for tag in head.tags}
    assert state.at_once("v1", tags) is None
    other = went_at_once("latest", V3, V1, 3)
    wrong = acted(other, "rollback", full=False, wall_time=WALL, author="", reason="")
    with pytest.raises(ConflictError, match="has moved since"):
        catalogue.append(half(stated(catalogue, wrong)))
    done = back()
    assert done is not None
    [rollout] = done[1].rollouts
    assert (done[1].kind, rollout.version, rollout.settled, rollout.state) == ("rollout", V3, V2, "rolled back")
    assert {tag.tag: tag.version for tag in catalogue.head(ROADS).tags}["latest"] == V2
    with pytest.raises(ConflictError, match="is rolled back, so it cannot"):
        back()
    # A tracker that starts comes to the same; from there on it goes back behind it, and not to V3.
    fresh, _ = tracker(objects)
    fourth = after(fresh.entry(ROADS, 4), kind="tag", moves=(Move("latest", V2),), format=1, rollouts=(), message="")
    fresh.append(half(msgspec.structs.replace(fourth, publisher=FIRST.publisher)))
    head, _, state = fresh.staged(ROADS)
    found = state.at_once("latest", {tag.tag: tag for tag in head.tags})
    assert found is not None
    assert (found.version, found.settled) == (V2, V1)
    fifth = after(fresh.entry(ROADS, 5), kind="rollback", moves=(Move("latest", V3),), message="")
    fresh.append(half(fifth))
    head, _, state = fresh.staged(ROADS)
    assert state.at_once("latest", {tag.tag: tag for tag in head.tags}) is None, "it was rolled back by somebody"


def stated(catalogue: Catalogue, rollout: Rollout) -> Entry:
    """The next entry, with a rollout that nobody has checked."""
    data = catalogue.entry(ROADS, catalogue.head(ROADS).serial)
    made = after(
        data, format=2, kind="rollout", moves=(Move("latest", rollout.target),), rollouts=(rollout,), message=""
    )
    return msgspec.structs.replace(made, publisher=OTHER.public)


def test_an_entry_that_does_not_follow_is_refused() -> None:
    _, catalogue, _ = staged()
    data = catalogue.entry(ROADS, 2)
    good = gone_on(STAGED, "promote", data=data)
    [rollout] = good.rollouts
    for bad in (
        msgspec.structs.replace(rollout, stage=2, state="running"),
        msgspec.structs.replace(rollout, begun=1),
        msgspec.structs.replace(rollout, state="paused"),
    ):
        with pytest.raises(ConflictError, match="has moved since"):
            catalogue.append(half(changed(good, rollouts=(bad,))))
    catalogue.append(half(good))
    third = catalogue.entry(ROADS, 3)
    again = after(third, format=2, kind="publish", moves=(Move("latest", V3),), totals=TOTALS, message="", rollouts=())
    again = msgspec.structs.replace(again, publisher=FIRST.publisher)
    states = begin(version=V3), begin(version=V3, settled=V2)
    ours, theirs = [changed(again, rollouts=(msgspec.structs.replace(each, begun=4),)) for each in states]
    with pytest.raises(ConflictError, match="has moved since"):
        catalogue.append(half(theirs))  # those who wait have V1, not what was under way
    catalogue.append(half(ours))


def test_what_is_published_to_a_tag_with_a_plan_states_it() -> None:
    objects = MemoryObjectStore()
    catalogue, rolling = tracker(objects)
    catalogue.append(half(FIRST))
    assert rolling.set_plan(ROADS, "latest", PLAN, "user:ops", WALL) is not None
    assert rolling.set_plan(ROADS, "latest", PLAN, "user:ops", WALL) is None, "it has it"
    with pytest.raises(ConflictError, match="entry 2 of library/roads was first"):
        rolling.set_plan(ROADS, "latest", None, "user:ops", WALL, if_serial=1)
    data = catalogue.entry(ROADS, 2)
    bare = after(data, kind="publish", moves=(Move("latest", V2),), totals=TOTALS, message="", format=1, plans=())
    bare = msgspec.structs.replace(bare, publisher=FIRST.publisher)
    with pytest.raises(ConflictError, match="goes out by a plan"):
        catalogue.append(half(bare))
    rollout = msgspec.structs.replace(begin(), begun=3)
    catalogue.append(half(changed(bare, format=2, rollouts=(rollout,))))
    third = catalogue.entry(ROADS, 3)
    at_once = msgspec.structs.replace(after(third, format=1, rollouts=(), message=""), publisher=FIRST.publisher)
    at_once = changed(at_once, moves=(Move("latest", V1),))
    catalogue.append(half(at_once))  # back to what is settled: nobody is held back from that


def test_what_held_peers_have_is_kept_as_long_as_they_are_held() -> None:
    rule = KeepRule(1, ROADS, 1, 1, None, (), WALL)
    history = History()
    for entry in (FIRST, after(signed(FIRST), kind="rm", moves=(Move("v1", None),))):
        history.apply(entry)
    third = signed(after(signed(FIRST), kind="rm", moves=(Move("v1", None),)))
    entries: list[Entry] = [
        changed(STAGED, serial=3, rollouts=(msgspec.structs.replace(begin(), begun=3),)),
    ]
    history.apply(entries[0])
    assert history.kept(rule, WALL) == {V1, V2}
    history.apply(gone_on(entries[0], "promote", data=third))
    assert history.kept(rule, WALL) == {V1, V2}
    history.apply(gone_on(entries[0], "promote", full=True, data=third))
    assert history.kept(rule, WALL) == {V2}


def test_a_plan_stays_when_its_tag_is_moved_and_goes_when_it_is_cleared() -> None:
    objects = MemoryObjectStore()
    catalogue, rolling = tracker(objects)
    catalogue.append(half(FIRST))
    catalogue.append(half(planned()))
    again, _ = tracker(objects)
    assert again.staged(ROADS)[2].plans == {"latest": PLAN}, "a tracker that starts reads it off the log"
    assert rolling.set_plan(ROADS, "latest", None, "user:ops", WALL) is not None
    assert again.staged(ROADS)[2].plans == {}
