"""Provider batches: each key is proved by its path, and nothing else is."""

from __future__ import annotations

import pytest

from swarm.dht.batch import Record, check_record, fitting, open_batch, path_of, sign_batch, tree_of
from swarm.errors import RemoteProtocolError
from swarm.limits import DHT_BATCH_MAX_BYTES, DHT_KEYS_PER_BATCH_MAX
from swarm.records import Address
from tests.unit.dht.samples import HERE, batch_of, key_of, keys


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 31, DHT_KEYS_PER_BATCH_MAX])
def test_each_key_of_a_batch_is_proved_by_its_path_and_no_other_is(count: int) -> None:
    listed = keys(count)
    signed = batch_of(1, listed)
    levels = tree_of(listed)
    for position, key in enumerate(listed):
        record = Record(signed, position, path_of(levels, position))
        assert check_record(record, key).public == key_of(1).public
        for bad in (
            Record(signed, (position + 1) % count, record.path),
            Record(signed, count, record.path),
            Record(signed, position, record.path[:-1]),
            Record(signed, position, (*record.path, bytes(16))),
        ):
            if bad != record:
                with pytest.raises(RemoteProtocolError):
                    check_record(bad, key)
        with pytest.raises(RemoteProtocolError, match="another key"):
            check_record(record, b"\xff" * 20)


def test_an_inner_hash_of_the_tree_is_not_a_key() -> None:
    """Leaves and inner nodes are hashed apart, and a key has 20 bytes: a tree cannot be read one level up."""
    listed = keys(4)
    levels = tree_of(listed)
    assert levels[1][0] not in {tree_of([level])[0][0] for level in levels[0]}


def test_a_batch_signed_by_another_key_is_refused() -> None:
    signed = batch_of(1, keys(2))
    other = batch_of(2, keys(2))
    with pytest.raises(RemoteProtocolError, match="not signed"):
        open_batch(type(signed)(signed.body, other.seal))
    with pytest.raises(RemoteProtocolError, match="not signed"):
        check_record(Record(type(signed)(signed.body, other.seal), 0, path_of(tree_of(keys(2)), 0)), keys(1)[0])


def test_addresses_are_cut_to_what_fits() -> None:
    long = [Address("h" * 250, 65535) for _ in range(8)]
    kept = fitting(long)
    assert len(kept) == 1
    body = sign_batch(key_of(1), kept, keys(40), expires=1 << 40, sequence=1 << 62).body
    assert len(body) <= DHT_BATCH_MAX_BYTES
    assert fitting(HERE * 8) == HERE * 8
    assert fitting([]) == ()
