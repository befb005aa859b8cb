"""Fixed keys, papers and log entries, for golden vectors and unit tests."""

from __future__ import annotations

import msgspec

from swarm import log, records
from swarm.authority import Authority, create
from swarm.identity import PeerKey
from swarm.log import Entry, Move, Totals
from swarm.receipt import Receipt
from swarm.records import Grant, Rule
from swarm.signature import signature_of
from swarm.snapshot import Snapshot, TagState
from swarm.token import Token

WALL = 1_800_000_000
CA_KEY = PeerKey(b"\1" * 32)
PUBLISHER = PeerKey(b"\2" * 32)
SEED = PeerKey(b"\3" * 32)
OTHER = PeerKey(b"\4" * 32)
V1, V2 = signature_of(b"version 1"), signature_of(b"version 2")
TOTALS = Totals(files=7, bytes=123_456, blocks=5, root_size=321)


def authority() -> Authority:
    """A CA around the fixed key (its certificate has a random serial number)."""
    return create(CA_KEY, WALL)


def grant_of(public: bytes, *rules: Rule, issued: int = WALL - 100, expires: int = WALL + 100) -> bytes:
    """A grant sealed by the fixed CA key."""
    return records.seal(CA_KEY, Grant(1, public, rules, issued, expires))


GRANT = grant_of(PUBLISHER.public, Rule("read", "library/*"), Rule("publish", "library/*"))

FIRST = Entry(
    format=1,
    dataset="library/roads",
    serial=1,
    previous=b"",
    wall_time=WALL,
    kind="publish",
    moves=(Move("latest", V1), Move("v1", V1)),
    message="first\nof all",
    totals=TOTALS,
    publisher=PUBLISHER.public,
)


def signed(entry: Entry, grant: bytes = GRANT, key: PeerKey = PUBLISHER) -> bytes:
    """An entry with both seals."""
    return log.endorse(CA_KEY, log.seal_entry(key, entry, grant))


def changed(entry: Entry, **changes: object) -> Entry:
    return msgspec.structs.replace(entry, **changes)


def after(data: bytes, **changes: object) -> Entry:
    """The next entry behind a signed one: a tag move unless said otherwise."""
    _, last = log.parse_entry(data)
    follow: dict[str, object] = {
        "serial": last.serial + 1,
        "previous": log.entry_hash(data),
        "kind": "tag",
        "moves": (Move("stable", V1),),
        "totals": None,
    }
    return changed(last, **(follow | changes))


SNAPSHOT = Snapshot(
    format=1,
    dataset="library/roads",
    serial=3,
    tags=(TagState("latest", 1, V1), TagState("v1", 3, V2)),
    issued=WALL,
    expires=WALL + 3600,
)

RECEIPT = Receipt(
    format=1,
    dataset="library/roads",
    version=V1,
    publisher=PUBLISHER.public,
    files=TOTALS.files,
    bytes=TOTALS.bytes,
    blocks=TOTALS.blocks,
    root_size=TOTALS.root_size,
    wall_time=WALL,
)

TOKEN = Token(
    format=1,
    addresses=("tracker.example:7070", "[2001:db8::1]:7070"),
    fingerprint=signature_of(b"root"),
    id=bytes(range(16)),
    secret=bytes(range(32)),
)
