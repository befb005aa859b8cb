"""A receipt: a seed's word, under its key, that it keeps every block of a version.

The seed gives it at the end of an upload; the publisher hands it to the tracker with the log entry; the tracker appends
a new version only with it, so that no tag ever points to what nobody keeps. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError, UsageError
from swarm.identity import PeerKey, check_signed
from swarm.limits import DATASET_MAX_BYTES, MANIFEST_MAX_BLOCKS, MANIFEST_MAX_FILES, RECORD_MAX_BYTES, ROOT_MAX_BYTES
from swarm.log import DatasetName, Totals, WallTime
from swarm.names import check_dataset
from swarm.records import Key, Seal

CONTEXT: Final = "receipt"


class Receipt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What is kept, and for whom: ``publisher`` is the public key of the caller that uploaded it.

    ``files``: entries of kind file; ``bytes``: their plain bytes; ``blocks``: unique blocks; ``root_size``: the
    manifest root's bytes.
    """

    format: Literal[1]
    dataset: DatasetName
    version: Key
    publisher: Key
    files: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_FILES)]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=DATASET_MAX_BYTES)]
    blocks: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_BLOCKS)]
    root_size: Annotated[int, msgspec.Meta(ge=1, le=ROOT_MAX_BYTES)]
    wall_time: WallTime

    @property
    def totals(self) -> Totals:
        """The totals that the log entry of this version must state."""
        return Totals(files=self.files, bytes=self.bytes, blocks=self.blocks, root_size=self.root_size)


class SealedReceipt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A receipt's body, the seed's public key and its seal, as they travel."""

    public: Key
    body: Annotated[bytes, msgspec.Meta(max_length=RECORD_MAX_BYTES)]
    seal: Seal


def seal_receipt(key: PeerKey, receipt: Receipt) -> bytes:
    """Sealed bytes that ``open_receipt`` reads. ``key`` is the seed's."""
    body = canonical.encode(receipt)
    return canonical.encode(SealedReceipt(key.public, body, key.sign(CONTEXT, body)))


def open_receipt(data: bytes) -> tuple[Receipt, bytes]:
    """The receipt and the public key that sealed it. Raises RemoteProtocolError.

    Whether that key is a seed's is for the caller to check, against the swarm's members.
    """
    sealed = canonical.decode(data, SealedReceipt, limit_bytes=2 * RECORD_MAX_BYTES, what="Receipt")
    check_signed(sealed.public, CONTEXT, sealed.body, sealed.seal)
    receipt = canonical.decode(sealed.body, Receipt, limit_bytes=RECORD_MAX_BYTES)
    try:
        check_dataset(receipt.dataset)
    except UsageError as error:
        raise RemoteProtocolError(f"a receipt is malformed: {error}") from error
    return receipt, sealed.public
