"""What a member asks trackers about datasets: look up, read the log, append, watch.

Whatever a tracker says is proved by signed entries, which are verified here: a tracker is believed about freshness
only, and that through a sealed snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from swarm import clock, log, snapshot
from swarm.answers import Found, entries_told, parsed, version_meant
from swarm.beginning import BY_PLAN, Staging, staged
from swarm.calls import Calls
from swarm.errors import ConflictError, NotAllowedError, NotFoundError, RemoteProtocolError
from swarm.events import entries_of
from swarm.identity import PeerKey
from swarm.limits import (
    CLOCK_SKEW_S,
    LOG_PAGE_MAX,
    MIB,
    SNAPSHOT_MAX_BYTES,
)
from swarm.log import Entry, Kind, Move, Totals
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
)
from swarm.names import Reference
from swarm.snapshot import Snapshot
from swarm.trust import Trust

T = TypeVar("T")

COMMIT_ATTEMPTS: Final = 32
# Who lost a race waits for up to so long before the next try, doubled each time, so that many racers do not collide.
PAUSE_S: Final = 0.01
PAUSE_MAX_S: Final = 1.0
LOG_ANSWER_MAX_BYTES: Final = 16 * MIB
WATCH_STALL_S: Final = 60.0

logger = logging.getLogger("aetherfs.client")


class DatasetCalls(ABC):
    """The part of ``swarm.client.TrackerClient`` about datasets; that makes the calls, and knows whose they are."""

    key: PeerKey
    authority: Trust
    wall_now: Callable[[], float]
    _expires: float | None

    @abstractmethod
    def _certified(self) -> Calls: ...

    @abstractmethod
    async def _call(self, method: str, path: str, *, is_personal: bool = False, **more: Any) -> bytes: ...

    async def datasets(self, *, cursor: str = "", limit: int = 100) -> DatasetsAnswer:
        """A page of the datasets that this member may read."""
        query = {"cursor": cursor, "limit": str(limit)}
        return parsed(await self._call("GET", "/api/v1/datasets", query=query), DatasetsAnswer)

    async def dataset(self, dataset: str) -> DatasetAnswer:
        """Head and tags, as the tracker says. NotFoundError when there is none, or no grant covers it."""
        return parsed(await self._call("GET", f"/api/v1/datasets/{dataset}"), DatasetAnswer)

    async def lookup(self, ref: Reference) -> Found:
        """Resolve a tag or a version (``@signature`` wins) to what is proved of it. Raises NotFoundError."""
        if ref.signature is not None:
            path = f"/api/v1/datasets/{ref.dataset}/versions/{ref.signature.hex()}"
        else:
            path = f"/api/v1/datasets/{ref.dataset}/tags/{ref.tag}"
        answer = parsed(await self._call("GET", path, limit_bytes=4 * SNAPSHOT_MAX_BYTES), LookupAnswer)
        entry = log.verify_entry(answer.entry, authority=self.authority)
        tags = snapshot.open_snapshot(answer.snapshot, authority=self.authority, wall_now=None)
        if entry.dataset != ref.dataset or tags.dataset != ref.dataset or entry.serial > tags.serial:
            raise RemoteProtocolError("the tracker answered a lookup with something else")
        version = version_meant(ref, entry, tags)
        clock.have_seen(tags.issued, self._expires or tags.issued)
        age_s = self._age_s(answer.wall_time, tags.issued)
        return Found(answer.entry, entry, version, tags, answer.snapshot, age_s, answer.gone)

    def _age_s(self, stated: int, issued: int) -> int:
        """How old a snapshot is: by the tracker's clock, which is no proof, and by ours, which may be off a little."""
        return max(0, stated - issued, int(self.wall_now()) - issued - CLOCK_SKEW_S)

    async def log(self, dataset: str, *, after: int = 0, limit: int = LOG_PAGE_MAX) -> list[tuple[bytes, Entry]]:
        """Up to ``limit`` entries from serial ``after`` + 1 on, in order, verified and chained to one another."""
        return entries_told(
            await self._log(dataset, {"after": str(after), "limit": str(limit)}), dataset, after + 1, self.authority
        )

    async def versions(self, dataset: str) -> AsyncIterator[bytes]:
        """Every version that the log names."""
        after = 0
        while page := await self.log(dataset, after=after):
            after = page[-1][1].serial
            for version in (move.version for _, entry in page for move in entry.moves if move.version is not None):
                yield version

    async def head(self, dataset: str) -> tuple[bytes, Entry] | None:
        """The last entry, None when there is no such dataset (or no grant covers it)."""
        return (await self._end(dataset))[0]

    async def snapshot(self, dataset: str) -> tuple[bytes, Snapshot]:
        """The dataset's tags, freshly sealed: bytes and what they say."""
        path = f"/api/v1/datasets/{dataset}/snapshot"
        answer = parsed(await self._call("GET", path, limit_bytes=2 * SNAPSHOT_MAX_BYTES), SnapshotAnswer)
        tags = snapshot.open_snapshot(answer.snapshot, authority=self.authority, wall_now=None)
        if tags.dataset != dataset:
            raise RemoteProtocolError("the tracker answered with another dataset's snapshot")
        return answer.snapshot, tags

    async def append(
        self, data: bytes, receipt: bytes = b"", *, if_serial: int | None = None, at_once: bool = False
    ) -> tuple[bytes, Entry]:
        """Commit one entry that this member sealed (``log.seal_entry``): the entry as endorsed, and what it says.

        ``if_serial``: see ``commit``; ``at_once``: whatever plan its tags have. ConflictError names who was first. Safe
        to repeat: the same entry again is the same answer.
        """
        _, entry = log.parse_entry(data)
        body = msgspec.json.encode(AppendRequest(data, receipt, if_serial, at_once))
        path, query = f"/api/v1/datasets/{entry.dataset}/log", {"kind": entry.kind}
        answer = parsed(await self._call("POST", path, query=query, body=body, is_personal=True), AppendAnswer)
        if log.verify_entry(answer.entry, authority=self.authority) != entry:
            raise RemoteProtocolError("the tracker committed something else than it was given")
        return answer.entry, entry

    async def give_back(self, dataset: str, entries: Sequence[bytes]) -> int:
        """Entries that this member holds, in order, to a log that lacks them: its head then."""
        body = msgspec.json.encode(HeldEntries(tuple(entries)))
        return parsed(await self._call("POST", f"/api/v1/datasets/{dataset}/log/held", body=body), HeldAnswer).head

    async def commit(
        self,
        dataset: str,
        kind: Kind,
        moves: Sequence[Move],
        *,
        grant: bytes,
        message: str = "",
        totals: Totals | None = None,
        receipt: bytes = b"",
        if_serial: int | None = None,
        since: int | None = None,
        staging: Staging = BY_PLAN,
    ) -> tuple[bytes, Entry]:
        """Append one entry to the current head, built again when others were first. All moves count, or none.

        ``grant`` is this member's sealed grant. ``if_serial`` is the last entry that the caller has seen:
        ConflictError, naming the winner, when a later one moved one of these tags. Without it who comes last wins.
        UnreachableError leaves open whether the entry was committed. ``since`` (wall seconds): this repeats what was
        broken off after that moment, so if the entry stands there already it is the answer. ``staging``: how a version
        that is published or tagged goes out.
        """
        head, plans = await self._end(dataset)
        for attempt in range(COMMIT_ATTEMPTS):
            if since is not None and (done := await self.committed_since(dataset, kind, moves, since)) is not None:
                return done
            entry = Entry(
                format=1,
                dataset=dataset,
                serial=_serial_of(head) + 1,
                previous=log.entry_hash(head[0]) if head is not None else b"",
                wall_time=int(clock.wall_now()),
                kind=kind,
                moves=tuple(moves),
                message=message,
                totals=totals,
                publisher=self.key.public,
            )
            if kind in ("publish", "tag"):
                entry = await staged(entry, staging.plans_for(moves, plans), self.lookup)
            try:
                data = log.seal_entry(self.key, entry, grant)
                return await self.append(data, receipt, if_serial=if_serial, at_once=staging.at_once)
            except ConflictError:
                await asyncio.sleep(random.uniform(0.0, min(PAUSE_MAX_S, PAUSE_S * 2**attempt)))
                head, plans = await self._end(dataset)
                if _serial_of(head) < entry.serial:
                    raise  # Nobody took the place: the tracker refused what the entry does.
        raise ConflictError(
            f"others were first with {dataset} {COMMIT_ATTEMPTS} times in a row, nothing was moved: repeat the command"
        )

    async def committed_since(
        self, dataset: str, kind: Kind, moves: Sequence[Move], since: int
    ) -> tuple[bytes, Entry] | None:
        """This member's last entry of this kind with just these moves, among the last ones, if it is not older."""
        head = _serial_of(await self.head(dataset))
        page = await self.log(dataset, after=max(0, head - LOG_PAGE_MAX)) if head else []
        for data, entry in reversed(page):
            is_own = entry.publisher == self.key.public and entry.wall_time >= since
            if is_own and (entry.kind, entry.moves) == (kind, tuple(moves)):
                return data, entry
        return None

    async def check_unmoved(self, dataset: str, tags: Sequence[str], if_serial: int) -> None:
        """ConflictError when it shows already that ``commit`` will refuse. That a tag was removed shows only there."""
        scope, _, name = dataset.partition("/")
        for tag in tags:
            # The tag of a purged version may be moved away from it.
            with contextlib.suppress(NotFoundError, NotAllowedError):
                found = await self.lookup(Reference(scope, name, tag))
                if found.serial > if_serial:
                    raise ConflictError(log.conflict_text(found.entry, [tag]))

    async def watch(self, dataset: str, *, after: int = 0) -> AsyncIterator[tuple[bytes, Entry]]:
        """Entries as they are committed, from ``after`` + 1 on. Ends with UnreachableError: call again to go on."""
        calls = self._certified()
        path = f"/api/v1/datasets/{dataset}/watch"
        async with calls.stream(path, query={"after": str(after)}, stall_timeout_s=WATCH_STALL_S) as content:
            async for data in entries_of(content):
                entry = log.verify_entry(data, authority=self.authority)
                if entry.dataset != dataset or entry.serial != after + 1:
                    raise RemoteProtocolError("the tracker sent an entry out of order")
                after = entry.serial
                yield data, entry

    async def _end(self, dataset: str) -> tuple[tuple[bytes, Entry] | None, dict[str, bytes]]:
        """The last entry, and the plans of tags."""
        try:
            answer = await self._log(dataset, {"last": "1"})
        except NotFoundError:
            return None, {}
        entries = entries_told(answer, dataset, answer.head, self.authority)
        if len(entries) != 1:
            raise RemoteProtocolError("the tracker answered without the head of the log")
        return entries[0], answer.plans

    async def _log(self, dataset: str, query: dict[str, str]) -> LogAnswer:
        path = f"/api/v1/datasets/{dataset}/log"
        return parsed(await self._call("GET", path, query=query, limit_bytes=LOG_ANSWER_MAX_BYTES), LogAnswer)


def _serial_of(head: tuple[bytes, Entry] | None) -> int:
    return head[1].serial if head is not None else 0
