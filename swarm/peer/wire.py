"""The messages of the exchange, as canonical bytes.

Runs: a TLS connection that offers RUN_PROTOCOL carries from the asker a RunHead and then RunRequests, to the asker a
FrameKey, each after its length in four bytes (big endian), the next request when the last is answered. A request names
blocks of one version of one dataset; each block is answered, in order, in a frame of one status byte, four bytes of
length and that many bytes, sealed under that key and past TLS (``sealed``). Channel: one WebSocket per pair of peers
carries tagged messages both ways; the first each way is a Hello with the versions understood. Every size is bounded
here.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, Literal

import msgspec

from swarm.limits import (
    ADDRESSES_MAX,
    CHANNEL_HIGHEST,
    HEADS_TOLD_MAX,
    LISTING_MAX_BYTES,
    LOCATION_MAX_BYTES,
    LOG_ENTRY_MAX_BYTES,
    MANIFEST_MAX_BLOCKS,
    NAME_CHARS,
    NEIGHBOURS_TOLD_MAX,
    ORDER_MAX_BYTES,
    PROTOCOL_LOWEST,
    RECALLS_MAX_BYTES,
    RECORD_MAX_BYTES,
    RUN_MAX_BLOCKS,
    SHOWN_MAX_BYTES,
    SHOWN_TOGETHER_MAX,
    TAG_CHARS,
    TRACKERS_MAX,
)
from swarm.log import Serial
from swarm.records import Address, Key

DatasetName = Annotated[str, msgspec.Meta(min_length=3, max_length=2 * NAME_CHARS + 1)]
EntryBytes = Annotated[bytes, msgspec.Meta(max_length=LOG_ENTRY_MAX_BYTES)]
Sealed = Annotated[bytes, msgspec.Meta(max_length=2 * RECORD_MAX_BYTES)]
Index = Annotated[int, msgspec.Meta(ge=0, lt=MANIFEST_MAX_BLOCKS)]
LocationBytes = Annotated[bytes, msgspec.Meta(max_length=LOCATION_MAX_BYTES)]
RunId = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

GRANT_HEADER: Final = "AetherFS-Grant"
CHANNEL_PATH: Final = "/x/1/channel"
TAG_PATH: Final = "/x/1/tags"

# Whether a holder is an origin of a version; the lower is asked first, the producer only when no seed is there.
Origin = Literal[0, 1, 2]
NOT_ORIGIN: Final = 0
SEED: Final = 1
PRODUCER: Final = 2

# Status bytes of a frame.
BLOCK: Final = 0
NOT_HERE: Final = 1
BUSY: Final = 2
ASK: Final = 3
# No more of this stream is answered; the payload says why.
REFUSED: Final = 4
REASON_MAX_BYTES: Final = 256
FRAME: Final = struct.Struct(">BI")
LENGTH: Final = struct.Struct(">I")
FRAME_KEY_BYTES: Final = 32


class RunHead(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """First on every stream of runs: the asker's sealed grant, empty for none."""

    format: Literal[1]
    grant: Sealed


class FrameKey(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """First, and last, that TLS carries to the asker: what the frames of this stream are sealed with."""

    format: Literal[1]
    key: Annotated[bytes, msgspec.Meta(min_length=FRAME_KEY_BYTES, max_length=FRAME_KEY_BYTES)]


class RunRequest(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Blocks of a version, by signature. ``entry`` shows that the version belongs to the dataset, if the peer may not
    know.

    ``insist``: the asker was sent elsewhere and did not get the block there.
    """

    format: Literal[1]
    run: RunId
    dataset: DatasetName
    version: Key
    entry: EntryBytes
    insist: bool
    signatures: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=RUN_MAX_BLOCKS)]


class TagRequest(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Which signed entry moved this tag last, as far as the peer knows? An empty tag: which published this version?"""

    format: Literal[1]
    dataset: DatasetName
    tag: Annotated[str, msgspec.Meta(max_length=TAG_CHARS)]
    version: Annotated[bytes, msgspec.Meta(max_length=32)]


class TagAnswer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The signed entry, empty if there is none that the asker may see; the snapshot, empty if there is none."""

    format: Literal[1]
    entry: EntryBytes


class Hello(msgspec.Struct, array_like=True, frozen=True, tag="hello"):
    """First on every channel. ``grant`` and ``credential`` are sealed by the swarm's CA."""

    lowest: int
    highest: int
    credential: Sealed
    grant: Sealed
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(max_length=ADDRESSES_MAX)]


class Interest(msgspec.Struct, array_like=True, frozen=True, tag="interest"):
    """Tell me what you hold of this version, now and from now on. The entry shows that it belongs to the dataset."""

    dataset: DatasetName
    version: Key
    entry: EntryBytes


class Indifferent(msgspec.Struct, array_like=True, frozen=True, tag="indifferent"):
    """No more news of this version, please."""

    version: Key


class Holding(msgspec.Struct, array_like=True, frozen=True, tag="holding"):
    """What the sender holds: a bit per unique block, lowest first; empty ``bits`` with ``complete`` means all.

    ``origin``: whether its uploads of this version are to be spared.
    """

    version: Key
    complete: bool
    origin: Origin
    bits: Annotated[bytes, msgspec.Meta(max_length=MANIFEST_MAX_BLOCKS // 8)]


class Have(msgspec.Struct, array_like=True, frozen=True, tag="have"):
    """Blocks that the sender holds since its last word."""

    version: Key
    indices: Annotated[tuple[Index, ...], msgspec.Meta(max_length=65_536)]


class Cancel(msgspec.Struct, array_like=True, frozen=True, tag="cancel"):
    """These blocks of a run need not be sent any more; no signature at all means all of them."""

    run: RunId
    signatures: Annotated[tuple[Key, ...], msgspec.Meta(max_length=RUN_MAX_BLOCKS)]


class StandingBy(msgspec.Struct, array_like=True, frozen=True, tag="by"):
    """Tell me when you could send me this block, by a Ready: maybe I ask for it then, in a run of this number. A Cancel
    ends it. From version 3 on.
    """

    run: RunId
    version: Key
    index: Index


class Ready(msgspec.Struct, array_like=True, frozen=True, tag="ready"):
    """The turn of what the receiver stands by for has come. From version 3 on."""

    run: RunId


class Here(msgspec.Struct, array_like=True, frozen=True, tag="here"):
    """Where the sender listens, under its own seal, to be passed on. From version 2 on."""

    location: LocationBytes


class WhoElse(msgspec.Struct, array_like=True, frozen=True, tag="who"):
    """Name others to me: those who hold or fetch a version, or with an empty one anybody. From version 2 on."""

    version: Annotated[bytes, msgspec.Meta(max_length=32)]


class Neighbours(msgspec.Struct, array_like=True, frozen=True, tag="neighbours"):
    """Neighbours of the sender, each as it has said of itself where it is. From version 2 on."""

    version: Annotated[bytes, msgspec.Meta(max_length=32)]
    locations: Annotated[tuple[LocationBytes, ...], msgspec.Meta(max_length=NEIGHBOURS_TOLD_MAX)]


class Heads(msgspec.Struct, array_like=True, frozen=True, tag="heads"):
    """The highest serials that the sender knows, by dataset; ``whole``: it knows no others. Send me what is above.

    From version 2 on.
    """

    heads: Annotated[tuple[tuple[DatasetName, Serial], ...], msgspec.Meta(max_length=HEADS_TOLD_MAX)]
    whole: bool


class Trackers(msgspec.Struct, array_like=True, frozen=True, tag="trackers"):
    """Listings of trackers, each under the swarm's own seal. From version 4 on."""

    listings: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=LISTING_MAX_BYTES)], ...], msgspec.Meta(max_length=TRACKERS_MAX)
    ]


