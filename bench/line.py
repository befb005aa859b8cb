"""What the dashboard says that peers moved over their lines, beside the counters of their interfaces.

Real programs in network namespaces, with offloads off, so that an interface counts every packet with its headers. Of
each shape of payload (few large blocks, many small ones) a version is published at the origin and pulled by all others
at once. The dashboard's figure (``line_*`` of a peer) is what the system counted of its connections (``TCP_INFO``).
Beside it stand blocks as they are, and blocks with the headers of full packets, which is what a factor would tell.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from bench.contenders.ours_swarm import OursSwarm
from bench.network import Host, Network, make_network
from bench.payload import make_payload
from bench.processes import BenchError
from bench.provenance import provenance
from bench.report import Tell
from bench.scenarios import make_scenario
from swarm import Client
from swarm.agent_messages import Pulled
from swarm.dialable import TRUSTED
from swarm.figure_messages import Flow, Peer, Rollout
from swarm.home import Home
from swarm.http.resolver import PeerResolver
from swarm.http.tls import peer_client_context
from swarm.identity import server_name_of

T = TypeVar("T", bound=msgspec.Struct)
KIB: Final = 1024
MIB: Final = 1024 * KIB
# What the issue asks for; of less than this an interface's idle talk is too large a part.
AGREE: Final = 0.05
LEAST_BYTES: Final = MIB
RATE_BITS_PER_S: Final = 400_000_000
PATIENCE_S: Final = 60.0
LOOK_S: Final = 0.2
# Ethernet with TCP over IPv4 and timestamps.
FULL_PACKET: Final = 1514 / 1448
FIGURES: Final = "/api/v1/figures"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many files of that size. Files from 64 KiB on are cut alone, smaller ones together."""

    name: str
    files: int
    file_bytes: int

    @property
    def size_bytes(self) -> int:
        return self.files * self.file_bytes


SHAPES: Final = (
    Shape("few-large", 1, 64 * MIB),
    Shape("one-small", 1, 4 * MIB),
    Shape("small-blocks", 350, 70_000),
    Shape("tiny-files", 4000, 4 * KIB),
)


@dataclass(frozen=True, slots=True)
class Moved:
    """One peer, one direction: bytes by the interface, by the dashboard, and of plain blocks."""

    shape: str
    peer: int
    direction: str
    interface: int
    line: int
    blocks: int

    @property
    def off(self) -> float:
        return abs(self.interface - self.line) / self.interface

    @property
    def is_judged(self) -> bool:
        return self.interface >= LEAST_BYTES


@dataclass(frozen=True, slots=True)
class Told:
    """Of one shape, plain bytes to the byte: what pulls told of themselves by where it came from, what the rollout
    shows of that, and what flowed between peers.
    """

    pulled_from: tuple[int, int]
    rollout_from: tuple[int, int]
    flowed: int


@dataclass(slots=True)
class LineReport:
    """Shares of what the interface counted, the largest of all peers and directions, by shape."""

    settings: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=provenance)
    moved: list[Moved] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)

    def worst(self, shape: str) -> dict[str, float]:
        judged = [each for each in self.moved if each.shape == shape and each.is_judged]
        given = [each for each in judged if each.blocks >= LEAST_BYTES]
        return {
            "off": _most(each.off for each in judged),
            "blocks_off": _most(abs(each.interface - each.blocks) / each.interface for each in given),
            "factor_off": _most(abs(each.interface - each.blocks * FULL_PACKET) / each.interface for each in given),
        }

    @property
    def is_within(self) -> bool:
        judged = [each for each in self.moved if each.is_judged]
        return bool(judged) and all(each.off <= AGREE for each in judged)

    def as_object(self) -> dict[str, Any]:
        shapes = {name: self.worst(name) for name in dict.fromkeys(each.shape for each in self.moved)}
        moved = [{**asdict(each), "off": round(each.off, 5)} for each in self.moved]
        return {
            **self.provenance,
            "settings": self.settings,
            "shapes": shapes,
            "moved": moved,
            "told": {name: asdict(each) for name, each in self.told.items()},
            "is_within": self.is_within,
        }


def _most(shares: Any) -> float:
    return round(max(shares, default=0.0), 5)


def run_line(peers: int, shapes: Sequence[Shape], folder: Path, tell: Tell) -> LineReport:
    """Measure once. BenchError when something does not start, or is not told."""
    report = LineReport({"peers": peers, "rate_bits_per_s": RATE_BITS_PER_S, "shapes": [asdict(s) for s in shapes]})
    payload = make_payload(folder / "payload", KIB, 1)
    with (
        make_network(make_scenario("plain", peers, RATE_BITS_PER_S)) as network,
        OursSwarm().swarm(payload, network.hosts, folder / "swarm"),
    ):
        for shape in shapes:
            moved, report.told[shape.name] = measure(shape, network, folder)
            report.moved += moved
            tell(f"{shape.name}: {report.worst(shape.name)['off']:.2%} off")
    return report


