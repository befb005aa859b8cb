"""The figures are true: in a swarm of namespaces, what a tracker tells agrees with the counters of the interfaces.

The dashboard's ``wire`` bytes are encoded blocks; an interface also counts headers, acknowledgements and the swarm's
own talk. With offloads off a full packet is 1,514 bytes for 1,448 of a stream, so blocks alone are 4.4% fewer: what is
compared is the blocks with the headers that they need, and a difference of 5% is the most for all the rest.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
import msgspec
import pytest

from bench.contenders.ours_swarm import OursSwarm
from bench.network import Host, make_network, missing_network
from bench.payload import make_payload
from bench.scenarios import make_scenario
from swarm.dialable import TRUSTED
from swarm.figure_messages import Flow, PeerItem, Peers, Rollout
from swarm.home import Home
from swarm.http.resolver import PeerResolver
from swarm.http.tls import peer_client_context
from swarm.identity import server_name_of

pytestmark = pytest.mark.root

T = TypeVar("T", bound=msgspec.Struct)
MIB: Final = 1 << 20
SIZE: Final = 24 * MIB
PEERS: Final = 2
PATIENCE_S: Final = 30.0
# Of Ethernet with TCP over IPv4, with timestamps.
FULL_PACKET, FULL_SEGMENT = 1514, 1448
WITH_HEADERS: Final = FULL_PACKET / FULL_SEGMENT
AGREE: Final = 0.05
FIGURES: Final = "/api/v1/figures"


def asked(home: Home, host: Host, path: str, kind: type[T]) -> T:
    """What the tracker in this host answers its own home."""
    tracker = home.swarm().trackers[0]

    async def ask() -> T:
        resolver = PeerResolver(TRUSTED)
        resolver.learn(tracker.peer_id, tracker.addresses)
        connector = aiohttp.TCPConnector(
            ssl=peer_client_context(home.tls_files), resolver=resolver, use_dns_cache=False
        )
        url = f"https://{server_name_of(tracker.peer_id)}{FIGURES}{path}"
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
            data = await response.read()
            assert response.status == 200, data
            return msgspec.json.decode(data, type=kind)

    return host.inside(lambda: asyncio.run(ask()))


def test_bytes_on_the_dashboard_are_those_that_the_interfaces_counted(tmp_path: Path) -> None:
    if (why := missing_network()) is not None:
        pytest.skip(why)
    payload = make_payload(tmp_path / "payload", SIZE, 5)
    with make_network(make_scenario("plain", PEERS, 400_000_000)) as network:
        origin, *others = network.hosts
        with OursSwarm().swarm(payload, network.hosts, tmp_path / "swarm") as swarm:
            home = Home(tmp_path / "swarm" / "home0")
            before = [(network._received(f"h{n}"), network._sent(f"h{n}")) for n in range(1 + PEERS)]
            with ThreadPoolExecutor(PEERS) as pool:
                fetched = list(pool.map(lambda n: others[n].inside(lambda: swarm.fetch(n)), range(PEERS)))
            found = until_told(home, origin)
            after = [(network._received(f"h{n}"), network._sent(f"h{n}")) for n in range(1 + PEERS)]
            ids = [Home(tmp_path / "swarm" / f"home{n}").key().peer_id for n in range(1 + PEERS)]
            for number in range(1 + PEERS):
                told = found.of(ids[number])
                for blocks, place in ((told.sent_bytes, 0), (told.received_bytes, 1)):
                    counted = after[number][place] - before[number][place]
                    if blocks > MIB:
                        assert abs(counted - blocks * WITH_HEADERS) <= AGREE * counted, (number, place)
            assert sum(found.of(each).received_bytes for each in ids) == PEERS * SIZE
            rollout = asked(home, origin, "/rollouts/bench/payload/v1", Rollout)
            assert rollout.sources.origin == sum(each.from_origin_bytes or 0 for each in fetched)
            assert rollout.sources.peers + rollout.sources.origin == PEERS * SIZE


class Found:
    """The peers as a tracker tells of them."""

    def __init__(self, peers: Peers) -> None:
        self._by_id = {peer.id: peer for peer in peers.peers}

    def of(self, peer: str) -> PeerItem:
        return self._by_id[peer]


def until_told(home: Home, host: Host) -> Found:
    """Once everybody has told what it gave and had, and all of it has flowed."""
    end = time.monotonic() + PATIENCE_S
    while True:
        peers, flow = asked(home, host, "/peers", Peers), asked(home, host, "/flow", Flow)
        moved = sum(edge.bytes for frame in flow.frames for edge in frame.edges)
        given = sum(peer.sent_bytes for peer in peers.peers)
        if moved == PEERS * SIZE and given >= PEERS * SIZE:
            return Found(peers)
        assert time.monotonic() < end, (moved, given, peers)
