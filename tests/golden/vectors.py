"""Fixed inputs and the bytes that they make: what must never change without a new format version.

``python -m tests.golden.vectors`` prints the vectors as JSON; ``vectors.json`` is what they were when the format was
made. Compressed payloads are not among what we make: two versions of zstd may pack differently. How they are read is.
"""

from __future__ import annotations

import json

from swarm import canonical, messages, records
from swarm.cut import cut
from swarm.encoding import encode_block
from swarm.export import Head
from swarm.identity import PeerKey
from swarm.keyring import Keyring, SwarmSecret
from swarm.manifest import Manifest
from swarm.names import parse
from swarm.peer import wire
from swarm.peer.sealed import SEALED_MAX_BYTES, Sealer
from swarm.records import Address, Credential, Grant, Location, Rule
from swarm.roster import OnlineKey, Roster, seal_roster
from swarm.secret_text import SecretBody
from swarm.segments import BlockEntry
from swarm.signature import keyed, signature_of
from swarm.tracker import sealed
from swarm.tracker.audit import Page
from swarm.tracker.auditing import Event
from swarm.tracker.listing import Listing, seal_listing
from swarm.tracker.policy import Policy, PolicyRule
from swarm.tracker.pushes import Push
from swarm.tracker.recalls import Recall, Recalls
from swarm.trust import Succession, seal_succession
from tests.datasets import directory_entry, file_entry, link_entry, manifest_of, seeded

KEY = PeerKey(bytes(range(32)))
RUN = wire.RunRequest(1, 7, "osm/roads", bytes(range(32)), b"entry", False, (bytes(32),))
RUN_ANSWERS = ((wire.BLOCK, b"\0golden"), (wire.NOT_HERE, b""), (wire.ASK, b"a peer"))
AUTHORITY = PeerKey(bytes(range(32, 64)))
LISTED = Listing(
    2, KEY.public, (Address("192.0.2.1", 7070),), (Address("192.0.2.1", 7071),), 1_800_000_000, 1_800_000_060
)
LISTING = seal_listing(AUTHORITY, LISTED)

RECALLS = Recalls(1, 3, 2, (Recall(bytes(32), 1_800_000_000, False), Recall(KEY.public, 7, True)), 0, 1_800_000_000)
POLICY = Policy(1, 1, (PolicyRule("members", "read", "@token"),), 3600, "user:alice", "allow", 1_800_000_000)
AUDITED = Page(1, 2, bytes(32), (Event(1_800_000_000, "user:alice", "access", "version 1", "allow", 1),), 1_800_000_000)

FILES = {
    "README.md": b"# golden\n",
    "data/empty": b"",
    "data/large.bin": seeded("golden large", 3_000_000),
    "data/small.csv": b"a,b\n1,2\n" * 900,
    "data/\u00e9t\u00e9 \U0001f30d.txt": b"summer\n",
}
OTHERS = (directory_entry("empty dir", mode=0o750), link_entry("latest", "data/large.bin"))


ROSTER = Roster(
    1,
    AUTHORITY.public,
    3,
    1_800_000_000,
    (
        OnlineKey(PeerKey(bytes(32)).public, b"", 0, 1_800_000_000, 1_800_000_000, True),
        OnlineKey(KEY.public, b"PEM", 1_800_000_000, 1_807_776_000, 1_810_368_000, False),
    ),
)
KEYRING = Keyring(1, (b"link",), (SwarmSecret(1, bytes(32), 1_800_000_000, 1_800_086_400),))


def dataset() -> Manifest:
    return manifest_of(FILES, OTHERS)[0]


def large_dataset() -> Manifest:
    """Enough entries for several segments of both tables."""
    files = {f"part-{number:05}": b"%d" % number for number in range(3000)}
    return manifest_of(files | {"zeros": bytes(7 << 20), "noise": seeded("golden noise", 20 << 20)})[0]


def frames_sealed() -> bytes:
    """The answers to a run, as they travel."""
    sealer, into = Sealer(bytes(range(32))), memoryview(bytearray(SEALED_MAX_BYTES))
    return b"".join(bytes(sealer.seal(status, payload, into)) for status, payload in RUN_ANSWERS)