def measure(shape: Shape, network: Network, folder: Path) -> tuple[list[Moved], Told]:
    """Publish a version and let everybody else pull it; what moved, of everybody."""
    homes = [folder / "swarm" / f"home{number}" for number in range(len(network.hosts))]
    origin, *others = network.hosts
    ref = f"bench/{shape.name}:v1"
    published = _write(shape, folder / shape.name)
    origin.inside(lambda: Client(homes[0]).publish(str(published), ref))
    told, counted = _peers(homes, origin), _counters(network)

    def pull(host: Host) -> Pulled:
        return Client(homes[host.number]).pull(ref, str(folder / f"{shape.name}-{host.number}"))

    # What flowed of the shape before was told of before this, in frames that had ended.
    began = time.time()
    with ThreadPoolExecutor(len(others)) as pool:
        pulled = list(pool.map(lambda host: host.inside(lambda: pull(host)), others))
    after, flowed = _until_told(homes, origin, told, len(others) * shape.size_bytes, began)
    moved = _compared(shape, told, after, counted, _counters(network))
    home = Home(homes[0])
    (shown,) = origin.inside(lambda: asyncio.run(_asked(home, [(f"/rollouts/bench/{shape.name}/v1", Rollout)])))
    pulled_from = (sum(each.sources.peers for each in pulled), sum(each.sources.origin for each in pulled))
    return moved, Told(pulled_from, (shown.sources.peers, shown.sources.origin), flowed)


def _write(shape: Shape, directory: Path) -> Path:
    rng = random.Random(shape.name)
    directory.mkdir()
    for number in range(shape.files):
        (directory / f"{number:05}.bin").write_bytes(rng.randbytes(shape.file_bytes))
    return directory


def _compared(
    shape: Shape,
    told: Sequence[Peer],
    after: Sequence[Peer],
    counted: Sequence[Mapping[str, int]],
    then: Sequence[Mapping[str, int]],
) -> list[Moved]:
    found = []
    for number, (before, now) in enumerate(zip(told, after, strict=True)):
        for way in ("sent", "received"):
            interface = then[number][way] - counted[number][way]
            line, blocks = (
                getattr(now, f"{kind}{way}_bytes") - getattr(before, f"{kind}{way}_bytes") for kind in ("line_", "")
            )
            found.append(Moved(shape.name, number, way, interface, line, blocks))
    return found


def _counters(network: Network) -> list[dict[str, int]]:
    """What each host's interface has sent and received so far."""
    return [
        {"sent": network.sent_by(host.number), "received": network.received_by(host.number)} for host in network.hosts
    ]


def _peers(homes: Sequence[Path], origin: Host) -> list[Peer]:
    ids = [Home(home).key().peer_id for home in homes]
    return origin.inside(lambda: asyncio.run(_asked(Home(homes[0]), [(f"/peers/{each}", Peer) for each in ids])))


async def _asked(home: Home, asked: Sequence[tuple[str, type[T]]]) -> list[T]:
    """What the tracker of a home answers it."""
    tracker = home.swarm().trackers[0]
    resolver = PeerResolver(TRUSTED)
    resolver.learn(tracker.peer_id, tracker.addresses)
    connector = aiohttp.TCPConnector(ssl=peer_client_context(home.tls_files), resolver=resolver, use_dns_cache=False)
    found = []
    async with aiohttp.ClientSession(connector=connector) as session:
        for path, kind in asked:
            url = f"https://{server_name_of(tracker.peer_id)}{FIGURES}{path}"
            async with session.get(url) as response:
                data = await response.read()
                if response.status != 200:
                    raise BenchError(f"the tracker answers {response.status}: {data.decode(errors='replace')[:200]}")
                found.append(msgspec.json.decode(data, type=kind))
    return found


def _until_told(
    homes: Sequence[Path], origin: Host, before: Sequence[Peer], size_bytes: int, since: float
) -> tuple[list[Peer], int]:
    """Once everybody has told what it gave and had, and all of it has flowed: everybody, and how much that was."""

    def all_of(peers: Sequence[Peer], of: Callable[[Peer], int]) -> int:
        return sum(map(of, peers)) - sum(map(of, before))

    end = time.monotonic() + PATIENCE_S
    while True:
        flow: Flow
        peers = _peers(homes, origin)
        (flow,) = origin.inside(lambda: asyncio.run(_asked(Home(homes[0]), [(f"/flow?since={since}", Flow)])))
        flowed = sum(edge.bytes for frame in flow.frames for edge in frame.edges)
        had, given = all_of(peers, lambda peer: peer.received_bytes), all_of(peers, lambda peer: peer.sent_bytes)
        if min(had, given, flowed) >= size_bytes:
            return peers, flowed
        if time.monotonic() > end:
            raise BenchError(
                f"the dashboard tells of {had} bytes had, {given} given and {flowed} that flowed, of {size_bytes}"
            )
        time.sleep(LOOK_S)
