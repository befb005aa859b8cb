"""Receipts: whose seal, over what."""

from __future__ import annotations

import msgspec
import pytest

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.receipt import SealedReceipt, open_receipt, seal_receipt
from tests.unit.log_samples import OTHER, RECEIPT, SEED, TOTALS


def test_a_receipt_tells_who_sealed_it() -> None:
    assert open_receipt(seal_receipt(SEED, RECEIPT)) == (RECEIPT, SEED.public)
    assert RECEIPT.totals == TOTALS


def test_a_seal_cannot_be_claimed_by_another() -> None:
    sealed = canonical.decode(seal_receipt(SEED, RECEIPT), SealedReceipt, limit_bytes=10_000)
    for forged in (
        msgspec.structs.replace(sealed, public=OTHER.public),
        msgspec.structs.replace(sealed, body=canonical.encode(msgspec.structs.replace(RECEIPT, files=8))),
        msgspec.structs.replace(sealed, seal=SEED.sign("grant", sealed.body)),
    ):
        with pytest.raises(RemoteProtocolError, match="not signed"):
            open_receipt(canonical.encode(forged))


def test_a_receipt_for_no_dataset_is_refused() -> None:
    for dataset in ("roads", "a/b/c", "A/b", "../x"):
        with pytest.raises(RemoteProtocolError):
            open_receipt(seal_receipt(SEED, msgspec.structs.replace(RECEIPT, dataset=dataset)))
