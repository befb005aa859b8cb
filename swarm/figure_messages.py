"""What a tracker tells of the swarm: the JSON bodies of ``/api/v1/figures/...`` and of its stream of events.

    GET /api/v1/figures/overview                                   Overview
    GET /api/v1/figures/rollouts                                   Rollouts
    GET /api/v1/figures/rollouts/{scope}/{name}/{tag}[?serial=]    Rollout
    GET /api/v1/figures/rollouts/{scope}/{name}/{tag}/events[?serial=&after=&limit=]    RolloutLog
    GET /api/v1/figures/blocks/{scope}/{name}[?version=&ranges=]   Blocks
    GET /api/v1/figures/heat/{scope}/{name}                        Heat
    GET /api/v1/figures/performance/{scope}/{name}                 swarm.figure_performance.Performance
    GET /api/v1/figures/flow[?since=]                              Flow
    GET /api/v1/figures/peers[?cursor=&limit=&site=&label=&state=&search=&dataset=]    Peers
    GET /api/v1/figures/peers/{id}                                 Peer
    GET /api/v1/figures/dht                                        DhtFigures
    GET /api/v1/figures/origin                                     Origin
    GET /api/v1/figures/series?name=&since=                        Series
    GET /api/v1/figures/events[?since=&after=&limit=]              Events
    GET /api/v1/figures/stream?topics=overview,rollout:scope/name:tag,flow    server-sent events, see below

Units: sizes are bytes, ``*_s`` durations in seconds, ``at``, ``since``, ``started`` and ``heard`` wall seconds (Unix,
with a fraction). Bytes are **plain bytes of blocks**, as `pull --json` counts them, unless the name says ``wire``:
those are encoded blocks as they travelled within TLS, without TLS, TCP and IP; or ``line``: with all of that. Versions
and peers are the texts that the command line shows: 64 hex characters, and the peer id. A share is from 0 to 1.
``None`` means: not known, or not yet.

The stream. One a tab; ``topics`` are ``overview``, ``rollouts``, ``rollout:SCOPE/NAME:TAG``, ``blocks:SCOPE/NAME``,
``flow``, ``peers``, ``peer:ID``, ``dht``, ``origin``, ``series:NAME`` and ``events``. Each message is

    id: <opaque>
    event: <the topic as it was asked for>
    data: <the same JSON as the GET of that topic>

at most one a second and topic, only if it has changed, the first at once, and what a moved tag changes at once too. So
whoever misses one has lost nothing: the next tells all, and with ``Last-Event-ID`` only what has changed since is told.
Two topics tell what is new alone: ``events`` (an ``Events`` of those since the last message) and ``flow`` (a ``Flow``
of the last second with the edges that moved). ``peers`` is a ``PeersChanged``. ``series:NAME`` is a ``Series`` with the
points since the last message. A topic that the caller may not read, or that is not there, is answered by one message of
``event: refused`` with a ``Refused``.

Every five seconds comes ``event: beat`` with {"at": wall seconds}, whatever else: so a page knows that it is not stale.

Who may read: whoever may read a dataset sees its row, its rollouts and its blocks; whoever may read everything (``*``)
also sees peers, flow, DHT, origin, series and all events. Names of datasets that the caller may not read are not told.

A tracker takes what peers report about themselves as their word; ``Link`` keeps giver's and taker's apart.
"""

from __future__ import annotations

import msgspec

from swarm.figure_details import (
    BlockRange,
    Blocks,
    DhtFigures,
    DhtNode,
    Event,
    Events,
    FileBlocks,
    Flow,
    FlowEdge,
    FlowFrame,
    FlowNode,
    Money,
    Origin,
    OriginItem,
    PeerBlocks,
    Refused,
    Requests,
    SeedFigures,
    Series,
    SeriesName,
    Survival,
)
from swarm.figure_heat import Heat, VersionHeat
from swarm.figure_peers import Link, Peer, PeerFollowing, PeerHolding, PeerItem, Peers, PeersChanged, Storage
from swarm.figure_words import STATES, Cause, Counts, EventKind, Sources, State, Trend

