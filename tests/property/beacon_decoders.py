"""Beacons, as a stranger on the link sends them and as a member with malice makes them."""

from __future__ import annotations

from typing import Final

from nacl.secret import SecretBox

from swarm import canonical
from swarm.keyring import NEVER, SwarmSecret
from swarm.peer.beacons import Beacon, _key, open_beacon, seal_beacon
from tests.property.decoder import Decoder

SECRET: Final = SwarmSecret(0, b"s" * 32, 0, NEVER)
NONCE: Final = bytes(SecretBox.NONCE_SIZE)
WALL: Final = 1_800_000_000.0
SENT: Final = seal_beacon(SECRET, b"somewhere", NONCE, WALL, asks=True)


def read_datagram(data: bytes) -> object:
    return open_beacon(data, (SECRET,), WALL)


def read_of_member(plain: bytes) -> object:
    """What it says is sealed as it should be."""
    return read_datagram(SENT[:1] + bytes(SecretBox(_key(SECRET)).encrypt(plain, NONCE)))


BEACON_DECODERS: Final[dict[str, Decoder]] = {
    "beacon": Decoder(SENT, read_datagram),
    "beacon of a member": Decoder(
        canonical.encode(Beacon(1, int(WALL * 1000), True, b"somewhere", bytes(9))), read_of_member
    ),
}
