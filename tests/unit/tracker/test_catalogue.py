"""The catalogue over a store: what two trackers see of each other, and the bounds of a log."""

from __future__ import annotations

import threading
import time

import pytest

from swarm import log
from swarm.errors import (
    ConflictError,
    FullError,
    IntegrityError,
    NotFoundError,
    RemoteProtocolError,
    UnreachableError,
)
from swarm.limits import DATASET_MAX_TAGS, LOG_MAX_MOVES
from swarm.log import Move
from swarm.objects.memory import MemoryObjectStore
from swarm.snapshot import open_snapshot
from swarm.tracker import catalogue as catalogue_module
from swarm.tracker import entries as entries_module
from swarm.tracker import log_state
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.entries import log_key
from swarm.trust import Trust
from tests.away import LeavingStore
from tests.unit.log_samples import (
    CA_KEY,
    FIRST,
    GRANT,
    OTHER,
    PUBLISHER,
    V1,
    V2,
    WALL,
    after,
    authority,
    changed,
    signed,
)

ROADS = "library/roads"


def half(entry: log.Entry) -> bytes:
    return log.seal_entry(PUBLISHER, entry, GRANT)


def test_two_trackers_over_one_store_see_each_other() -> None:
    objects = MemoryObjectStore()
    one, two = Catalogue(objects, authority()), Catalogue(objects, authority())
    data, _ = one.append(half(FIRST))
    assert two.head(ROADS).serial == 1
    second, _ = two.append(half(after(data, moves=(Move("stable", V1),))))
    assert {state.tag: state.serial for state in one.head(ROADS).tags} == {"latest": 1, "v1": 1, "stable": 2}
    assert one.read(ROADS, after=0, limit=10) == [data, second]
    assert one.find_tag(ROADS, "stable", WALL)[0] == second
    assert one.find_version(ROADS, V1, WALL)[:2] == (data, 1)


def test_a_head_may_be_as_old_as_is_said() -> None:
    objects = MemoryObjectStore()
    one, two = Catalogue(objects, authority()), Catalogue(objects, authority())
    data, _ = one.append(half(FIRST))
    assert two.head(ROADS).serial == 1
    one.append(half(after(data)))
    assert two.head(ROADS, max_age_s=1000.0).serial == 1
    assert two.head(ROADS).serial == 2


def test_of_what_moved_a_tag_the_last_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_state, "TURNS_MAX", 2)
    catalogue = Catalogue(MemoryObjectStore(), authority())
    data, _ = catalogue.append(half(FIRST))
    assert (catalogue.turns(ROADS, "latest"), catalogue.turns(ROADS, "stable")) == ([1], [])
    for _ in range(3):
        data, _ = catalogue.append(half(after(data, moves=(Move("stable", V1),))))
    assert (catalogue.turns(ROADS, "latest"), catalogue.turns(ROADS, "stable")) == ([1], [3, 4])


def test_who_comes_second_between_look_and_write_loses() -> None:
    """The other tracker's write is put there behind this one's back, at the last moment."""

    class Racing(MemoryObjectStore):
        rival = b""

        def put_if_absent(self, key: str, data: bytes) -> bool:
            if self.rival and key == log_key(ROADS, 1):
                super().put_if_absent(key, self.rival)
                self.rival = b""
            return super().put_if_absent(key, data)

    objects = Racing()
    catalogue = Catalogue(objects, authority())
    winner = changed(FIRST, moves=(Move("winner", V2),))
    objects.rival = log.endorse(CA_KEY, half(winner))
    with pytest.raises(ConflictError, match="'winner'"):
        catalogue.append(half(FIRST))
    assert catalogue.head(ROADS).serial == 1
    assert catalogue.append(half(winner)) == (objects.get(log_key(ROADS, 1)), winner)


def test_a_snapshot_says_all_tags_as_of_now() -> None:
    catalogue = Catalogue(MemoryObjectStore(), authority())
    catalogue.append(half(FIRST))
    snapshot = open_snapshot(catalogue.snapshot(ROADS, WALL), authority=Trust(CA_KEY.public), wall_now=WALL)
    assert (snapshot.serial, [state.tag for state in snapshot.tags]) == (1, ["latest", "v1"])


