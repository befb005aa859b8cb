"""Routes of rollouts in stages, and of the plans by which tags go out: see ``swarm.rollout_messages``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
from aiohttp import web

from swarm import log as entries
from swarm.errors import AetherError
from swarm.http.routes import Route
from swarm.log import Entry
from swarm.names import check_tag
from swarm.principal import Principal, check_label
from swarm.rollout import AT_ONCE, UNDER_WAY, Rollout, acted
from swarm.rollout_health import Heard, counted, next_at, says
from swarm.rollout_messages import (
    Counts,
    PlanAnswer,
    PlanRequest,
    RolloutAnswer,
    RolloutRequest,
    RolloutsAnswer,
    item_of,
    plan_of,
)
from swarm.snapshot import TagState
from swarm.tracker.absent import no_tag
from swarm.tracker.catalogue import AS_KNOWN
from swarm.tracker.hearing import HeardLately, listens_until
from swarm.tracker.log_state import Head
from swarm.tracker.staged import Staged
from swarm.tracker.state import TrackerState, answer, body_of, dataset_of

OF_DATASET: Final = "/api/v1/datasets/{scope}/{name}"
OF_TAG: Final = OF_DATASET + "/tags/{tag}"


def rollout_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    every, show = state.for_askers("rollouts", serve.every), state.for_askers("rollout", serve.show)
    act = state.for_askers("rollout", serve.act)
    plan, set_plan = state.for_askers("plan", serve.plan), state.for_askers("plan", serve.set_plan)
    rollout = OF_TAG + "/rollout"
    return [
        Route("GET", OF_DATASET + "/rollouts", every, "read", "The rollouts of its tags", response=RolloutsAnswer),
        Route("GET", rollout, show, "read", "How a tag's rollout stands", response=RolloutAnswer, query=("label",)),
        Route(
            "POST", rollout, act, "tag", "Pause, resume, promote, abort it, or roll back", RolloutRequest, RolloutAnswer
        ),
        Route("GET", OF_TAG + "/plan", plan, "read", "By which plan a tag goes out", response=PlanAnswer),
        Route("POST", OF_TAG + "/plan", set_plan, "tag", "Set it", PlanRequest, PlanAnswer),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state
        self._lately = HeardLately()

    async def _staged(self, dataset: str) -> tuple[Head, Staged]:
        await self.state.looks.fresh(dataset)
        head, _, staged = await self.state.work(self.state.catalogue.staged, dataset, max_age_s=AS_KNOWN)
        return head, staged

    async def every(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        head, staged = await self._staged(dataset)
        told = [await self._told(dataset, tag, head, staged, who) for tag in staged.rollouts]
        told.sort(key=lambda each: (each.state not in UNDER_WAY, each.tag))
        return answer(RolloutsAnswer(dataset, tuple(told)))

    async def show(self, request: web.Request, who: Principal) -> web.Response:
        dataset, tag = dataset_of(request), check_tag(request.match_info["tag"])
        labels = frozenset(map(check_label, request.query.getall("label", [])))
        return answer(await self._told(dataset, tag, *await self._staged(dataset), who, labels))

    async def act(self, request: web.Request, who: Principal) -> web.Response:
        dataset, tag = dataset_of(request), check_tag(request.match_info["tag"])
        asked = await body_of(request, RolloutRequest)
        wall_now = time.time()
        changed = partial(
            acted, action=asked.action, full=asked.full, wall_time=int(wall_now), author=str(who), reason=asked.reason
        )
        await self.state.work(self.state.catalogue.head, dataset)
        # What went to everybody can be taken back too: it is a rollout that is done.
        change = partial(self.state.rolling.change, at_once=asked.action == "rollback")
        done = await self.state.work(change, dataset, tag, changed, wall_now, asked.if_serial)
        if done is not None:
            self._committed(done)
            self.state.note(who, f"rollout {asked.action}", dataset, f"entry {done[1].serial}: {_noted(done[1])}")
        return answer(await self._told(dataset, tag, *await self._staged(dataset), who))

    async def plan(self, request: web.Request, who: Principal) -> web.Response:
        dataset, tag = dataset_of(request), check_tag(request.match_info["tag"])
        _, staged = await self._staged(dataset)
        return answer(_plan_told(dataset, tag, staged))

    async def set_plan(self, request: web.Request, who: Principal) -> web.Response:
        dataset, tag = dataset_of(request), check_tag(request.match_info["tag"])
        asked = await body_of(request, PlanRequest)
        plan = plan_of(asked.plan) if asked.plan is not None else None
        await self.state.work(self.state.catalogue.head, dataset)
        rolling = self.state.rolling
        done = await self.state.work(rolling.set_plan, dataset, tag, plan, str(who), time.time(), asked.if_serial)
        if done is not None:
            self._committed(done)
            said = f"{len(plan.stages)} stages" if plan is not None else "at once"
            self.state.note(who, "rollout plan", dataset, f"entry {done[1].serial}: {tag} goes out {said}")
        return answer(_plan_told(dataset, tag, (await self._staged(dataset))[1]))

    def _committed(self, done: tuple[bytes, Entry]) -> None:
        self.state.committed(done[1].dataset, done[1].serial, done[0])

    async def _told(
        self,
        dataset: str,
        tag: str,
        head: Head,
        staged: Staged,
        who: Principal,
        labels: frozenset[str] = frozenset(),
    ) -> RolloutAnswer:
        found = next((each for each in head.tags if each.tag == tag), None)
        if found is None:
            raise no_tag(dataset, tag, head.tags)
        everybody = self._lately.of((dataset, tag), time.monotonic(), lambda: self.state.heard(dataset, tag))
        heard = [each for each in everybody if labels.issubset(each.who.labels)] if labels else everybody
        rollout = staged.rollouts.get(tag)
        if rollout is None:
            told = _at_once(dataset, found, heard)
            rollout = staged.at_once(tag, {tag: found})
        else:
            told = _told(dataset, found, rollout, counted(dataset, rollout, heard))
        is_allowed = rollout is not None and await self.state.may(who, "tag", dataset)
        return msgspec.structs.replace(
            told,
            allowed=rollout.allowed if rollout is not None and is_allowed else (),
            listening_until=await self._listening_until(dataset, told.begun),
        )

    async def _listening_until(self, dataset: str, serial: int) -> int | None:
        """Until when nobody here can say how far the version of an entry is."""
        picture, wall_now = self.state.figures.picture, time.time()
        until = listens_until(picture, 0, wall_now)
        if until is None:  # as always, but for its first minutes: no entry is read
            return None
        try:
            entry = entries.parse_entry(await self.state.work(self.state.catalogue.entry, dataset, serial))[1]
        except AetherError:  # how old that is will be known when the object store answers
            return until
        return listens_until(picture, entry.wall_time, wall_now)


def _at_once(dataset: str, found: TagState, peers: Sequence[Heard]) -> RolloutAnswer:
    switched = failed = 0
    for each in peers:
        if found.version in each.has:
            switched += 1
        elif found.version in each.failed:
            failed += 1
    counts = Counts(len(peers), len(peers), switched, failed, 0, len(peers) - switched - failed)
    return RolloutAnswer(
        dataset=dataset,
        tag=found.tag,
        state="none",
        serial=found.serial,
        begun=found.serial,
        version=found.version.hex(),
        settled="",
        says=f"it went out at once; {switched} of {len(peers)} peers have it",
        counts=counts,
    )


def _told(dataset: str, found: TagState, rollout: Rollout, counts: Counts) -> RolloutAnswer:
    return RolloutAnswer(
        dataset=dataset,
        tag=found.tag,
        state=rollout.state,
        serial=found.serial,
        begun=rollout.begun,
        version=rollout.version.hex(),
        settled=rollout.settled.hex(),
        says=says(rollout, counts, time.time()),
        counts=counts,
        plan=item_of(rollout.plan) if rollout.plan != AT_ONCE else None,
        stage=rollout.stage,
        since=rollout.since,
        next_at=next_at(rollout),
        author=rollout.author,
        reason=rollout.reason,
    )


def _plan_told(dataset: str, tag: str, staged: Staged) -> PlanAnswer:
    plan, entry = staged.plans.get(tag), staged.planned.get(tag)
    if entry is None:
        return PlanAnswer(dataset, tag, 0, None)
    item = item_of(plan) if plan is not None else None
    return PlanAnswer(dataset, tag, entry.serial, item, entry.message.removeprefix("by "), entry.wall_time)


def _noted(entry: Entry) -> str:
    """A rollout's entry in words."""
    [rollout] = entry.rollouts
    why = f" ({rollout.reason})" if rollout.reason else ""
    if rollout.is_taken_back:
        return f"{rollout.tag} is {rollout.state}, to {rollout.settled.hex()[:12]}{why}"
    return f"{rollout.tag} is {rollout.state} at stage {rollout.stage + 1} of {len(rollout.plan.stages)}{why}"
