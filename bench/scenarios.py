"""What a swarm's network looks like, who is judged, and the least time that its links allow. Pure.

The bound of N peers that fetch F bytes from an origin with upload ``us``: the largest of F / us, F / the slowest
judged download, and N * F / (us + all uploads). Payload against line rates, so framing counts against a contender.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

UNITS: Final = {"": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
SLOWER: Final = 20
SITES: Final = 3
LAN_BITS_PER_S: Final = 200 * 10**6
WAN_BITS_PER_S: Final = 10 * 10**6


@dataclass(frozen=True, slots=True)
class Link:
    """One host's connection. ``site`` is 0 beside the origin, else behind that site's WAN link."""

    up_bits_per_s: int
    down_bits_per_s: int
    site: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """An origin and its peers. ``slow`` and ``killed`` are numbers of peers, from 0, that are not judged."""

    name: str
    origin: Link
    peers: tuple[Link, ...]
    slow: tuple[int, ...] = ()
    killed: tuple[int, ...] = ()
    wan_bits_per_s: int = 0
    # Sites are behind address translation: nobody outside can dial into them.
    is_nat: bool = False

    @property
    def judged(self) -> tuple[int, ...]:
        """The peers whose times count."""
        return tuple(n for n in range(len(self.peers)) if n not in self.slow and n not in self.killed)

    @property
    def sites(self) -> int:
        """How many sites there are behind WAN links."""
        return max(link.site for link in self.peers)

    def bound_s(self, size_bytes: int) -> float:
        """The least time in which every judged peer can have everything."""
        if self.wan_bits_per_s:
            return size_bytes * 8 / self.wan_bits_per_s
        return bound_s(size_bytes, self.origin.up_bits_per_s, [self.peers[number] for number in self.judged])


def bound_s(size_bytes: int, origin_up_bits_per_s: int, peers: Sequence[Link]) -> float:
    """The least time in which links like these can bring the payload to every peer."""
    bits = size_bytes * 8
    uploads = origin_up_bits_per_s + sum(peer.up_bits_per_s for peer in peers)
    slowest = min(peer.down_bits_per_s for peer in peers)
    return max(bits / origin_up_bits_per_s, bits / slowest, len(peers) * bits / uploads)


def make_scenario(name: str, peers: int, rate_bits_per_s: int) -> Scenario:
    """``plain``, ``slow``, ``sites`` or ``nat`` for that many peers. ValueError when they are too few or many."""
    link = Link(rate_bits_per_s, rate_bits_per_s)
    if name == "plain":
        return Scenario(name, link, (link,) * peers)
    if name == "slow":
        if peers < 4:
            raise ValueError("of fewer than 4 peers none would be left to judge: 1 is slow and 2 are killed")
        slow = Link(rate_bits_per_s // SLOWER, rate_bits_per_s // SLOWER)
        return Scenario(name, link, (slow, *((link,) * (peers - 1))), slow=(0,), killed=(peers // 3, 2 * peers // 3))
    if name == "sites":
        if peers % SITES:
            raise ValueError(f"{peers} peers cannot be shared equally among {SITES} sites")
        hosts = [Link(LAN_BITS_PER_S, LAN_BITS_PER_S, 1 + number * SITES // peers) for number in range(peers)]
        return Scenario(name, link, tuple(hosts), wan_bits_per_s=WAN_BITS_PER_S)
    if name == "nat":
        hosts = [Link(LAN_BITS_PER_S, LAN_BITS_PER_S, 1)] * peers
        return Scenario(name, link, tuple(hosts), wan_bits_per_s=WAN_BITS_PER_S, is_nat=True)
    raise ValueError(f"there is no scenario {name}")


def parse_rate(text: str) -> int:
    """Bits per second of a rate as tc writes it: 50mbit. Raises ValueError."""
    matched = re.fullmatch(r"(\d+)([a-z]*)", text.strip().lower())
    if matched is None or matched[2] not in UNITS or not int(matched[1]):
        raise ValueError(f"{text!r} is no rate: write it as 50mbit")
    return int(matched[1]) * UNITS[matched[2]]
