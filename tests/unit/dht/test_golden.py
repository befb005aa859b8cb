"""Golden bytes of the DHT's wire format: made once, made again byte for byte, and read for ever.

``python -m tests.unit.dht.test_golden`` writes vectors for a new format version; those of an old one are never changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from nacl.secret import SecretBox

from swarm import canonical
from swarm.dht.batch import Record, SignedBatch, check_record, open_batch, path_of, sign_batch, tree_of
from swarm.dht.keys import block_key, node_id, packet_key, tag_key, trackers_key, version_key
from swarm.dht.wire import (
    Body,
    Contact,
    FindNode,
    Found,
    Message,
    Ping,
    Pong,
    Store,
    Stored,
    WhoAreYou,
    check_packet,
    joined,
    open_packet,
    seal_packet,
)
from swarm.records import Address
from tests.unit.dht.samples import SECRET, contact_of, key_of, keys

FOLDER = Path(__file__).parents[2] / "golden"
BOX = SecretBox(packet_key(SECRET))
LISTED = keys(40)
BATCH = sign_batch(
    key_of(1), (Address("192.0.2.1", 7071), Address("2001:db8::1", 7072)), LISTED, expires=1_800_014_400, sequence=7
)
RECORD = Record(BATCH, 39, path_of(tree_of(LISTED), 39))
MESSAGES: dict[str, Message] = {
    "ping": Ping(),
    "pong": Pong(),
    "find": FindNode(LISTED[1], True, bytes(3)),
    "found": Found((contact_of(2), Contact(key_of(3).public, "2001:db8::2", 65535)), (RECORD,)),
    "store": Store(BATCH, joined(LISTED)),
    "stored": Stored(bytes(range(40))),
    "who": WhoAreYou(),
}


def body_of(name: str) -> Body:
    is_answer = name in ("pong", "found", "stored", "who")
    credential = b"" if name == "store" else b"credential"
    return Body(
        1, b"abcd", 1_800_000_000_123, b"12345678", is_answer, True, key_of(1).public, credential, MESSAGES[name]
    )


def vectors() -> dict[str, bytes]:
    """Every golden value."""
    ids = [
        node_id(SECRET, key_of(1).public),
        block_key(SECRET, bytes(32)),
        version_key(SECRET, "osm/roads", bytes(32)),
        tag_key(SECRET, "osm/roads", "latest"),
        trackers_key(SECRET),
    ]
    made = {f"dht-{name}": seal_packet(BOX, key_of(1), body_of(name), bytes(24)) for name in MESSAGES}
    return made | {
        "dht-batch": canonical.encode(BATCH),
        "dht-record": canonical.encode(RECORD),
        "dht-keys": b"".join(ids),
    }


@pytest.mark.parametrize("name", sorted(vectors()))
def test_the_same_bytes_are_made(name: str) -> None:
    assert vectors()[name].hex() == (FOLDER / f"{name}.hex").read_text().strip()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_old_packets_are_read(name: str) -> None:
    packet, body = open_packet(BOX, bytes.fromhex((FOLDER / f"dht-{name}.hex").read_text()))
    check_packet(packet, body)
    assert body == body_of(name)


def test_old_batches_and_records_are_read() -> None:
    signed = canonical.decode(bytes.fromhex((FOLDER / "dht-batch.hex").read_text()), SignedBatch, limit_bytes=1000)
    assert open_batch(signed).sequence == 7
    record = canonical.decode(bytes.fromhex((FOLDER / "dht-record.hex").read_text()), Record, limit_bytes=1000)
    assert check_record(record, LISTED[39]).addresses[1] == Address("2001:db8::1", 7072)


if __name__ == "__main__":
    for name, data in vectors().items():
        (FOLDER / f"{name}.hex").write_text(data.hex() + "\n")