__all__ = [
    "STATES",
    "BlockRange",
    "Blocks",
    "Cause",
    "Completion",
    "Counts",
    "DhtFigures",
    "DhtNode",
    "Event",
    "EventKind",
    "Events",
    "FileBlocks",
    "Flow",
    "FlowEdge",
    "FlowFrame",
    "FlowNode",
    "FollowedTag",
    "Heat",
    "Link",
    "LoggedPeer",
    "Money",
    "Origin",
    "OriginItem",
    "Overview",
    "Peer",
    "PeerBlocks",
    "PeerFollowing",
    "PeerHolding",
    "PeerItem",
    "Peers",
    "PeersChanged",
    "Point",
    "Refused",
    "Requests",
    "Rollout",
    "RolloutAct",
    "RolloutItem",
    "RolloutLog",
    "RolloutStep",
    "Rollouts",
    "SeedFigures",
    "Series",
    "SeriesName",
    "SiteProgress",
    "Sources",
    "State",
    "Storage",
    "Straggler",
    "Survival",
    "Totals",
    "Trend",
    "VersionHeat",
]


# ---- overview -------------------------------------------------------------------------------------------------------


class FollowedTag(msgspec.Struct, frozen=True):
    """One tag that peers follow: a row of the overview.

    ``verdict`` is one sentence for people, for example "`stable` of maps/roads: 962 of 1,000 current, 3 min left,
    origin 1.8% of the bytes". ``trend``: "well" when all are current, "running", "slow" when some are far behind the
    others, "stalled" when nothing moved for 30 s though somebody is behind, "failed" when all that is left has failed,
    "paused", "rolled back" and "aborted" when all are back. ``wanted`` peers follow it; ``behind`` of them are not
    current; of these ``stalled`` have not moved for 30 s: no byte has come. ``eta_s`` is until the last that moves is
    current. ``since``: when the tag was moved to ``serial``. ``back`` as a ``RolloutItem`` has it.
    """

    dataset: str
    tag: str
    serial: int
    version: str
    since: float
    trend: Trend
    verdict: str
    wanted: int
    current: int
    behind: int
    stalled: int
    failed: int
    eta_s: float | None
    counts: Counts
    sources: Sources
    rate_bytes_per_s: float
    total_bytes: int
    is_paused: bool = False
    back: str = ""


class Totals(msgspec.Struct, frozen=True):
    """The swarm. ``peers`` counts everybody heard of, seeds and trackers included. Rates are over the last 5 s."""

    peers: int
    seeds: int
    trackers: int
    datasets: int
    fetching: int
    sites: int
    given_bytes: int
    taken_bytes: int
    rate_bytes_per_s: float
    origin_rate_bytes_per_s: float
    bad_blocks: int


class Overview(msgspec.Struct, frozen=True):
    """``verdict`` sums up all rows in one sentence. ``at``: when this picture was made; ``stale_since``: since when
    some tracker or many peers are not heard of, so that it may be behind; None when it is fresh. ``why_stale`` in
    words.
    """

    at: float
    verdict: str
    trend: Trend
    tags: tuple[FollowedTag, ...]
    totals: Totals
    stale_since: float | None = None
    why_stale: str = ""


# ---- rollouts -------------------------------------------------------------------------------------------------------


class RolloutItem(msgspec.Struct, frozen=True):
    """One move of a tag. ``ended`` is None while somebody is behind. ``is_kept``: its log lies in the object store.

    ``back``: it takes the version before back ("rolled back", "aborted"), or was itself taken back (``trend`` says so),
    by whom and why. ``trend`` of one that is over is how it ended.
    """

    dataset: str
    tag: str
    serial: int
    version: str
    started: float
    ended: float | None
    wanted: int
    current: int
    failed: int
    seconds: float
    is_kept: bool = False
    trend: Trend = "well"
    back: str = ""
    by: str = ""
    why: str = ""


