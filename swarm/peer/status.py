"""What a peer does, holds and waits for: the object of ``aetherfs status --json``."""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from swarm import clock
from swarm.calls import UNKNOWN
from swarm.http.line import LINE
from swarm.lookup_times import percentile_s
from swarm.objects import ObjectStore
from swarm.objects.standing import AFFECTED_SEED, AFFECTED_TRACKER, place_of, standing_of
from swarm.peer.holdings import Holding
from swarm.peer.node import PeerNode
from swarm.peer.pace import Pace
from swarm.peer.wire import NOT_ORIGIN
from swarm.signers import NOBODY


def status_of(node: PeerNode) -> dict[str, Any]:
    """One JSON object; sizes in bytes, times in seconds."""
    credential = node.home.credential(clock.wall_now())
    dht = node.dht.status()
    return {
        "peer_id": node.key.peer_id,
        "role": credential.role,
        "runs": [*(["tracker"] if node.tracker_address is not None else []), *_kinds(node)],
        "site": node.announcer.site or credential.site,
        "uptime_s": round(time.monotonic() - node.started, 1),
        "addresses": {
            "exchange": [str(address) for address in node.addresses()],
            "dht": [str(address) for address in node.addresses()],
            "agent": node.agent_address,
            "tracker": node.tracker_address,
        },
        "trackers": [str(address) for contact in node.swarm.trackers for address in contact.addresses],
        "tracker_state": node.announcer.tracker_state,
        "trackers_asked": _trackers(node),
        "seeds": sorted(node.announcer.seeds),
        "neighbours": sorted(node.channels.open),
        "held": {"blocks": len(node.blocks), "bytes": node.blocks.size_bytes},
        "sealed": node.home.sealed_with(),
        "datasets": [_holding(holding) for holding in node.holdings],
        "sent_bytes": dict(node.traffic.sent),
        "received_bytes": dict(node.traffic.received),
        "line_bytes": dict(zip(("sent", "received"), LINE.totals(), strict=True)),
        "bad_blocks": node.traffic.bad_blocks,
        "dht": {**asdict(dht), **_lookups(node)},
        "lan": node.lan.status() if node.lan is not None else {"state": "off"},
        "profile": node.settings.profile or "none",
        "memory": _memory(node),
        "limits": {"upload": _limit(node.paces.upload), "download": _limit(node.paces.download)},
        "metered": node.settings.is_metered,
        **(node.settings.required or NOBODY).told(),
        "waiting_for": {name: waiting() for name, waiting in node.waiting.items()},
        "certificate_expires": credential.expires,
        **({"store": store_of(node, node.objects)} if node.objects is not None else {}),
    }


def _kinds(node: PeerNode) -> list[str]:
    """What this process is besides a tracker: a seed is a peer that keeps all."""
    return ["peer"] if node.extension is None else ["seed", "peer"]


def store_of(node: PeerNode, objects: ObjectStore) -> dict[str, Any]:
    """Whether the object store of this process is there, and what is affected while it is not."""
    standing, place = standing_of(objects), asdict(place_of(objects))
    if standing.away_since is None:
        return {"state": "answers", **place}
    affected = [*(AFFECTED_TRACKER if node.tracker_address is not None else ())]
    affected += AFFECTED_SEED if node.extension is not None else ()
    return {
        "state": f"away since {standing.clock}",
        "away_since": round(standing.away_since, 3),
        "why": standing.why,
        "affected": affected,
        **place,
    }


def _trackers(node: PeerNode) -> list[dict[str, Any]]:
    """Each tracker in the order in which it is asked: when it answered last, and why it did not since."""
    now, calls = asyncio.get_running_loop().time(), node.tracker.calls
    known = [(tracker, calls.standing.get(tracker.peer_id, UNKNOWN)) for tracker in calls.trackers]
    return [
        {
            "tracker": str(tracker.addresses[0]) if tracker.addresses else tracker.peer_id,
            "answered_s_ago": None if standing.answered_at is None else round(now - standing.answered_at, 1),
            "state": standing.failure or ("not asked" if standing.answered_at is None else "answers"),
            "last": tracker.peer_id == calls.answered_last,
        }
        for tracker, standing in known
    ]


def _memory(node: PeerNode) -> dict[str, Any]:
    """What blocks take in memory, and may; and what this process takes of the machine's, where that is told."""
    resident = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return {
        "blocks_bytes": node.memory.size_bytes,
        "blocks_most_bytes": node.settings.memory_bytes,
        "resident_bytes": resident,
    }


def _lookups(node: PeerNode) -> dict[str, Any]:
    """Of the DHT, since the process began."""
    lookups = node.dht.lookups
    p50_s, p95_s = (percentile_s(lookups.by_step, share) for share in (0.5, 0.95))
    return {
        "lookups": lookups.lookups,
        "failed_lookups": lookups.failed,
        "lookup_p50_s": p50_s,
        "lookup_p95_s": p95_s,
    }


def _limit(pace: Pace) -> dict[str, Any]:
    """A limit as it was set, and what it is at this time of the week; None for no limit."""
    rate = pace.bytes_per_s()
    return {"set": pace.text or "none", "now_bit_per_s": None if rate == math.inf else int(rate * 8)}


def _holding(holding: Holding) -> dict[str, Any]:
    total = len(holding.manifest.unique)
    held = total if holding.held is None else len(holding.held)
    return {
        "dataset": holding.dataset,
        "version": holding.version.hex(),
        "blocks": total,
        "held": held,
        "complete": holding.is_complete,
        "origin": holding.origin != NOT_ORIGIN,
        "bytes": holding.manifest.total_bytes,
    }
