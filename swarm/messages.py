"""What members and trackers say to each other: the bodies of the tracker's API.

JSON bodies are plain structs (bytes travel as base64); the announce, which every peer sends all the time, is
canonical msgpack. Each first message states the protocol versions understood, (lowest, highest). Limits stand in the
types, so what is too long is refused at parse. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.identity import PeerKey, is_signed, peer_id_of
from swarm.limits import (
    ADDRESSES_MAX,
    ANNOUNCE_MAX_HEADS,
    ANNOUNCE_MAX_VERSIONS,
    BOOTSTRAP_MAX,
    HANDOUT_MAX_NEIGHBOURS,
    LINKS_MAX,
    LOG_PAGE_MAX,
    NAME_CHARS,
    PAGE_MAX,
    PATTERNS_MAX,
    PROTOCOL_HIGHEST,
    PROTOCOL_LOWEST,
    ROTATION_MAX_S,
    TOKEN_MAX_LIFETIME_S,
    TOKEN_MAX_USES,
    TRACKERS_MAX,
)
from swarm.log import DatasetName, SeenSerial, WallTime
from swarm.principal import LABELS_MAX
from swarm.records import Addresses, Key, Role, Seal

JOIN_CONTEXT: Final = "join"
RENEW_CONTEXT: Final = "renew"

ProtocolVersion = Annotated[int, msgspec.Meta(ge=0, le=255)]
Versions = tuple[ProtocolVersion, ProtocolVersion]
OUR_VERSIONS: Final[Versions] = (PROTOCOL_LOWEST, PROTOCOL_HIGHEST)


Labels = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=97)], ...], msgspec.Meta(max_length=LABELS_MAX)]


class Contact(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member and where it listens."""

    public: Key
    addresses: Addresses

    @property
    def peer_id(self) -> str:
        return peer_id_of(self.public)


Trackers = Annotated[tuple[Contact, ...], msgspec.Meta(max_length=TRACKERS_MAX)]


def with_trackers(known: tuple[Contact, ...], found: Sequence[Contact]) -> tuple[Contact, ...]:
    """Trackers that were found, each first where it was found, before others that are known."""
    before = {contact.public: contact.addresses for contact in known}

    def reached(contact: Contact) -> Contact:
        both = dict.fromkeys((*contact.addresses, *before.get(contact.public, ())))
        return Contact(contact.public, tuple(both)[:ADDRESSES_MAX])

    new = {contact.public: reached(contact) for contact in found}
    return (*new.values(), *(contact for contact in known if contact.public not in new))[:TRACKERS_MAX]


# Joining.


class SwarmInfo(msgspec.Struct, frozen=True):
    """What anyone may know of a swarm before it trusts it: the CA's root (PEM), and the tracker's sealed credential.

    ``links`` are the sealed successions and rosters of the CA's keys (``swarm.trust``).
    """

    ca: bytes
    credential: bytes
    protocol: Versions
    wall_time: WallTime
    links: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=LINKS_MAX)] = ()


class JoinRequest(msgspec.Struct, frozen=True):
    """``proof`` is the joining key's seal (see ``join_proof``) that it holds the key it asks a certificate for."""

    protocol: Versions
    token_id: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    secret: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    public: Key
    wall_time: WallTime
    proof: Seal


class JoinAnswer(msgspec.Struct, frozen=True):
    """What makes a home a member. ``secret`` is the swarm's first DHT secret; ``store_key`` is for role tracker alone.

    ``keys`` is an encoded ``swarm.keyring.Keyring``, empty where nothing was ever rotated.
    """

    protocol: ProtocolVersion
    certificate: bytes
    ca: bytes
    credential: bytes
    grant: bytes
    secret: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    bootstrap: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=BOOTSTRAP_MAX + TRACKERS_MAX)]
    trackers: Trackers
    wall_time: WallTime
    store_key: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    keys: bytes = b""


class RenewRequest(msgspec.Struct, frozen=True):
    """Needs no certificate: ``proof`` is the member's seal (see ``renew_proof``), the membership record decides.

    ``credential`` and ``grant`` make that record anew where a store was restored from a backup of before the member
    joined.
    """

    protocol: Versions
    public: Key
    wall_time: WallTime
    proof: Seal
    credential: bytes = b""
    grant: bytes = b""


