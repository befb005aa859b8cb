"""What a log entry must show before it is committed, besides that the policy lets its maker. Pure: membership, receipt
and time are arguments.
"""

from __future__ import annotations

from collections.abc import Callable

from swarm import log
from swarm.errors import NotAllowedError, RemoteProtocolError, UsageError
from swarm.identity import peer_id_of
from swarm.limits import CLOCK_SKEW_S, RECEIPT_LIFETIME_S
from swarm.log import Entry
from swarm.receipt import Receipt, open_receipt
from swarm.tracker.membership import Member
from swarm.trust import Trust


def check_commit(
    data: bytes,
    receipt: bytes,
    *,
    dataset: str,
    caller: Member,
    member_of: Callable[[str], Member | None],
    authority: Trust,
    wall_now: float,
) -> Entry:
    """The entry, if this caller may commit it now to this dataset. ``member_of`` finds the member of a peer id.

    Raises NotAllowedError for what the caller may not do, UsageError and RemoteProtocolError for what is not
    well-formed.
    """
    entry = log.verify_publisher(data, authority=authority)
    if entry.dataset != dataset:
        raise UsageError(f"the entry is of {entry.dataset}, not of {dataset}")
    if entry.publisher != caller.public:
        raise NotAllowedError("the entry was made by another key than yours")
    if abs(entry.wall_time - wall_now) > CLOCK_SKEW_S:
        raise NotAllowedError(
            f"your clock and the tracker's differ by {abs(entry.wall_time - wall_now):.0f} s: set this machine's clock"
        )
    if entry.kind == "publish":
        _check_receipt(entry, receipt, member_of, wall_now)
    return entry


def _check_receipt(entry: Entry, data: bytes, member_of: Callable[[str], Member | None], wall_now: float) -> None:
    if not data:
        raise UsageError("a new version needs a seed's receipt: upload it to a seed first")
    receipt, seed = open_receipt(data)
    keeper = member_of(peer_id_of(seed))
    if keeper is None or keeper.role not in ("seed", "tracker"):
        raise NotAllowedError("the receipt was not given by a seed of this swarm: upload the version to one")
    if abs(receipt.wall_time - wall_now) > RECEIPT_LIFETIME_S:
        raise NotAllowedError("the receipt is too old: upload the version again, what the seed still has is not sent")
    _check_agreement(entry, receipt)


def _check_agreement(entry: Entry, receipt: Receipt) -> None:
    stated = (entry.dataset, entry.version, entry.publisher, entry.totals)
    if stated != (receipt.dataset, receipt.version, receipt.publisher, receipt.totals):
        raise RemoteProtocolError("the receipt is for something else than the entry says")
