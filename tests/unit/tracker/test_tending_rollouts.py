"""A tracker that has just begun judges no stage that is older than itself: it has not heard of those that have it."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from swarm.rollout import Rollout
from swarm.tracker.hearing import LISTENS_S
from swarm.tracker.tending_rollouts import tend_rollouts
from tests.unit.rollout_samples import begin


def changed_by(rollout: Rollout, runs_s: float) -> list[str]:
    """The tags that a tracker which runs for so long changes, having heard of nobody that has the version."""
    changed: list[str] = []

    async def work(call: Any, *arguments: Any, **_: Any) -> Any:
        return call(*arguments)

    state: Any = SimpleNamespace(
        catalogue=SimpleNamespace(
            under_way=lambda: ["maps/roads"],
            staged=lambda dataset: (None, b"", SimpleNamespace(rollouts={"stable": rollout})),
        ),
        rolling=SimpleNamespace(change=lambda dataset, tag, *_: changed.append(tag)),
        figures=SimpleNamespace(
            picture=SimpleNamespace(begun=0.0, is_new_swarm=True, wall=lambda at: time.time() - runs_s + at)
        ),
        heard=lambda dataset, tag: [],
        work=work,
    )
    asyncio.run(tend_rollouts(state))
    return changed


@pytest.mark.parametrize(("runs_s", "changed"), [(1, []), (LISTENS_S / 2, []), (LISTENS_S + 1, ["stable"])])
def test_a_deadline_that_was_met_is_not_missed_because_a_tracker_began_anew(runs_s: float, changed: list[str]) -> None:
    past_its_deadline = msgspec.structs.replace(begin(), since=int(time.time()) - 3700)
    assert changed_by(past_its_deadline, runs_s) == changed


@pytest.mark.parametrize(("runs_s", "changed"), [(1, []), (LISTENS_S + 1, ["stable"])])
def test_no_stage_passes_by_itself_while_a_tracker_listens(runs_s: float, changed: list[str]) -> None:
    plan = msgspec.structs.replace(begin().plan, health=None)
    due = msgspec.structs.replace(begin(plan=plan), since=int(time.time()) - 3700)
    assert changed_by(due, runs_s) == changed


def test_a_stage_that_is_younger_than_the_tracker_is_judged_when_it_is_due() -> None:
    plan = begin().plan
    assert plan.health is not None
    soon = msgspec.structs.replace(plan, health=msgspec.structs.replace(plan.health, deadline_s=5))
    rollout = msgspec.structs.replace(begin(plan=soon), since=int(time.time()) - 10)
    assert changed_by(rollout, 20) == ["stable"]
