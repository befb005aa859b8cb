"""DHT packets: at most 1,200 bytes, sealed with the swarm's key, signed by the sender.

    one byte of format and key epoch | nonce (24) | SecretBox of: canonical [body, seal]

The body tells for whom the packet is (a prefix of the recipient's id), when it was made, and by whom; the sender's
credential goes along until the recipient has shown that it knows it. Requests that may have long answers are padded, so
that no answer to an address that is not proven is more than three times as long. Sealing and opening are pure.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import canonical
from swarm.dht.batch import KEYS_MAX, DhtKey, Record, SignedBatch
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey, check_signed
from swarm.records import Address, Key, Port, Seal

FORMAT: Final = 0x10
PACKET_MAX_BYTES: Final = 1200
SEALED_OVERHEAD: Final = 1 + SecretBox.NONCE_SIZE + SecretBox.MACBYTES
CONTEXT: Final = "dht-packet"
TO_BYTES: Final = 4
ID_BYTES: Final = 8
CONTACTS_MAX: Final = 16
# Requests for nodes or records are padded to a third of the longest answer.
PADDED_BYTES: Final = PACKET_MAX_BYTES // 3

# A Store packet without its keys and addresses, and the bytes of a key.
STORE_FIXED_BYTES: Final = 350
ID_KEY_BYTES: Final = 20

MessageId = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]


class Contact(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node and where it was seen: a numeric host."""

    public: Key
    host: Annotated[str, msgspec.Meta(min_length=2, max_length=45)]
    port: Port


class Ping(msgspec.Struct, array_like=True, frozen=True, tag="ping"):
    """Are you there?"""


class Pong(msgspec.Struct, array_like=True, frozen=True, tag="pong"):
    """Yes. Also the answer to Store: ``kept`` keys are kept."""

    kept: int


class FindNode(msgspec.Struct, array_like=True, frozen=True, tag="find"):
    """The nodes that you know closest to a key, and the records that you keep for it if ``records``."""

    key: DhtKey
    records: bool
    padding: Annotated[bytes, msgspec.Meta(max_length=PADDED_BYTES)]


class Found(msgspec.Struct, array_like=True, frozen=True, tag="found"):
    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=CONTACTS_MAX)]
    records: Annotated[tuple[Record, ...], msgspec.Meta(max_length=8)]


class Store(msgspec.Struct, array_like=True, frozen=True, tag="store"):
    """Keep these records of the sender's own."""

    batch: SignedBatch
    keys: Annotated[tuple[DhtKey, ...], msgspec.Meta(min_length=1, max_length=KEYS_MAX)]


class WhoAreYou(msgspec.Struct, array_like=True, frozen=True, tag="who"):
    """Send that again with your credential."""


Message = Ping | Pong | FindNode | Found | Store | WhoAreYou
REQUESTS: Final = (Ping, FindNode, Store)


class Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """``to`` is a prefix of the recipient's id, empty on first contact. ``wall_ms`` when it was made. An answer has its
    request's
    id. ``is_node`` says whether the sender takes requests. ``credential`` is empty when the recipient knows it."""

    format: Literal[1]
    to: Annotated[bytes, msgspec.Meta(max_length=TO_BYTES)]
    wall_ms: int
    id: MessageId
    is_answer: bool
    is_node: bool
    public: Key
    credential: Annotated[bytes, msgspec.Meta(max_length=400)]
    message: Message


class Packet(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    body: bytes
    seal: Seal


def seal_packet(box: SecretBox, key: PeerKey, body: Body) -> bytes:
    """The datagram. RemoteProtocolError if it is too long to be sent."""
    encoded = canonical.encode(body)
    packet = canonical.encode(Packet(encoded, key.sign(CONTEXT, encoded)))
    datagram = bytes([FORMAT]) + bytes(box.encrypt(packet))
    if len(datagram) > PACKET_MAX_BYTES:
        raise RemoteProtocolError(f"a packet would have {len(datagram)} bytes, the limit is {PACKET_MAX_BYTES}")
    return datagram


def open_packet(box: SecretBox, datagram: bytes) -> Body:
    """The body, if somebody with the swarm's key made the packet and its sender signed it. RemoteProtocolError."""
    if not SEALED_OVERHEAD < len(datagram) <= PACKET_MAX_BYTES or datagram[0] != FORMAT:
        raise RemoteProtocolError("a datagram is not a packet of this format")
    try:
        plain = box.decrypt(datagram[1:])
    except CryptoError as error:
        raise RemoteProtocolError("a packet is not sealed with the swarm's key") from error
    packet = canonical.decode(plain, Packet, limit_bytes=PACKET_MAX_BYTES)
    body = canonical.decode(packet.body, Body, limit_bytes=PACKET_MAX_BYTES)
    check_signed(body.public, CONTEXT, packet.body, packet.seal)
    return body


def keys_per_packet(addresses: tuple[Address, ...]) -> int:
    """How many keys a Store packet holds beside these addresses, without a credential."""
    room = PACKET_MAX_BYTES - STORE_FIXED_BYTES - len(canonical.encode(addresses))
    return max(1, min(KEYS_MAX, room // (ID_KEY_BYTES + 2)))
