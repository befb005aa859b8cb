"""Figures of single blocks, of flow, DHT and origin, and over time: see ``swarm.figure_messages``."""

from __future__ import annotations

from typing import Literal

import msgspec

from swarm.figure_words import EventKind, Severity, Sources

# ---- blocks ---------------------------------------------------------------------------------------------------------


class BlockRange(msgspec.Struct, frozen=True, array_like=True):
    """Blocks ``first`` to ``first + count - 1``: [first, count, fewest copies, mean copies, copies in the origin].
    Copies are whole peers that hold the block, without the origin (seeds and the producer).
    """

    first: int
    count: int
    fewest: int
    mean: float
    origin: int


class FileBlocks(msgspec.Struct, frozen=True):
    """A file's strip. ``path`` is shown as it is: escape it."""

    path: str
    size: int
    first: int
    count: int
    fewest: int
    mean: float


class PeerBlocks(msgspec.Struct, frozen=True):
    """What one peer holds: ``strip`` is the share held of each of ``Blocks.ranges``, as a text of digits 0 to 9 and "x"
    for all of it.
    """

    peer: str
    site: str
    role: str
    is_origin: bool
    held: int
    strip: str


class Survival(msgspec.Struct, frozen=True):
    """Would the version survive the loss of the origin: ``answer`` "yes", "no" or "unknown", in words, and the blocks
    that would be lost, as [first, count] runs (100 at most), their number and their bytes.
    """

    answer: Literal["yes", "no", "unknown"]
    words: str
    lost: tuple[tuple[int, int], ...]
    lost_blocks: int
    lost_bytes: int


class Blocks(msgspec.Struct, frozen=True):
    """Availability of one version. ``fewest`` copies of any block. ``exact`` is False where some peers told only how
    much they hold and not what. ``peers``: 100 at most, the least complete first; ``files``: 200 at most, the rarest
    of the first 50,000, or ``why_no_files``.
    """

    at: float
    dataset: str
    version: str
    tags: tuple[str, ...]
    blocks: int
    bytes: int
    complete_peers: int
    partial_peers: int
    origins: int
    fewest: int
    mean: float
    exact: bool
    ranges: tuple[BlockRange, ...]
    files: tuple[FileBlocks, ...]
    peers: tuple[PeerBlocks, ...]
    survival: Survival
    why_no_files: str = ""


# ---- flow -----------------------------------------------------------------------------------------------------------


class FlowNode(msgspec.Struct, frozen=True):
    """Someone who gives or takes: a peer, or a whole site when ``by_site``. ``role``: peer, seed, tracker, site."""

    id: str
    site: str
    role: str
    peers: int
    is_origin: bool


class FlowEdge(msgspec.Struct, frozen=True, array_like=True):
    """Giver to taker, as indices into ``nodes``: [from, to, bytes in this frame, bytes per second]."""

    giver: int
    taker: int
    bytes: int
    rate_bytes_per_s: float


class FlowFrame(msgspec.Struct, frozen=True):
    """What moved in the ``seconds`` before ``at``. At most 400 edges, the largest; ``others_bytes`` are the rest."""

    at: float
    seconds: float
    edges: tuple[FlowEdge, ...]
    others_bytes: int = 0


class Flow(msgspec.Struct, frozen=True):
    """Who feeds whom. ``frames`` in order of time: of 1 s for the last minutes, of 10 s for the last hour; ``since``
    asks for those after that moment. ``by_site``: there are more than 200 peers, so nodes are sites.
    """

    at: float
    by_site: bool
    nodes: tuple[FlowNode, ...]
    frames: tuple[FlowFrame, ...]


# ---- DHT, origin ----------------------------------------------------------------------------------------------------


