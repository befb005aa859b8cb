"""Routes for who looks at datasets with a browser: the log in words, the files of a version, one's own rights."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from aiohttp import web

from swarm.browse_messages import DatasetHistory, DiffAnswer, FilesAnswer, MineAnswer
from swarm.errors import IncompleteError, UnreachableError
from swarm.http.routes import Route
from swarm.limits import LOG_PAGE_MAX, PAGE_MAX
from swarm.log import parse_entry
from swarm.names import check_dataset
from swarm.principal import RIGHTS, Principal
from swarm.signature import from_hex
from swarm.told_log import told
from swarm.tracker.catalogue import AS_KNOWN
from swarm.tracker.policy import decide, patterns_of
from swarm.tracker.state import AskerHandler, TrackerState, answer, dataset_of, number_of

SERIAL_MAX: Final = (1 << 63) - 1
READ_S: Final = 20.0
# Whoever reads has others wait, not this process work.
READERS_MAX: Final = 8


def browse_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    base = "/api/v1/datasets/{scope}/{name}"

    def get(path: str, handler: AskerHandler, summary: str, response: type, *query: str) -> Route:
        access = "read" if path.startswith(base) else "known"
        handled = state.for_askers("browse", handler)
        return Route("GET", path, handled, access, summary, response=response, query=query)  # type: ignore[arg-type]

    return [
        get(base + "/history", serve.history, "The log in words, newest first", DatasetHistory, "before", "limit"),
        get(
            base + "/files/{version}",
            serve.files,
            "What lies in a directory of a version",
            FilesAnswer,
            "path",
            "after",
            "limit",
        ),
        get(base + "/diff", serve.diff, "What changed between two versions", DiffAnswer, "from", "to"),
        get("/api/v1/access/mine", serve.mine, "What the policy gives the caller", MineAnswer, "dataset"),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state
        self._readers = asyncio.Semaphore(READERS_MAX)
        # Each takes memory by the files of two versions.
        self._comparing = asyncio.Semaphore(1)

    async def history(self, request: web.Request, who: Principal) -> web.Response:
        dataset, catalogue = dataset_of(request), self.state.catalogue
        await self.state.looks.fresh(dataset)
        head = (await self.state.work(partial(catalogue.head, dataset, max_age_s=AS_KNOWN))).serial
        limit = number_of(request, "limit", 50, lowest=1, highest=LOG_PAGE_MAX)
        before = min(head + 1, number_of(request, "before", SERIAL_MAX, lowest=0, highest=SERIAL_MAX))
        after = max(0, before - 1 - limit)
        read = partial(catalogue.read, dataset, after=after, limit=max(1, before - 1 - after), max_age_s=AS_KNOWN)
        found = [parse_entry(data)[1] for data in await self.state.work(read)] if before > 1 else []
        shown = tuple(told(entry) for entry in reversed(found) if entry.serial < before)
        return answer(DatasetHistory(dataset, head, shown, after + 1 if after else 0))

    async def files(self, request: web.Request, who: Principal) -> web.Response:
        dataset, version = dataset_of(request), from_hex(request.match_info["version"])
        limit = number_of(request, "limit", 200, lowest=1, highest=PAGE_MAX)
        path, after = request.query.get("path", "").strip("/"), request.query.get("after", "")
        await self.state.work(self.state.purges.check, (dataset, version))
        if self.state.reader is None:
            raise UnreachableError("no peer runs beside this tracker: look with `aetherfs ls`")
        try:
            async with self._readers, asyncio.timeout(READ_S):
                return answer(await self.state.reader.listing(dataset, version, path, after, limit))
        except TimeoutError as error:
            raise IncompleteError(
                f"nobody has given the file table within {READ_S:.0f} s: try again, or see who holds it"
            ) from error

    async def diff(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        old, new = (from_hex(request.query.get(name, "")) for name in ("from", "to"))
        for version in (old, new):
            await self.state.work(self.state.purges.check, (dataset, version))
        if self.state.reader is None:
            raise UnreachableError("no peer runs beside this tracker: compare with `aetherfs diff`")
        try:
            async with self._comparing, asyncio.timeout(READ_S):
                return answer(await self.state.reader.difference(dataset, old, new))
        except TimeoutError as error:
            raise IncompleteError(
                f"nobody has given the file tables within {READ_S:.0f} s: try again, or use `aetherfs diff`"
            ) from error

    async def mine(self, request: web.Request, who: Principal) -> web.Response:
        policy = (await self.state.policy()).policy
        patterns = {right: patterns_of(policy, who, right) for right in RIGHTS}
        dataset = request.query.get("dataset", "")
        if not dataset:
            return answer(MineAnswer(patterns))
        check_dataset(dataset)
        rights = tuple(right for right in RIGHTS if decide(policy, who, right, dataset).allowed)
        return answer(MineAnswer(patterns, dataset, rights))
