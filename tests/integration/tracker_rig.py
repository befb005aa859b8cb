"""A real tracker on a real TLS port, and members that joined it as a home does, for tests."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from swarm import log
from swarm.authority import private_pem
from swarm.client import TrackerClient
from swarm.http.tls import TlsFiles
from swarm.identity import PeerKey
from swarm.joining import join
from swarm.log import Entry, Kind, Move, Totals
from swarm.messages import OUR_VERSIONS, Announce, Contact, Holding, JoinAnswer, TokenRequest
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.receipt import Receipt, seal_receipt
from swarm.records import Address, Role
from swarm.token import parse_token
from swarm.tracker.server import Tracker

STORE_KEY = bytes(range(32))
TOTALS = Totals(files=3, bytes=1000, blocks=2, root_size=300)


@dataclass
class Enrolled:
    """A member: its key, what it was given, its TLS files, and a client."""

    key: PeerKey
    papers: JoinAnswer
    files: TlsFiles
    client: TrackerClient


def enrolled_in(folder: Path, key: PeerKey, papers: JoinAnswer) -> Enrolled:
    """A member around papers, with its files in a new folder. Its client is the caller's to close."""
    folder.mkdir(parents=True)
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem", folder / "ca.pem")
    files.certificate.write_bytes(papers.certificate)
    files.key.write_bytes(private_pem(key))
    files.root.write_bytes(papers.ca)
    return Enrolled(key, papers, files, TrackerClient(papers.trackers, key=key, root=papers.ca, files=files))


class Rig:
    """A tracker and its members. ``admin`` is the tracker's own home."""

    def __init__(self, tracker: Tracker, objects: ObjectStore, folder: Path, key: PeerKey) -> None:
        self.tracker = tracker
        self.objects = objects
        self.folder = folder
        self.key = key
        self.members: list[Enrolled] = []

    async def open(self) -> None:
        self.admin = self.enrolled(self.key, await self.tracker.membership())

    def enrolled(self, key: PeerKey, papers: JoinAnswer) -> Enrolled:
        """A member around papers, whoever gave them."""
        member = enrolled_in(self.folder / os.urandom(6).hex(), key, papers)
        self.members.append(member)
        return member

    async def token(self, role: Role = "peer", uses: int = 1, datasets: Sequence[str] = ("*",), site: str = "") -> str:
        request = TokenRequest(role=role, uses=uses, datasets=tuple(datasets), site=site)
        return (await self.admin.client.token_create(request)).token

    async def member(self, role: Role = "peer", datasets: Sequence[str] = ("*",), site: str = "") -> Enrolled:
        """A new member, by a token of its own."""
        key = PeerKey(os.urandom(32))
        text = await self.token(role, 1, datasets, site)
        return self.enrolled(key, await join(parse_token(text), key))

    async def close(self) -> None:
        for member in self.members:
            await member.client.close()
        await self.tracker.close()


@asynccontextmanager
async def running_tracker(
    folder: Path, objects: ObjectStore | None = None, key: PeerKey | None = None
) -> AsyncIterator[Rig]:
    """A rig over a store (default: in memory) on a free port of 127.0.0.1."""
    store = objects if objects is not None else MemoryObjectStore()
    own = key if key is not None else PeerKey(os.urandom(32))
    tracker = await Tracker.start(store, STORE_KEY, own, "127.0.0.1", 0)
    rig = Rig(tracker, store, folder, own)
    try:
        await rig.open()
        yield rig
    finally:
        await rig.close()


def receipt_for(
    seed: PeerKey,
    publisher: PeerKey,
    dataset: str,
    version: bytes,
    *,
    totals: Totals = TOTALS,
    wall: float | None = None,
) -> bytes:
    """A seed's receipt, as the upload route would give it."""
    return seal_receipt(
        seed,
        Receipt(
            format=1,
            dataset=dataset,
            version=version,
            publisher=publisher.public,
            files=totals.files,
            bytes=totals.bytes,
            blocks=totals.blocks,
            root_size=totals.root_size,
            wall_time=int(time.time() if wall is None else wall),
        ),
    )


async def publish(member: Enrolled, seed: Enrolled, dataset: str, tag: str, version: bytes) -> tuple[bytes, Entry]:
    """Commit a version under a tag, with the seed's receipt."""
    return await member.client.commit(
        dataset,
        "publish",
        [Move(tag, version)],
        grant=member.papers.grant,
        totals=TOTALS,
        receipt=receipt_for(seed.key, member.key, dataset, version),
    )


def announce_of(
    *holdings: Holding,
    addresses: Sequence[Address] = (),
    heads: Sequence[str] = (),
    leaving: bool = False,
    keeps: bool = False,
) -> Announce:
    """An announce whose papers are fresh."""
    now = int(time.time()) + 1
    return Announce(1, OUR_VERSIONS, tuple(addresses), holdings, tuple(heads), now, now, leaving, keeps, now)


def contact_at(contact: Contact, port: int) -> Contact:
    """The same member at another port of this machine."""
    return Contact(contact.public, (Address("127.0.0.1", port),))


class FixedResolver(aiohttp.abc.AbstractResolver):
    """Every name is this machine, at one port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [aiohttp.abc.ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=2, proto=6, flags=4)]

    async def close(self) -> None:
        """Nothing is held."""


def changed(entry: Entry, **changes: object) -> Entry:
    """The same entry with other fields."""
    return msgspec.structs.replace(entry, **changes)


def entry_after(head: tuple[bytes, Entry] | None, member: Enrolled, dataset: str, kind: Kind, *moves: Move) -> Entry:
    """The next entry on a head, as a publisher builds it."""
    return Entry(
        format=1,
        dataset=dataset,
        serial=head[1].serial + 1 if head else 1,
        previous=log.entry_hash(head[0]) if head else b"",
        wall_time=int(time.time()),
        kind=kind,
        moves=moves,
        message="",
        totals=TOTALS if kind == "publish" else None,
        publisher=member.key.public,
    )


async def until(holds: Callable[[], object]) -> None:
    """Wait for what comes soon; the test's own timeout is the deadline."""
    while not holds():
        await asyncio.sleep(0.01)


def new_key() -> PeerKey:
    """A key that nobody has."""
    return PeerKey(os.urandom(32))
