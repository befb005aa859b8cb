"""A member's view of the trackers: look up, read, append, announce, renew.

    async with TrackerClient(trackers, key=key, root=ca_pem, files=home.tls_files) as client:
        found = await client.lookup(names.parse("roads:latest"))

Whatever a tracker says about a dataset is proved by signed entries, which are verified here: a tracker is believed
about freshness only, and that through a sealed snapshot. Without ``files`` only ``swarm_info`` and ``renew`` work.
Refusals come back as the exceptions of ``swarm.errors``; UnreachableError means that no tracker answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from swarm import canonical, clock, log, snapshot
from swarm.answers import Found, entries_told, expiry_of, parsed, version_meant
from swarm.authority import fingerprint_of, public_of_root
from swarm.beginning import BY_PLAN, Staging, staged
from swarm.calls import DEFAULT_TIMEOUT_S, Calls
from swarm.dialable import TRUSTED, Dialable
from swarm.errors import AetherError, ConflictError, NotAllowedError, NotFoundError, RemoteProtocolError
from swarm.events import entries_of
from swarm.http.tls import TlsFiles, anonymous_context, peer_client_context
from swarm.identity import PeerKey
from swarm.joining import check_papers
from swarm.keyring import decode_keyring
from swarm.limits import (
    ANNOUNCE_ANSWER_MAX_BYTES,
    CLOCK_SKEW_S,
    LOG_PAGE_MAX,
    MIB,
    SNAPSHOT_MAX_BYTES,
)
from swarm.log import Entry, Kind, Move, Totals
from swarm.messages import (
    OUR_VERSIONS,
    Announce,
    AnnounceAnswer,
    AppendAnswer,
    AppendRequest,
    Contact,
    DatasetAnswer,
    DatasetsAnswer,
    HeldAnswer,
    HeldEntries,
    LogAnswer,
    LookupAnswer,
    RenewAnswer,
    RenewRequest,
    SnapshotAnswer,
    SwarmInfo,
    TokenAnswer,
    TokenRequest,
    renew_proof,
)
from swarm.names import Reference
from swarm.reports import REPORT_ANSWER_MAX_BYTES, REPORT_PATH, Report, ReportAnswer
from swarm.roster import root_fingerprint
from swarm.snapshot import Snapshot
from swarm.trust import Trust

T = TypeVar("T")

COMMIT_ATTEMPTS: Final = 32
# Who lost a race waits for up to so long before the next try, doubled each time, so that many racers do not collide.
PAUSE_S: Final = 0.01
PAUSE_MAX_S: Final = 1.0
LOG_ANSWER_MAX_BYTES: Final = 16 * MIB
WATCH_STALL_S: Final = 60.0
MSGPACK: Final = "application/msgpack"
ANNOUNCE_PATH: Final = "/api/v1/announce"

logger = logging.getLogger("aetherfs.client")


class TrackerClient:
    """Calls to the swarm's trackers as one member. Make it inside a running event loop, and close it."""

    def __init__(
        self,
        trackers: Sequence[Contact],
        *,
        key: PeerKey,
        root: bytes,
        files: TlsFiles | None = None,
        trust: Trust | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        dialable: Dialable = TRUSTED,
    ) -> None:
        """``root`` is the CA in PEM; ``files`` this member's certificate and key; ``trust`` the CA's keys as it knows
        them, by default that root's; ``dialable`` where trackers may be."""
        self.key = key
        self.root = root
        # Gives the Authorization header of the person who is signed in at this home, None for nobody.
        self.authorization: Callable[[], Awaitable[str | None]] | None = None
        self.wall_now: Callable[[], float] = clock.wall_now
        self.authority = trust or Trust(public_of_root(root), root)
        self._expires: float | None = None
        self._anonymous_context = anonymous_context(root.decode())
        self._anonymous = Calls(trackers, self._anonymous_context, timeout_s=timeout_s, dialable=dialable)
        self._member: Calls | None = None
        if files is not None:
            self._context = peer_client_context(files)
            self._expires = expiry_of(files.certificate)
            self._member = Calls(trackers, self._context, timeout_s=timeout_s, dialable=dialable)

    @property
    def trackers(self) -> tuple[Contact, ...]:
        return self._anonymous.trackers

    def set_trackers(self, trackers: Sequence[Contact]) -> None:
        """Use these trackers from now on, preferred first (announce answers and the DHT tell of new ones)."""
        self._anonymous.set_trackers(trackers)
        if self._member is not None:
            self._member.set_trackers(trackers)

    def reload(self, files: TlsFiles) -> None:
        """Show a renewed certificate on new connections."""
        if self._member is None:
            raise NotAllowedError("this client was made without a certificate: make a new one")
        files.load_into(self._context)
        self._member.connect_anew()
        self._expires = expiry_of(files.certificate)

    def trust_root(self, bundle: bytes) -> None:
        """Believe trackers under these roots (PEM) too, on new connections."""
        for context in [self._anonymous_context, *([self._context] if self._member is not None else [])]:
            context.load_verify_locations(cadata=bundle.decode())

    def on_news(self, told: Callable[[], None]) -> None:
        """Be told when ``keys_told`` has grown, or ``is_distrusted`` has come to be true."""
        for calls in self._pools:
            calls.on_news = told

    @property
    def keys_told(self) -> int:
        """The generation of the newest keys that a tracker has stated to know."""
        return max(calls.keys_told for calls in self._pools)

    @property
    def is_distrusted(self) -> bool:
        """Whether somebody at a tracker's address could not prove to be it, and nobody else has answered since."""
        return any(calls.is_distrusted for calls in self._pools)

    @property
    def _pools(self) -> list[Calls]:
        return [self._anonymous, *([self._member] if self._member is not None else [])]

    async def close(self) -> None:
        await self._anonymous.close()
        if self._member is not None:
            await self._member.close()

    async def __aenter__(self) -> TrackerClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- membership ---------------------------------------------------------------------------------------------

    async def swarm_info(self) -> SwarmInfo:
        """What the first tracker that answers says of the swarm."""
        return parsed(await self._anonymous.call("GET", "/api/v1/swarm"), SwarmInfo)

    async def renew(self, credential: bytes = b"", grant: bytes = b"") -> RenewAnswer:
        """Fresh papers, also after the certificate has expired. NotAllowedError when this key is no member any more.

        What was given before, ``credential`` and ``grant``, shows a tracker that has lost it that this is a member.
        """
        wall_time = int(clock.wall_now())
        proof = renew_proof(self.key, self._pinned(), wall_time)
        request = RenewRequest(OUR_VERSIONS, self.key.public, wall_time, proof, credential, grant)
        answer = parsed(
            await self._anonymous.call("POST", "/api/v1/renew", body=msgspec.json.encode(request)), RenewAnswer
        )
        # They may be under a key that is told with them.
        self.authority.learn(decode_keyring(answer.keys).links)
        check_papers(self.key, self.authority, answer.credential, answer.grant, wall_now=answer.wall_time)
        return answer

    def _pinned(self) -> bytes:
        """What both ends know of the swarm for as long as it lives."""
        trust = self.authority
        return root_fingerprint(trust.swarm_root) if trust.roster is not None else fingerprint_of(self.root)

    async def token_create(self, request: TokenRequest) -> TokenAnswer:
        """A new join token. Only for members of role tracker."""
        return parsed(
            await self._call("POST", "/api/v1/tokens", body=msgspec.json.encode(request), is_personal=True), TokenAnswer
        )

    async def remove_member(self, peer_id: str) -> None:
        """Refuse a member from now on. Only for members of role tracker."""
        await self._call("DELETE", f"/api/v1/members/{peer_id}", is_personal=True)

    # ---- datasets -----------------------------------------------------------------------------------------------

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

    # ---- orders -------------------------------------------------------------------------------------------------

    async def order(
        self, method: str, path: str, kind: type[T], request: msgspec.Struct | None = None, only: Contact | None = None
    ) -> T:
        """Ask about, or change, a keep rule, a quota or a purge (``swarm.order_messages``), or who may do what
        (``swarm.access_messages``); ``only`` this tracker, if one is named.
        """
        body = msgspec.json.encode(request) if request is not None else None
        return parsed(await self._call(method, f"/api/v1/{path}", body=body, only=only, is_personal=True), kind)

    async def tell(self, path: str, request: msgspec.Struct) -> None:
        """Say something that a tracker only notes."""
        await self._call("POST", f"/api/v1/{path}", body=msgspec.json.encode(request))

    # ---- announces ----------------------------------------------------------------------------------------------

    async def announce(self, announce: Announce) -> AnnounceAnswer:
        """One heartbeat: say where this peer is and what it holds; learn of neighbours, seeds, heads, fresh papers."""
        answer = await self._beat(ANNOUNCE_PATH, announce, AnnounceAnswer, ANNOUNCE_ANSWER_MAX_BYTES)
        self.set_trackers(answer.trackers)
        return answer

    async def report(self, report: Report) -> ReportAnswer:
        """Tell of this peer's figures; when the next report is wanted."""
        return await self._beat(REPORT_PATH, report, ReportAnswer, REPORT_ANSWER_MAX_BYTES)

    async def _beat(self, path: str, told: msgspec.Struct, kind: type[T], limit_bytes: int) -> T:
        more: dict[str, Any] = {"content_type": MSGPACK, "limit_bytes": limit_bytes, "is_urgent": False}
        data = await self._certified().call("POST", path, body=canonical.encode(told), **more)
        return canonical.decode(data, kind, limit_bytes=limit_bytes)

    async def announce_to_others(self, announce: Announce) -> None:
        """The same heartbeat to every tracker but the one that answered last. Whoever is silent is not told."""
        calls, body = self._certified(), canonical.encode(announce)
        limit = ANNOUNCE_ANSWER_MAX_BYTES
        others = [tracker for tracker in calls.trackers if tracker.peer_id != calls.answered_last]
        telling = [
            calls.call("POST", ANNOUNCE_PATH, body=body, content_type=MSGPACK, limit_bytes=limit, only=other)
            for other in others
        ]
        for told in await asyncio.gather(*telling, return_exceptions=True):
            if isinstance(told, AetherError):
                logger.debug("a tracker was not told where this peer is: %s", told)

    @property
    def calls(self) -> Calls:
        """How the trackers are called: which are known, and how each answered."""
        return self._member or self._anonymous

    # ---- inside -------------------------------------------------------------------------------------------------

    def _certified(self) -> Calls:
        if self._member is None:
            raise NotAllowedError("this needs a certificate of the swarm: join it first")
        if self._expires is not None and self._expires <= clock.wall_now():
            raise NotAllowedError("this home's certificate has expired: it has to be renewed before anything else")
        return self._member

    async def _call(self, method: str, path: str, *, is_personal: bool = False, **more: Any) -> bytes:
        """``is_personal``: what the tracker decides by the person who is signed in at this home, if one is."""
        shown = await self.authorization() if is_personal and self.authorization is not None else None
        headers = {"Authorization": shown} if shown is not None else {}
        return await self._certified().call(method, path, headers=headers, **more)

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
