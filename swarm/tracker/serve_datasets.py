"""Routes of the Dataset API: lists, tags, lookup, log, append, snapshot, watch.

A dataset that the caller may not read is answered exactly as one that does not exist, before the store is asked: by the
guards.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from aiohttp import web

from swarm import canonical, events, log
from swarm.claims import Version, is_gone
from swarm.errors import FullError, NotAllowedError, UnreachableError
from swarm.http.routes import Route
from swarm.limits import LOG_PAGE_MAX, PAGE_MAX, WATCHERS_MAX
from swarm.log import Entry
from swarm.messages import (
    AppendAnswer,
    AppendRequest,
    DatasetAnswer,
    DatasetsAnswer,
    HeldAnswer,
    HeldEntries,
    LogAnswer,
    LookupAnswer,
    SnapshotAnswer,
    TagItem,
)
from swarm.names import check_dataset, check_tag
from swarm.objects import ObjectStore
from swarm.objects.standing import standing_of
from swarm.principal import Principal, Right
from swarm.signature import from_hex
from swarm.tracker.asking import asker_of, is_still_let_in
from swarm.tracker.catalogue import AS_KNOWN
from swarm.tracker.commits import check_commit
from swarm.tracker.denials import not_allowed
from swarm.tracker.guards import RIGHT_TO
from swarm.tracker.log_state import Head
from swarm.tracker.membership import Member
from swarm.tracker.policy import Policy, decide
from swarm.tracker.revivals import check_not_purged, claimed
from swarm.tracker.state import AskerHandler, TrackerState, answer, body_of, dataset_of, number_of

logger = logging.getLogger("aetherfs.tracker")

SERIAL_MAX: Final = (1 << 63) - 1
# How soon an entry that another tracker committed is seen by a watch here, and how often a silent watch is kept alive.
WATCH_POLL_S: Final = 2.0
KEEP_ALIVE_S: Final = 15.0
# How long a watch goes on that its guard would not let in any more.
RECHECK_S: Final = 5.0
# Less than SUCCESSION_SLACK_S by more than a publisher's clock may be off.
KEYS_MAX_AGE_S: Final = 120.0


def dataset_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    base = "/api/v1/datasets/{scope}/{name}"

    def get(path: str, name: str, handler: AskerHandler, summary: str, response: type | str, *query: str) -> Route:
        return Route("GET", path, state.for_askers(name, handler), "read", summary, response=response, query=query)

    return [
        Route(
            "GET",
            "/api/v1/datasets",
            state.for_askers("datasets", serve.datasets),
            "known",
            "The datasets that the caller may read",
            response=DatasetsAnswer,
            query=("cursor", "limit"),
        ),
        get(base, "dataset", serve.dataset, "A dataset's head and tags", DatasetAnswer),
        get(base + "/tags/{tag}", "lookup", serve.tag, "Where a tag points, with proof", LookupAnswer),
        get(base + "/versions/{version}", "lookup", serve.version, "A version, with proof", LookupAnswer),
        get(base + "/log", "log", serve.log, "Signed entries in order", LogAnswer, "after", "limit", "last"),
        get(base + "/snapshot", "snapshot", serve.snapshot, "All tags, sealed now", SnapshotAnswer),
        get(base + "/watch", "watch", serve.watch, "New entries as they come", events.CONTENT_TYPE, "after"),
        Route(
            "POST",
            base + "/log",
            state.for_members("append", serve.append),
            "write",
            "Commit a signed entry",
            request=AppendRequest,
            response=AppendAnswer,
            query=("kind",),
        ),
        Route(
            "POST",
            base + "/log/held",
            state.for_members("held", serve.held),
            "read",
            "Give back signed entries that a log lacks which was restored from a backup",
            request=HeldEntries,
            response=HeldAnswer,
        ),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state
        self.catalogue = state.catalogue

    async def _fresh(self, dataset: str) -> Head:
        """The head as of now: see ``SharedLooks``. NotFoundError for a log without entries."""
        await self.state.looks.fresh(dataset)
        return await self.state.work(self.catalogue.head, dataset, max_age_s=AS_KNOWN)

    async def datasets(self, request: web.Request, who: Principal) -> web.Response:
        limit = number_of(request, "limit", 100, lowest=1, highest=PAGE_MAX)
        cursor = request.query.get("cursor", "")
        if cursor:
            check_dataset(cursor)
        policy = (await self.state.policy()).policy
        may_read = partial(_may_read, policy, who)
        found, after = await self.state.work(self.catalogue.datasets, cursor, limit, may_read)
        is_stale = standing_of(self.state.objects).away_since is not None
        return answer(DatasetsAnswer(tuple(found), after, is_stale))

    async def dataset(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        head = await self._fresh(dataset)
        tags = tuple(TagItem(state.tag, state.serial, state.version.hex()) for state in head.tags)
        return answer(DatasetAnswer(dataset, head.serial, tags))

    async def tag(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        tag = check_tag(request.match_info["tag"])
        wall_now = time.time()
        await self._fresh(dataset)
        find = partial(self.catalogue.find_tag, dataset, tag, wall_now, max_age_s=AS_KNOWN)
        entry, found, snapshot = await self.state.work(find)
        await self.state.work(self.state.purges.check, (dataset, found.version))
        return answer(LookupAnswer(dataset, tag, found.serial, found.version.hex(), entry, snapshot, int(wall_now)))

    async def version(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        version = from_hex(request.match_info["version"])
        gone = await self.state.work(_is_gone, self.state.objects, (dataset, version))
        wall_now = time.time()
        await self._fresh(dataset)
        find = partial(self.catalogue.find_version, dataset, version, wall_now, max_age_s=AS_KNOWN)
        entry, serial, snapshot = await self.state.work(find)
        return answer(LookupAnswer(dataset, None, serial, version.hex(), entry, snapshot, int(wall_now), gone))

    async def log(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        head = (await self._fresh(dataset)).serial
        after = number_of(request, "after", 0, lowest=0, highest=SERIAL_MAX)
        limit = number_of(request, "limit", LOG_PAGE_MAX, lowest=1, highest=LOG_PAGE_MAX)
        if "last" in request.query:
            limit = number_of(request, "last", 1, lowest=1, highest=LOG_PAGE_MAX)
            after = max(0, head - limit)
        read = partial(self.catalogue.read, dataset, after=after, limit=limit, max_age_s=WATCH_POLL_S)
        entries = tuple(await self.state.work(read))
        return answer(LogAnswer(dataset, head, entries, await self._plans(dataset) if "last" in request.query else {}))

    async def _plans(self, dataset: str) -> dict[str, bytes]:
        _, _, staged = await self.state.work(self.catalogue.staged, dataset, max_age_s=AS_KNOWN)
        return {tag: canonical.encode(plan) for tag, plan in staged.plans.items()}

    async def snapshot(self, request: web.Request, who: Principal) -> web.Response:
        dataset = dataset_of(request)
        await self._fresh(dataset)
        seal = partial(self.catalogue.snapshot, dataset, time.time(), max_age_s=AS_KNOWN)
        return answer(SnapshotAnswer(await self.state.work(seal)))

    async def append(self, request: web.Request, member: Member) -> web.Response:
        dataset = dataset_of(request)
        asked = await body_of(request, AppendRequest)
        kind, who = log.parse_entry(asked.entry)[1].kind, asker_of(request).who
        if kind not in RIGHT_TO:
            raise NotAllowedError(f"entries of kind {kind} are made by trackers: use `aetherfs rollout`")
        needed: tuple[Right, ...] = (RIGHT_TO[kind], "tag") if asked.at_once else (RIGHT_TO[kind],)
        for right in needed:
            if not await self.state.may(who, right, dataset):
                raise not_allowed(who, right, dataset)
        data, entry = await self.state.work(self._commit, asked, dataset, member, time.time())
        self.state.committed(dataset, entry.serial, data)
        how = " in stages" if entry.rollouts else " at once, not by its plan" if asked.at_once else ""
        self.state.note(who, entry.kind, dataset, f"entry {entry.serial}: {_moved(entry)}{how}")
        return answer(AppendAnswer(entry.serial, data))

    async def held(self, request: web.Request, member: Member) -> web.Response:
        dataset = dataset_of(request)
        asked = await body_of(request, HeldEntries)
        taken, head = await self.state.work(self.catalogue.take_back, dataset, asked.entries)
        if taken:
            logger.warning("%d entries of %s were given back by %s", taken, dataset, member.peer_id[:8])
            self.state.note(asker_of(request).who, "give back", dataset, f"{taken} entries, up to {head}")
            self.state.bell.ring(dataset)
        return answer(HeldAnswer(taken, head))

    def _commit(self, asked: AppendRequest, dataset: str, member: Member, wall_now: float) -> tuple[bytes, Entry]:
        # No entry may be sealed with a key that another tracker has replaced.
        self.state.keys.refresh(self.state.objects, wall_now, max_age_s=KEYS_MAX_AGE_S)
        entry = check_commit(
            asked.entry,
            asked.receipt,
            dataset=dataset,
            caller=member,
            member_of=self.state.members.member,
            authority=self.state.keys.authority.trust,
            wall_now=wall_now,
        )
        if entry.kind == "publish" and entry.version is not None:
            check_not_purged(self.state.objects, (dataset, entry.version))
        # A new version is claimed by who gave its receipt.
        old = {move.version for move in entry.moves if move.version is not None and entry.kind != "publish"}
        with claimed(self.state.objects, [(dataset, version) for version in sorted(old)], wall_now):
            return self.catalogue.append(asked.entry, asked.if_serial, at_once=asked.at_once)

    async def watch(self, request: web.Request, who: Principal) -> web.StreamResponse:
        dataset = dataset_of(request)
        after = number_of(request, "after", 0, lowest=0, highest=SERIAL_MAX)
        await self._fresh(dataset)
        if self.state.watchers >= WATCHERS_MAX:
            raise FullError(f"this tracker has {WATCHERS_MAX} open watches: try again later, or read the log")
        response = web.StreamResponse(headers={"Content-Type": events.CONTENT_TYPE, "Cache-Control": "no-store"})
        self.state.watchers += 1
        try:
            await response.prepare(request)
            await self._send_entries(request, response, dataset, after)
        finally:
            self.state.watchers -= 1
        return response

    async def _send_entries(self, request: web.Request, response: web.StreamResponse, dataset: str, after: int) -> None:
        """Write entries until the caller leaves, is let in no more, or the tracker closes."""
        loop = asyncio.get_running_loop()
        await response.write(events.KEEP_ALIVE)
        written_at = checked_at = loop.time()
        while not self.state.is_closing:
            heard = self.state.bell.listen(dataset)
            try:
                read = partial(self.catalogue.read, dataset, after=after, limit=LOG_PAGE_MAX, max_age_s=WATCH_POLL_S)
                entries = await self.state.work(read)
                if not entries:
                    await asyncio.wait([heard], timeout=WATCH_POLL_S)
            finally:
                self.state.bell.leave(dataset, heard)
            is_silent = not entries and loop.time() - written_at >= KEEP_ALIVE_S
            for event in [events.KEEP_ALIVE] if is_silent else _events(after, entries):
                # Whoever reads slowly is looked at between two entries as well.
                if loop.time() - checked_at >= RECHECK_S:
                    if not await is_still_let_in(request):
                        return
                    checked_at = loop.time()
                await response.write(event)
                written_at = loop.time()
            after += len(entries)


def _events(after: int, entries: Sequence[bytes]) -> list[bytes]:
    """Entries behind a serial, as a watch is told them."""
    return [events.format_event(after + place, data) for place, data in enumerate(entries, 1)]


def _moved(entry: Entry) -> str:
    """What an entry moves, in words."""
    moves = (f"{move.tag}={move.version.hex()[:12]}" if move.version else f"{move.tag} removed" for move in entry.moves)
    return " ".join(moves)


def _is_gone(objects: ObjectStore, version: Version) -> bool:
    """Whether a version was removed; NotAllowedError for one that was purged. While the store is away, lookups are
    answered as known here.
    """
    with suppress(UnreachableError):
        check_not_purged(objects, version)
        return is_gone(objects, version)
    return False


def _may_read(policy: Policy, who: Principal, dataset: str) -> bool:
    return decide(policy, who, "read", dataset).allowed
