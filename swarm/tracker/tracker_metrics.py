"""A tracker's metrics: who is there, what it is asked and for how long, its papers, and the other trackers.

No series is a peer's, a dataset's or a block's: which one it is tell `aetherfs top` and ``/api/v1/alerts``.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from swarm.errors import RemoteProtocolError
from swarm.records import Credential, term_of

if TYPE_CHECKING:
    from swarm.tracker.state import TrackerState


def add_tracker_metrics(state: TrackerState) -> None:
    """Tell of this tracker from now on."""
    metrics, presence = state.metrics, state.presence
    metrics.gauge("aetherfs_tracker_peers", "Peers heard of lately.", lambda: len(presence))
    metrics.levels("aetherfs_tracker_members_present", "Peers heard of lately, by role.", "role", lambda: _roles(state))
    metrics.gauge("aetherfs_tracker_watchers", "Open watches of datasets.", lambda: state.watchers)
    metrics.gauge("aetherfs_tracker_datasets_present", "Versions that peers announced.", lambda: presence.versions())
    metrics.gauge("aetherfs_trackers_listed", "Trackers that live, this one included.", lambda: len(state.listed))
    metrics.gauge(
        "aetherfs_trackers_unreachable", "Other trackers that did not answer last.", lambda: len(state.pushes.silent)
    )
    metrics.sampled(
        "aetherfs_tracker_pushes_total",
        "Words to other trackers, by what became of them.",
        "result",
        lambda: {"sent": state.pushes.sent, "lost": state.pushes.lost},
    )
    metrics.gauge("aetherfs_tracker_audit_waiting", "Events that are not in the audit yet.", lambda: len(state.noted))
    metrics.gauge("aetherfs_store_up", "1 if the object store answers.", lambda: float(not state.is_store_away))
    metrics.gauge(
        "aetherfs_tracker_certificate_expiry_timestamp_seconds",
        "When this tracker's certificate expires, Unix time.",
        lambda: _expires(state),
    )
    metrics.gauge(
        "aetherfs_ca_key_expiry_timestamp_seconds",
        "When the last key that the CA may seal with ends, Unix time; none where no end is known.",
        lambda: sealing_until(state),
    )


def sealing_until(state: TrackerState) -> float | None:
    """Until when the newest key of the CA may seal (wall seconds); None without an end."""
    until = state.keys.authority.trust.newest.until
    return None if until is None else float(until)


def _roles(state: TrackerState) -> dict[str, float]:
    found = Counter(str(peer.role) for peer in state.presence.latest(time.monotonic()))
    return {role: found[role] for role in ("peer", "seed", "tracker")}


def _expires(state: TrackerState) -> float | None:
    try:
        return term_of(state.papers.credential, Credential, state.keys.authority.trust)[1]
    except RemoteProtocolError:
        return None