def test_tags_are_bounded() -> None:
    catalogue = Catalogue(MemoryObjectStore(), authority())
    data, _ = catalogue.append(half(changed(FIRST, moves=(Move("t0", V1),))))
    tags = [f"t{number}" for number in range(1, DATASET_MAX_TAGS)]
    for start in range(0, len(tags), LOG_MAX_MOVES):
        moves = tuple(Move(tag, V1) for tag in tags[start : start + LOG_MAX_MOVES])
        data, _ = catalogue.append(half(after(data, moves=moves)))
    with pytest.raises(FullError, match="the limit is 4096"):
        catalogue.append(half(after(data, moves=(Move("one-more", V1),))))
    data, _ = catalogue.append(half(after(data, moves=(Move("t0", V1),))))
    data, _ = catalogue.append(half(after(data, kind="rm", moves=(Move("t0", None),))))
    catalogue.append(half(after(data, moves=(Move("one-more", V1),))))


def test_a_log_that_was_restored_takes_back_what_it_lacks() -> None:
    first = Catalogue(MemoryObjectStore(), authority())
    entries = [first.append(half(FIRST))[0]]
    for _ in range(3):
        entries.append(first.append(half(after(entries[-1])))[0])
    restored = Catalogue(MemoryObjectStore(), authority())
    assert restored.take_back(ROADS, entries[:2]) == (2, 2)
    with pytest.raises(RemoteProtocolError, match="does not follow"):
        restored.take_back(ROADS, entries[3:])
    assert restored.take_back(ROADS, entries) == (2, 4)
    assert restored.take_back(ROADS, entries) == (0, 4), "it lacks nothing"
    assert restored.read(ROADS, after=0, limit=10) == entries
    assert restored.datasets("", 10, lambda dataset: True)[0] == [ROADS]


def test_only_what_was_committed_is_taken_back() -> None:
    catalogue = Catalogue(MemoryObjectStore(), authority())
    forged = log.endorse(OTHER, half(FIRST))
    for data in (half(FIRST), forged):
        with pytest.raises(RemoteProtocolError):
            catalogue.take_back(ROADS, [data])
    with pytest.raises(RemoteProtocolError, match="is given back to"):
        catalogue.take_back("library/other", [signed(FIRST)])
    with pytest.raises(NotFoundError):
        catalogue.head(ROADS)


def test_a_log_that_has_gone_another_way_takes_nothing_back() -> None:
    restored = Catalogue(MemoryObjectStore(), authority())
    restored.append(half(changed(FIRST, moves=(Move("other", V2),))))
    lost = signed(FIRST)
    with pytest.raises(ConflictError, match="another way since entry 0"):
        restored.take_back(ROADS, [lost, signed(after(lost))])
    assert restored.head(ROADS).serial == 1


def test_states_that_made_room_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "STATES_MAX", 2)
    catalogue = Catalogue(MemoryObjectStore(), authority())
    names = [f"library/d{number}" for number in range(5)]
    for name in names:
        catalogue.append(half(changed(FIRST, dataset=name)))
    assert [catalogue.head(name).serial for name in names] == [1] * 5
    with pytest.raises(NotFoundError):
        catalogue.head("library/none")


def test_an_entry_that_was_seen_lets_unrelated_tags_move_on() -> None:
    catalogue = Catalogue(MemoryObjectStore(), authority())
    first, _ = catalogue.append(half(FIRST), 0)
    other, _ = catalogue.append(half(after(first, moves=(Move("stable", V1),))), 0)
    mine, _ = catalogue.append(half(after(other, moves=(Move("latest", V1),))), 1)
    catalogue.append(half(after(mine, moves=(Move("v1", V1),))), 2)


