"""DHT nodes that stop, start anew or forget, and members and records that run out."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from swarm.dht import members
from swarm.dht.state import load_contacts
from swarm.limits import CERTIFICATE_LIFETIME_S, DHT_RECORD_LIFETIME_S
from tests.integration.dht_rig import DEADLINE_S, Network

KEY = b"k" * 20


def test_state_survives_a_restart_and_finds_back_without_seeds(tmp_path: Path) -> None:
    async def main() -> None:
        async with Network(4) as network:
            path = tmp_path / "dht"
            node = await network.add(state_path=path)
            await network.kill(node)
            assert len(load_contacts(path)) == 4
            again = await network.add(key=node.key, state_path=path, join=False)
            assert await again.bootstrap([]) == 4

    asyncio.run(main())


def test_a_node_that_starts_anew_on_another_port_is_asked_there() -> None:
    """Both sides have forgotten different things: credentials are shown again, the old address is given up."""

    async def main() -> None:
        async with Network(3) as network:
            one, two, three = network.nodes
            await one.announce([KEY])
            await network.kill(two)
            again = await network.add(key=two.key)
            assert again.table.get(one.id) is not None
            # It is asked back once, and for a moment only: it speaks until that went well.
            async with asyncio.timeout(DEADLINE_S):
                while (contact := one.table.get(again.id)) is None or contact.port != again.port:
                    await again.bootstrap([f"127.0.0.1:{one.port}"])
                    await asyncio.sleep(0.01)
            await one.announce([KEY])
            assert again in network.keepers(KEY)
            assert [p.peer_id for p in await three.find_providers(KEY)] == [one.key.peer_id]

    asyncio.run(main())


def test_a_node_that_starts_anew_on_its_port_is_shown_who_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody asks twice, as this machine stops for a moment: the second answer would be to nothing that was asked.
    for name in ("FIRST_TIMEOUT_S", "MIN_TIMEOUT_S", "MAX_TIMEOUT_S"):
        monkeypatch.setattr(members, name, DEADLINE_S)

    async def main() -> None:
        async with Network(2) as network:
            one, two = network.nodes
            await two.announce([KEY])
            await one.announce([KEY])
            port = two.port
            await network.kill(two)
            again = await network.add(key=two.key, port=port, join=False)
            assert await again.bootstrap([f"127.0.0.1:{one.port}"]) == 1
            assert again.requests.refused == 0, "the first answer shows a credential"

    asyncio.run(main())


def test_a_node_that_forgot_us_is_shown_our_credential_before_a_store() -> None:
    async def main() -> None:
        async with Network(2) as network:
            one, two = network.nodes
            await one.announce([KEY])
            two.requests.members._known.clear()
            assert await one.announce([b"s" * 20]) == 1
            assert two in network.keepers(b"s" * 20)

    asyncio.run(main())


def test_a_client_asks_and_announces_but_is_in_nobodys_table() -> None:
    async def main() -> None:
        async with Network(4) as network:
            client = await network.add(client_only=True)
            await network.nodes[0].announce([KEY])
            assert len(await client.find_providers(KEY)) == 1
            assert await client.announce([b"c" * 20]) == 4
            found = await network.nodes[2].find_providers(b"c" * 20)
            assert [provider.peer_id for provider in found] == [client.key.peer_id]
            assert all(node.table.get(client.id) is None for node in network.nodes)
            assert all(node.status().nodes == 3 for node in network.nodes[:4])

    asyncio.run(main())


def test_dead_nodes_leave_the_table() -> None:
    async def main() -> None:
        async with Network(5) as network:
            survivor, *_ = network.nodes
            dead = network.nodes[2:]
            await network.kill(*dead)
            assert await survivor.find_providers(KEY) == []
            assert survivor.status().nodes == 1
            await survivor.find_providers(KEY)
            assert all(survivor.table.get(node.id) is None for node in dead)

    asyncio.run(main())


def test_records_run_out() -> None:
    async def main() -> None:
        offset = 0.0

        def wall() -> float:
            return time.time() + offset

        async with Network(0) as network:
            nodes = [await network.add(wall=wall) for _ in range(3)]
            await nodes[0].announce([KEY])
            nodes[0].withdraw([KEY])
            assert len(await nodes[1].find_providers(KEY)) == 1
            offset = DHT_RECORD_LIFETIME_S + 10.0
            assert await nodes[1].find_providers(KEY) == []
            await nodes[1].maintain()
            assert nodes[1].status().records == 0

    asyncio.run(main())


def test_an_expired_member_is_left_out_until_it_renews() -> None:
    async def main() -> None:
        offset = 0.0

        def wall() -> float:
            return time.time() + offset

        async with Network(0) as network:
            one, two = [await network.add(wall=wall) for _ in range(2)]
            assert await two.announce([KEY]) == 1
            offset = CERTIFICATE_LIFETIME_S + 10.0
            assert await two.announce([KEY]) == 0
            for node in (one, two):
                node.renew(network.ca.admit(node.key.public, "peer", "", (), wall()).credential)
            assert await two.bootstrap([f"127.0.0.1:{one.port}"]) == 1
            assert await two.announce([KEY]) == 1

    asyncio.run(main())
