"""Everything that reads what a stranger or a member sends, with good bytes to begin from: most are golden captures.

What is sealed is there twice: as it travels, where a changed byte breaks the seal, and as the body that a member with
malice seals itself (``... of a member``), so that what lies behind the check of the seal is reached too.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from swarm import canonical, log, receipt, records
from swarm.beginning import Staging
from swarm.claims import CONDEMNED_MAX_BYTES, Condemned, Lease
from swarm.dht import batch as dht_batch
from swarm.dht.batch import Record, SignedBatch, check_record, path_of, tree_of
from swarm.dht.wire import Body, FindNode, Packet, Ping, Store, joined
from swarm.encoding import encode_block, open_block
from swarm.errors import UsageError
from swarm.export import read_export
from swarm.http.hello import Unfinished, offered
from swarm.keyring import decode_keyring
from swarm.limits import (
    ANNOUNCE_ANSWER_MAX_BYTES,
    ANNOUNCE_MAX_BYTES,
    BEACON_MAX_BYTES,
    PUSH_MAX_BYTES,
    RECORD_MAX_BYTES,
)
from swarm.log import Endorsement, SignedEntry
from swarm.manifest import Manifest, assemble, parse_root
from swarm.messages import Announce, AnnounceAnswer
from swarm.peer import wire
from swarm.peer.beacons import Beacon
from swarm.peer.channels import _decode
from swarm.peer.exchange import TAG_REQUEST_MAX_BYTES
from swarm.peer.fetch import ANSWER_MAX_BYTES
from swarm.peer.giving import HEAD_MAX_BYTES, REQUEST_MAX_BYTES
from swarm.peer.sealed import HEAD_BYTES, Opener
from swarm.peer.stream import FRAME_KEY_MAX_BYTES, parse_head
from swarm.receipt import SealedReceipt, open_receipt
from swarm.records import Credential, Grant, Located, Signed
from swarm.retention import KeepRule
from swarm.roster import open_roster
from swarm.secret_text import PREFIX as SECRET_PREFIX
from swarm.secret_text import parse_secret
from swarm.signature import signature_of
from swarm.snapshot import SealedSnapshot, open_snapshot
from swarm.token import PREFIX, parse_token
from swarm.tracker import sealed as tracker_sealed
from swarm.tracker.listing import open_listing
from swarm.tracker.orders import Purge, open_purge
from swarm.tracker.pushes import Push
from swarm.tracker.recalls import Recall, Recalls, open_recalls
from swarm.trust import Trust, open_succession
from tests.exports import GOOD_EXPORT, GOOD_EXPORT_SINCE
from tests.golden.vectors import AUTHORITY, KEY, dataset
from tests.golden.vectors import LISTED as LISTED_TRACKER
from tests.property import shown
from tests.property.answer_decoders import ANSWER_DECODERS
from tests.property.beacon_decoders import BEACON_DECODERS
from tests.property.decoder import Decoder
from tests.property.file_decoders import FILE_DECODERS
from tests.property.report_decoders import REPORTS
from tests.property.test_dht_wire import Deaf, sealed
from tests.unit.dht.samples import NOW, key_of, keys
from tests.unit.log_samples import CA_KEY, FIRST, GRANT, PUBLISHER, RECEIPT, SEED, SNAPSHOT, TOKEN, WALL
from tests.unit.rollout_samples import PLAN, STAGED
from tests.unit.test_hello import hello

GOLDEN: Final = Path(__file__).parents[1] / "golden"
VECTORS: Final[dict[str, Any]] = json.loads((GOLDEN / "vectors.json").read_text())
MANIFEST: Final[Manifest] = dataset()
LISTED: Final = keys(40)
NODE: Final = Deaf()
SCRATCH: Final = memoryview(bytearray(1024))
PACKED: Final = bytes.fromhex("0128b52ffd600003bd0000806f6e6520676f6c64656e206c696e650a0100da4f3597")
PLAIN: Final = b"one golden line\n" * 64


def captured(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def told(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


def plain(kind: type[Any], limit_bytes: int) -> Callable[[bytes], object]:
    return lambda data: canonical.decode(data, kind, limit_bytes=limit_bytes)


def read_export_of(data: bytes) -> object:
    return read_export(io.BytesIO(data).read)


def read_token_payload(payload: bytes) -> object:
    text = base64.urlsafe_b64encode(payload + signature_of(payload)[:4]).decode().rstrip("=")
    return parse_token(PREFIX + text)


def read_secret_payload(payload: bytes) -> object:
    text = base64.urlsafe_b64encode(payload + signature_of(payload)[:4]).decode().rstrip("=")
    return parse_secret(SECRET_PREFIX + text)


def read_listing_of_tracker(body: bytes) -> object:
    data = canonical.encode(Signed(body, AUTHORITY.sign("tracker-listing", body)))
    return open_listing(data, Trust(AUTHORITY.public))


def read_entry_of_member(body: bytes) -> object:
    seal = Endorsement(PUBLISHER.public, "publisher", PUBLISHER.sign(log.PUBLISHER_CONTEXT, body))
    return log.verify_publisher(canonical.encode(SignedEntry(body, GRANT, (seal,))), authority=Trust(CA_KEY.public))


def read_plan_of_tag(data: bytes) -> object:
    return Staging().plans_for([log.Move("latest", None)], {"latest": data})


def read_receipt_of_member(body: bytes) -> object:
    return open_receipt(canonical.encode(SealedReceipt(SEED.public, body, SEED.sign(receipt.CONTEXT, body))))


def read_sealed_head(data: bytes) -> object:
    """The reader takes as many bytes as a head has, whatever they are."""
    plain = Opener(bytes(range(32))).open(memoryview(data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")), SCRATCH)
    return parse_head(bytes(plain))


def read_snapshot_of_tracker(body: bytes) -> object:
    data = canonical.encode(SealedSnapshot(body, CA_KEY.sign("snapshot", body)))
    return open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL)


def read_location_of_member(body: bytes) -> object:
    located = Located(told("credential"), Signed(body, KEY.sign("location", body)))
    return records.open_location(canonical.encode(located), authority=Trust(AUTHORITY.public), wall_now=WALL + 1)


def read_batch_of_member(body: bytes) -> object:
    signed = SignedBatch(body, key_of(1).sign(dht_batch.CONTEXT, body))
    dht_batch.open_batch(signed)
    return check_record(Record(signed, 3, path_of(tree_of(LISTED), 3)), LISTED[3])


def read_packet_of_member(body: bytes) -> object:
    """A node raises nothing, whatever a member signs."""
    return NODE.received(sealed(canonical.encode(Packet(body, key_of(2).sign("dht-packet", body)))))


def body_of(message: Ping | FindNode | Store) -> bytes:
    prefix = NODE.requests.id[:4]
    return canonical.encode(Body(1, prefix, int(NOW * 1000), b"12345678", False, True, key_of(2).public, b"", message))


def with_segment(table: str, data: bytes) -> object:
    """A manifest whose root names these bytes as the first segment of a table."""
    refs = getattr(MANIFEST.root, table)
    ref = msgspec.structs.replace(refs[0], signature=signature_of(data), size=len(data))
    root = msgspec.structs.replace(MANIFEST.root, **{table: (ref, *refs[1:])})
    return assemble(canonical.encode(root), {**MANIFEST.segments, ref.signature: data})


def segment(table: str) -> bytes:
    return MANIFEST.segments[getattr(MANIFEST.root, table)[0].signature]


ORDER: Final = tracker_sealed.seal(CA_KEY, Purge(1, "osm/roads", bytes(32), bytes(32), "court order 7", WALL))
RECALLS: Final = tracker_sealed.seal(
    CA_KEY, Recalls(1, 3, 2, (Recall(bytes(32), WALL, False), Recall(b"\1" * 32, WALL, True)), 0, WALL)
)
MESSAGES: Final[dict[str, wire.Message]] = {
    "hello": wire.Hello(1, 2, told("credential"), told("grant"), (records.Address("192.0.2.1", 7071),)),
    "interest": wire.Interest("osm/roads", bytes(32), b"entry"),
    "indifferent": wire.Indifferent(bytes(32)),
    "holding": wire.Holding(bytes(32), False, 1, b"\xff\x01"),
    "have": wire.Have(bytes(32), (0, 1, 300, 70_000)),
    "cancel": wire.Cancel(7, (bytes(32),)),
    "by": wire.StandingBy(7, bytes(32), 3),
    "ready": wire.Ready(7),
    "news": wire.News(captured("entry-publish")),
    "trackers": wire.Trackers((told("listing"),)),
    "order": wire.Ordered(ORDER),
    "recalled": wire.Recalled(RECALLS),
    "renewed": wire.Renewed(told("grant")),
    "call me": wire.CallMe(),
    "takes only": wire.TakesOnly(),
}
CHANNEL: Final = {name: canonical.encode(message) for name, message in MESSAGES.items()} | {
    name: told(name) for name in ("here", "who else", "neighbours", "heads")
}
RUN: Final = wire.RunRequest(1, 5, "osm/roads", bytes(32), captured("entry-publish"), True, (bytes(32), b"\1" * 32))

SHOWN: Final = {name: Decoder(good, read, refusals) for name, (good, read, refusals) in shown.SHOWN.items()}
DECODERS: Final[dict[str, Decoder]] = {
    **ANSWER_DECODERS,
    **BEACON_DECODERS,
    **FILE_DECODERS,
    **{name: Decoder(good, read) for name, (good, read) in REPORTS.items()},
    **{f"channel: {name}": Decoder(good, _decode) for name, good in CHANNEL.items()},
    "run head": Decoder(canonical.encode(wire.RunHead(1, told("grant"))), plain(wire.RunHead, HEAD_MAX_BYTES)),
    "run key": Decoder(canonical.encode(wire.FrameKey(1, bytes(32))), plain(wire.FrameKey, FRAME_KEY_MAX_BYTES)),
    "sealed frame": Decoder(told("sealed frames")[:HEAD_BYTES], read_sealed_head, (ConnectionAbortedError,)),
    "beacon": Decoder(
        canonical.encode(Beacon(1, WALL * 1000, True, told("location"), bytes(7))), plain(Beacon, BEACON_MAX_BYTES)
    ),
    "run request": Decoder(canonical.encode(RUN), plain(wire.RunRequest, REQUEST_MAX_BYTES)),
    "frame": Decoder(wire.FRAME.pack(0, 4096), lambda data: parse_head(data[:5].ljust(5, b"\0"))),
    "tag request": Decoder(
        canonical.encode(wire.TagRequest(1, "osm/roads", "v1", b"")), plain(wire.TagRequest, TAG_REQUEST_MAX_BYTES)
    ),
    "tag answer": Decoder(
        canonical.encode(wire.TagAnswer(1, captured("entry-tag"))), plain(wire.TagAnswer, ANSWER_MAX_BYTES)
    ),
    "tls hello": Decoder(hello("h2", "aetherfs-run/1"), offered, (Unfinished,)),
    "announce": Decoder(captured("announce"), plain(Announce, ANNOUNCE_MAX_BYTES)),
    "announce answer": Decoder(captured("announce-answer"), plain(AnnounceAnswer, ANNOUNCE_ANSWER_MAX_BYTES)),
    **{
        f"entry: {kind}": Decoder(captured(f"entry-{kind}"), partial(log.verify_entry, authority=Trust(CA_KEY.public)))
        for kind in ("publish", "tag", "rm", "staged", "rollout", "plan")
    },
    "entry of a member": Decoder(log.encode_entry(FIRST), read_entry_of_member),
    "entry of a member in stages": Decoder(log.encode_entry(STAGED), read_entry_of_member),
    "plan of a tag": Decoder(canonical.encode(PLAN), read_plan_of_tag),
    "export": Decoder(GOOD_EXPORT, read_export_of),
    "export since": Decoder(GOOD_EXPORT_SINCE, read_export_of),
    "snapshot": Decoder(captured("snapshot"), partial(open_snapshot, authority=Trust(CA_KEY.public), wall_now=WALL)),
    "snapshot of a tracker": Decoder(canonical.encode(SNAPSHOT), read_snapshot_of_tracker),
    "receipt": Decoder(captured("receipt"), open_receipt),
    "receipt of a member": Decoder(canonical.encode(RECEIPT), read_receipt_of_member),
    "token": Decoder(captured("token"), lambda data: parse_token(data.decode("latin-1")), (UsageError,)),
    "token's payload": Decoder(canonical.encode(TOKEN), read_token_payload, (UsageError,)),
    "credential": Decoder(
        told("credential"),
        lambda data: records.open_sealed(data, Credential, authority=Trust(AUTHORITY.public), wall_now=WALL + 1),
    ),
    "grant": Decoder(
        told("grant"),
        lambda data: records.open_sealed(data, Grant, authority=Trust(AUTHORITY.public), wall_now=WALL + 1),
    ),
    "location": Decoder(
        told("location"), partial(records.open_location, authority=Trust(AUTHORITY.public), wall_now=WALL + 1)
    ),
    "location of a member": Decoder(
        canonical.encode(records.Location(1, (records.Address("192.0.2.1", 7071),), 1_800_000_000, 1_800_014_400)),
        read_location_of_member,
    ),
    "succession": Decoder(told("succession"), open_succession),
    "roster": Decoder(told("roster"), open_roster),
    "credential's term": Decoder(
        told("credential"), lambda data: records.term_of(data, Credential, Trust(AUTHORITY.public))
    ),
    "entry's hash": Decoder(captured("entry-publish"), log.entry_hash),
    "keyring": Decoder(told("keyring"), decode_keyring),
    "listing": Decoder(told("listing"), partial(open_listing, authority=Trust(AUTHORITY.public))),
    "listing of a tracker": Decoder(canonical.encode(LISTED_TRACKER), read_listing_of_tracker),
    "push": Decoder(told("push"), plain(Push, PUSH_MAX_BYTES)),
    "swarm secret": Decoder(told("swarm secret"), read_secret_payload, (UsageError,)),
    "manifest's root": Decoder(told("root"), parse_root),
    "file segment": Decoder(segment("file_segments"), partial(with_segment, "file_segments")),
    "block segment": Decoder(segment("block_segments"), partial(with_segment, "block_segments")),
    "packed block": Decoder(PACKED, lambda data: open_block(data, signature_of(PLAIN), len(PLAIN))),
    "raw block": Decoder(encode_block(b"golden"), lambda data: open_block(data, signature_of(b"golden"))),
    "dht record": Decoder(
        captured("dht-record"),
        lambda data: check_record(canonical.decode(data, Record, limit_bytes=1000), LISTED[39]),
    ),
    "dht batch of a member": Decoder(
        canonical.decode(captured("dht-batch"), SignedBatch, limit_bytes=1000).body, read_batch_of_member
    ),
    "lease": Decoder(canonical.encode(Lease(1, "osm/roads", bytes(32), 7)), plain(Lease, RECORD_MAX_BYTES)),
    "condemned": Decoder(
        canonical.encode(Condemned(1, 7, ("0" * 32,), ("1" * 32,), (("osm/roads", bytes(32)),))),
        plain(Condemned, CONDEMNED_MAX_BYTES),
    ),
    "recalls": Decoder(RECALLS, partial(open_recalls, authority=Trust(CA_KEY.public))),
    "order to purge": Decoder(ORDER, partial(open_purge, authority=Trust(CA_KEY.public))),
    "keep rule": Decoder(
        canonical.encode(KeepRule(1, "osm/roads", 3, 5, None, (bytes(32),), 7)), plain(KeepRule, RECORD_MAX_BYTES)
    ),
    **SHOWN,
    **{
        f"dht: {name}": Decoder(captured(f"dht-{name}"), NODE.received, ())
        for name in ("ping", "pong", "find", "found", "store", "stored", "who")
    },
    "dht ping of a member": Decoder(body_of(Ping()), read_packet_of_member, ()),
    "dht find of a member": Decoder(body_of(FindNode(LISTED[1], True, bytes(3))), read_packet_of_member, ()),
    "dht store of a member": Decoder(
        body_of(Store(canonical.decode(captured("dht-batch"), SignedBatch, limit_bytes=1000), joined(LISTED))),
        read_packet_of_member,
        (),
    ),
}