def test_a_tag_that_moved_after_what_was_seen_is_a_conflict() -> None:
    """Moved and removed alike; one of several tags is enough, and then none of them moves."""
    catalogue = Catalogue(MemoryObjectStore(), authority())
    first, _ = catalogue.append(half(FIRST))
    moved, _ = catalogue.append(half(after(first, moves=(Move("latest", V1), Move("next", V1)))))
    head, _ = catalogue.append(half(after(moved, kind="rm", moves=(Move("v1", None),))))
    for tag, seen, winner in (
        ("latest", 1, "2 .*tag of 'latest' by"),
        ("v1", 2, "3 .*rm of 'v1' by"),
        ("next", 0, "2 "),
    ):
        late = half(after(head, moves=(Move("new", V1), Move(tag, V1))))
        with pytest.raises(ConflictError, match=f"entry {winner}"):
            catalogue.append(late, seen)
    with pytest.raises(ConflictError, match="entry 3 "):
        catalogue.append(half(after(head, kind="rm", moves=(Move("v1", None),))), 2)
    assert "new" not in {state.tag for state in catalogue.head(ROADS).tags}
    catalogue.append(half(after(head, moves=(Move("new", V1), Move("v1", V1)))), 3)


def test_more_than_there_is_was_seen_by_nobody() -> None:
    catalogue = Catalogue(MemoryObjectStore(), authority())
    with pytest.raises(ConflictError, match="ends at entry 0"):
        catalogue.append(half(FIRST), 1)
    first, _ = catalogue.append(half(FIRST), 0)
    with pytest.raises(ConflictError, match="ends at entry 1"):
        catalogue.append(half(after(first)), 2)


def test_the_same_entry_again_does_not_conflict_with_itself() -> None:
    catalogue = Catalogue(MemoryObjectStore(), authority())
    committed = catalogue.append(half(FIRST), 0)
    assert catalogue.append(half(FIRST), 0) == committed
    assert Catalogue(catalogue._objects, authority()).append(half(FIRST), 0) == committed


def test_an_append_that_cannot_look_is_no_conflict() -> None:
    """What is known from before says nothing of an entry that follows what others have committed meanwhile."""

    class Away(MemoryObjectStore):
        is_away = False

        def get(self, key: str) -> bytes:
            if self.is_away:
                raise UnreachableError("the object store does not answer")
            return super().get(key)

    objects = Away()
    one, two = Catalogue(objects, authority()), Catalogue(objects, authority())
    first, _ = one.append(half(FIRST))
    second, _ = two.append(half(after(first, moves=(Move("next", V1),))))
    objects.is_away = True
    for entry in (after(second), after(second, kind="rm", moves=(Move("next", None),)), after(first)):
        with pytest.raises(UnreachableError):
            one.append(half(entry))
    objects.is_away = False
    one.append(half(after(second, kind="rm", moves=(Move("next", None),))), 2)


# ---- while the store is away ----------------------------------------------------------------------------------------


def known_then_away() -> tuple[LeavingStore, Catalogue, bytes]:
    objects = LeavingStore()
    Catalogue(objects, authority()).append(half(FIRST))
    catalogue = Catalogue(objects, authority())
    data = catalogue.find_tag(ROADS, "latest", WALL)[0]
    objects.is_away = True
    return objects, catalogue, data


def test_what_is_known_is_told_while_the_store_is_away() -> None:
    _, catalogue, data = known_then_away()
    assert catalogue.head(ROADS).serial == 1
    assert catalogue.find_tag(ROADS, "latest", WALL)[0] == data
    assert catalogue.find_version(ROADS, V1, WALL)[:2] == (data, 1)
    assert catalogue.read(ROADS, after=0, limit=10) == [data]
    assert catalogue.datasets("", 10, lambda dataset: True) == ([ROADS], "")
    assert catalogue.datasets("", 10, lambda dataset: False) == ([], "")


def test_a_snapshot_is_of_when_the_store_was_read_last(monkeypatch: pytest.MonkeyPatch) -> None:
    objects, catalogue, _ = known_then_away()
    now = catalogue._state(ROADS).read_at
    monkeypatch.setattr(time, "monotonic", lambda: now + 600.0)
    away = open_snapshot(catalogue.snapshot(ROADS, WALL + 600), authority=Trust(CA_KEY.public), wall_now=None)
    assert WALL <= away.issued <= WALL + 1
    objects.is_away = False
    back = open_snapshot(catalogue.snapshot(ROADS, WALL + 600), authority=Trust(CA_KEY.public), wall_now=None)
    assert back.issued == WALL + 600
    assert away.expires - away.issued == back.expires - back.issued


