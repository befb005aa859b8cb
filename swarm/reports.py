"""What a peer reports of itself to a tracker, and how trackers pass that on: wire structures, canonical msgpack.

A report carries **totals** since the peer's process began, never what was added since the last one: so a report that is
lost, repeated or overtaken neither loses nor doubles anything. ``epoch`` tells processes apart, ``sequence`` reports.
What has not changed is left away (``is_full`` False): a tracker that misses something asks for all of it.

Everything is bounded here, so what is too long is refused at parse. Times are monotonic nowhere: ages in milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from swarm.figure_words import Cause
from swarm.limits import KIB, MANIFEST_MAX_BLOCKS, MIB, NAME_CHARS
from swarm.log import DatasetName, TagName
from swarm.lookup_times import STEPS
from swarm.principal import LABELS_MAX
from swarm.records import Addresses, Key, Role

REPORT_PATH: Final = "/api/v1/report"
RELAY_PATH: Final = "/api/v1/reports"
REPORT_MAX_BYTES: Final = 64 * KIB
RELAY_MAX_BYTES: Final = 8 * MIB
RELAYED_MAX: Final = 2048
REPORT_ANSWER_MAX_BYTES: Final = 256
LINKS_TOLD_MAX: Final = 32
FOLLOWED_TOLD_MAX: Final = 64
HOLDINGS_TOLD_MAX: Final = 64
# A bitmap of more blocks is not told, but only how many are held.
BITS_MAX_BYTES: Final = 8 * KIB
MISSED_MAX: Final = 32
STEPS_MAX: Final = 8
WORDS_MAX: Final = 200
WAITING_MAX: Final = 8
ROLLOUTS_TOLD_MAX: Final = 16
# Of the versions read last; and in how many stretches.
READS_TOLD_MAX: Final = 8
STRETCHES: Final = 64

Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
Words = Annotated[str, msgspec.Meta(max_length=WORDS_MAX)]
# In which state a peer is, towards the version that it works at: of what it follows itself it is never unaware or lost.
Phase = Literal["waiting", "fetching", "verifying", "current", "failed"]


class Totals(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Since the process began. ``sent`` and ``received`` are plain bytes of blocks, ``wire_*`` encoded ones as they
    travelled; ``uploaded`` was sent to seeds in publishes, and is in none of the others. ``line_*`` is all that the
    process moved, as an interface counts it (``swarm.http.line``).
    """

    sent: Count = 0
    received: Count = 0
    wire_sent: Count = 0
    wire_received: Count = 0
    uploaded: Count = 0
    bad_blocks: Count = 0
    refused: Count = 0
    redirected: Count = 0
    line_sent: Count = 0
    line_received: Count = 0


class LinkTotal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Plain bytes sent to and received from one neighbour; ``bad``: blocks that it gave and that were refused, as they
    were not what their signatures say.
    """

    public: Key
    sent: Count
    received: Count
    is_open: bool
    bad: Count = 0


class Step(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A phase was entered so long before this report was made. ``number`` counts the steps of one followed tag."""

    number: Count
    phase: Phase
    age_ms: Milliseconds


class Followed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A tag that is followed, or pulled once (``is_pull``), and how that stands.

    ``serial`` and ``version`` are what is current here (0 and empty: nothing yet); ``heard`` the last serial of the tag
    that is known here; ``target`` what is worked at, 0 when nothing is. ``peers``, ``origin``, ``reused``, ``wasted``
    and ``wire`` are bytes of that work. ``age_ms``: how long it is followed, by this process. ``steps`` are the phases
    of the target, or of what is current, with their ages.
    """

    dataset: DatasetName
    tag: TagName
    is_pull: bool
    age_ms: Milliseconds
    serial: Count
    version: Annotated[bytes, msgspec.Meta(max_length=32)]
    heard: Count
    target: Count
    target_version: Annotated[bytes, msgspec.Meta(max_length=32)]
    phase: Phase
    cause: Cause
    words: Words
    done_bytes: Count
    total_bytes: Count
    missing_blocks: Count
    peers: Count
    origin: Count
    reused: Count
    wasted: Count
    wire: Count
    rate_bytes_per_s: Count
    neighbours: Count
    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=STEPS_MAX)]


class Held(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A version that is held: ``held`` of ``blocks``. ``bits``: which, lowest bit first; empty for all, or unknown."""

    dataset: DatasetName
    version: Key
    blocks: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_BLOCKS)]
    held: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_BLOCKS)]
    size_bytes: Count
    is_origin: bool
    bits: Annotated[bytes, msgspec.Meta(max_length=BITS_MAX_BYTES)]


