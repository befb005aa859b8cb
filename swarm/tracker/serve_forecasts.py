"""The route by which producers leave what they foresaw of a rollout: ``aetherfs simulate`` does."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web

from swarm.figure_performance import Foreseen
from swarm.http.routes import Route
from swarm.principal import Principal
from swarm.signature import from_hex
from swarm.tracker import forecasts
from swarm.tracker.state import TrackerState, answer, body_of, dataset_of


def forecast_routes(state: TrackerState) -> list[Route]:
    """The declaration."""

    async def keep(request: web.Request, who: Principal) -> web.Response:
        dataset, version = dataset_of(request), from_hex(request.match_info["version"])
        told = msgspec.structs.replace(await body_of(request, Foreseen), at=round(time.time(), 3))
        # Nothing is kept of a dataset that is not there.
        await state.work(state.catalogue.head, dataset)
        await state.work(forecasts.keep, state.objects, dataset, version, told)
        return answer(told)

    return [
        Route(
            "POST",
            "/api/v1/datasets/{scope}/{name}/forecasts/{version}",
            state.for_askers("forecast", keep),
            "publish",
            "Leave a forecast of a version's rollout, to be shown beside what comes",
            request=Foreseen,
            response=Foreseen,
        )
    ]
