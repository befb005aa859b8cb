"""Known nodes survive a restart; a damaged file is no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.dht.state import STATE_MAX_BYTES, load_contacts, save_contacts
from swarm.limits import DHT_SAVED_NODES_MAX
from tests.unit.dht.samples import contact_of


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "dht"
    contacts = [contact_of(number) for number in range(5)]
    save_contacts(path, contacts)
    assert load_contacts(path) == tuple(contacts)
    assert [entry.name for entry in tmp_path.iterdir()] == ["dht"]


def test_the_most_that_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "dht"
    save_contacts(path, [contact_of(number) for number in range(DHT_SAVED_NODES_MAX + 50)])
    assert len(load_contacts(path)) == DHT_SAVED_NODES_MAX


def test_nobody_known_does_not_wipe_what_was(tmp_path: Path) -> None:
    path = tmp_path / "dht"
    save_contacts(path, [contact_of(1)])
    save_contacts(path, [])
    assert len(load_contacts(path)) == 1


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x92\x02\x90", bytes(STATE_MAX_BYTES + 10), b"\x92\x01\x91\x93"])
def test_damaged_state_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dht"
    path.write_bytes(data)
    assert load_contacts(path) == ()


def test_a_place_that_cannot_be_written_is_given_up(tmp_path: Path) -> None:
    save_contacts(tmp_path / "absent" / "dht", [contact_of(1)])
    assert load_contacts(tmp_path / "absent" / "dht") == ()