class Room(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What blocks take on disk and in memory, and may; the process; the disk of its home (0: not known). Of both
    stores since the process began: blocks that were there when they were asked for (``hits``) and were not, that were
    dropped for want of room, and that then came again.
    """

    cache_blocks: Count
    cache_bytes: Count
    cache_most_bytes: Count
    memory_bytes: Count
    memory_most_bytes: Count
    resident_bytes: Count
    disk_free_bytes: Count
    disk_total_bytes: Count
    hits: Count = 0
    misses: Count = 0
    evicted: Count = 0
    regretted: Count = 0
    regretted_bytes: Count = 0


class ReadTold(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How a version of ``size`` bytes is read at this peer, over HTTP, by mounts and fsspec: requests and bytes, and
    bytes by equal stretches of the whole version. Nothing here names a file: paths stay on the peer.
    """

    dataset: DatasetName
    version: Key
    size: Count
    reads: Count
    bytes: Count
    stretches: Annotated[tuple[Count, ...], msgspec.Meta(min_length=STRETCHES, max_length=STRETCHES)]


class DhtTold(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Nodes known, records kept; lookups by how long they took (``swarm.lookup_times``), of which ``failed`` found
    nobody.
    """

    nodes: Count
    records: Count
    failed: Count
    by_step: Annotated[tuple[Count, ...], msgspec.Meta(min_length=STEPS, max_length=STEPS)]
    is_client: bool

    @property
    def lookups(self) -> int:
        return sum(self.by_step)


class Asked(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Requests to an object store, as ``swarm.objects.meter`` counts them."""

    put: Count = 0
    list: Count = 0
    get: Count = 0
    head: Count = 0
    delete: Count = 0
    retries: Count = 0
    sent_bytes: Count = 0
    received_bytes: Count = 0


class VersionAsked(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What one version cost, since ``wall_time`` (seconds)."""

    dataset: DatasetName
    version: Key
    is_publish: bool
    wall_time: Count
    asked: Asked


class StoreTold(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Of a seed: what it asked its object store for, over restarts, and since when that is away, in words."""

    asked: Asked
    versions: Annotated[tuple[VersionAsked, ...], msgspec.Meta(max_length=ROLLOUTS_TOLD_MAX)]
    away: Words


class Report(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """See the module. ``wall_time_ms`` is the peer's clock; ``missed`` are neighbours whose channel has broken, or who
    do not answer, lately. ``sites`` of links are the tracker's to know.
    """

    format: Literal[1]
    epoch: Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
    sequence: Count
    is_full: bool
    wall_time_ms: Milliseconds
    uptime_s: Count
    program: Annotated[str, msgspec.Meta(max_length=32)]
    totals: Totals
    links: Annotated[tuple[LinkTotal, ...], msgspec.Meta(max_length=LINKS_TOLD_MAX)]
    others_sent: Count
    others_received: Count
    followed: Annotated[tuple[Followed, ...], msgspec.Meta(max_length=FOLLOWED_TOLD_MAX)]
    holdings: Annotated[tuple[Held, ...], msgspec.Meta(max_length=HOLDINGS_TOLD_MAX)]
    waiting_for: Annotated[tuple[Words, ...], msgspec.Meta(max_length=WAITING_MAX)]
    missed: Annotated[tuple[Key, ...], msgspec.Meta(max_length=MISSED_MAX)]
    room: Room | None
    dht: DhtTold | None
    store: StoreTold | None
    reads: Annotated[tuple[ReadTold, ...], msgspec.Meta(max_length=READS_TOLD_MAX)] = ()


class ReportAnswer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """When the next report is wanted: within ``beat_ms`` in any case, and not before ``pause_ms`` if something has
    changed. ``needs_full``: this tracker lacks what was left away.
    """

    format: Literal[1]
    beat_ms: Annotated[int, msgspec.Meta(ge=100, le=86_400_000)]
    pause_ms: Annotated[int, msgspec.Meta(ge=100, le=86_400_000)]
    needs_full: bool


class Relayed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What one tracker heard of a peer: who that is as this tracker knows it and where it is ``seen``, when, and the
    report (empty: it was only heard of; ``is_leaving``: it said goodbye).
    """

    public: Key
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    labels: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=97)], ...], msgspec.Meta(max_length=LABELS_MAX)]
    addresses: Addresses
    seen: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    age_ms: Milliseconds
    is_leaving: bool
    report: Annotated[bytes, msgspec.Meta(max_length=REPORT_MAX_BYTES)]


class Relay(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """From one tracker to another."""

    format: Literal[1]
    peers: Annotated[tuple[Relayed, ...], msgspec.Meta(max_length=RELAYED_MAX)]


class RelayAnswer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Of whom a full report is wanted, as something was never heard here."""

    format: Literal[1]
    needs_full: Annotated[tuple[Key, ...], msgspec.Meta(max_length=RELAYED_MAX)]
