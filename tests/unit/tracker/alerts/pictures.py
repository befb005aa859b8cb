"""Pictures of a swarm in which nothing is wrong, to be altered by tests of alerts."""

from __future__ import annotations

from swarm.tracker.alerts.picture import PeerSeen, Picture, RolloutSeen, TrackerSeen

NOW = 1_800_000_000.0
GIB = 1024**3


def peer(number: int = 1, **changes: object) -> PeerSeen:
    well: dict[str, object] = {
        "id": f"peer{number}",
        "role": "peer",
        "heard": NOW - 5,
        "clock_offset_s": 0.3,
        "disk_free_bytes": 50 * GIB,
        "disk_size_bytes": 100 * GIB,
        "certificate_expires": NOW + 25 * 86_400,
    }
    return PeerSeen(**{**well, **changes})  # type: ignore[arg-type]


def rollout(**changes: object) -> RolloutSeen:
    well: dict[str, object] = {
        "dataset": "maps/roads",
        "tag": "stable",
        "serial": 7,
        "wanted": 20,
        "behind": 5,
        "failed": 0,
        "is_stuck": False,
        "is_paused": False,
        "words": "3 min left",
        "copies": 3,
        "fetched_bytes": GIB,
        "origin_bytes": GIB // 50,
    }
    return RolloutSeen(**{**well, **changes})  # type: ignore[arg-type]


def picture(**changes: object) -> Picture:
    well: dict[str, object] = {
        "wall_now": NOW,
        "interval_s": 30.0,
        "offload_target": 0.8,
        "rollouts": (rollout(),),
        "peers": tuple(peer(number) for number in range(20)),
        "trackers": (TrackerSeen("192.0.2.2:7070", None),),
    }
    return Picture(**{**well, **changes})  # type: ignore[arg-type]
