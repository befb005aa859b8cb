"""Figures of single peers: rows of the list, and all that is known of one. See ``swarm.figure_messages``."""

from __future__ import annotations

from typing import Literal

import msgspec

from swarm.figure_words import Cause, Sources, State


class PeerItem(msgspec.Struct, frozen=True):
    """A row of the list. ``health``: alive, doubtful (others miss it), gone. ``state``: the worst of what it follows,
    or "" if it follows nothing. ``clock_offset_s`` is its clock minus the tracker's.
    """

    id: str
    role: str
    site: str
    labels: tuple[str, ...]
    health: Literal["alive", "doubtful", "gone"]
    heard: float
    state: State | Literal[""]
    cause: Cause
    reason: str
    version: str
    sent_bytes: int
    received_bytes: int
    rate_in_bytes_per_s: float
    rate_out_bytes_per_s: float
    clock_offset_s: float | None
    following: int
    neighbours: int


class Peers(msgspec.Struct, frozen=True):
    """A page in the order of ids; ``next`` is the cursor of the next one, empty at the end; ``matching`` of
    ``total``.
    """

    at: float
    peers: tuple[PeerItem, ...]
    next: str
    matching: int
    total: int


class PeersChanged(msgspec.Struct, frozen=True):
    """Of the topic ``peers``: those that have changed since the last message, 50 at most; ``more``: there were
    others.
    """

    at: float
    peers: tuple[PeerItem, ...]
    more: bool
    total: int


class Link(msgspec.Struct, frozen=True):
    """One neighbour of a peer. ``sent_bytes`` and ``received_bytes`` are this peer's own word (totals of its process),
    ``their_received_bytes`` and ``their_sent_bytes`` the other end's; None where it said nothing. ``agrees`` is False
    when they differ by more than 5% and a mebibyte. ``peer`` is "others" for all that were not told one by one.
    """

    peer: str
    site: str
    sent_bytes: int
    received_bytes: int
    their_received_bytes: int | None
    their_sent_bytes: int | None
    agrees: bool
    is_open: bool


class PeerFollowing(msgspec.Struct, frozen=True):
    """What a peer follows and how it stands. ``serial`` is the entry that brought what is current there,
    ``target_serial`` that of what it works at: as rollouts are numbered, whatever steered them since.
    """

    dataset: str
    tag: str
    serial: int
    version: str
    target_serial: int
    target_version: str
    state: State
    since: float
    cause: Cause
    reason: str
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    eta_s: float | None
    sources: Sources
    is_pull: bool


class PeerHolding(msgspec.Struct, frozen=True):
    """A version that a peer holds, whole or in part."""

    dataset: str
    version: str
    blocks: int
    held: int
    bytes: int
    is_origin: bool


class Storage(msgspec.Struct, frozen=True):
    """A peer's room. ``cache_bytes`` of its disk tier, ``memory_bytes`` of blocks in memory; the disk is that of its
    home; None where it was not told.
    """

    cache_blocks: int
    cache_bytes: int
    cache_most_bytes: int
    memory_bytes: int
    memory_most_bytes: int
    resident_bytes: int
    disk_free_bytes: int | None
    disk_total_bytes: int | None


class Peer(msgspec.Struct, frozen=True):
    """All that is known of one. Totals are since its process began (``started``); ``wire_*`` are encoded bytes of
    blocks, ``line_*`` all that the process moved with headers, as an interface counts it; ``uploaded_bytes`` are
    encoded ones that seeds took of its publishes. ``joined``: when it became a member; None while the roll
    cannot be read.
    """

    at: float
    item: PeerItem
    addresses: tuple[str, ...]
    started: float
    joined: float | None
    sent_bytes: int
    received_bytes: int
    wire_sent_bytes: int
    wire_received_bytes: int
    line_sent_bytes: int
    line_received_bytes: int
    uploaded_bytes: int
    bad_blocks: int
    refused: int
    redirected: int
    links: tuple[Link, ...]
    following: tuple[PeerFollowing, ...]
    holdings: tuple[PeerHolding, ...]
    waiting_for: tuple[str, ...]
    storage: Storage | None
    dht_nodes: int | None
    dht_records: int | None
    tracker: str
