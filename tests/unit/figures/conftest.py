"""What all tests of figures share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from swarm.tracker.figures import hub


@pytest.fixture(autouse=True)
def nothing_is_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of the processor a collection of garbage, or a slow machine, would make a topic a dear one, which is
    told less often.
    """
    monkeypatch.setattr(hub, "time", SimpleNamespace(thread_time=lambda: 0.0))
