"""Logs of rollouts and forecasts, as trackers keep them in the object store."""

from __future__ import annotations

from swarm.figure_performance import Foreseen
from swarm.tracker import forecasts
from swarm.tracker.figures import keeping
from swarm.tracker.figures.steps import KeptLog
from tests.integration.swarm_rig import Swarm

ROADS = "maps/roads"


def rollout_log(serial: int, version: bytes) -> KeptLog:
    return KeptLog(1, ROADS, "latest", serial, version, b"", "", 1, 2, 0, (0, 0, 0, 0, 0), ("current",), (), (), 0)


def rollouts_kept(swarm: Swarm, version: str) -> list[str]:
    """The logs of two rollouts lie in the store, the first of this version, and a forecast of that: the logs' keys."""
    forecasts.keep(swarm.objects, ROADS, bytes.fromhex(version), Foreseen(1, 0, 1.0, 1, 1.0, 1.0, 1.0))
    for serial, each in ((1, bytes.fromhex(version)), (2, b"v" * 32)):
        assert keeping.write(swarm.objects, rollout_log(serial, each))
    return [keeping.key_of(ROADS, "latest", serial) for serial in (1, 2)]