def test_what_needs_the_store_fails_while_it_is_away_and_works_when_it_is_back() -> None:
    objects, catalogue, data = known_then_away()
    move = half(after(data, moves=(Move("stable", V1),)))
    with pytest.raises(UnreachableError):
        catalogue.append(move)
    assert catalogue.append(half(FIRST))[0] == data
    objects.is_away = False
    assert catalogue.append(move)[1].serial == 2


def test_what_is_not_known_is_not_said_to_be_missing() -> None:
    """It may be there; nobody can look."""
    _, catalogue, _ = known_then_away()
    with pytest.raises(UnreachableError):
        catalogue.find_tag(ROADS, "stable", WALL)
    with pytest.raises(UnreachableError):
        catalogue.find_version(ROADS, V2, WALL)
    catalogue._state(ROADS).read_at = time.monotonic() + 1000  # whoever has just looked does not look again
    with pytest.raises(UnreachableError):
        catalogue.find_tag(ROADS, "stable", WALL)
    with pytest.raises(UnreachableError):
        catalogue.head("library/other")
    with pytest.raises(UnreachableError):
        Catalogue(catalogue._objects, authority()).datasets("", 10, lambda dataset: True)


def test_kept_entries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    objects, catalogue, data = known_then_away()
    objects.is_away = False
    monkeypatch.setattr(entries_module, "KEPT_MAX_BYTES", 3 * len(data))
    for _ in range(5):
        data, _ = catalogue.append(half(after(data)))
    catalogue._entries.check_invariants()
    assert catalogue._entries._kept_bytes > 0
    assert len(catalogue.read(ROADS, after=0, limit=10)) == 6


def test_a_long_log_that_is_new_here_is_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four readers at a time wait for one another in the store: one after the other they would wait in vain."""
    together = threading.Barrier(4)

    class Slow(MemoryObjectStore):
        is_slow = False

        def get(self, key: str) -> bytes:
            data = super().get(key)
            if self.is_slow and key.startswith("datasets/"):
                together.wait(30)
            return data

    monkeypatch.setattr(catalogue_module, "READ_AHEAD_FROM", 0)
    monkeypatch.setattr(entries_module, "AHEAD_MAX", 8)
    monkeypatch.setattr(entries_module, "AHEAD_THREADS", 4)
    objects = Slow()
    writer = Catalogue(objects, authority())
    data, _ = writer.append(half(FIRST))
    for _ in range(2, 17):
        data, _ = writer.append(half(after(data)))
    objects.is_slow = True
    assert Catalogue(objects, authority()).head(ROADS).serial == 16


def test_entries_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = MemoryObjectStore()
    writer = Catalogue(objects, authority())
    data, _ = writer.append(half(FIRST))
    monkeypatch.setattr(entries_module, "KEPT_MAX_BYTES", 3 * len(data))
    entries = [data]
    for _ in range(2, 12):
        entries.append(writer.append(half(after(entries[-1])))[0])
    reader = Catalogue(objects, authority())
    for catalogue in (writer, reader):
        assert catalogue.read(ROADS, after=0, limit=100) == entries
        catalogue._entries.check_invariants()


def test_an_entry_that_was_damaged_is_read_again_when_it_is_repaired() -> None:
    objects = MemoryObjectStore()
    data, _ = Catalogue(objects, authority()).append(half(FIRST))
    objects.put(log_key(ROADS, 1), b"damaged")
    reader = Catalogue(objects, authority())
    for _ in range(2):
        with pytest.raises(IntegrityError, match="is damaged"):
            reader.head(ROADS)
    objects.put(log_key(ROADS, 1), data)
    assert reader.read(ROADS, after=0, limit=1) == [data]
