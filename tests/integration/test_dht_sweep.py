"""What a sweep costs and says: packets, batches, and nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any

from swarm.dht.node import DhtNode
from swarm.dht.sweep import REGION_KEYS_MAX, REPLICAS
from swarm.dht.wire import Store
from tests.integration.dht_rig import Network, until

KEY = b"k" * 20


def is_at_rest(node: DhtNode) -> bool:
    """Whether nothing of its sweep is due, and no answer waited for: one that is late is asked for again."""
    due = node.swept(asyncio.get_running_loop().time())[1]
    return due == 0 and not node.requests._waiting


def test_ten_thousand_keys_are_announced_within_eight_thousand_packets() -> None:
    async def main() -> None:
        async with Network(100) as network:
            keys = [network.rng.randbytes(20) for _ in range(10_000)]
            announcer = network.nodes[50]
            before = network.packets()
            announcer.set_sweep(keys)
            await announcer.sweep_now()
            assert network.packets() - before <= 8_000
            for key in keys[::100]:
                keepers = {node.id for node in network.keepers(key)}
                assert len(keepers) == REPLICAS
                closest = {node.id for node in network.closest(key, REPLICAS)}
                assert len(keepers & closest) >= REPLICAS - 1
            (provider,) = await network.nodes[3].find_providers(keys[5])
            assert provider.peer_id == announcer.key.peer_id

    asyncio.run(main())


def test_a_sweep_goes_on_in_the_background_and_says_nothing_twice() -> None:
    async def main() -> None:
        async with Network(6) as network:
            keys = [network.rng.randbytes(20) for _ in range(200)]
            announcer, asker = network.nodes[1], network.nodes[2]
            announcer.set_sweep(keys[:199])
            await until(lambda: all(len(network.keepers(key)) == 6 for key in keys[:199]) and is_at_rest(announcer))
            stores: list[bytes] = []
            for node in network.nodes:
                records = node.records
                store = records.store

                def counted(signed, keys, provider, wall_now, store=store):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
                    stores.extend(keys)
                    return store(signed, keys, provider, wall_now)

                records.store = counted  # type: ignore[method-assign]
            announcer.set_sweep(keys)
            await until(lambda: len(network.keepers(keys[199])) == 6)
            assert set(stores) == {keys[199]}
            assert [p.peer_id for p in await asker.find_providers(keys[0])] == [announcer.key.peer_id]

    asyncio.run(main())


def test_a_set_that_is_given_while_another_is_swept_is_taken_over_soon() -> None:
    async def main() -> None:
        async with Network(3) as network:
            announcer = network.nodes[1]
            old = [network.rng.randbytes(20) for _ in range(3 * REGION_KEYS_MAX)]
            new = [network.rng.randbytes(20) for _ in range(10)]
            records, given = network.nodes[0].records, list[int]()
            store = records.store

            def giving(*told: Any) -> Any:
                if not given:
                    given.append(1)
                    announcer.set_sweep(new)
                return store(*told)

            records.store = giving  # type: ignore[method-assign, assignment]
            announcer.set_sweep(old)
            await until(lambda: all(len(network.keepers(key)) == 3 for key in new))
            assert network.nodes[0].records.count <= REGION_KEYS_MAX + len(new)

    asyncio.run(main())


def test_a_key_that_enough_others_provide_is_not_announced_again() -> None:
    async def main() -> None:
        async with Network(10) as network:
            late = network.closest(KEY, 1)[0]
            for node in network.nodes:
                if node is not late:
                    await node.announce([KEY])
            assert late.records.providers(KEY, late.key.public) == 9
            late.set_sweep([KEY, b"x" * 20])
            await until(lambda: late in network.keepers(b"x" * 20) and late._announcer._sweep.next_due() > 0)
            assert all(late.key.peer_id != provider.peer_id for provider in await network.nodes[0].find_providers(KEY))

    asyncio.run(main())


def test_stores_are_full() -> None:
    """What the packet budget rests on: forty keys in one packet."""

    async def main() -> None:
        async with Network(2) as network:
            sizes: list[int] = []
            ask = network.nodes[0].requests.ask

            async def asking(peer, to, message, **options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
                if isinstance(message, Store):
                    sizes.append(len(message.keys) // 20)
                return await ask(peer, to, message, **options)

            network.nodes[0].requests.ask = asking  # type: ignore[method-assign]
            await network.nodes[0].announce([network.rng.randbytes(20) for _ in range(80)])
            assert sizes == [40, 40]

    asyncio.run(main())
