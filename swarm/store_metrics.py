"""The metrics of a process's object store: what it is asked for, and for how long it has been away."""

from __future__ import annotations

import time
from collections.abc import Mapping

from swarm.metrics import Metrics
from swarm.objects import ObjectStore
from swarm.objects.standing import meter_of, standing_of


def add_store_metrics(metrics: Metrics, objects: ObjectStore) -> None:
    """Count for this store from now on."""
    meter = meter_of(objects)

    def kinds() -> Mapping[str, float]:
        return {str(kind): count for kind, count in meter.spent.by_kind().items()}

    def moved() -> Mapping[str, float]:
        return {"sent": meter.spent.sent_bytes, "received": meter.spent.received_bytes}

    def away_s() -> float:
        since = standing_of(objects).away_since
        return 0.0 if since is None else max(0.0, time.time() - since)

    metrics.sampled("aetherfs_store_requests_total", "Requests sent to the object store, by kind.", "kind", kinds)
    metrics.sampled("aetherfs_store_bytes_total", "Bytes of bodies, by direction.", "direction", moved)
    metrics.sampled(
        "aetherfs_store_calls_total",
        "Calls that were tried again, and calls that failed at once since the store was away.",
        "kind",
        lambda: {"retried": meter.spent.retries, "refused": meter.refused},
    )
    metrics.gauge(
        "aetherfs_store_away_seconds", "For how long the object store has been away; 0 when it is not.", away_s
    )
