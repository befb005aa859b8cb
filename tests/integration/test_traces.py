"""Traces: spans of verbs, reads and commits, one trace from caller to tracker; and nothing of it unless asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from swarm import traces
from swarm.errors import NotFoundError, UsageError
from swarm.peer import operations
from tests.integration.whole_process import whole_process


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Spans that were made, kept here."""
    kept = InMemorySpanExporter()
    traces.begin("test", lambda: SimpleSpanProcessor(kept))
    try:
        yield kept
    finally:
        traces.end()


def named(kept: InMemorySpanExporter, name: str) -> ReadableSpan:
    return next(one for one in kept.get_finished_spans() if one.name == name)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def test_a_publish_and_its_commit_are_one_trace_and_a_read_is_a_span(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def main() -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.txt").write_text("hello")
        async with whole_process(tmp_path / "home") as parts:
            arguments = {"path": str(tmp_path / "data"), "names": ["lab/set:v1"]}
            await operations.run(parts.node, "publish", arguments, lambda _: None)
            url = f"http://{parts.node.agent_address}/fs/lab/set/v1/a.txt"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                assert await response.text() == "hello"
            with pytest.raises(NotFoundError):
                await operations.run(parts.node, "inspect", {"ref": "lab/none:v1"}, lambda _: None)
        publish, commit = named(spans, "publish"), named(spans, "tracker append")
        assert trace_of(publish) == trace_of(commit)
        assert publish.attributes is not None
        assert publish.attributes["aetherfs.dataset"] == "lab/set"
        read = named(spans, "read")
        assert read.attributes is not None
        assert read.attributes["aetherfs.bytes"] == 5
        failed = named(spans, "inspect")
        assert (failed.status.status_code.name, failed.status.description) == ("ERROR", "not found")

    asyncio.run(main())


def test_a_strangers_trace_goes_on_and_his_baggage_does_not(spans: InMemorySpanExporter) -> None:
    asked = {"Traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", "Baggage": "secret=1"}
    with traces.span("request", asked):
        onward = traces.onward()
    assert trace_of(named(spans, "request")) == int("ab" * 16, 16)
    assert onward.keys() == {"traceparent"}
    with traces.span("odd", {"traceparent": "nonsense" * 1000}):
        assert traces.onward()["traceparent"]


def test_off_it_costs_nothing_and_says_nothing() -> None:
    assert not traces.is_on()
    with traces.span("publish", dataset="lab/set"):
        assert traces.onward() == {}
    code = "import sys, swarm.peer.agent, swarm.tracker.server; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_without_the_packages_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UsageError, match=r"pip install 'aetherfs\[otel\]'"):
        traces.begin("test")
    assert not traces.is_on()
