"""How long who guesses passwords has to wait. Pure: time is an argument.

Failures are counted for a name from one network, for a network, and for a name from anywhere. After some for free each
doubles the wait, up to a bound, and all is forgotten after a while of quiet: nobody is locked out for ever. Where a
name was proved lately, it does not wait for guesses at it from elsewhere, nor for guesses at other names from there.
(Who guesses at a name from its owner's own network holds him up there, a minute at a time.) Who is told to wait is not
counted, and nothing is looked up for him, so right and wrong, known and unknown are the same until then. An attempt
counts as failed until it has succeeded, so many at once are not one.

Memory is bounded: of too many the oldest are forgotten, which costs an attacker a password's hash each.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

KEPT_MAX: Final = 8192
FORGOTTEN_S: Final = 900.0
FIRST_WAIT_S: Final = 1.0
PROVED_S: Final = 86_400.0

K = TypeVar("K")
# One line or host of v6 has a whole /64.
_V6_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """So many failures are free; then each doubles the wait, up to ``most_s``."""

    free: int
    most_s: float


OF_PAIR: Final = Terms(free=4, most_s=60.0)
OF_NETWORK: Final = Terms(free=20, most_s=60.0)
OF_NAME: Final = Terms(free=20, most_s=4.0)


class Failures(Generic[K]):
    """Failures by key, the latest ones."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._counted: OrderedDict[K, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counted)

    def wait_s(self, key: K, now: float) -> float:
        """How long this key has to wait yet."""
        count, last = self._counted.get(key, (0, now))
        if count < self._terms.free or now - last > FORGOTTEN_S:
            return 0.0
        return max(0.0, last + self._wait_after_s(count) - now)

    def _wait_after_s(self, count: int) -> float:
        doublings = min(count - self._terms.free, 30)
        return min(FIRST_WAIT_S * 2.0**doublings, self._terms.most_s)

    def count(self, key: K, now: float) -> None:
        """One more failure."""
        count, last = self._counted.pop(key, (0, now))
        self._counted[key] = (1 if now - last > FORGOTTEN_S else count + 1, now)
        while len(self._counted) > KEPT_MAX:
            self._counted.popitem(last=False)

    def take_back(self, key: K) -> None:
        """The last attempt was none."""
        count, last = self._counted.get(key, (0, 0.0))
        if count > 1:
            self._counted[key] = (count - 1, last)
        else:
            self._counted.pop(key, None)

    def forget(self, key: K) -> None:
        self._counted.pop(key, None)


class Guessing:
    """What is remembered of attempts to prove a name."""

    def __init__(self) -> None:
        self._pairs: Failures[tuple[str, str]] = Failures(OF_PAIR)
        self._networks: Failures[str] = Failures(OF_NETWORK)
        self._names: Failures[str] = Failures(OF_NAME)
        self._proved: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs) + len(self._networks) + len(self._names) + len(self._proved)

    def wait_s(self, name: str, address: str, now: float) -> float:
        """How long an attempt at this name from this address has to wait: 0 for not at all."""
        network = network_of(address)
        wait_s = self._pairs.wait_s((name, network), now)
        if now - self._proved.get((name, network), float("-inf")) <= PROVED_S:
            return wait_s
        return max(wait_s, self._networks.wait_s(network, now), self._names.wait_s(name, now))

    def begin(self, name: str, address: str, now: float) -> None:
        """An attempt, which counts as failed until it is said to have succeeded."""
        network = network_of(address)
        self._pairs.count((name, network), now)
        self._networks.count(network, now)
        self._names.count(name, now)

    def succeeded(self, name: str, address: str, now: float) -> None:
        """The name was proved: its failures from this network are forgotten, and this network's others stay."""
        network = network_of(address)
        self._pairs.forget((name, network))
        self._networks.take_back(network)
        self._names.take_back(name)
        self._proved.pop((name, network), None)
        self._proved[name, network] = now
        while len(self._proved) > KEPT_MAX:
            self._proved.popitem(last=False)


def network_of(address: str) -> str:
    """The network that an address counts as: itself, and of v6 its /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _V6_NETWORK_BITS), strict=False))
