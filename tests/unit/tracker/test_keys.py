"""The swarm's keys in the store: one swarm whoever comes first, and only under its store key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from swarm.errors import ConflictError, IntegrityError, NotAllowedError, UsageError
from swarm.limits import SECRETS_MAX
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.custody import ROOT_KEY, roster_key
from swarm.tracker.keys import CA_KEY, SECRET_KEY, SwarmKeys, load_or_create
from tests.unit.log_samples import WALL

STORE_KEY = b"k" * 32


def test_racing_trackers_make_one_swarm() -> None:
    objects = MemoryObjectStore()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_or_create(objects, STORE_KEY, WALL), range(16)))
    assert len({keys.secret for keys in found}) == 1
    assert len({keys.authority.certificate for keys in found}) == 1
    assert len({keys.authority.public for keys in found}) == 1
    assert sum(keys.is_new for keys in found) == 1, "one has made it, and says so"


def test_who_comes_second_has_not_made_the_swarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there was none yet as it looked."""
    objects = MemoryObjectStore()
    first: list[SwarmKeys] = []

    def looked(looked_at: ObjectStore) -> bool:
        monkeypatch.undo()
        first.append(load_or_create(looked_at, STORE_KEY, WALL))
        return False

    monkeypatch.setattr("swarm.tracker.keys.holds_swarm", looked)
    second = load_or_create(objects, STORE_KEY, WALL)
    assert (first[0].is_new, second.is_new) == (True, False)
    assert first[0].authority.public == second.authority.public


def test_neither_key_lies_open() -> None:
    objects = MemoryObjectStore()
    keys = load_or_create(objects, STORE_KEY, WALL)
    for name in (CA_KEY, SECRET_KEY):
        assert keys.authority.key.seed not in objects.get(name)
        assert keys.secret not in objects.get(name)
    assert keys.secret.hex() not in repr(keys)


def test_another_store_key_and_swapped_or_changed_bytes_are_refused() -> None:
    objects = MemoryObjectStore()
    load_or_create(objects, STORE_KEY, WALL)
    with pytest.raises(NotAllowedError, match="secret does not open"):
        load_or_create(objects, b"x" * 32, WALL)
    with pytest.raises(UsageError):
        load_or_create(objects, b"x" * 31, WALL)
    ca, secret = objects.get(CA_KEY), objects.get(SECRET_KEY)
    for name, data in ((CA_KEY, secret), (SECRET_KEY, ca), (CA_KEY, ca[:-1] + bytes([ca[-1] ^ 1])), (CA_KEY, b"")):
        objects.put(CA_KEY, ca)
        objects.put(SECRET_KEY, secret)
        objects.put(name, data)
        with pytest.raises(NotAllowedError):
            load_or_create(objects, STORE_KEY, WALL)


def test_a_first_start_that_was_cut_off_is_completed() -> None:
    objects = MemoryObjectStore()
    first = load_or_create(objects, STORE_KEY, WALL)
    objects.delete(SECRET_KEY)
    again = load_or_create(objects, STORE_KEY, WALL)
    assert again.authority.certificate == first.authority.certificate
    assert again.secret != first.secret


def test_trackers_that_rotate_at_once_make_one_successor() -> None:
    objects = MemoryObjectStore()
    trackers = [load_or_create(objects, STORE_KEY, WALL) for _ in range(4)]

    def rotate(keys: SwarmKeys) -> bool:
        try:
            keys.rotate_ca(objects, WALL, 60, 60)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(rotate, trackers)) == 1
    for keys in trackers:
        keys.refresh(objects, WALL)
    assert len({keys.authority.trust.links for keys in trackers}) == 1
    assert {keys.generation for keys in trackers} == {1}


def test_the_former_keys_are_used_until_the_new_ones_are_in_force() -> None:
    objects = MemoryObjectStore()
    keys = load_or_create(objects, STORE_KEY, WALL)
    first = keys.authority.public
    assert keys.rotate_ca(objects, WALL, 60, 100) == (WALL + 60, WALL + 160)
    assert keys.rotate_secret(objects, WALL, 60, 100) == (WALL + 60, WALL + 160)
    for rotate in (keys.rotate_ca, keys.rotate_secret):
        with pytest.raises(ConflictError, match="under way"):
            rotate(objects, WALL + 59, 60, 100)
    assert keys.next_change(WALL) == WALL + 60
    keys.refresh(objects, WALL + 59)
    assert keys.authority.public == first
    keys.refresh(objects, WALL + 60)
    assert keys.authority.public != first
    assert [secret.epoch for secret in keys.keyring(WALL + 159).secrets] == [0, 1]
    assert [secret.epoch for secret in keys.keyring(WALL + 160).secrets] == [1]
    again = load_or_create(objects, STORE_KEY, WALL + 61)
    assert (again.authority.public, again.secrets) == (keys.authority.public, keys.secrets)
    assert again.secret == keys.secret, "what a swarm begins with stays the same"


def without_root(objects: MemoryObjectStore) -> None:
    """A swarm as they were made before there were roots."""
    load_or_create(objects, STORE_KEY, WALL)
    objects.delete(ROOT_KEY)
    objects.delete(roster_key(1))


def test_later_keys_are_sealed_and_follow_one_another() -> None:
    objects = MemoryObjectStore()
    without_root(objects)
    keys = load_or_create(objects, STORE_KEY, WALL)
    assert keys.authority.trust.roster is None
    for number in range(2):
        keys.rotate_ca(objects, WALL + 10 * number, 0, 10)
    first, second = f"{CA_KEY}/00000001", f"{CA_KEY}/00000002"
    kept = objects.get(first)
    for data in (objects.get(second), kept[:-1] + bytes([kept[-1] ^ 1])):
        objects.put(first, data)
        with pytest.raises(NotAllowedError):
            load_or_create(objects, STORE_KEY, WALL + 20)
    objects.delete(first)
    with pytest.raises(IntegrityError, match="does not follow"):
        load_or_create(objects, STORE_KEY, WALL + 20)


def test_secrets_that_count_are_bounded() -> None:
    objects = MemoryObjectStore()
    keys = load_or_create(objects, STORE_KEY, WALL)
    for number in range(SECRETS_MAX - 1):
        keys.rotate_secret(objects, WALL + number, 0, 1000)
    with pytest.raises(ConflictError, match="still count"):
        keys.rotate_secret(objects, WALL + SECRETS_MAX, 0, 1000)
    keys.rotate_secret(objects, WALL + 2000, 0, 1000)
    assert keys.generation == SECRETS_MAX