class DhtFigures(msgspec.Struct, frozen=True):
    """The DHT as its nodes tell of it. Lookups count since the nodes' processes began, ``failed_lookups`` are
    those that found nobody; the percentiles are over all of them, ``lookup_s`` is a node's own median
    (``swarm.lookup_times``).
    """

    at: float
    nodes: int
    clients: int
    known_mean: float
    known_fewest: int
    records: int
    lookups: int
    failed_lookups: int
    lookup_p50_s: float | None
    lookup_p95_s: float | None
    rows: tuple[DhtNode, ...]


class DhtNode(msgspec.Struct, frozen=True):
    """One node, the 100 that know the fewest others first."""

    peer: str
    site: str
    nodes: int
    records: int
    lookups: int
    failed_lookups: int
    lookup_s: float | None


class Money(msgspec.Struct, frozen=True):
    """An amount by a table of prices (``swarm.objects.bill``)."""

    amount: float
    currency: str


class Requests(msgspec.Struct, frozen=True):
    """Requests to an object store by kind, and bytes of bodies to and from it."""

    put: int = 0
    list: int = 0
    get: int = 0
    head: int = 0
    delete: int = 0
    retries: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class OriginItem(msgspec.Struct, frozen=True):
    """What one version cost. ``offload`` is 1 - origin bytes / all bytes that consumers fetched, None before any.
    ``copies``: how often the origin gave what one of them fetched at most. One is the least, once it is done.
    """

    dataset: str
    tag: str
    version: str
    serial: int
    kind: Literal["rollout", "publish"]
    requests: Requests
    cost: Money
    sources: Sources
    offload: float | None
    copies: float | None = None


class Origin(msgspec.Struct, frozen=True):
    """What the origin carried. ``sources`` of all that consumers fetched, as they tell; ``given_bytes`` as seeds
    tell.
    """

    at: float
    sources: Sources
    offload: float | None
    given_bytes: int
    rate_bytes_per_s: float
    requests: Requests
    cost: Money
    prices: str
    items: tuple[OriginItem, ...]
    seeds: tuple[SeedFigures, ...]
    copies: float | None = None


class SeedFigures(msgspec.Struct, frozen=True):
    """One seed: ``store`` is "answers", or since when it is away and why."""

    peer: str
    site: str
    given_bytes: int
    rate_bytes_per_s: float
    requests: Requests
    cost: Money
    store: str


# ---- series, events -------------------------------------------------------------------------------------------------

SeriesName = Literal[
    "peers",
    "fetching",
    "behind",
    "failed",
    "rate_bytes_per_s",
    "origin_rate_bytes_per_s",
    "reports_per_s",
    "bad_blocks",
    "stream_bytes_per_s",
]


class Series(msgspec.Struct, frozen=True):
    """One figure over time: [wall seconds, value]; ``step_s`` is 1 for the last 5 minutes, 10 for the last hour, 300
    for the last 7 days: the finest ring that reaches back to ``since``.
    """

    name: str
    step_s: int
    points: tuple[tuple[float, float], ...]


class Event(msgspec.Struct, frozen=True):
    """Something that happened in the swarm. ``text`` is one line for people; ``number`` rises at this tracker as it
    hears of events; ``id`` is the same at every tracker. ``was`` is another id under which this one told it before it
    heard an earlier account: who was told that drops it.
    """

    number: int
    at: float
    kind: EventKind
    text: str
    peer: str = ""
    site: str = ""
    dataset: str = ""
    tag: str = ""
    serial: int = 0
    severity: Severity = "info"
    id: str = ""
    was: str = ""


class Events(msgspec.Struct, frozen=True):
    """As this tracker heard of them, which is nearly in order of time; the last 5,000 are kept. ``next``: the ``after``
    of the next call. ``missed``: some after the ``after`` that was asked for are not kept any more, or too many for a
    stream that comes back. ``since``: since when all are told that trackers saw; of what was before only some.
    """

    at: float
    events: tuple[Event, ...]
    next: int
    missed: bool = False
    since: float = 0.0


class Refused(msgspec.Struct, frozen=True):
    """Of the stream: a topic that is not told, and why in words."""

    topic: str
    why: str
