"""A tracker whose object store is away: it tells what it knows, what needs the store fails, nothing is restarted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarm import names
from swarm.errors import NotFoundError, UnreachableError
from swarm.joining import join
from swarm.messages import Holding, TokenRequest
from swarm.records import Address
from swarm.signature import signature_of
from swarm.token import parse_token
from swarm.tracker import members
from tests.away import LeavingStore
from tests.integration.tracker_rig import announce_of, new_key, publish, running_tracker

V1, V2 = (signature_of(bytes([number])) for number in (1, 2))
ROADS = "library/roads"


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
