"""Who may ask for what: grants checked offline, versions bound to datasets by signed log entries.

A caller is a verified certificate's peer id and the grant that it sends along, unless a tracker has recalled it. A
version belongs to a dataset only by an entry that publisher and tracker signed; any asker can show one. No right and no
such thing give the same answer, so every question here has the answers yes and no, without a reason. Memory is bounded;
nothing here does I/O.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from swarm import log
from swarm.errors import RemoteProtocolError
from swarm.identity import public_of
from swarm.log import Entry
from swarm.records import Grant, open_sealed, sealed_by
from swarm.signature import signature_of
from swarm.tracker.recalls import NONE, Recall, open_recalls
from swarm.trust import Trust

GRANTS_REMEMBERED: Final = 4096
ENTRIES_REMEMBERED: Final = 16_384

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A mapping that forgets what was used longest ago, beyond ``limit`` items. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()
        self._limit = limit
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            if len(self._items) > self._limit:
                self._items.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """A member with the grant that it showed; ``grant`` is None without a valid one."""

    peer_id: str
    grant: Grant | None

    def may_read(self, dataset: str) -> bool:
        return self.grant is not None and self.grant.allows("read", dataset)

    def may_publish(self, dataset: str) -> bool:
        return self.grant is not None and self.grant.allows("publish", dataset)


def no_grant(peer_id: str, dataset: str) -> str:
    """Why a peer may not publish, in words. ``me`` would be whoever is signed in at its home."""
    return (
        f"this home may not publish to {dataset}: `aetherfs access explain peer:{peer_id} publish {dataset}` says why"
    )


class Access:
    """``authority``: the CA's keys."""

    def __init__(self, authority: Trust) -> None:
        self.authority = authority
        # Each with the CA's key that sealed it, which may be retired meanwhile.
        self._grants: Remembered[bytes, tuple[Grant, bytes]] = Remembered(GRANTS_REMEMBERED)
        self._versions: Remembered[tuple[str, bytes], bytes] = Remembered(ENTRIES_REMEMBERED)
        self._entries: Remembered[bytes, Entry] = Remembered(ENTRIES_REMEMBERED)
        self._purged: frozenset[tuple[str, bytes]] = frozenset()
        self.recalls, self.recalls_data = NONE, b""
        self._recalled: dict[bytes, Recall] = {}

    def recall(self, data: bytes) -> bool:
        """Let the grants that a tracker has recalled count no more. False for a list that is not newer than ours;
        RemoteProtocolError for one that no tracker sealed.
        """
        if data == self.recalls_data:
            return False
        found = open_recalls(data, self.authority)
        if found.serial <= self.recalls.serial:
            return False
        self.recalls, self.recalls_data = found, data
        self._recalled = {recall.public: recall for recall in found.recalls}
        self.authority.removed = frozenset(recall.public for recall in found.recalls if recall.is_removed)
        return True

    def is_removed(self, peer_id: str) -> bool:
        """Whether this peer was a member and is no more."""
        return public_of(peer_id) in self.authority.removed

    def is_recalled(self, grant: Grant) -> bool:
        """Whether a grant counts no more, though it has not expired."""
        recall = self._recalled.get(grant.public)
        if recall is not None and (recall.is_removed or grant.issued < recall.since):
            return True
        return grant.issued < self.recalls.all_before

    def forget(self) -> None:
        """Believe no entry because it was believed before: a key that had sealed it does not count any more."""
        self._versions = Remembered(ENTRIES_REMEMBERED)
        self._entries = Remembered(ENTRIES_REMEMBERED)
        try:
            if self.recalls_data:
                open_recalls(self.recalls_data, self.authority)
        except RemoteProtocolError:
            # Trackers tell the list again under another seal, with the next heartbeat.
            self.recalls, self.recalls_data = NONE, b""
            self._recalled = {}
            self.authority.removed = frozenset()

    def purge(self, dataset: str, version: bytes) -> None:
        """From now on nothing shows that the version belongs to the dataset: so nobody gets it from here."""
        self._purged |= {(dataset, version)}

    def is_purged(self, dataset: str, version: bytes) -> bool:
        return (dataset, version) in self._purged

    def caller(self, peer_id: str, sealed_grant: bytes, wall_now: float) -> Caller:
        """The caller behind a verified peer id. A grant that is malformed, expired or another's counts as none."""
        known = self._grants.get(sealed_grant)
        if known is None:
            try:
                grant = open_sealed(sealed_grant, Grant, authority=self.authority, wall_now=wall_now)
                known = (grant, sealed_by(sealed_grant, Grant, self.authority))
            except RemoteProtocolError:
                return Caller(peer_id, None)
            self._grants.put(sealed_grant, known)
        grant, sealer = known
        anchor = self.authority.find(sealer)
        is_retired = anchor is None or anchor.is_retired(wall_now)
        is_over = is_retired or grant.expires <= wall_now or self.is_recalled(grant)
        if is_over or grant.public != public_of(peer_id):
            return Caller(peer_id, None)
        return Caller(peer_id, grant)

    def learn(self, entry: bytes) -> Entry:
        """Check a signed entry and remember what it proves. RemoteProtocolError when it proves nothing."""
        key = signature_of(entry)
        known = self._entries.get(key)
        if known is None:
            known = log.verify_entry(entry, authority=self.authority)
            self._entries.put(key, known)
            for version in known.shown:
                self._versions.put((known.dataset, version), entry)
        return known

    def shows(self, dataset: str, version: bytes, entry: bytes) -> bool:
        """Whether the version belongs to the dataset, by what is known or by the entry that the asker shows."""
        if (dataset, version) in self._purged:
            return False
        if self._versions.get((dataset, version)) is not None:
            return True
        if entry:
            try:
                self.learn(entry)
            except RemoteProtocolError:
                return False
        return self._versions.get((dataset, version)) is not None

    def entry_of(self, dataset: str, version: bytes) -> bytes | None:
        """An entry that shows that the version belongs to the dataset."""
        return None if (dataset, version) in self._purged else self._versions.get((dataset, version))
