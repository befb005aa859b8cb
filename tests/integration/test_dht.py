"""DHT nodes on loopback: joining, finding over dead nodes, the packet budget of a sweep, upkeep."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from itertools import count

import pytest

from swarm.dht import members
from swarm.dht.announce import ANNOUNCE_AGAIN_S, GROWN
from swarm.dht.node import DhtNode
from swarm.dht.sweep import REPLICAS
from swarm.errors import AetherError
from swarm.limits import DHT_RECORD_LIFETIME_S
from swarm.records import Address
from tests.integration.dht_rig import DEADLINE_S, Network, until

KEY = b"k" * 20


def test_providers_are_found_with_a_fifth_of_the_nodes_dead() -> None:
    async def main() -> None:
        async with Network(50) as network:
            announcers = network.nodes[:10]
            keys = [network.rng.randbytes(20) for _ in announcers]
            for node, key in zip(announcers, keys, strict=True):
                assert await node.announce([key]) >= REPLICAS - 1
            await network.kill(*network.nodes[20:30])

            async def is_found(node: DhtNode, key: bytes, asker: DhtNode) -> None:
                (provider,) = await asker.find_providers(key)
                assert provider.peer_id == node.key.peer_id
                assert provider.addresses == (Address("127.0.0.1", node.port),)

            for node, key in zip(announcers, keys, strict=True):
                askers = network.rng.sample(network.nodes[10:], 5)
                await asyncio.gather(*(is_found(node, key, asker) for asker in askers))

    asyncio.run(main())


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_in_a_small_swarm_whoever_lives_is_found(count: int) -> None:
    async def main() -> None:
        async with Network(count + 2) as network:
            announcer, asker = network.nodes[1], network.nodes[-1]
            await announcer.announce([KEY])
            await network.kill(network.nodes[0], network.nodes[-2])
            (provider,) = await asker.find_providers(KEY)
            assert provider.peer_id == announcer.key.peer_id

    asyncio.run(main())


def test_many_providers_of_one_key_are_all_found_and_a_limit_is_kept() -> None:
    async def main() -> None:
        async with Network(14) as network:
            announcers = network.nodes[:8]
            for node in announcers:
                await node.announce([KEY])
            asker = network.nodes[12]
            found = await asker.find_providers(KEY)
            assert {provider.peer_id for provider in found} == {node.key.peer_id for node in announcers}
            assert len(await asker.find_providers(KEY, limit=3)) == 3
            own = await network.nodes[0].find_providers(KEY)
            assert network.nodes[0].key.peer_id not in {provider.peer_id for provider in own}
            assert await asker.find_providers(b"n" * 20) == []

    asyncio.run(main())


def test_who_announces_keeps_its_own_records_too() -> None:
    async def main() -> None:
        async with Network(11) as network:
            far = network.closest(KEY, 11)[-1]
            assert await far.announce([KEY]) == REPLICAS
            assert network.keepers(KEY).count(far) == 1
            client = await network.add(client_only=True)
            await client.announce([b"c" * 20])
            assert client in network.keepers(b"c" * 20)

    asyncio.run(main())


def test_a_node_joins_by_name_and_dead_seeds_cost_little() -> None:
    async def main() -> None:
        async with Network(3) as network:
            node = await network.add(join=False)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
                taken.bind(("127.0.0.1", 0))
                seeds = [
                    f"127.0.0.1:{taken.getsockname()[1]}",
                    "no-such-host.invalid:7071",
                    "not an address",
                    "127.0.0.1:99999",
                    ":",
                    f"localhost:{network.nodes[0].port}",
                ]
                assert await node.bootstrap(seeds) == 3

    asyncio.run(main())


def test_alone_first_then_found_and_what_was_announced_reaches_the_others() -> None:
    async def main() -> None:
        async with Network(0) as network:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
                reserved.bind(("127.0.0.1", 0))
                port = int(reserved.getsockname()[1])
            early = await network.add(join=False)
            assert await early.bootstrap([f"127.0.0.1:{port}"]) == 0
            assert await early.announce([KEY]) == 0
            late = await network.add(join=False)
            await early.bootstrap([f"127.0.0.1:{late.port}"])
            await early.maintain()
            assert network.keepers(KEY) == [early, late]

    asyncio.run(main())


def test_announced_keys_are_said_again_when_the_network_has_grown_and_not_once_withdrawn() -> None:
    async def main() -> None:
        async with Network(2) as network:
            announcer = network.nodes[1]
            await announcer.announce([KEY, b"w" * 20])
            announcer.withdraw([b"w" * 20])
            while len(announcer.table) <= GROWN * 1:
                await network.add()
            await network.add()
            await network.acquainted()
            await announcer.maintain()
            assert len(network.keepers(KEY)) == len(network.nodes)
            assert len(network.keepers(b"w" * 20)) == 2

    asyncio.run(main())


def test_each_announced_key_is_said_again_in_its_own_time() -> None:
    async def main() -> None:
        async with Network(3) as network:
            announcer = network.nodes[1]
            await announcer.announce([KEY])
            await announcer.announce([b"s" * 20])
            said: list[bytes] = []
            announce = announcer._announcer.announce

            async def saying(keys: Iterable[bytes]) -> int:
                said.extend(keys)
                return await announce(keys)

            announcer._announcer.announce = saying  # type: ignore[method-assign]
            first = announcer._announcer._announced[KEY]
            # A moment before: added and taken away again, a float may be a last digit more.
            await announcer._announcer.announce_again_if_due(first + ANNOUNCE_AGAIN_S - 0.001)
            assert said == []
            second = announcer._announcer._announced[b"s" * 20]
            await announcer._announcer.announce_again_if_due((first + second) / 2 + ANNOUNCE_AGAIN_S)
            assert said == [KEY]
            assert ANNOUNCE_AGAIN_S < DHT_RECORD_LIFETIME_S / 2

    asyncio.run(main())


def test_a_peer_without_an_address_announces_nothing() -> None:
    async def main() -> None:
        async with Network(2) as network:
            node = network.nodes[1]
            node._announcer._addresses = tuple
            assert await node.announce([KEY]) == 0
            assert network.keepers(KEY) == []

    asyncio.run(main())


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    async def main() -> None:
        async with Network(1) as network:
            with pytest.raises(AetherError, match=r"cannot listen on .*/udp"):
                await type(network.nodes[0]).start(
                    host="127.0.0.1",
                    port=network.nodes[0].port,
                    key=network.nodes[0].key,
                    credential=b"",
                    authority=network.ca.trust,
                    secret=network.secret,
                    addresses=tuple,
                    rng=network.rng,
                )

    asyncio.run(main())


def test_nodes_find_each_other_over_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    async def main() -> None:
        async with Network(0) as network:
            one = await network.add(host="::1")
            two = await network.add(host="::1", join=False)
            assert await two.bootstrap([f"[::1]:{one.port}"]) == 1
            await one.announce([KEY])
            (provider,) = await two.find_providers(KEY)
            assert provider.addresses == (Address("::1", one.port),)

    asyncio.run(main())


def test_a_node_on_every_address_speaks_v4_and_v6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    async def main() -> None:
        async with Network(0) as network:
            both = await network.add(host="::")
            old = await network.add(join=False)
            new = await network.add(host="::1", join=False)
            assert await old.bootstrap([f"127.0.0.1:{both.port}"]) >= 1
            assert await new.bootstrap([f"[::1]:{both.port}"]) >= 1
            async with asyncio.timeout(DEADLINE_S):
                while both.status().nodes < 2:  # whoever answers too late is asked back when it speaks again
                    await asyncio.gather(
                        old.bootstrap([f"127.0.0.1:{both.port}"]), new.bootstrap([f"[::1]:{both.port}"])
                    )
                    await asyncio.sleep(0.01)
            contact = both.table.get(old.id)
            assert contact is not None
            assert contact.host == "127.0.0.1"
            await both.announce([KEY])
            for node in (old, new):
                assert [provider.peer_id for provider in await node.find_providers(KEY)] == [both.key.peer_id]

    asyncio.run(main())


def test_lost_packets_lose_nothing() -> None:
    async def main() -> None:
        async with Network(10) as network:
            for node in network.nodes:
                send, sent = node._transport.send, count(network.rng.randrange(10))

                # Each tenth packet of each node, so that no run of bad luck takes several of one exchange.
                def lossy(
                    datagram: bytes, peer: tuple[str, int], send: Callable[..., None] = send, sent: count[int] = sent
                ) -> None:
                    if next(sent) % 10:
                        send(datagram, peer)

                node._transport.send = lossy  # type: ignore[method-assign]
            keys = [network.rng.randbytes(20) for _ in network.nodes]
            announces = [node.announce([key]) for node, key in zip(network.nodes, keys, strict=True)]
            assert min(await asyncio.gather(*announces)) >= 5
            askers = [*network.nodes[3:], *network.nodes[:3]]
            searches = [asker.find_providers(key) for asker, key in zip(askers, keys, strict=True)]
            for found, announcer in zip(await asyncio.gather(*searches), network.nodes, strict=True):
                assert [provider.peer_id for provider in found] == [announcer.key.peer_id]

    asyncio.run(main())


def test_hundreds_of_lookups_and_announces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bound on what is under way answers would take longer than this; a machine that stops may not."""
    for name in ("FIRST_TIMEOUT_S", "MIN_TIMEOUT_S", "MAX_TIMEOUT_S"):
        monkeypatch.setattr(members, name, 2.0)

    async def main() -> None:
        async with Network(12) as network:
            keys = [network.rng.randbytes(20) for _ in range(200)]
            announcer, asker = network.nodes[3], network.nodes[9]
            taken = await asyncio.gather(*(announcer.announce([key]) for key in keys))
            assert min(taken) >= REPLICAS - 1
            found = await asyncio.gather(*(asker.find_providers(key, timeout_s=20.0) for key in keys))
            assert all([provider.peer_id for provider in each] == [announcer.key.peer_id] for each in found)

    asyncio.run(main())


def test_nothing_is_left_running_after_a_close() -> None:
    async def main() -> None:
        async with Network(5) as network:
            network.nodes[0].set_sweep([network.rng.randbytes(20) for _ in range(1000)])
            finding = asyncio.create_task(network.nodes[1].find_providers(KEY))
            await asyncio.sleep(0)
        await finding
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_burst_beyond_the_queue_is_dropped_and_counted() -> None:
    async def main() -> None:
        async with Network(2) as network:
            one, two = network.nodes
            transport = one._transport
            for _ in range(10_000):
                transport.send(b"x", ("127.0.0.1", two.port))
            assert transport.dropped > 0
            assert len(transport._outbox) <= 8192
            await until(lambda: not transport._outbox)
            # The other may be busy with the burst yet, late, and taken for gone.
            async with asyncio.timeout(DEADLINE_S):
                while two not in network.keepers(KEY):
                    await network.acquainted()
                    await one.announce([KEY])
                    await asyncio.sleep(0.01)

    asyncio.run(main())