class Rollouts(msgspec.Struct, frozen=True):
    """Latest first; those of the last days, a bounded number."""

    at: float
    rollouts: tuple[RolloutItem, ...]


class Point(msgspec.Struct, frozen=True, array_like=True):
    """How many peers were in each state, in the order of ``STATES``, ``t_s`` seconds after the start. An array in JSON:
    [t_s, unaware, waiting, fetching, verifying, current, failed, lost].
    """

    t_s: float
    unaware: int
    waiting: int
    fetching: int
    verifying: int
    current: int
    failed: int
    lost: int


class Completion(msgspec.Struct, frozen=True):
    """Seconds from the tag's move until a peer was current. ``p95_s`` is None until 95% of the wanted peers are.

    ``curve``: [seconds, peers that were current by then], at most 200 pairs.
    """

    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    last_s: float | None
    curve: tuple[tuple[float, int], ...]


class Straggler(msgspec.Struct, frozen=True):
    """A peer that is behind, and why in words: "slow link: 120 kB/s from 3 neighbours", "no holder of 12 blocks",
    "not heard for 14 s", "held back by the rollout". ``eta_s`` by its own rate.
    """

    peer: str
    site: str
    labels: tuple[str, ...]
    state: State
    since: float
    cause: Cause
    reason: str
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    eta_s: float | None


class Rollout(msgspec.Struct, frozen=True):
    """One rollout as it stands. ``points`` are the stacked states over time, at most 300. ``stragglers``: the 50 that
    are furthest behind, failed ones first; ``behind`` says how many there are. ``back``, ``by`` and ``why`` as a
    ``RolloutItem`` has them. ``away``: how many had it and are not there now; they count in ``completion`` alone.
    """

    at: float
    dataset: str
    tag: str
    serial: int
    version: str
    previous_version: str
    message: str
    started: float
    ended: float | None
    verdict: str
    trend: Trend
    wanted: int
    behind: int
    eta_s: float | None
    counts: Counts
    points: tuple[Point, ...]
    completion: Completion
    stragglers: tuple[Straggler, ...]
    sources: Sources
    rate_bytes_per_s: float
    total_bytes: int
    sites: tuple[SiteProgress, ...]
    is_paused: bool = False
    is_kept: bool = False
    back: str = ""
    by: str = ""
    why: str = ""
    away: int = 0


class SiteProgress(msgspec.Struct, frozen=True):
    """How far one site is."""

    site: str
    wanted: int
    current: int
    failed: int


class RolloutStep(msgspec.Struct, frozen=True, array_like=True):
    """A peer entered a state: [t_s, index into ``peers``, index into ``STATES``, words]. ``words`` is mostly empty."""

    t_s: float
    peer: int
    state: int
    words: str = ""


class RolloutLog(msgspec.Struct, frozen=True):
    """A page of a rollout's event log, in order of time, or while it is in memory nearly so: as its steps were heard.
    Played from the start it gives the picture at any moment. ``first`` is the number of the first step here, of
    ``total``; ``next`` is the ``after`` of the next page, None at the end. ``dropped`` steps were too many to be kept.
    ``acts`` are all that moved or steered the tag meanwhile, by the log of the dataset: the same at every tracker.
    """

    dataset: str
    tag: str
    serial: int
    version: str
    started: float
    ended: float | None
    states: tuple[str, ...]
    peers: tuple[LoggedPeer, ...]
    steps: tuple[RolloutStep, ...]
    next: int | None = None
    dropped: int = 0
    first: int = 0
    total: int = 0
    acts: tuple[RolloutAct, ...] = ()


class RolloutAct(msgspec.Struct, frozen=True):
    """What entry ``serial`` did to the tag, ``at`` a moment by its publisher's clock, in whole seconds: its move, what
    steered it (paused, resumed, promoted) and last what took it back, or moved on.
    """

    at: float
    serial: int
    kind: EventKind
    text: str


class LoggedPeer(msgspec.Struct, frozen=True, array_like=True):
    """[peer id, site]."""

    peer: str
    site: str
