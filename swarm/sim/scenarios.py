"""The scenarios: who takes part, over which lines, and what befalls them.

``MIXED`` is the fixed table of links of the ``mixed`` scenario: lines as sold today, in Mbit/s up and down, with the
time to the middle of the network and the share of peers that have each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from swarm.sim.links import MBIT
from swarm.sim.peer import Access, Kind
from swarm.sim.swarm import Swarm

BLOCK_BYTES: Final = 316 * 1024
# Up, down, delay in seconds, share of the peers.
MIXED: Final = (
    (50.0, 50.0, 0.005, 0.30),  # an office
    (100.0, 100.0, 0.002, 0.20),  # a data centre's small machine
    (20.0, 100.0, 0.010, 0.25),  # a home on cable
    (40.0, 40.0, 0.015, 0.15),  # a branch
    (10.0, 20.0, 0.030, 0.10),  # an edge node on LTE
)
# Of the packets of each of these lines, this share is lost in the ``lossy`` scenario.
LOST: Final = (0.002, 0.001, 0.005, 0.01, 0.02)
WAN: Final = 10 * MBIT
LAN: Final = 200 * MBIT


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is asked to be. Rates in bytes a second; of ``blocks``, or of as many as make ``size_bytes``.

    ``wan`` and ``lan`` are those of sites, ``delay_s`` is what it takes from the origin or a site to the middle.
    """

    peers: int
    blocks: int
    seed: int
    neighbours: int
    rate: float
    tick_s: float
    size_bytes: int = 0
    wan: float = WAN
    lan: float = LAN
    delay_s: float = 0.005


@dataclass(frozen=True, slots=True)
class Scenario:
    """``fill`` puts peers into the swarm and plans what befalls them. The time of honest peers counts that stay."""

    fill: Callable[[Swarm, Settings, random.Random], None]
    peers: int = 16
    blocks: int = 205


def sizes_of(settings: Settings) -> list[int]:
    """Sizes as content-defined cuts have them."""
    rng = random.Random(settings.seed)

    def size() -> int:
        return min(1 << 20, max(1 << 16, round(rng.gauss(BLOCK_BYTES, BLOCK_BYTES / 3))))

    if not settings.size_bytes:
        return [size() for _ in range(settings.blocks)]
    sizes: list[int] = []
    while (left := settings.size_bytes - sum(sizes)) > 0:
        sizes.append(min(left, size()))
    return sizes


def _equal(settings: Settings) -> Access:
    return Access(settings.rate, settings.rate)


