"""A tracker as a service: its public side, health, restarts, failover between trackers."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from swarm import names
from swarm.errors import (
    AetherError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from swarm.http.tls import unverified_context
from swarm.identity import PeerKey
from swarm.messages import Contact
from swarm.objects.folder import FolderObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.records import Address
from swarm.signature import signature_of
from swarm.tracker import server
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import (
    STORE_KEY,
    Rig,
    contact_at,
    publish,
    running_tracker,
)

V1, V2, V3 = (signature_of(bytes([number])) for number in (1, 2, 3))
Kind = Literal["publish", "tag", "rollback", "rm"]


class Hanging(MemoryObjectStore):
    """A store that does not answer who deletes, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()

    def delete(self, key: str) -> None:
        self.closed.wait()

    def close(self) -> None:
        self.closed.set()


def test_a_store_that_hangs_does_not_keep_a_tracker_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "WITHDRAW_TIMEOUT_S", 0.05)
    objects = Hanging()

    async def main() -> None:
        async with running_tracker(tmp_path, objects):
            pass
        assert "stays listed for some minutes: the object store does not answer" in caplog.text
        assert not objects.closed.is_set()

    try:
        asyncio.run(asyncio.wait_for(main(), 30))
    finally:
        objects.close()


def test_without_a_certificate_only_the_public_side_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            document = await fetch_json(rig, "/api/openapi.json")
            paths = document["paths"]
            assert document["openapi"] == "3.1.0"
            public = set()
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with aiohttp.ClientSession(connector=connector) as session:
                for path, operations in paths.items():
                    for method, operation in operations.items():
                        url = f"https://127.0.0.1:{rig.tracker.port}{path.replace('{', '').replace('}', '')}"
                        async with session.request(method, url) as response:
                            if operation["x-access"] == "member":
                                assert response.status == 403, path
                            elif operation["x-access"] == "public":
                                public.add(path)
            assert public == {
                "/api/v1/swarm",
                "/api/v1/join",
                "/api/v1/renew",
                "/livez",
                "/readyz",
                "/api/openapi.json",
                # What people need before anybody knows them.
                "/api",
                "/api/v1/issuers",
                "/api/v1/session",
                "/api/v1/whoami",
                "/ui/",
                "/ui/signin",
                "/ui/signout",
                "/ui/bundle",
                "/ui/visitor",
                "/ui/signin/{issuer}",
                "/ui/signedin/{issuer}",
                "/ui/runbooks/",
                "/ui/runbooks/{rule}",
                "/ui/static/{digest}/{file}",
                "/ui/{page}",
                "/api/",
                "/api/page.js",
                "/api/page.css",
            }

    asyncio.run(main())


async def fetch_json(rig: Rig, path: str) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(ssl=unverified_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://127.0.0.1:{rig.tracker.port}{path}") as response,
    ):
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


def test_health_and_metrics(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            await rig.member()
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with aiohttp.ClientSession(connector=connector) as session:
                texts = {}
                for path in ("livez", "readyz", "metrics"):
                    async with session.get(f"https://127.0.0.1:{rig.tracker.port}/{path}") as response:
                        assert response.status == 200
                        texts[path] = await response.text()
            assert 'aetherfs_tracker_requests_total{operation="join",result="ok"} 1' in texts["metrics"]
            assert rig.key.peer_id not in texts["metrics"]
            rig.objects.delete("swarm/ca")
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get(f"https://127.0.0.1:{rig.tracker.port}/readyz") as response,
            ):
                assert response.status == 503

    asyncio.run(main())


def test_a_tracker_started_again_over_its_store_knows_everything(tmp_path: Path) -> None:
    async def main() -> None:
        key, store = PeerKey(os.urandom(32)), tmp_path / "store"
        async with running_tracker(tmp_path / "a", FolderObjectStore(store), key) as rig:
            seed, producer = await rig.member("seed"), await rig.member(datasets=("library/*",))
            committed = await publish(producer, seed, "library/roads", "latest", V1)
            secret, ca = rig.tracker.state.keys.secret, rig.admin.papers.ca
        async with running_tracker(tmp_path / "b", FolderObjectStore(store), key) as rig:
            assert rig.tracker.state.keys.secret == secret
            assert rig.admin.papers.ca == ca
            again = rig.enrolled(producer.key, producer.papers)
            again.client.set_trackers([rig.tracker.contact])
            found = await again.client.lookup(names.parse("roads"))
            assert (found.data, found.entry) == committed
            assert (await again.client.datasets()).datasets == ("library/roads",)
            _, entry = await publish(again, seed, "library/roads", "next", V2)
            assert entry.serial == 2
            with pytest.raises(NotFoundError):
                await again.client.dataset("other/roads")

    asyncio.run(main())


def test_another_store_key_does_not_open_the_swarm(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            for store_key, error, what in (
                (bytes(32), NotAllowedError, "this secret does not open"),
                (b"short", UsageError, "store key"),
            ):
                with pytest.raises(error, match=what):
                    await Tracker.start(rig.objects, store_key, PeerKey(os.urandom(32)), "127.0.0.1", 0)

    asyncio.run(main())


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            with pytest.raises(AetherError, match="cannot listen on 127"):
                await Tracker.start(rig.objects, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", rig.tracker.port)

    asyncio.run(main())


def test_calls_go_on_at_the_next_tracker(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            other = await Tracker.start(rig.objects, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0)
            member = await rig.member()
            nobody = Contact(PeerKey(os.urandom(32)).public, (Address("127.0.0.1", 1),))
            swapped = contact_at(other.contact, rig.tracker.port)
            member.client.set_trackers([nobody, swapped, rig.tracker.contact])
            assert (await member.client.datasets()).datasets == ()
            member.client.set_trackers([rig.tracker.contact, other.contact])
            await other.close()
            assert (await member.client.datasets()).datasets == ()
            member.client.set_trackers([nobody])
            with pytest.raises(UnreachableError, match=r"no tracker answers \(127.0.0.1:1: "):
                await member.client.datasets()

    asyncio.run(main())