def succession() -> bytes:
    """One CA key after another."""
    link = Succession(1, AUTHORITY.public, b"a root", KEY.public, b"another", 1_800_000_000, 1_802_592_000)
    return seal_succession(AUTHORITY, KEY, link)


def vectors() -> dict[str, object]:
    """Every golden value, as text and numbers."""
    manifest, large = dataset(), large_dataset()
    credential = Credential(1, KEY.public, "seed", "site-1", 1_800_000_000, 1_802_592_000)
    grant = Grant(1, KEY.public, (Rule("read", "osm/*"), Rule("publish", "osm/roads")), 1_800_000_000, 1_800_604_800)
    where = Location(1, (Address("192.0.2.1", 7071),), 1_800_000_000, 1_800_014_400)
    location = records.seal_location(KEY, records.seal(AUTHORITY, credential), where)
    return {
        "signature": signature_of(b"golden").hex(),
        "keyed id": keyed(b"k" * 32, b"golden", 20).hex(),
        "peer id": KEY.peer_id,
        "public key": KEY.public.hex(),
        "signed": KEY.sign("grant", b"golden").hex(),
        "reference": str(parse(f"osm/roads:v1@{signature_of(b'golden').hex()}/a b")),
        "address": canonical.encode(Address("2001:db8::1", 7071)).hex(),
        "credential": records.seal(AUTHORITY, credential).hex(),
        "grant": records.seal(AUTHORITY, grant).hex(),
        "location": location.hex(),
        "succession": succession().hex(),
        "roster": seal_roster(AUTHORITY, ROSTER, KEY).hex(),
        "keyring": canonical.encode(KEYRING).hex(),
        "export head": canonical.encode(Head(1, "osm/roads", bytes(32), b"", b"entry")).hex(),
        "here": canonical.encode(wire.Here(location)).hex(),
        "who else": canonical.encode(wire.WhoElse(bytes(range(32)))).hex(),
        "neighbours": canonical.encode(wire.Neighbours(b"", (location,))).hex(),
        "heads": canonical.encode(wire.Heads((("osm/roads", 7),), True)).hex(),
        "recalled": canonical.encode(wire.Recalled(sealed.seal(AUTHORITY, RECALLS))).hex(),
        "renewed": canonical.encode(wire.Renewed(b"grant")).hex(),
        "call me": canonical.encode(wire.CallMe()).hex(),
        "takes only": canonical.encode(wire.TakesOnly()).hex(),
        "policy": sealed.seal(AUTHORITY, POLICY).hex(),
        "audit page": sealed.seal(AUTHORITY, AUDITED).hex(),
        "listing": LISTING.hex(),
        "trackers": canonical.encode(wire.Trackers((LISTING,))).hex(),
        "push": canonical.encode(Push(1, LISTING, False, (messages.Head("osm/roads", 7),))).hex(),
        "swarm secret": canonical.encode(SecretBody(1, b"", bytes(range(32)))).hex(),
        "run head": canonical.encode(wire.RunHead(1, b"grant")).hex(),
        "run key": canonical.encode(wire.FrameKey(1, bytes(range(32)))).hex(),
        "run request": canonical.encode(RUN).hex(),
        "sealed frames": frames_sealed().hex(),
        "cut of noise": list(cut(seeded("golden cut", 4 << 20))),
        "cut of zeros": list(cut(bytes((2 << 20) + 5))),
        "raw block": encode_block(b"golden").hex(),
        "file entry": canonical.encode(file_entry("a/b", b"golden", mode=0o755, mtime_ns=-1)).hex(),
        "directory entry": canonical.encode(directory_entry("empty")).hex(),
        "link entry": canonical.encode(link_entry("a/l", "../b")).hex(),
        "block entry": canonical.encode(BlockEntry(signature_of(b"golden"), 6)).hex(),
        "root": manifest.root_bytes.hex(),
        "segments": [manifest.segments[ref.signature].hex() for ref in manifest.root.segment_refs],
        "version": manifest.version.hex(),
        "content": manifest.content.hex(),
        "large version": large.version.hex(),
        "large segments": [ref.signature.hex() for ref in large.root.segment_refs],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
