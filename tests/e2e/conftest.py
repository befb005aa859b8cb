"""Benches: one per test, or one per module with a swarm on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty bench, ended with the test."""
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench with a swarm on home ``hub``, an enrolled home ``edge`` without a process, and ``roads:v1`` published."""
    made = Bench(tmp_path_factory.mktemp("swarm"))
    try:
        made.make_swarm()
        made.enrol("edge")
        data = made.folder / "roads"
        data.mkdir()
        (data / "a.txt").write_text("first\n", encoding="utf-8")
        (data / "b.bin").write_bytes(bytes(range(256)) * 2000)
        made.ok("hub", "publish", str(data), "roads:v1")
        yield made
    finally:
        made.close()
