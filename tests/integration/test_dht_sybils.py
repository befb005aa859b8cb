"""Members with malice in numbers: most nodes near a key, or all that a peer asks. The DHT is but a hint."""

from __future__ import annotations

import asyncio
from pathlib import Path

from swarm.dht.node import DhtNode
from swarm.dht.requests import Request
from swarm.dht.wire import Contact, FindNode, Found, Message, Pong, Store, Stored, split
from swarm.records import Address
from tests.integration.dht_rig import Network
from tests.integration.swarm_rig import Swarm, contents, make_tree

HONEST = 16
SYBILS = 24


def corrupt(node: DhtNode, sybils: list[DhtNode]) -> None:
    """It says that it keeps what it is told, keeps nothing, and names nobody but its fellows."""

    def serve(request: Request) -> Message:
        message = request.message
        if isinstance(message, Store):
            return Stored(bytes([30]) * len(split(message.keys)))
        if isinstance(message, FindNode):
            near = sorted(sybils, key=lambda each: distance(each, message.key))
            return Found(tuple(Contact(each.key.public, "127.0.0.1", each.port) for each in near[:8]), ())
        return Pong()

    node.requests._serve = serve


def distance(node: DhtNode, key: bytes) -> int:
    return int.from_bytes(node.id, "big") ^ int.from_bytes(key, "big")


def test_with_sixty_percent_sybils_around_every_key_providers_are_found() -> None:
    async def main() -> None:
        async with Network(HONEST + SYBILS, seed=3) as network:
            sybils = network.nodes[-SYBILS:]
            for sybil in sybils:
                corrupt(sybil, sybils)
            honest = network.nodes[:HONEST]
            keys = [network.rng.randbytes(20) for _ in range(12)]
            for key in keys:
                await honest[1].announce([key])
            found = {key: await honest[-1].find_providers(key, timeout_s=15.0) for key in keys}
            of_them = [node for key in keys for node in network.closest(key, 8)]
            assert sum(node in sybils for node in of_them) >= 0.55 * len(of_them)
            assert [key for key, providers in found.items() if not providers] == []
            assert {each.peer_id for providers in found.values() for each in providers} == {honest[1].key.peer_id}

    asyncio.run(main())


def test_an_eclipsed_peer_is_told_nothing_false_and_still_gets_its_version(tmp_path: Path) -> None:
    """All that it can ask of the DHT is hostile, and the tracker is gone: neighbours are left."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 3)
        async with Swarm(tmp_path) as swarm:
            producer, victim, liar = [await swarm.peer(name) for name in ("producer", "victim", "liar")]
            await swarm.publish(producer, source, "maps/roads:latest")
            invented = Address("127.0.0.1", liar.listener.port)

            async def hostile(key_of: object, **_: object) -> list[object]:
                from swarm.dht.node import Provider

                return [Provider(producer.key.peer_id, (invented,)), Provider(liar.key.peer_id, (invented,))]

            victim.dht.find_providers = hostile  # type: ignore[method-assign, assignment]
            victim.channels.learn(producer.key.peer_id, producer.addresses())
            await victim.channels.connect(producer.key.peer_id)
            await swarm.stop(swarm.tracker)
            await swarm.stop(swarm.seed)
            await swarm.pull(victim, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)
            assert victim.channels.open[producer.key.peer_id].peer_id == producer.key.peer_id

    asyncio.run(main())
