"""What a tracker's answers are worth: their form, and whether a proof proves what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography import x509

from swarm import log
from swarm.errors import NotAllowedError, RemoteProtocolError
from swarm.log import Entry
from swarm.messages import LogAnswer
from swarm.names import Reference
from swarm.snapshot import Snapshot
from swarm.trust import Trust

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A reference resolved: ``data`` is the signed entry (to show to others), ``entry`` its content, ``version`` is
    meant.

    ``snapshot`` is the dataset's tags as sealed by a tracker just now; ``snapshot_data`` the same to be shown to
    others. ``age_s``: how long ago the tracker knew this to be so; more than a moment while its object store is away.
    ``is_gone``: the object store does not keep the version any more.
    """

    data: bytes
    entry: Entry
    version: bytes
    snapshot: Snapshot
    snapshot_data: bytes
    age_s: int = 0
    is_gone: bool = False

    @property
    def serial(self) -> int:
        return self.entry.serial


def version_meant(ref: Reference, entry: Entry, tags: Snapshot) -> bytes:
    """The version that a proved entry gives a reference, if it really does."""
    named = {move.tag: move.version for move in entry.moves}
    if ref.signature is not None:
        if ref.signature not in named.values():
            raise RemoteProtocolError("the tracker's proof does not name the version that was asked for")
        return ref.signature
    tag = ref.tag or ""
    version, state = named.get(tag), tags.find(tag)
    if version is None or state is None or state.version != version or state.serial != entry.serial:
        raise RemoteProtocolError(f"the tracker's proof does not say where tag {tag!r} points")
    return version


def entries_told(answer: LogAnswer, dataset: str, first: int, authority: Trust) -> list[tuple[bytes, Entry]]:
    """The entries of a log from ``first`` on, verified and chained to one another. RemoteProtocolError."""
    entries = [(data, log.verify_entry(data, authority=authority)) for data in answer.entries]
    for index, (_, entry) in enumerate(entries):
        if entry.dataset != dataset or entry.serial != first + index:
            raise RemoteProtocolError("the tracker answered with entries of another log, or out of order")
        if index and entry.previous != log.entry_hash(entries[index - 1][0]):
            raise RemoteProtocolError(f"entry {entry.serial} of {dataset} does not follow the one before it")
    return entries


def parsed(data: bytes, kind: type[T]) -> T:
    """A tracker's answer in JSON, or RemoteProtocolError."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"a tracker's answer is malformed: {error}") from error


def expiry_of(certificate: Path) -> float:
    """Until when a certificate counts (wall seconds). NotAllowedError for a file that holds none."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise NotAllowedError(f"{certificate} does not hold a certificate ({error}): join the swarm again") from error
    return parsed.not_valid_after_utc.timestamp()