def _plain(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    swarm.add_origin(_equal(settings))
    for _ in range(settings.peers):
        swarm.add_peer(_equal(settings))


def mixed_access(number: int, peers: int) -> Access:
    """The line of one of so many peers; the shares are kept exactly."""
    up, down, delay_s, _ = MIXED[_kind_of_line(number, peers)]
    return Access(up * MBIT, down * MBIT, delay_s)


def _kind_of_line(number: int, peers: int) -> int:
    place = (number * 0.6180339887 + 0.5 / peers) % 1.0
    for kind, (_, _, _, share) in enumerate(MIXED):
        if place < share:
            return kind
        place -= share
    return 0


def _mixed(swarm: Swarm, settings: Settings, rng: random.Random, kinds: tuple[Kind, ...] = ("honest",)) -> None:
    swarm.add_origin(Access(settings.rate, settings.rate, 0.002))
    order = list(range(settings.peers))
    rng.shuffle(order)
    for place, number in enumerate(order):
        swarm.add_peer(mixed_access(number, settings.peers), kinds[place % len(kinds)])


def _lossy(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """Mixed lines that lose 0.1 to 2% of their packets."""
    swarm.add_origin(Access(settings.rate, settings.rate, 0.002, lost=LOST[0]))
    for number in rng.sample(range(settings.peers), settings.peers):
        line = mixed_access(number, settings.peers)
        swarm.add_peer(replace(line, lost=LOST[_kind_of_line(number, settings.peers)]))


def _slow(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    _plain(swarm, settings, rng)
    peers = [peer for peer in swarm.peers.values() if not peer.origin]
    slow = peers[0]
    for link in (slow.up, slow.down):
        link.rate /= 20
    slow.kind = "slow"
    swarm.fetching -= 1
    midway = sum(swarm.sizes) / settings.rate / 2
    for victim in peers[1:3]:
        swarm.clock.at(midway, swarm.leave, victim)


def _silent(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """One peer takes requests and never answers, another is 20 times slower."""
    swarm.add_origin(_equal(settings))
    swarm.add_peer(_equal(settings), "silent")
    swarm.add_peer(Access(settings.rate / 20, settings.rate / 20), "slow")
    for _ in range(settings.peers - 2):
        swarm.add_peer(_equal(settings))


def _sites(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    swarm.add_origin(Access(settings.rate, settings.rate, settings.delay_s))
    for number in range(3):
        swarm.add_site(f"site-{number}", settings.wan, settings.wan)
    for number in range(settings.peers):
        swarm.add_peer(Access(settings.lan, settings.lan, settings.delay_s, f"site-{number % 3}"))


def _partition(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    _sites(swarm, settings, rng)
    bound = sum(swarm.sizes) / settings.wan
    swarm.clock.at(bound * 0.3, lambda: swarm.cut_off("site-0", is_cut=True))
    swarm.clock.at(bound * 0.6, lambda: swarm.cut_off("site-0", is_cut=False))


def _churn(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """30% leave and as many come during the rollout; a tenth are liars, a tenth are silent."""
    kinds: tuple[Kind, ...] = (*("honest",) * 8, "liar", "silent")
    _mixed(swarm, settings, rng, kinds)
    span = 1.5 * sum(swarm.sizes) / settings.rate
    leaving = rng.sample([peer for peer in swarm.peers.values() if not peer.origin], settings.peers * 3 // 10)
    for number, peer in enumerate(leaving):
        swarm.clock.at(rng.uniform(0.1, 0.9) * span, swarm.leave, peer)
        kind = kinds[number % len(kinds)]
        swarm.clock.at(rng.uniform(0.1, 0.9) * span, lambda n=number, k=kind: swarm.add_peer(mixed_access(n, 100), k))
        swarm.expected += kind == "honest"


def _only_holder_slow(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """Nobody has anything but the origin, which gives at a twentieth of the peers' rate."""
    swarm.add_origin(Access(settings.rate / 20, settings.rate / 20))
    for _ in range(settings.peers):
        swarm.add_peer(_equal(settings))


def _slow_neighbour_holds_all(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """One neighbour has everything and gives at a twentieth of the rate; the origin is as fast as ever."""
    swarm.add_origin(_equal(settings))
    holder = swarm.add_peer(Access(settings.rate / 20, settings.rate), held=(1 << settings.blocks) - 1)
    swarm.fetching -= 1
    holder.done_at = 0.0
    holder.kind = "slow"
    for _ in range(settings.peers - 1):
        swarm.add_peer(_equal(settings))


def _no_tracker(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """The tracker dies once everybody knows somebody; a tenth leave after that."""
    _plain(swarm, settings, rng)
    swarm.tracker.is_alive = False
    peers = [peer for peer in swarm.peers.values() if not peer.origin]
    span = sum(swarm.sizes) / settings.rate
    for victim in rng.sample(peers, len(peers) // 10):
        swarm.clock.at(rng.uniform(0.1, 0.9) * span, swarm.leave, victim)


def _freeriders(swarm: Swarm, settings: Settings, rng: random.Random) -> None:
    """Three in ten give nothing."""
    swarm.add_origin(_equal(settings))
    for number in range(settings.peers):
        swarm.add_peer(_equal(settings), "freerider" if number % 10 < 3 else "honest")


SCENARIOS: Final = {
    "plain": Scenario(_plain),
    "mixed": Scenario(_mixed, 1000, 256),
    "lossy": Scenario(_lossy, 30),
    "slow": Scenario(_slow),
    "silent": Scenario(_silent, 8),
    "sites": Scenario(_sites, 15),
    "partition": Scenario(_partition, 15),
    "churn": Scenario(_churn, 1000, 256),
    "only-holder-slow": Scenario(_only_holder_slow, 8),
    "slow-neighbour-holds-all": Scenario(_slow_neighbour_holds_all, 8),
    "no-tracker": Scenario(_no_tracker, 30),
    "freeriders": Scenario(_freeriders, 20),
}
