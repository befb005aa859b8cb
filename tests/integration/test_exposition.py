"""The metrics of a whole process: read by parsers that are not ours, and bounded whatever strangers do."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from tests.integration.test_operators_files import metrics_named
from tests.integration.whole_process import asked, whole_process
from tests.promtool import promtool

LABELS = {
    "source", "direction", "tier", "result", "state", "site", "listener", "kind", "why", "role", "operation", "le",
    "version", "rule", "severity",
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a process answers that has published: the plain text, and OpenMetrics."""
    folder = tmp_path_factory.mktemp("whole")
    data = folder / "data"
    data.mkdir()
    (data / "a.bin").write_bytes(b"a" * 300_000)

    async def scenario() -> dict[str, str]:
        async with whole_process(folder / "home") as parts:
            from swarm.peer import operations

            arguments = {"path": str(data), "names": ["lab/set:v1"]}
            await operations.run(parts.node, "publish", arguments, lambda _: None)
            found = {}
            for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
                status, kind, text = await asked(parts, "/metrics", {"Accept": accept})
                assert status == 200
                assert kind.startswith(accept.partition(";")[0])
                found[accept.partition(";")[0]] = text
            found["peer"] = parts.node.key.peer_id
            found["names"] = " ".join(parts.node.metrics.names())
            return found

    return asyncio.run(scenario())


def test_prometheus_own_text_is_read_by_another_parser(told: dict[str, str]) -> None:
    read = {family.name: family for family in families(told["text/plain"])}
    assert read["aetherfs_tracker_requests"].type == "counter"
    assert read["aetherfs_event_loop_lag_seconds"].type == "histogram"
    assert all(family.documentation and name.startswith("aetherfs_") for name, family in read.items())


def test_openmetrics_is_read_by_another_parser_and_ends_as_it_has_to(told: dict[str, str]) -> None:
    text = told["application/openmetrics-text"]
    assert text.endswith("\n# EOF\n")
    read = {family.name: family for family in open_families(text)}  # type: ignore[no-untyped-call]
    assert read["aetherfs_process_cpu_seconds"].type == "counter"
    assert read["aetherfs_process_cpu_seconds"].unit == "seconds"
    assert set(read) == {family.name for family in families(told["text/plain"])}


def test_promtool_has_nothing_to_say(told: dict[str, str]) -> None:
    assert promtool("check", "metrics", text=told["text/plain"]) == (0, "")


def test_whatever_rules_dashboard_and_runbooks_name_is_there(told: dict[str, str]) -> None:
    names = set(told["names"].split())
    for path, named in metrics_named().items():
        # A page may search for several by what they have in common.
        missing = {name for name in named - names if not any(one.startswith(name) for one in names)}
        assert not missing, path


def test_no_series_is_a_peers_a_datasets_or_a_blocks(told: dict[str, str]) -> None:
    text = told["text/plain"]
    assert told["peer"] not in text
    assert "lab/set" not in text
    labels = {label for family in families(text) for sample in family.samples for label in sample.labels}
    assert labels <= LABELS


def test_what_was_published_shows(told: dict[str, str]) -> None:
    values = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families(told["text/plain"])
        for sample in family.samples
    }
    assert values["aetherfs_versions", ("whole",)] == 1
    assert values["aetherfs_store_up", ()] == values["aetherfs_tracker_up", ()] == 1
    assert values["aetherfs_tracker_requests_total", ("append", "ok")] >= 1


def test_a_disk_that_is_away_is_no_reason_to_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(path: Path) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    async def scenario() -> None:
        async with whole_process(tmp_path / "home") as parts:
            with monkeypatch.context() as patch:
                patch.setattr("swarm.process_metrics.shutil.disk_usage", away)
                status, _, text = await asked(parts, "/metrics")
            assert status == 200
            assert "# TYPE aetherfs_disk_free_bytes gauge\n# " in text  # no series: nobody knows

    asyncio.run(scenario())
