"""The DHT on loopback: many nodes in one process, some of them dead.

``python -m bench.dht --nodes 100 --dead 20 --keys 10000 --json OUT`` tells how long lookups take with some nodes
freshly dead (for one provider, and for all of them), and how many packets all nodes together spend on announcing block
keys. Every node has a socket of its own; the packets are real.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.provenance import provenance
from swarm.authority import Authority, create
from swarm.dht.node import DhtNode
from swarm.identity import PeerKey
from swarm.records import Address


@dataclass
class Net:
    """Nodes of one swarm on loopback. ``seed`` decides keys and order."""

    seed: int
    nodes: list[DhtNode] = field(default_factory=list)
    announced: list[bytes] = field(default_factory=list)

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
            authority=self.authority.trust,
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

    async def announce_some(self) -> None:
        """The first node provides some keys."""
        self.announced = [self.rng.randbytes(20) for _ in range(20)]
        await self.nodes[0].announce(self.announced)

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


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)], 4) for q in (50, 95, 99)}


async def lookups(net: Net, count: int, *, limit: int) -> tuple[list[float], int]:
    """Seconds of each lookup of what the first node announced, by the others, and how many found it."""
    provider, askers = net.nodes[0], net.nodes[1:]
    taken, found = [], 0
    for _ in range(count):
        asker, key = net.rng.choice(askers), net.rng.choice(net.announced)
        started = time.monotonic()
        providers = await asker.find_providers(key, limit=limit)
        taken.append(time.monotonic() - started)
        found += [each.peer_id for each in providers] == [provider.key.peer_id]
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


async def measure(nodes: int, dead: int, keys: int, count: int, seed: int) -> dict[str, Any]:
    """One network, measured."""
    head = provenance()
    net = Net(seed)
    try:
        started = time.monotonic()
        await net.grow(nodes)
        joined = {"seconds": round(time.monotonic() - started, 2), "packets": net.packets()}
        packets, seconds, holders = await sweep(net, keys)
        await net.announce_some()
        await net.kill(net.rng.sample(net.nodes[1:], dead))
        first, found_first = await lookups(net, count, limit=1)
        whole, found_whole = await lookups(net, count, limit=16)
    finally:
        await net.close()
    return {
        **head,
        "settings": {"nodes": nodes, "dead": dead, "keys": keys, "seed": seed},
        "joined": joined,
        "sweep": {"packets": packets, "seconds": round(seconds, 2), "nodes_that_keep_a_key": round(holders, 2)},
        "lookups": 2 * count,
        "found": found_first + found_whole,
        "first_provider_s": quantiles(first),
        "all_providers_s": quantiles(whole),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 1 when a provider was not found."""
    parser = argparse.ArgumentParser(prog="python -m bench.dht", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--dead", type=int, default=20)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--lookups", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the report there")
    chosen = parser.parse_args(argv)
    result = asyncio.run(measure(chosen.nodes, chosen.dead, chosen.keys, chosen.lookups, chosen.seed))
    report = json.dumps(result, indent=1)
    if chosen.json is not None:
        chosen.json.write_text(report + "\n")
    print(report)
    return 0 if result["found"] == result["lookups"] else 1


if __name__ == "__main__":
    sys.exit(main())
