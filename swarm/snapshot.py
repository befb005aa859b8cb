"""A snapshot: all current tags of a dataset at one serial, sealed by the swarm's CA key for a short time.

It shows freshness, nothing else: what a tag points to is proved by the log entry that moved it. A peer that holds
only an expired snapshot shows the tags as stale, with their age. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import CLOCK_SKEW_S, DATASET_MAX_TAGS, SNAPSHOT_MAX_BYTES
from swarm.log import DatasetName, Serial, TagName, WallTime
from swarm.records import Key, Seal
from swarm.trust import Trust

CONTEXT: Final = "snapshot"


class TagState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A tag, the serial of the entry that moved it last, and the version that it points to."""

    tag: TagName
    serial: Serial
    version: Key


class Snapshot(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """All tags after entry ``serial``, sorted by tag. ``issued`` and ``expires`` are wall seconds."""

    format: Literal[1]
    dataset: DatasetName
    serial: Serial
    tags: Annotated[tuple[TagState, ...], msgspec.Meta(max_length=DATASET_MAX_TAGS)]
    issued: WallTime
    expires: WallTime

    def find(self, tag: str) -> TagState | None:
        """The state of one tag, None if there is no such tag."""
        return next((state for state in self.tags if state.tag == tag), None)


class SealedSnapshot(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A snapshot's body and the CA key's seal, as they travel."""

    body: Annotated[bytes, msgspec.Meta(max_length=SNAPSHOT_MAX_BYTES)]
    seal: Seal


def seal_snapshot(authority: PeerKey, snapshot: Snapshot) -> bytes:
    """Sealed bytes that ``open_snapshot`` reads."""
    body = canonical.encode(snapshot)
    return canonical.encode(SealedSnapshot(body, authority.sign(CONTEXT, body)))


def open_snapshot(data: bytes, *, authority: Trust, wall_now: float | None) -> Snapshot:
    """The snapshot, if the CA's key sealed it and it is in force. Raises RemoteProtocolError.

    With ``wall_now`` None its time is not looked at: for showing stale tags with their age.
    """
    sealed = canonical.decode(data, SealedSnapshot, limit_bytes=SNAPSHOT_MAX_BYTES + 128, what="Snapshot")
    anchor = authority.verify(CONTEXT, sealed.body, sealed.seal)
    snapshot = canonical.decode(sealed.body, Snapshot, limit_bytes=SNAPSHOT_MAX_BYTES)
    anchor.check_sealed_at(snapshot.issued, CONTEXT)
    names = [state.tag for state in snapshot.tags]
    if names != sorted(set(names)):
        raise RemoteProtocolError("a snapshot's tags are not sorted and unique")
    if any(state.serial > snapshot.serial for state in snapshot.tags):
        raise RemoteProtocolError("a snapshot holds a tag from after its own serial")
    if wall_now is not None:
        _check_time(snapshot, wall_now)
    return snapshot


def _check_time(snapshot: Snapshot, wall_now: float) -> None:
    if snapshot.issued > wall_now + CLOCK_SKEW_S:
        raise RemoteProtocolError("a snapshot was issued in the future: check this machine's clock")
    if snapshot.expires <= wall_now:
        raise RemoteProtocolError(f"the snapshot of {snapshot.dataset} has expired: its tags may have moved since")
