"""DHT packets: at most 1,200 bytes, sealed with the swarm's key, signed by the sender.

    one byte of format and key epoch | nonce (24) | SecretBox of: canonical [body, seal]

The body tells for whom the packet is (a prefix of the recipient's id), when it was made, and by whom; the sender's
credential goes along until the recipient has shown that it knows it. Requests that may have long answers are padded,
so that no answer to an address that is not proven is more than three times as long. Sealing and opening are pure.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import canonical
from swarm.dht.batch import KEY_BYTES, DhtKey, Record, SignedBatch
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.identity import PeerKey, check_signed
from swarm.limits import (
    DHT_CONTACTS_PER_ANSWER_MAX,
    DHT_CREDENTIAL_MAX_BYTES,
    DHT_KEYS_PER_BATCH_MAX,
    DHT_PACKET_MAX_BYTES,
    DHT_RECORDS_PER_ANSWER_MAX,
)
from swarm.records import Address, Key, Port, Seal

# High half: the format. Low half: the epoch of the key that sealed the packet.
FORMAT: Final = 0x10
EPOCHS: Final = 16
SEALED_OVERHEAD: Final = 1 + SecretBox.NONCE_SIZE + SecretBox.MACBYTES
CONTEXT: Final = "dht-packet"
TO_BYTES: Final = 4
ID_BYTES: Final = 8
# A request is made this much longer, so that it is at least a third of the longest answer.
PADDING_BYTES: Final = 200
# Rounded up: an answer without what it lists and without a credential; a Store without its keys and addresses.
ANSWER_FIXED_BYTES: Final = 200
STORE_FIXED_BYTES: Final = 360

MessageId = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]


class Contact(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node and where it was seen: a numeric host."""

    public: Key
    host: Annotated[str, msgspec.Meta(min_length=2, max_length=45)]
    port: Port


class Ping(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="ping"):
    """Are you there? The one message that may go to a node whose id is not known yet."""


class Pong(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="pong"):
    """Yes."""


class FindNode(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="find"):
    """The nodes that you know closest to a key, and the records that you keep for it if ``records``."""

    key: DhtKey
    records: bool
    padding: Annotated[bytes, msgspec.Meta(max_length=PADDING_BYTES)]


class Found(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="found"):
    """The answer to FindNode: hints. Contacts are to be asked, records to be checked."""

    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=DHT_CONTACTS_PER_ANSWER_MAX)]
    records: Annotated[tuple[Record, ...], msgspec.Meta(max_length=DHT_RECORDS_PER_ANSWER_MAX)]


class Store(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="store"):
    """Keep these records of the sender's own: the keys of the batch, end to end."""

    batch: SignedBatch
    keys: Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES * DHT_KEYS_PER_BATCH_MAX)]


class Stored(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="stored"):
    """The answer to Store: for each key a byte, how many providers are kept for it; 0 where the record is not kept."""

    providers: Annotated[bytes, msgspec.Meta(min_length=1, max_length=DHT_KEYS_PER_BATCH_MAX)]


class WhoAreYou(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="who"):
    """The answer to a request of a stranger: send that again with your credential."""


Message = Ping | Pong | FindNode | Found | Store | Stored | WhoAreYou
# Which answers a request may have.
ANSWERS: Final[dict[type, tuple[type, ...]]] = {
    Ping: (Pong, WhoAreYou),
    FindNode: (Found, WhoAreYou),
    Store: (Stored, WhoAreYou),
}


class Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What is signed.

    ``to`` is a prefix of the recipient's id, empty on first contact. ``wall_ms`` is when it was made. An answer has
    its request's id. ``is_node``: the sender takes requests. ``credential`` is empty when the recipient knows it.
    """

    format: Literal[1]
    to: Annotated[bytes, msgspec.Meta(max_length=TO_BYTES)]
    wall_ms: Annotated[int, msgspec.Meta(ge=0, le=(1 << 50))]
    id: MessageId
    is_answer: bool
    is_node: bool
    public: Key
    credential: Annotated[bytes, msgspec.Meta(max_length=DHT_CREDENTIAL_MAX_BYTES)]
    message: Message


class Packet(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A body's bytes and its sender's seal."""

    body: Annotated[bytes, msgspec.Meta(max_length=DHT_PACKET_MAX_BYTES)]
    seal: Seal


def seal_packet(box: SecretBox, key: PeerKey, body: Body, nonce: bytes | None = None, *, epoch: int = 0) -> bytes:
    """The datagram. LocalProtocolError if it is too long to be sent. Without a nonce a random one is taken."""
    encoded = canonical.encode(body)
    packet = canonical.encode(Packet(encoded, key.sign(CONTEXT, encoded)))
    datagram = bytes([FORMAT | epoch % EPOCHS]) + bytes(box.encrypt(packet, nonce))
    if len(datagram) > DHT_PACKET_MAX_BYTES:
        raise LocalProtocolError(f"a packet would have {len(datagram)} bytes, the limit is {DHT_PACKET_MAX_BYTES}")
    return datagram


def epoch_of(datagram: bytes) -> int:
    """The low digits of the epoch that a datagram claims, -1 for what is no packet of this format."""
    return datagram[0] % EPOCHS if datagram and datagram[0] - datagram[0] % EPOCHS == FORMAT else -1


def open_packet(box: SecretBox, datagram: bytes, *, epoch: int = 0) -> tuple[Packet, Body]:
    """A packet that was sealed with the swarm's key. RemoteProtocolError. Its signature is for ``check_packet``."""
    if not SEALED_OVERHEAD < len(datagram) <= DHT_PACKET_MAX_BYTES or epoch_of(datagram) != epoch % EPOCHS:
        raise RemoteProtocolError("a datagram is not a packet of this format")
    try:
        plain = box.decrypt(datagram[1:])
    except CryptoError as error:
        raise RemoteProtocolError("a packet is not sealed with the swarm's key") from error
    packet = canonical.decode(plain, Packet, limit_bytes=DHT_PACKET_MAX_BYTES)
    return packet, canonical.decode(packet.body, Body, limit_bytes=DHT_PACKET_MAX_BYTES)


def check_packet(packet: Packet, body: Body) -> None:
    """RemoteProtocolError if the body is not signed by the key that it names. Apart, because it is what costs time."""
    check_signed(body.public, CONTEXT, packet.body, packet.seal)


def keys_per_packet(addresses: tuple[Address, ...]) -> int:
    """How many keys a Store packet holds beside these addresses, without a credential."""
    room = DHT_PACKET_MAX_BYTES - STORE_FIXED_BYTES - len(canonical.encode(addresses))
    return max(1, min(DHT_KEYS_PER_BATCH_MAX, room // KEY_BYTES))


def joined(keys: list[bytes]) -> bytes:
    """Keys as a Store carries them."""
    return b"".join(keys)


def split(keys: bytes) -> tuple[bytes, ...]:
    """The keys of a Store. RemoteProtocolError if they are not whole."""
    if len(keys) % KEY_BYTES:
        raise RemoteProtocolError(f"a Store has {len(keys)} bytes of keys, which are {KEY_BYTES} bytes each")
    return tuple(keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES))
