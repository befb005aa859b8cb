"""A swarm in memory, for attacks on it: what trackers answer, and a consumer that resolves by it. No socket is opened.

The repository stands where ``swarm.calls.Calls`` does, the seam that a consumer's calls go through. Behind it are the
real catalogue, keys and roster over an object store in memory; before it the real client, finder, access and ledger. An
attack is a ``lie``: it is shown each answer and may give another. Neighbours are what they know of tags. Time is
``wall``, a number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import msgspec

from swarm import log
from swarm.authority import Authority
from swarm.client import TrackerClient
from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.identity import PeerKey
from swarm.log import Entry, Kind, Move, Totals
from swarm.messages import HeldAnswer, HeldEntries, LogAnswer, LookupAnswer, SnapshotAnswer
from swarm.names import parse
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.access import Access
from swarm.peer.find import Finder, Resolved
from swarm.peer.ledger import Ledger
from swarm.peer.wire import TagRequest
from swarm.records import Grant, Rule, seal
from swarm.roster import root_in
from swarm.signature import signature_of
from swarm.signers import Required
from swarm.snapshot import Snapshot, TagState, seal_snapshot
from swarm.tracker import custody
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.keys import SwarmKeys, load_or_create
from swarm.tracker.replacing import planned, replace
from swarm.trust import Trust

START: Final = 1_900_000_000.0
STORE_KEY: Final = bytes(range(32))
ROADS: Final = "maps/roads"
TOTALS: Final = Totals(files=1, bytes=10, blocks=1, root_size=300)
YEAR_S: Final = 365 * 86_400

Lie = Callable[[str, bytes], "bytes | None"]


def key_of(name: str) -> PeerKey:
    """The same key for the same name."""
    return PeerKey(signature_of(name.encode()))


def version_of(name: str) -> bytes:
    return signature_of(f"version {name}".encode())


class Repository:
    """One swarm's trackers. ``heard`` are the answers given so far, by path, for who replays them."""

    def __init__(self) -> None:
        self.wall = START
        self.objects = MemoryObjectStore()
        self.keys: SwarmKeys = load_or_create(self.objects, STORE_KEY, self.wall)
        self.catalogue = Catalogue(self.objects, self.authority)
        self.lies: list[Lie] = []
        self.heard: dict[str, list[bytes]] = {}
        self.is_silent = False
        self.swarm: list[bytes] = []

    @property
    def authority(self) -> Authority:
        return self.keys.authority

    @property
    def online_key(self) -> PeerKey:
        """What a thief takes."""
        return self.authority.key

    # ---- honest work --------------------------------------------------------------------------------------------

    def grant(self, key: PeerKey, ca: PeerKey | None = None) -> bytes:
        rules = (Rule("publish", "*"), Rule("read", "*"))
        now = int(self.wall)
        return seal(ca or self.authority.key, Grant(1, key.public, rules, now - 10, now + 7 * 86_400))

    def entry(
        self, who: PeerKey, kind: Kind, moves: Mapping[str, bytes | None], dataset: str = ROADS, **changes: Any
    ) -> Entry:
        """The next entry of a log, by whom."""
        head = self.catalogue._state(dataset)
        entry = Entry(
            format=1,
            dataset=dataset,
            serial=head.serial + 1,
            previous=head.head_hash,
            wall_time=int(self.wall),
            kind=kind,
            moves=tuple(Move(tag, version) for tag, version in moves.items()),
            message="",
            totals=TOTALS if kind == "publish" else None,
            publisher=who.public,
        )
        return msgspec.structs.replace(entry, **changes)

    def commit(self, who: str, kind: Kind, moves: Mapping[str, bytes | None], dataset: str = ROADS) -> bytes:
        """As a tracker does after its checks."""
        key = key_of(who)
        sealed = log.seal_entry(key, self.entry(key, kind, moves, dataset), self.grant(key))
        log.verify_publisher(sealed, authority=self.authority.trust)
        return self.catalogue.append(sealed)[0]

    def publish(self, tag: str, name: str = "", who: str = "producer", dataset: str = ROADS) -> bytes:
        return self.commit(who, "publish", {tag: version_of(name or tag)}, dataset)

    def replace_online_key(self) -> None:
        """The root replaces what was stolen; trackers and their caches go on with the new key."""
        root = custody.root_here(self.objects, STORE_KEY)
        self.wall += 1
        rosters = planned(self.objects, STORE_KEY, self.keys, int(self.wall), YEAR_S)
        one, two = (custody.sealed_roster(root, roster) for roster in rosters)
        replace(self.objects, self.keys, (one, two), lambda: self.wall)
        self.catalogue.forget()

    # ---- what attackers make ------------------------------------------------------------------------------------

    def forged(self, online: PeerKey, who: PeerKey, entry: Entry) -> bytes:
        """An entry with all the seals that a thief of the online key can give, under a grant that it gave itself."""
        return log.endorse(online, log.seal_entry(who, entry, self.grant(who, online)))

    def answer_with(self, entry: bytes, online: PeerKey, *, serial: int = 0, issued: float | None = None) -> bytes:
        """A lookup's answer around an entry, with a snapshot that fits it."""
        said = log.parse_entry(entry)[1]
        tags = tuple(TagState(m.tag, said.serial, m.version) for m in said.moves if m.version is not None)
        at = int(self.wall if issued is None else issued)
        tags = tuple(sorted(tags, key=lambda state: state.tag))
        snapshot = Snapshot(1, said.dataset, max(serial, said.serial), tags, at, at + 3600)
        version = said.moves[0].version or b""
        return msgspec.json.encode(
            LookupAnswer(
                said.dataset, None, said.serial, version.hex(), entry, seal_snapshot(online, snapshot), int(self.wall)
            )
        )

    # ---- the seam -----------------------------------------------------------------------------------------------

    async def call(self, method: str, path: str, **options: Any) -> bytes:
        """In place of ``Calls.call``."""
        if self.is_silent:
            raise UnreachableError("no tracker answers")
        given = self._answer(path.removeprefix("/api/v1/datasets/"), options)
        self.heard.setdefault(path, []).append(given)
        for lie in self.lies:
            given = lie(path, given) or given
        return given

    def _answer(self, path: str, options: Mapping[str, Any]) -> bytes:
        scope, name, what, *rest = path.split("/")
        dataset, wall = f"{scope}/{name}", self.wall
        if what == "tags":
            entry, found, tags = self.catalogue.find_tag(dataset, rest[0], wall)
            answer: msgspec.Struct = LookupAnswer(
                dataset, rest[0], found.serial, found.version.hex(), entry, tags, int(wall)
            )
        elif what == "versions":
            entry, serial, tags = self.catalogue.find_version(dataset, bytes.fromhex(rest[0]), wall)
            answer = LookupAnswer(dataset, None, serial, rest[0], entry, tags, int(wall))
        elif rest == ["held"]:
            held = msgspec.json.decode(options["body"], type=HeldEntries)
            answer = HeldAnswer(*self.catalogue.take_back(dataset, held.entries))
        elif what == "log":
            head = self.catalogue.head(dataset).serial
            query = options.get("query") or {}
            after = head - 1 if "last" in query else int(query.get("after", "0"))
            answer = LogAnswer(dataset, head, tuple(self.catalogue.read(dataset, after=after, limit=100)))
        else:
            answer = SnapshotAnswer(self.catalogue.snapshot(dataset, wall))
        return msgspec.json.encode(answer)