class RenewAnswer(msgspec.Struct, frozen=True):
    """A fresh certificate (PEM), sealed credential and sealed grant; ``keys`` as in ``JoinAnswer``."""

    protocol: ProtocolVersion
    certificate: bytes
    credential: bytes
    grant: bytes
    trackers: Trackers
    wall_time: WallTime
    keys: bytes = b""


class RotateRequest(msgspec.Struct, frozen=True):
    """Let a new key of the CA, or secret, be in force in ``after_s``, and the former one retired ``retire_s`` later."""

    what: Literal["ca", "secret"]
    after_s: Annotated[int, msgspec.Meta(ge=0, le=ROTATION_MAX_S)]
    retire_s: Annotated[int, msgspec.Meta(ge=0, le=ROTATION_MAX_S)]


class RotateAnswer(msgspec.Struct, frozen=True):
    """When the new one is in force, and the former one is retired (wall seconds)."""

    in_force: WallTime
    retired: WallTime


class TokenRequest(msgspec.Struct, frozen=True):
    """What a new token shall allow. ``ttl_s`` seconds from now, ``datasets`` are patterns (``scope/*``, ``*``)."""

    role: Role = "peer"
    uses: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_MAX_USES)] = 1
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_MAX_LIFETIME_S)] = 3600
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=PATTERNS_MAX)] = ("*",)
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)] = ""
    labels: Labels = ()


class TokenAnswer(msgspec.Struct, frozen=True):
    """The token's text, and until when it can be used (wall seconds)."""

    token: str
    expires: WallTime


# Datasets.


class TagItem(msgspec.Struct, frozen=True):
    """One tag for people: the version in hex."""

    tag: str
    serial: int
    version: str


class DatasetAnswer(msgspec.Struct, frozen=True):
    """A dataset's head and all its tags."""

    dataset: str
    serial: int
    tags: tuple[TagItem, ...]


class DatasetsAnswer(msgspec.Struct, frozen=True):
    """A page of datasets; ``next`` is the cursor of the next page, empty at the end.

    ``stale``: the object store is away, and these are those that the tracker knows of.
    """

    datasets: Annotated[tuple[str, ...], msgspec.Meta(max_length=PAGE_MAX)]
    next: str
    stale: bool = False


class LookupAnswer(msgspec.Struct, frozen=True):
    """A tag or version found: the signed entry that proves it, and a sealed snapshot that shows how fresh it is.

    ``wall_time`` is when it was answered: a tracker whose object store is away answers with an older snapshot.
    ``gone``: the object store does not keep the version any more; a peer may.
    """

    dataset: str
    tag: str | None
    serial: int
    version: str
    entry: bytes
    snapshot: bytes
    wall_time: int = 0
    gone: bool = False


class LogAnswer(msgspec.Struct, frozen=True):
    """Signed entries in order, from after the serial that was asked; ``head`` is the last serial there is.

    ``plans``: by tag, the plans (``swarm.rollout``, canonical) by which what is published goes out. For who asks
    for the last entries, as one does who makes the next.
    """

    dataset: str
    head: int
    entries: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=PAGE_MAX)]
    plans: dict[str, bytes] = {}


class AppendRequest(msgspec.Struct, frozen=True):
    """A signed entry with the publisher's endorsement; ``receipt`` is a seed's, for kind ``publish``.

    ``if_serial``: commit it only if no entry after this serial has moved one of its tags; 0 for tags that never were.
    ``at_once``: whatever plan these tags have, which takes the right to tag.
    """

    entry: bytes
    receipt: bytes = b""
    if_serial: SeenSerial | None = None
    at_once: bool = False


class AppendAnswer(msgspec.Struct, frozen=True):
    """The entry as committed, with the tracker's endorsement."""

    serial: int
    entry: bytes


class HeldEntries(msgspec.Struct, frozen=True):
    """Signed entries that a member holds, in order, and that a log lacks which was restored from a backup."""

    entries: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=LOG_PAGE_MAX)]


class HeldAnswer(msgspec.Struct, frozen=True):
    """How many of them were taken back, and the log's last serial now."""

    taken: int
    head: int


