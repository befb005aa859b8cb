"""Rollouts that go on by themselves: every tracker looks at those that it knows, and acts on what it hears of peers.

Several trackers may come to the same at the same moment: the entry of one is first, and the others find then that
there is nothing left to do. One that has just begun has not heard of peers that have long had the version: it would
take a deadline for missed and abort what goes well. So it listens first, for longer if the stage is older than itself.
"""

from __future__ import annotations

import logging
import time
from functools import partial

from swarm.errors import AetherError
from swarm.principal import Principal
from swarm.rollout import Rollout, acted
from swarm.rollout_health import counted, judged
from swarm.rollout_messages import Counts
from swarm.tracker.hearing import listens_until
from swarm.tracker.state import TrackerState

log = logging.getLogger("aetherfs.tracker")


async def tend_rollouts(state: TrackerState) -> None:
    """Promote and abort what is due. What fails is tried again the next time."""
    for dataset in state.catalogue.under_way():
        try:
            await _tend(state, dataset)
        except AetherError as error:
            log.warning("the rollouts of %s wait: %s", dataset, error)


async def _tend(state: TrackerState, dataset: str) -> None:
    _, _, staged = await state.work(state.catalogue.staged, dataset, max_age_s=float("inf"))
    for tag, known in staged.rollouts.items():
        counts, wall_now = counted(dataset, known, state.heard(dataset, tag)), time.time()
        is_listening = listens_until(state.figures.picture, known.since, wall_now) is not None
        if is_listening or not judged(known, counts, wall_now)[0]:
            continue
        done = await state.work(state.rolling.change, dataset, tag, partial(_next, counts, wall_now), wall_now)
        if done is None:
            continue
        data, entry = done
        [rollout] = entry.rollouts
        state.committed(dataset, entry.serial, data)
        said = f"entry {entry.serial}: {tag} is {rollout.state} at stage {rollout.stage + 1}: {rollout.reason}"
        state.note(_self(state), "rollout health" if rollout.state == "aborted" else "rollout auto", dataset, said)
        log.warning("%s: %s", dataset, said) if rollout.state == "aborted" else log.info("%s: %s", dataset, said)


def _next(counts: Counts, wall_now: float, rollout: Rollout) -> Rollout | None:
    """What is due of a rollout as it is now: it may have gone on since the peers were counted."""
    verdict, why = judged(rollout, counts, wall_now)
    if not verdict:
        return None
    return acted(rollout, verdict, full=False, wall_time=int(wall_now), author="its plan", reason=why)


def _self(state: TrackerState) -> Principal:
    return Principal("peer", state.contact.peer_id, role="tracker")
