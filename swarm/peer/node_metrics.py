"""A peer's metrics: what it holds, gives and takes, whom it knows; how its papers, its clock and its announces stand.

Read where they are counted anyway. No series is a peer's, a dataset's or a block's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from swarm import clock
from swarm.errors import RemoteProtocolError
from swarm.http.line import LINE
from swarm.metrics import Metrics
from swarm.process_metrics import LoopLag, add_process_metrics
from swarm.records import Credential, Grant, term_of

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

T = TypeVar("T", Credential, Grant)


def add_node_metrics(node: PeerNode) -> None:
    """Tell of this node from now on, and of its process."""
    metrics = node.metrics
    add_process_metrics(metrics, node.home.path)
    lag = LoopLag(metrics)
    node.loop_lag = lag
    node.tasks.start(lag.run())
    _blocks(node, metrics)
    _neighbours(node, metrics)
    _papers(node, metrics)
    _trackers(node, metrics)
    _dht(node, metrics)


def _blocks(node: PeerNode, metrics: Metrics) -> None:
    traffic, memory, disk = node.traffic, node.memory, node.blocks
    metrics.sampled(
        "aetherfs_received_bytes_total",
        "Plain bytes of blocks that came, by what they came from.",
        "source",
        lambda: {"peers": traffic.taken["peers"], "origin": traffic.taken["origin"]},
    )
    metrics.sampled(
        "aetherfs_wire_bytes_total",
        "Encoded bytes of blocks as they travelled, by direction.",
        "direction",
        lambda: {"sent": traffic.wire_sent_bytes, "received": traffic.wire_received_bytes},
    )
    metrics.sampled(
        "aetherfs_line_bytes_total",
        "All that this process moved but for its object store, headers of packets among it, by direction.",
        "direction",
        lambda: dict(zip(("sent", "received"), LINE.totals(), strict=True)),
    )
    metrics.counted(
        "aetherfs_bad_blocks_total", "Blocks that were not what their signature says.", lambda: traffic.bad_blocks
    )
    metrics.sampled(
        "aetherfs_blocks_not_given_total",
        "Blocks that others asked for and were not given here, by why.",
        "why",
        lambda: {"redirected": traffic.redirected, "unreadable": traffic.refused},
    )
    tiers: Mapping[str, Callable[[], float]] = {
        "memory": lambda: memory.size_bytes,
        "disk": lambda: disk.size_bytes,
    }
    metrics.levels(
        "aetherfs_cache_bytes", "Encoded blocks kept, by tier.", "tier", lambda: {k: r() for k, r in tiers.items()}
    )
    metrics.levels(
        "aetherfs_cache_limit_bytes",
        "What a tier may keep.",
        "tier",
        lambda: {"memory": node.settings.memory_bytes, "disk": node.settings.disk_bytes},
    )
    metrics.sampled(
        "aetherfs_cache_reads_total",
        "Looks for a block in the cache, by tier and whether it was there.",
        "result",
        lambda: {
            "memory_hit": memory.hits,
            "memory_miss": memory.misses,
            "disk_hit": disk.hits,
            "disk_miss": disk.misses,
        },
    )
    metrics.levels("aetherfs_versions", "Versions held, by how much of them.", "state", lambda: _versions(node))
    metrics.gauge("aetherfs_blocks_kept", "Blocks in the disk tier.", lambda: len(disk))
    metrics.gauge("aetherfs_waits", "What this peer waits for now.", lambda: len(node.waiting))


def _versions(node: PeerNode) -> dict[str, float]:
    whole = sum(1 for holding in node.holdings if holding.is_complete)
    return {"whole": whole, "partial": sum(1 for _ in node.holdings) - whole}


def _neighbours(node: PeerNode, metrics: Metrics) -> None:
    channels = node.channels
    metrics.levels(
        "aetherfs_neighbours",
        "Peers with an open channel, by where they are.",
        "site",
        lambda: {
            "own": sum(1 for one in channels.open.values() if one.near),
            "other": sum(1 for one in channels.open.values() if not one.near),
        },
    )
    metrics.gauge("aetherfs_peers_banned", "Peers left alone, as they sent what none may.", lambda: channels.banned())
    metrics.levels("aetherfs_connections", "Open connections, by listener.", "listener", lambda: _connections(node))
    metrics.gauge("aetherfs_streams_given", "Streams of runs that others have open here.", lambda: len(node.runs))


def _connections(node: PeerNode) -> dict[str, float]:
    return {name: len(listener.visits) for name, listener in node.listeners.items()}


def _papers(node: PeerNode, metrics: Metrics) -> None:
    metrics.gauge(
        "aetherfs_certificate_expiry_timestamp_seconds",
        "When this member's certificate expires, Unix time.",
        lambda: _expires(node, node.papers.credential, Credential),
    )
    metrics.gauge(
        "aetherfs_grant_expiry_timestamp_seconds",
        "When this member's grant expires, Unix time.",
        lambda: _expires(node, node.papers.grant, Grant),
    )
    metrics.gauge(
        "aetherfs_clock_offset_seconds",
        "This machine's clock minus its tracker's, within half a second; none until one has answered.",
        lambda: node.announcer.clock_offset_s,
    )
    metrics.gauge("aetherfs_clock_wrong", "1 if the clock cannot be right.", lambda: float(clock.is_wrong()))


def _expires(node: PeerNode, papers: bytes, kind: type[T]) -> float | None:
    try:
        return term_of(papers, kind, node.access.authority)[1]
    except RemoteProtocolError:
        return None  # under a key that does not count any more: new ones are asked for


def _trackers(node: PeerNode, metrics: Metrics) -> None:
    calls, announcer = node.tracker.calls, node.announcer
    metrics.gauge("aetherfs_trackers_known", "Trackers that this peer knows.", lambda: len(calls.trackers))
    metrics.gauge("aetherfs_tracker_up", "1 if a tracker took the last announce.", lambda: float(announcer.is_answered))
    metrics.gauge(
        "aetherfs_announce_lag_seconds",
        "Since when no tracker has taken an announce, beyond the interval that they asked for.",
        lambda: announcer.lag_s(time.monotonic()),
    )


def _dht(node: PeerNode, metrics: Metrics) -> None:
    metrics.gauge("aetherfs_dht_nodes", "Nodes in the routing table.", lambda: node.dht.status().nodes)
    metrics.gauge("aetherfs_dht_records", "Records kept for others.", lambda: node.dht.status().records)
    metrics.sampled(
        "aetherfs_dht_packets_total",
        "Packets of the DHT, by what became of them.",
        "kind",
        lambda: _packets(node),
    )
    metrics.sampled(
        "aetherfs_dht_lookups_total",
        "Lookups of providers in the DHT, by whether they found any.",
        "result",
        lambda: _lookups(node),
    )
    metrics.gauge(
        "aetherfs_dht_announce_lag_seconds",
        "For how long the block that waits longest has been due to be announced in the DHT.",
        lambda: node.dht.swept(time.monotonic())[2],
    )
    metrics.levels("aetherfs_dht_keys", "Keys kept announced, by whether they are due.", "state", lambda: _keys(node))


def _keys(node: PeerNode) -> dict[str, float]:
    count, due, _ = node.dht.swept(time.monotonic())
    return {"announced": count - due, "due": due}


def _lookups(node: PeerNode) -> dict[str, float]:
    lookups = node.dht.lookups
    return {"found": lookups.lookups - lookups.failed, "nobody": lookups.failed}


def _packets(node: PeerNode) -> dict[str, float]:
    status = node.dht.status()
    return {"sent": status.packets_sent, "received": status.packets_received, "dropped": status.dropped}
