"""The swarm's keys in the store: one swarm whoever comes first, and only under its store key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from swarm.errors import NotAllowedError, UsageError
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.keys import CA_KEY, SECRET_KEY, load_or_create
from tests.unit.log_samples import WALL

STORE_KEY = b"k" * 32


def test_racing_trackers_make_one_swarm() -> None:
    objects = MemoryObjectStore()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_or_create(objects, STORE_KEY, WALL), range(16)))
    assert len({keys.secret for keys in found}) == 1
    assert len({keys.authority.certificate for keys in found}) == 1
    assert len({keys.authority.public for keys in found}) == 1


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
    with pytest.raises(NotAllowedError, match="store key does not open"):
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
