"""What peers of one link say to each other by multicast, when they say it, and what is believed. Pure.

A beacon is a member's own signed location with its credential (``records.Located``), sealed under the swarm's secret:
whoever has not that secret learns that something is said, and cannot say anything. It is a hint whom to dial, no more.

Who starts says three beacons that ask, a second and more apart; others answer at random within a moment that grows with
their number, and not when enough have answered. After that each says one in half a minute, more rarely where there are
many, so that a link carries a few small packets a second at most.

    one byte of format and secret's epoch | nonce (24) | SecretBox of: canonical Beacon, padded to a multiple of 256
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Annotated, Final, Literal

import msgspec
from blake3 import blake3
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import canonical
from swarm.dht.wire import EPOCHS
from swarm.errors import RemoteProtocolError
from swarm.keyring import SwarmSecret
from swarm.limits import BEACON_MAX_BYTES, DHT_PACKET_AGE_MAX_S, LOCATION_MAX_BYTES

FORMAT: Final = 0x20
# The key of beacons is another than that of the DHT's packets.
KEY_CONTEXT: Final = "aetherfs 2026-11-26 lan beacon"
PADDED_BYTES: Final = 256
OVERHEAD_BYTES: Final = 1 + SecretBox.NONCE_SIZE + SecretBox.MACBYTES

# When the beacons of a peer that starts are said, after the first.
ASKING_AFTER_S: Final = (1.0, 3.0)
INTERVAL_S: Final = 30.0
# And with many peers each has its turn after all others, so that there are two a second.
EACH_S: Final = 0.5
# Between two beacons of one peer: ours, and those of others that are believed.
LEAST_S: Final = 1.0
HEARD_LEAST_S: Final = 0.5
# An answer comes within this, and this for each peer that may answer too; not at all when so many have.
ANSWER_S: Final = 0.3
ANSWER_EACH_S: Final = 0.03
ENOUGH_ANSWERS: Final = 8
PEERS_MAX: Final = 512


class Beacon(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """``wall_ms`` is when it was said. ``asks``: the sender would like to hear of others now."""

    format: Literal[1]
    wall_ms: Annotated[int, msgspec.Meta(ge=0, le=(1 << 50))]
    asks: bool
    location: Annotated[bytes, msgspec.Meta(max_length=LOCATION_MAX_BYTES)]
    padding: Annotated[bytes, msgspec.Meta(max_length=2 * PADDED_BYTES)]


def seal_beacon(secret: SwarmSecret, location: bytes, nonce: bytes, wall_now: float, *, asks: bool) -> bytes:
    """A datagram. ValueError for a location that does not fit one."""
    bare = canonical.encode(Beacon(1, int(wall_now * 1000), asks, location, b""))
    padding = bytes(-len(bare) % PADDED_BYTES)
    plain = canonical.encode(Beacon(1, int(wall_now * 1000), asks, location, padding))
    if len(plain) + OVERHEAD_BYTES > BEACON_MAX_BYTES:
        raise ValueError(f"a location of {len(location)} bytes fits no beacon")
    return bytes([FORMAT | secret.epoch % EPOCHS]) + bytes(SecretBox(_key(secret)).encrypt(plain, nonce))


def open_beacon(datagram: bytes, secrets: Sequence[SwarmSecret], wall_now: float) -> Beacon:
    """The beacon in a datagram, if a secret that counts sealed it, a moment ago. RemoteProtocolError."""
    if not OVERHEAD_BYTES < len(datagram) <= BEACON_MAX_BYTES:
        raise RemoteProtocolError("a beacon of another length than any has")
    secret = next((one for one in secrets if datagram[0] == FORMAT | one.epoch % EPOCHS), None)
    if secret is None:
        raise RemoteProtocolError("a beacon under no secret that counts")
    try:
        plain = SecretBox(_key(secret)).decrypt(datagram[1:])
    except CryptoError:
        raise RemoteProtocolError("a beacon of no member") from None
    beacon = canonical.decode(plain, Beacon, limit_bytes=BEACON_MAX_BYTES)
    if abs(wall_now - beacon.wall_ms / 1000) > DHT_PACKET_AGE_MAX_S:
        raise RemoteProtocolError("a beacon of another time: it is repeated, or a clock is wrong")
    return beacon


def _key(secret: SwarmSecret) -> bytes:
    return blake3(secret.secret, derive_key_context=KEY_CONTEXT).digest()


class Beacons:
    """When one peer says its beacon, and whose it believes. ``now`` is monotonic."""

    def __init__(self, rng: random.Random, now: float) -> None:
        self._rng = rng
        self._asking = [now, *(now + after_s for after_s in ASKING_AFTER_S)]
        self._said_at = float("-inf")
        self._regular_at = now + self._interval_s(0)
        self._answer_at = float("inf")
        self._answers = 0
        # Heard from, the last one last, and when.
        self._heard: OrderedDict[str, float] = OrderedDict()

    def heard(self, peer: str, now: float, *, asks: bool) -> bool:
        """A beacon of another came: whether it is to be acted upon. Too many of one peer are not."""
        self._forget(now)
        last = self._heard.get(peer)
        if last is None and len(self._heard) >= PEERS_MAX:
            return False
        if last is not None and now - last < HEARD_LEAST_S:
            return False
        self._heard[peer] = now
        self._heard.move_to_end(peer)
        self._answers += 1
        if asks and self._answer_at == float("inf"):
            window_s = ANSWER_S + ANSWER_EACH_S * len(self._heard)
            self._answer_at = max(self._said_at + LEAST_S, now + self._rng.uniform(0.0, window_s))
            self._answers = 0
        return True

    def due(self, now: float) -> tuple[bool, bool]:
        """Whether to say a beacon now, and whether it asks."""
        if self._answer_at <= now and self._answers >= ENOUGH_ANSWERS:
            self._answer_at = float("inf")
        if now < min(self._answer_at, self._regular_at, *self._asking[:1]):
            return False, False
        asks = bool(self._asking) and self._asking[0] <= now
        if asks:
            self._asking.pop(0)
        # Whoever is alone goes on asking: another may have come whose beacons were lost.
        asks = asks or not self._heard
        self._said_at, self._answer_at = now, float("inf")
        self._forget(now)
        self._regular_at = now + self._interval_s(len(self._heard))
        return True, asks

    @property
    def next_at(self) -> float:
        """When ``due`` is to be asked next, if nothing is heard before."""
        return min(self._answer_at, self._regular_at, *self._asking[:1])

    @property
    def peers(self) -> Collection[str]:
        """Who was heard of lately."""
        return self._heard.keys()

    def _interval_s(self, others: int) -> float:
        return max(INTERVAL_S, EACH_S * others) * self._rng.uniform(0.8, 1.2)

    def _forget(self, now: float) -> None:
        """Whoever said nothing for three turns has left."""
        lifetime_s = 3 * 1.2 * max(INTERVAL_S, EACH_S * len(self._heard))
        while self._heard and now - next(iter(self._heard.values())) > lifetime_s:
            self._heard.popitem(last=False)