class SnapshotAnswer(msgspec.Struct, frozen=True):
    """A sealed snapshot."""

    snapshot: bytes


# Announces.


class Holding(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A version that a peer holds (``complete``) or is fetching. ``origin``: it published it, or keeps it as a seed."""

    dataset: DatasetName
    version: Key
    complete: bool
    origin: bool


class Announce(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A heartbeat. A wildcard host in ``addresses`` stands for the address that the tracker sees the peer at.

    ``heads``: datasets whose head serial it wants to know. ``certificate_issued`` and ``grant_issued``: wall seconds
    of what it holds, so that the tracker knows when to renew. ``leaving`` forgets the peer at once. ``keeps``: it is a
    seed and takes uploads.
    """

    format: Literal[1]
    protocol: Versions
    addresses: Addresses
    versions: Annotated[tuple[Holding, ...], msgspec.Meta(max_length=ANNOUNCE_MAX_VERSIONS)]
    heads: Annotated[tuple[DatasetName, ...], msgspec.Meta(max_length=ANNOUNCE_MAX_HEADS)]
    certificate_issued: WallTime
    grant_issued: WallTime
    leaving: bool
    keeps: bool
    wall_time: WallTime


class Neighbour(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A peer that announced the version. ``site`` is the token's, or where the tracker sees it."""

    public: Key
    addresses: Addresses
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    complete: bool
    origin: bool

    @property
    def peer_id(self) -> str:
        return peer_id_of(self.public)


class Handout(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The neighbours for one announced version."""

    dataset: DatasetName
    version: Key
    neighbours: Annotated[tuple[Neighbour, ...], msgspec.Meta(max_length=HANDOUT_MAX_NEIGHBOURS)]


class Head(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The last serial of a dataset."""

    dataset: DatasetName
    serial: Annotated[int, msgspec.Meta(ge=1)]


class AnnounceAnswer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a peer needs until its next announce, ``interval_s`` later.

    ``certificate`` with ``credential``, and ``grant``, are empty unless renewal is due. ``seeds`` are all seeds known
    (bounded), whatever they hold. ``site`` is what the tracker takes for the asker's own.
    """

    format: Literal[1]
    protocol: ProtocolVersion
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    handouts: Annotated[tuple[Handout, ...], msgspec.Meta(max_length=ANNOUNCE_MAX_VERSIONS)]
    seeds: Annotated[tuple[Neighbour, ...], msgspec.Meta(max_length=HANDOUT_MAX_NEIGHBOURS)]
    trackers: Trackers
    heads: Annotated[tuple[Head, ...], msgspec.Meta(max_length=ANNOUNCE_MAX_HEADS)]
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    certificate: Annotated[bytes, msgspec.Meta(max_length=8192)]
    credential: Annotated[bytes, msgspec.Meta(max_length=4096)]
    grant: Annotated[bytes, msgspec.Meta(max_length=32_768)]
    wall_time: WallTime


def join_proof(key: PeerKey, token_id: bytes, fingerprint: bytes, wall_time: int) -> bytes:
    """The seal that a joining key puts on this token and this CA."""
    return key.sign(JOIN_CONTEXT, _stated(token_id, fingerprint, wall_time))


def is_join_proof(request: JoinRequest, fingerprint: bytes) -> bool:
    """Whether the holder of its key made the request, for this CA. Time is not judged: who joins may have no clock."""
    stated = _stated(request.token_id, fingerprint, request.wall_time)
    return is_signed(request.public, JOIN_CONTEXT, stated, request.proof)


def renew_proof(key: PeerKey, fingerprint: bytes, wall_time: int) -> bytes:
    """The seal that a member puts on its wish to be renewed."""
    return key.sign(RENEW_CONTEXT, _stated(key.public, fingerprint, wall_time))


def is_renew_proof(request: RenewRequest, fingerprint: bytes) -> bool:
    """As ``is_join_proof``. A replayed request yields only what is bound to the member's key, so time is not judged."""
    return is_signed(
        request.public, RENEW_CONTEXT, _stated(request.public, fingerprint, request.wall_time), request.proof
    )


def _stated(subject: bytes, fingerprint: bytes, wall_time: int) -> bytes:
    return canonical.encode((subject, fingerprint, wall_time))