class _Neighbours:
    """Where a finder meets channels, fetcher, DHT and meeting: one neighbour, that knows ``entries``."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.open = {"neighbour": None}

    async def tag(self, peer: str, request: TagRequest) -> bytes:
        for raw in reversed(self._repository.swarm):
            entry = log.parse_entry(raw)[1]
            if entry.dataset == request.dataset and any(
                move.tag == request.tag or move.version == request.version for move in entry.moves
            ):
                return raw
        return b""

    async def find_providers(self, key_of: Callable[[bytes], bytes]) -> list[Any]:
        return []


class Consumer:
    """A member that resolves references. ``again`` is it after a restart, with what it had saved."""

    def __init__(self, repository: Repository, required: Required | None = None, saved: bytes = b"") -> None:
        self.repository = repository
        self.saved = saved
        authority, links = repository.authority, repository.authority.trust.links
        self.trust = Trust(authority.public, authority.certificate, links, root_in(links))
        self.access = Access(self.trust)
        self.ledger = Ledger(saved, self._save)
        self.required = required
        self.ledger.signers = required.keys if required is not None else frozenset()
        self.learnt: list[bytes] = []

    def _save(self, data: bytes) -> None:
        self.saved = data

    def again(self) -> Consumer:
        self.ledger.flush()
        return Consumer(self.repository, self.required, self.saved)

    def follow_keys(self) -> None:
        """What a beat brings: newer rosters, and what follows from them (``swarm.peer.reproving``)."""
        stolen = self.trust.stolen
        self.trust.learn(self.repository.authority.trust.links)
        if self.trust.stolen != stolen:
            self.access.forget()
            self.ledger.keep_only(self._is_proved)

    def _is_proved(self, raw: bytes) -> bool:
        try:
            self.access.learn(raw)
        except RemoteProtocolError:
            return False
        return True

    def hear(self, raw: bytes) -> None:
        """News from a neighbour."""
        self.ledger.record(self.access.learn(raw), raw, is_news=True)

    def resolve(self, ref: str) -> Resolved:
        return asyncio.run(self._with_finder(lambda finder: finder.resolve(parse(ref))))

    async def _with_finder(self, use: Callable[[Finder], Awaitable[Resolved]]) -> Resolved:
        certificate = self.repository.authority.certificate
        async with TrackerClient([], key=key_of("consumer"), root=certificate, trust=self.trust) as client:
            client._member = cast(Any, self.repository)
            client.wall_now = lambda: self.repository.wall
            around = cast(Any, _Neighbours(self.repository))
            finder = Finder(
                self.access, self.ledger, around, around, client, around, around, self.learnt.append, self.required
            )
            try:
                return await use(finder)
            finally:
                client._member = None
