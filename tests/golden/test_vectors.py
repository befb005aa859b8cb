"""What was made once is made again, byte for byte, and what was written once is read for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm import canonical
from swarm.encoding import ZSTD, open_block
from swarm.export import Head
from swarm.identity import is_signed
from swarm.keyring import decode_keyring
from swarm.limits import PUSH_MAX_BYTES
from swarm.manifest import assemble
from swarm.peer import wire
from swarm.peer.sealed import HEAD_BYTES, Opener, sealed_bytes
from swarm.peer.stream import parse_head
from swarm.records import Credential, Grant, open_location, open_sealed
from swarm.roster import open_roster
from swarm.secret_text import open_secret, parse_secret
from swarm.signature import signature_of
from swarm.tracker import sealed
from swarm.tracker.audit import Page
from swarm.tracker.listing import open_listing
from swarm.tracker.policy import Policy
from swarm.tracker.pushes import Push
from swarm.tracker.recalls import open_recalls
from swarm.trust import Trust, open_succession
from tests.golden.vectors import (
    AUDITED,
    AUTHORITY,
    FILES,
    KEY,
    KEYRING,
    LISTED,
    OTHERS,
    POLICY,
    RECALLS,
    ROSTER,
    RUN,
    RUN_ANSWERS,
    dataset,
    vectors,
)

GOLDEN = json.loads(Path(__file__).with_name("vectors.json").read_text())
MADE = vectors()

# "one golden line\n" 64 times, packed by zstd 1.5 at level 3.
OPEN_SECRET = "aetherfs-secret1.kwHEAMQgAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-BHoTB"
SEALED_SECRET = (
    "aetherfs-secret1.kwHEEIuXLb4c1r9wmWbBtUssAKzESLpn50kF-jiGI-8YuwaSsn7ji9tQQ-9GGXD56i4b41Whu"
    "mHxdo0-bUn4eIze6N1t4Gv3B_YcrnVgMKc79DhtiOP7RzxqGIhjcoK-FUo"
)
PACKED = "0128b52ffd600003bd0000806f6e6520676f6c64656e206c696e650a0100da4f3597"


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_same_bytes_are_made(name: str) -> None:
    assert MADE[name] == GOLDEN[name]


def test_no_vector_is_forgotten() -> None:
    assert sorted(MADE) == sorted(GOLDEN)


def test_the_golden_manifest_is_read() -> None:
    segments = {signature_of(data): data for data in map(bytes.fromhex, GOLDEN["segments"])}
    manifest = assemble(bytes.fromhex(GOLDEN["root"]), segments)
    assert manifest.version.hex() == GOLDEN["version"]
    assert manifest.content.hex() == GOLDEN["content"]
    assert manifest.files == dataset().files
    assert {entry.path for entry in manifest.files} == {*FILES, *(entry.path for entry in OTHERS)}


def test_golden_records_are_read() -> None:
    wall_now = 1_800_000_001
    credential = open_sealed(
        bytes.fromhex(GOLDEN["credential"]), Credential, authority=Trust(AUTHORITY.public), wall_now=wall_now
    )
    assert (credential.peer_id, credential.role, credential.site) == (GOLDEN["peer id"], "seed", "site-1")
    grant = open_sealed(bytes.fromhex(GOLDEN["grant"]), Grant, authority=Trust(AUTHORITY.public), wall_now=wall_now)
    assert grant.allows("publish", "osm/roads")


def test_golden_rotations_and_the_head_of_an_export_are_read() -> None:
    link = open_succession(bytes.fromhex(GOLDEN["succession"]))
    assert (link.former, link.public, link.in_force) == (AUTHORITY.public, KEY.public, 1_800_000_000)
    opened = open_roster(bytes.fromhex(GOLDEN["roster"]))
    assert (opened.roster, is_signed(KEY.public, "roster", opened.body, opened.by_key)) == (ROSTER, True)
    keyring = decode_keyring(bytes.fromhex(GOLDEN["keyring"]))
    assert (keyring, keyring.generation) == (KEYRING, 2)
    head = canonical.decode(bytes.fromhex(GOLDEN["export head"]), Head, limit_bytes=4096)
    assert (head.dataset, head.entry) == ("osm/roads", b"entry")


def test_the_golden_location_and_messages_are_read() -> None:
    data = bytes.fromhex(GOLDEN["location"])
    credential, location = open_location(data, authority=Trust(AUTHORITY.public), wall_now=1_800_000_001)
    assert (credential.peer_id, credential.site) == (GOLDEN["peer id"], "site-1")
    assert [str(address) for address in location.addresses] == ["192.0.2.1:7071"]
    messages: dict[str, wire.Message] = {
        "here": wire.Here(data),
        "who else": wire.WhoElse(bytes(range(32))),
        "neighbours": wire.Neighbours(b"", (data,)),
        "heads": wire.Heads((("osm/roads", 7),), True),
    }
    for name, message in messages.items():
        read: object = canonical.decode(bytes.fromhex(GOLDEN[name]), type(message), limit_bytes=4096)
        assert read == message


def test_what_is_kept_of_rights_is_read() -> None:
    trust = Trust(AUTHORITY.public)
    told = canonical.decode(bytes.fromhex(GOLDEN["recalled"]), wire.Recalled, limit_bytes=4096)
    assert open_recalls(told.recalls, trust) == RECALLS
    renewed = canonical.decode(bytes.fromhex(GOLDEN["renewed"]), wire.Renewed, limit_bytes=4096)
    assert renewed.grant == b"grant"
    assert canonical.decode(bytes.fromhex(GOLDEN["call me"]), wire.CallMe, limit_bytes=16) == wire.CallMe()
    assert canonical.decode(bytes.fromhex(GOLDEN["takes only"]), wire.TakesOnly, limit_bytes=16) == wire.TakesOnly()
    assert sealed.opened(bytes.fromhex(GOLDEN["policy"]), Policy, authority=trust) == POLICY
    assert sealed.opened(bytes.fromhex(GOLDEN["audit page"]), Page, authority=trust) == AUDITED


def test_what_trackers_say_of_themselves_is_read() -> None:
    data = bytes.fromhex(GOLDEN["listing"])
    assert open_listing(data, Trust(AUTHORITY.public)) == LISTED
    assert canonical.decode(bytes.fromhex(GOLDEN["trackers"]), wire.Trackers, limit_bytes=4096).listings == (data,)
    push = canonical.decode(bytes.fromhex(GOLDEN["push"]), Push, limit_bytes=PUSH_MAX_BYTES)
    assert (push.listing, push.leaving, [(head.dataset, head.serial) for head in push.heads]) == (
        data,
        False,
        [("osm/roads", 7)],
    )


def test_golden_swarm_secrets_are_read() -> None:
    """One open, one that was sealed with ``a passphrase``, when the format was made."""
    assert open_secret(parse_secret(OPEN_SECRET)) == bytes(range(32))
    assert open_secret(parse_secret(SEALED_SECRET), b"a passphrase") == bytes(range(32))


def test_golden_streams_of_runs_are_read() -> None:
    head = canonical.decode(bytes.fromhex(GOLDEN["run head"]), wire.RunHead, limit_bytes=4096)
    assert head.grant == b"grant"
    assert canonical.decode(bytes.fromhex(GOLDEN["run request"]), wire.RunRequest, limit_bytes=4096) == RUN
    key = canonical.decode(bytes.fromhex(GOLDEN["run key"]), wire.FrameKey, limit_bytes=4096).key
    opener, data = Opener(key), memoryview(bytes.fromhex(GOLDEN["sealed frames"]))
    for answer in RUN_ANSWERS:
        status, length = parse_head(opener.open(data[:HEAD_BYTES], memoryview(bytearray(HEAD_BYTES))).tobytes())
        end = HEAD_BYTES + sealed_bytes(length)
        assert (status, opener.open(data[HEAD_BYTES:end], memoryview(bytearray(end))).tobytes()) == answer
        data = data[end:]
    assert not data


def test_a_packed_block_is_read() -> None:
    plain = b"one golden line\n" * 64
    packed = bytes.fromhex(PACKED)
    assert packed[0] == ZSTD
    assert bytes(open_block(packed, signature_of(plain), len(plain))) == plain
