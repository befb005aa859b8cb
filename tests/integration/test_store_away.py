"""A tracker whose object store is away: it tells what it knows, what needs the store fails, nothing is restarted."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from swarm import names
from swarm.errors import NotFoundError, UnreachableError
from swarm.http.tls import unverified_context
from swarm.joining import join
from swarm.messages import Holding, TokenRequest
from swarm.objects.counted import CountedStore
from swarm.records import Address
from swarm.signature import signature_of
from swarm.token import parse_token
from swarm.tracker import members
from tests.away import LeavingStore
from tests.integration.tracker_rig import Rig, announce_of, new_key, publish, running_tracker

V1, V2 = (signature_of(bytes([number])) for number in (1, 2))
ROADS = "library/roads"


def test_a_tracker_is_ready_without_its_store_and_says_what_it_cannot_do(tmp_path: Path) -> None:
    async def main() -> None:
        inner = LeavingStore()
        async with running_tracker(tmp_path, CountedStore(inner)) as rig:
            assert await fetched(rig, "/readyz") == "ok\n"
            assert "aetherfs_store_away_seconds 0\n" in await fetched(rig, "/metrics")
            inner.is_away = True
            told = await fetched(rig, "/readyz")
            assert told.startswith("degraded: the object store is away")
            assert "publishes, moves of tags, joins and tokens fail until it is back" in told
            exposed = await fetched(rig, "/metrics")
            assert "aetherfs_store_away_seconds 0\n" not in exposed
            assert re.search(r'aetherfs_store_requests_total\{kind="put"\} [1-9]', exposed)
            inner.is_away = False
            assert await fetched(rig, "/readyz") == "ok\n"
            assert "aetherfs_store_away_seconds 0\n" in await fetched(rig, "/metrics")

    asyncio.run(main())


async def fetched(rig: Rig, path: str) -> str:
    connector = aiohttp.TCPConnector(ssl=unverified_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://127.0.0.1:{rig.tracker.port}{path}") as response,
    ):
        assert response.status == 200
        return await response.text()


def test_a_tracker_goes_on_with_what_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "REMOVED_CACHE_S", 0.0)
    monkeypatch.setattr(members, "MEMBER_CACHE_S", 0.0)

    async def main() -> None:
        store = LeavingStore()
        async with running_tracker(tmp_path, store) as rig:
            seed, one, two = await rig.member("seed"), await rig.member(), await rig.member()
            data, _ = await publish(one, seed, ROADS, "latest", V1)
            text = await rig.token()
            store.is_away = True

            assert (await two.client.lookup(names.parse("roads"))).data == data
            assert (await two.client.datasets()).datasets == (ROADS,)
            assert [raw for raw, _ in await two.client.log(ROADS)] == [data]
            held = Holding(ROADS, V1, complete=True, origin=False)
            await one.client.announce(announce_of(held, addresses=[Address("127.0.0.1", 4000)]))
            wanted = Holding(ROADS, V1, complete=False, origin=False)
            answer = await two.client.announce(
                announce_of(wanted, addresses=[Address("127.0.0.1", 4001)], heads=[ROADS, "library/x"])
            )
            assert [neighbour.public for neighbour in answer.handouts[0].neighbours] == [one.key.public]
            assert [(head.dataset, head.serial) for head in answer.heads] == [(ROADS, 1)]
            assert (await one.client.renew()).certificate

            with pytest.raises(UnreachableError, match="store is away"):
                await publish(one, seed, ROADS, "latest", V2)
            with pytest.raises(UnreachableError, match="store is away"):
                await rig.admin.client.token_create(TokenRequest(role="peer"))
            with pytest.raises(UnreachableError, match="store is away"):
                await two.client.lookup(names.parse("roads:other"))
            with pytest.raises(UnreachableError, match="store is away"):
                await join(parse_token(text), new_key())

            store.is_away = False
            assert (await publish(one, seed, ROADS, "latest", V2))[1].serial == 2
            assert (await two.client.lookup(names.parse("roads"))).version == V2
            with pytest.raises(NotFoundError):
                await two.client.lookup(names.parse("roads:other"))
            await join(parse_token(text), new_key())

    asyncio.run(main())
