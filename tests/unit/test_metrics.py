"""The metrics registry and its text format."""

from __future__ import annotations

import pytest

from swarm.errors import LocalProtocolError
from swarm.metrics import SERIES_MAX, Metrics


def test_exposition_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    joins = metrics.counter("aetherfs_joins_total", "Joins,\nby result.")
    joins.add(result="ok")
    joins.add(2.5, result='not "allowed"\\')
    metrics.gauge("aetherfs_peers", "Peers.", lambda: 3)
    level = metrics.gauge("aetherfs_level_ratio", "A level.")
    level.set(0.25)
    metrics.counter("aetherfs_silent_total", "Nothing yet.")
    assert metrics.exposition() == (
        "# HELP aetherfs_joins_total Joins,\\nby result.\n"
        "# TYPE aetherfs_joins_total counter\n"
        'aetherfs_joins_total{result="not \\"allowed\\"\\\\"} 2.5\n'
        'aetherfs_joins_total{result="ok"} 1\n'
        "# HELP aetherfs_level_ratio A level.\n"
        "# TYPE aetherfs_level_ratio gauge\n"
        "aetherfs_level_ratio 0.25\n"
        "# HELP aetherfs_peers Peers.\n"
        "# TYPE aetherfs_peers gauge\n"
        "aetherfs_peers 3\n"
        "# HELP aetherfs_silent_total Nothing yet.\n"
        "# TYPE aetherfs_silent_total counter\n"
        "aetherfs_silent_total 0\n"
    )


def test_the_same_counter_is_given_again() -> None:
    metrics = Metrics()
    assert metrics.counter("aetherfs_x_total", "X.") is metrics.counter("aetherfs_x_total", "X.")


def test_mistakes_of_ours_are_refused() -> None:
    metrics = Metrics()
    counter = metrics.counter("aetherfs_x_total", "X.")
    with pytest.raises(LocalProtocolError, match="only goes up"):
        counter.add(-1)
    with pytest.raises(LocalProtocolError, match="_total"):
        metrics.counter("aetherfs_x", "X.")
    with pytest.raises(LocalProtocolError, match="not a metric's name"):
        metrics.gauge("peers", "X.")
    with pytest.raises(LocalProtocolError, match="no other's"):
        metrics.gauge("aetherfs_x_total", "X.")
    metrics.gauge("aetherfs_y", "Y.")
    with pytest.raises(LocalProtocolError, match="exists already"):
        metrics.gauge("aetherfs_y", "Y.")
    for number in range(SERIES_MAX):
        counter.add(kind=str(number))
    with pytest.raises(LocalProtocolError, match="labels are for kinds"):
        counter.add(kind="one more")