class News(msgspec.Struct, array_like=True, frozen=True, tag="news"):
    """A signed log entry that the sender has just learnt."""

    entry: EntryBytes


class Ordered(msgspec.Struct, array_like=True, frozen=True, tag="order"):
    """An order to purge a version, sealed by a tracker. From version 4 on."""

    order: Annotated[bytes, msgspec.Meta(max_length=ORDER_MAX_BYTES)]


class Recalled(msgspec.Struct, array_like=True, frozen=True, tag="recalled"):
    """The list of grants that count no more, sealed by a tracker. From version 5 on."""

    recalls: Annotated[bytes, msgspec.Meta(max_length=2 * RECALLS_MAX_BYTES)]


class Renewed(msgspec.Struct, array_like=True, frozen=True, tag="renewed"):
    """The sender's grant from now on, in place of the one in its hello. From version 5 on."""

    grant: Sealed


class CallMe(msgspec.Struct, array_like=True, frozen=True, tag="call"):
    """I cannot dial you: dial me, and give on that connection what I then ask for. From version 6 on."""


class TakesOnly(msgspec.Struct, array_like=True, frozen=True, tag="takes"):
    """The sender gives you nothing: send nobody to it for blocks. From version 6 on."""


class Show(msgspec.Struct, array_like=True, frozen=True, tag="show"):
    """Show me the root or these segments of the version's manifest, if they are short: a stream may not be at hand yet.
    From version 7 on.
    """

    dataset: DatasetName
    version: Key
    entry: EntryBytes
    signatures: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=SHOWN_TOGETHER_MAX)]


class Shown(msgspec.Struct, array_like=True, frozen=True, tag="shown"):
    """What was to be shown, as an encoded block; empty: not here, or not over a channel. From version 7 on."""

    signature: Key
    encoded: Annotated[bytes, msgspec.Meta(max_length=SHOWN_MAX_BYTES)]


Message = (
    Hello
    | Interest
    | Indifferent
    | Holding
    | Have
    | Cancel
    | News
    | Here
    | WhoElse
    | Neighbours
    | Heads
    | StandingBy
    | Ready
    | Trackers
    | Ordered
    | Recalled
    | Renewed
    | CallMe
    | TakesOnly
    | Show
    | Shown
)
# What a channel of an older version does not carry.
SINCE_2: Final = (Here, WhoElse, Neighbours, Heads)
SINCE_3: Final = (StandingBy, Ready)
SINCE_4: Final = (Trackers, Ordered)
SINCE_5: Final = (Recalled, Renewed)
SINCE_6: Final = (CallMe, TakesOnly)
SINCE_7: Final = (Show, Shown)
OUR_VERSIONS: Final = (PROTOCOL_LOWEST, CHANNEL_HIGHEST)


def framed(data: bytes) -> bytes:
    """A message as it stands in a stream of runs."""
    return LENGTH.pack(len(data)) + data


def bitmap_of(indices: set[int] | frozenset[int], count: int) -> bytes:
    """A bit per block, lowest first."""
    bits = bytearray((count + 7) // 8)
    for index in indices:
        bits[index >> 3] |= 1 << (index & 7)
    return bytes(bits)
