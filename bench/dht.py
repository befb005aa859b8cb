"""The DHT on loopback: many nodes in one process, some of them dead.

``python -m bench.dht`` prints how long lookups take with a share of the nodes freshly dead, and how many packets all
nodes together spend on announcing a set of block keys. Every node has a socket of its own; the packets are real.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.authority import Authority, create
from swarm.dht.node import DhtNode
from swarm.identity import PeerKey
from swarm.records import Address


@dataclass
class Net:
    """Nodes of one swarm on loopback. ``seed`` decides keys and order."""

    seed: int
    nodes: list[DhtNode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.authority: Authority = create(PeerKey(self.rng.randbytes(32)), time.time())
        self.secret = self.rng.randbytes(32)

    async def add(self, *, client_only: bool = False) -> DhtNode:
        """One more member, which has not joined yet."""
        key = PeerKey(self.rng.randbytes(32))
        ports: list[int] = []
        node = await DhtNode.start(
            host="127.0.0.1",
            port=0,
            key=key,
            credential=self.authority.admit(key.public, "peer", "", (), time.time()).credential,
            authority=self.authority.public,
            secret=self.secret,
            addresses=lambda: tuple(Address("127.0.0.1", port) for port in ports),
            client_only=client_only,
            rng=random.Random(self.rng.random()),
        )
        ports.append(node.port)
        self.nodes.append(node)
        return node

    async def grow(self, count: int) -> None:
        """Nodes that join by the first."""
        for _ in range(count):
            node = await self.add()
            await node.bootstrap([f"127.0.0.1:{self.nodes[0].port}"])

    async def kill(self, nodes: Sequence[DhtNode]) -> None:
        """Nodes end without a word to anybody."""
        for node in nodes:
            self.nodes.remove(node)
            await node.close()

    def packets(self) -> int:
        return sum(node.status().packets_sent for node in self.nodes)

    def holders(self, key: bytes) -> int:
        """How many live nodes keep a record of a key."""
        return sum(1 for node in self.nodes if node.records.find(key, time.time(), self.rng, 1))

    async def close(self) -> None:
        await asyncio.gather(*(node.close() for node in self.nodes))
        self.nodes.clear()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def lookups(net: Net, count: int, dead: float, limit: int) -> tuple[list[float], int]:
    """Seconds of each lookup after a share of the nodes died, and how many found the provider."""
    keys = [net.rng.randbytes(20) for _ in range(20)]
    provider = net.nodes[0]
    await provider.announce(keys)
    victims = net.rng.sample(net.nodes[1:], int(dead * len(net.nodes)))
    await net.kill(victims)
    askers = [node for node in net.nodes if node is not provider]
    taken, found = [], 0
    for _ in range(count):
        asker, key = net.rng.choice(askers), net.rng.choice(keys)
        started = time.monotonic()
        providers = await asker.find_providers(key, limit=limit)
        taken.append(time.monotonic() - started)
        found += [p.peer_id for p in providers] == [provider.key.peer_id]
    return taken, found


async def sweep(net: Net, count: int) -> tuple[int, float, float]:
    """Packets of all nodes together for announcing keys, seconds, and the mean number of nodes that keep each."""
    keys = [net.rng.randbytes(20) for _ in range(count)]
    announcer = net.rng.choice(net.nodes)
    announcer.set_sweep(keys)
    before, started = net.packets(), time.monotonic()
    await announcer.sweep_now()
    await asyncio.sleep(0.1)
    taken = time.monotonic() - started
    sample = net.rng.sample(keys, min(500, count))
    return net.packets() - before, taken, sum(map(net.holders, sample)) / len(sample)


async def run(nodes: int, dead: float, keys: int, count: int) -> bool:
    """Print the figures; whether they meet what is asked of them."""
    net = Net(seed=1)
    try:
        started = time.monotonic()
        await net.grow(nodes)
        print(
            f"{nodes} nodes joined one after the other in {time.monotonic() - started:.2f} s, {net.packets()} packets"
        )
        packets, seconds, holders = await sweep(net, keys)
        print(f"announced {keys} keys: {packets} packets by all nodes, {seconds:.2f} s, {holders:.2f} nodes keep each")
        taken, found = await lookups(net, count, dead, 16)
        print(
            f"{count} lookups of all providers, {dead:.0%} of the nodes freshly dead: {found} found, "
            f"p50 {percentile(taken, 0.5) * 1e3:.0f} ms, p95 {percentile(taken, 0.95) * 1e3:.0f} ms, "
            f"longest {max(taken) * 1e3:.0f} ms"
        )
        return packets <= 0.8 * keys and percentile(taken, 0.95) < 1.0 and found == count
    finally:
        await net.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The command: exit code 1 if the figures are not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.dht", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--dead", type=float, default=0.2)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--lookups", type=int, default=300)
    chosen = parser.parse_args(argv)
    return 0 if asyncio.run(run(chosen.nodes, chosen.dead, chosen.keys, chosen.lookups)) else 1


if __name__ == "__main__":
    sys.exit(main())
