"""The catalogue: the log of every dataset, over the object store.

    datasets/{scope}/{name}/log/{serial:020}     a signed entry; writing it with put-if-absent is the commit
    names/{scope}/{name}                         a mark, written before entry 1, by which datasets are listed

Current tags are found by replaying the log: each dataset's state is kept in memory and advanced by the entries that are
new in the store, whoever wrote them. Every entry is verified on the way, so what somebody else put into the store is
found and never served on. While the store is away, what is known is told on; a snapshot's times say how old it is. What
needs the store fails. Thread-safe; calls block on the store.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from swarm import log
from swarm.authority import Authority
from swarm.errors import ConflictError, IntegrityError, NotFoundError, RemoteProtocolError, UnreachableError
from swarm.limits import PAGE_MAX, SNAPSHOT_LIFETIME_S
from swarm.log import Entry
from swarm.objects import ObjectStore
from swarm.snapshot import Snapshot, TagState, seal_snapshot
from swarm.tracker.absent import no_tag
from swarm.tracker.entries import Entries, log_key
from swarm.tracker.log_state import Head, LogState
from swarm.tracker.staged import Staged

NAMES: Final = "names/"
STATES_MAX: Final = 4096
# Behind so many entries that are new here more may be, as in a log that is: they are read at the same time.
READ_AHEAD_FROM: Final = 8
# Entries that were committed elsewhere and came at once, as one was told of: those before are found when asked for.
EXPECTED_MAX: Final = 16
# For who has just looked, by ``refresh``: do not look again.
AS_KNOWN: Final = float("inf")


class Catalogue:
    """All datasets of a swarm."""

    def __init__(self, objects: ObjectStore, authority: Authority) -> None:
        self._objects = objects
        self._authority = authority
        self._states: OrderedDict[str, LogState] = OrderedDict()
        self._entries = Entries(objects)
        self._lock = threading.Lock()

    # ---- reading ------------------------------------------------------------------------------------------------

    def head(self, dataset: str, *, max_age_s: float = 0.0) -> Head:
        """The dataset's head, at most so many seconds old. NotFoundError for a log without entries."""
        state = self._state(dataset)
        with state.lock:
            self._advance(dataset, state, max_age_s)
            return state.as_head(dataset, time.monotonic())

    def staged(self, dataset: str, *, max_age_s: float = 0.0) -> tuple[Head, bytes, Staged]:
        """The head, what the next entry calls ``previous``, and what goes out in stages. NotFoundError as ``head``."""
        state = self._state(dataset)
        with state.lock:
            self._advance(dataset, state, max_age_s)
            return state.as_head(dataset, time.monotonic()), state.head_hash, state.staged.copy()

    def under_way(self) -> list[str]:
        """The datasets known here that have a rollout under way."""
        with self._lock:
            states = list(self._states.items())
        return [n for n, state in states if any(each.is_under_way for each in list(state.staged.rollouts.values()))]

    def read(self, dataset: str, *, after: int, limit: int, max_age_s: float = 0.0) -> list[bytes]:
        """Up to ``limit`` signed entries from serial ``after`` + 1 on. NotFoundError for a log without entries."""
        head = self.head(dataset, max_age_s=max_age_s).serial
        last = min(head, after + min(limit, PAGE_MAX))
        return [self.entry(dataset, serial) for serial in range(max(after, 0) + 1, last + 1)]

    def turns(self, dataset: str, tag: str, *, max_age_s: float = 0.0) -> list[int]:
        """The serials of the last entries that moved, steered or removed a tag, rising. NotFoundError as ``head``."""
        state = self._state(dataset)
        with state.lock:
            self._advance(dataset, state, max_age_s)
            return list(state.turns.get(tag, ()))

    def refresh(self, dataset: str) -> None:
        """Look for what is new in the store. NotFoundError for a log without entries."""
        self.head(dataset)

    def expect(self, dataset: str, serial: int) -> range:
        """Another tracker has committed this serial: the next look here is at the store. The last of the serials that
        are new here; this one alone where nothing of the dataset is known.
        """
        with self._lock:
            state = self._states.get(dataset)
        if state is None:
            return range(serial, serial + 1)
        with state.lock:
            if state.serial < serial:
                state.read_at = float("-inf")
            known = state.serial or serial - 1
            return range(max(known, serial - EXPECTED_MAX) + 1, serial + 1)

    def entry(self, dataset: str, serial: int) -> bytes:
        """A committed entry. NotFoundError for one that is not there."""
        return self._entries.get(dataset, serial)

    def find_tag(
        self, dataset: str, tag: str, wall_now: float, *, max_age_s: float = 0.0
    ) -> tuple[bytes, TagState, bytes]:
        """The entry that moved a tag last, what it says, and a snapshot. NotFoundError when there is no such tag."""
        state = self._state(dataset)
        with state.lock:
            away = self._advance(dataset, state, max_age_s)
            head = state.as_head(dataset, time.monotonic())
            found = state.tags.get(tag)
        if found is None:
            raise away or no_tag(dataset, tag, head.tags)
        return self.entry(dataset, found.serial), found, self._sealed(dataset, head, wall_now)

    def find_version(
        self, dataset: str, version: bytes, wall_now: float, *, max_age_s: float = 0.0
    ) -> tuple[bytes, int, bytes]:
        """The entry by which a version belongs to the dataset, its serial, a snapshot. NotFoundError without one."""
        state = self._state(dataset)
        with state.lock:
            away = self._advance(dataset, state, max_age_s)
            head = state.as_head(dataset, time.monotonic())
            serial = state.versions.get(version)
        if serial is None:
            raise away or NotFoundError(
                f"{dataset} has no version {version.hex()[:16]}...: see `aetherfs history {dataset}`"
            )
        return self.entry(dataset, serial), serial, self._sealed(dataset, head, wall_now)

    def snapshot(self, dataset: str, wall_now: float, *, max_age_s: float = 0.0) -> bytes:
        """All tags as of now, sealed; of when the store was read last, while it is away."""
        return self._sealed(dataset, self.head(dataset, max_age_s=max_age_s), wall_now)

    def datasets(self, cursor: str, limit: int, may_read: Callable[[str], bool]) -> tuple[list[str], str]:
        """A page of the datasets that the caller may read, and the cursor of the next page (empty at the end).

        Those that are known here, while the store is away; UnreachableError if none is.
        """
        try:
            return self._listed(cursor, limit, may_read)
        except UnreachableError:
            with self._lock:
                known = [name for name, state in self._states.items() if state.serial]
            if not known:
                raise
        found = sorted(name for name in known if name > cursor and may_read(name))
        return found[:limit], found[limit - 1] if len(found) > limit else ""

    def _listed(self, cursor: str, limit: int, may_read: Callable[[str], bool]) -> tuple[list[str], str]:
        found: list[str] = []
        after = NAMES + cursor if cursor else ""
        while True:
            keys = self._objects.list(NAMES, after=after, limit=PAGE_MAX)
            for key in keys:
                name = key.removeprefix(NAMES)
                if may_read(name) and self._exists(name):
                    found.append(name)
                    if len(found) == limit:
                        return found, name
            if len(keys) < PAGE_MAX:
                return found, ""
            after = keys[-1]

    def forget(self) -> None:
        """Read entries again that were read before: another key vouches for them now."""
        self._entries.forget()

    # ---- writing ------------------------------------------------------------------------------------------------

    def append(self, data: bytes, if_serial: int | None = None, *, at_once: bool = False) -> tuple[bytes, Entry]:
        """Endorse and commit an entry whose publisher has been verified: the bytes as committed, and the entry.

        ``if_serial``: only if no entry after this serial has moved one of its tags. The entry's place in the chain
        makes that hold at the commit as well. ``at_once``: whatever plan its tags have. The same entry again is
        answered as the first time. Raises ConflictError naming who was first, NotFoundError for a tag or version that
        the log does not hold, FullError for too many tags, UnreachableError while the store is away.
        """
        signed, entry = log.parse_entry(data)
        state = self._state(entry.dataset)
        with state.lock:
            away = self._advance(entry.dataset, state)
            if entry.serial <= state.serial:
                return self._repeated(signed.body, entry)
            if away is not None:
                raise away
            if entry.serial != state.serial + 1 or entry.previous != state.head_hash:
                raise ConflictError(
                    f"entry {entry.serial} of {entry.dataset} does not follow the head, which is {state.serial}: "
                    "read the log and build the entry again"
                )
            if if_serial is not None:
                self._check_unmoved(entry, state, if_serial)
            state.check_moves(entry)
            state.staged.check(entry, state.tags, at_once=at_once)
            endorsed = log.endorse(self._authority.key, data)
            if entry.serial == 1:
                self._objects.put_if_absent(NAMES + entry.dataset, b"")
            if not self._objects.put_if_absent(log_key(entry.dataset, entry.serial), endorsed):
                self._advance(entry.dataset, state)
                return self._repeated(signed.body, entry)
            state.apply(entry, endorsed)
            self._entries.keep(entry.dataset, entry.serial, endorsed)
            return endorsed, entry

    def take_back(self, dataset: str, entries: Sequence[bytes]) -> tuple[int, int]:
        """Entries that a member holds, into a log that was restored from an older backup: how many it lacked, its head.

        Each must bear all seals and follow the one before it: it was committed once, so this forges nothing. Raises
        RemoteProtocolError, and ConflictError where the log has gone another way since it was restored.
        """
        state, taken = self._state(dataset), 0
        with state.lock:
            if (away := self._advance(dataset, state)) is not None:
                raise away
            for data in entries:
                entry = log.verify_entry(data, authority=self._authority.trust)
                if entry.dataset != dataset:
                    raise RemoteProtocolError(f"an entry of {entry.dataset} is given back to {dataset}")
                if entry.serial <= state.serial:
                    self._check_same(dataset, entry.serial, data)
                    continue
                log.check_follows(entry, state.serial, state.head_hash)
                if entry.serial == 1:
                    self._objects.put_if_absent(NAMES + dataset, b"")
                taken += self._objects.put_if_absent(log_key(dataset, entry.serial), data)
                self._advance(dataset, state)
                self._check_same(dataset, entry.serial, data)
            return taken, state.serial

    # ---- inside -------------------------------------------------------------------------------------------------

    def _check_same(self, dataset: str, serial: int, data: bytes) -> None:
        if log.entry_hash(self._objects.get(log_key(dataset, serial))) != log.entry_hash(data):
            raise ConflictError(
                f"the log of {dataset} has gone another way since entry {serial - 1}: it was restored from a backup "
                "and published to before its peers had given back what it lacked"
            )

    def _repeated(self, body: bytes, entry: Entry) -> tuple[bytes, Entry]:
        """The committed entry of this serial if it is the same one, else ConflictError."""
        data = self.entry(entry.dataset, entry.serial)
        winner_signed, winner = log.parse_entry(data)
        if winner_signed.body == body:
            return data, winner
        raise ConflictError(log.conflict_text(winner, [move.tag for move in winner.moves]))

    def _check_unmoved(self, entry: Entry, state: LogState, if_serial: int) -> None:
        """ConflictError when an entry after this serial has moved one of the tags."""
        if if_serial > state.serial:
            raise ConflictError(log.unseen_text(entry.dataset, state.serial, if_serial))
        tags = {move.tag for move in entry.moves}
        last = max(state.turns[tag][-1] if tag in state.turns else 0 for tag in tags)
        if last > if_serial:
            _, winner = log.parse_entry(self._objects.get(log_key(entry.dataset, last)))
            raise ConflictError(log.conflict_text(winner, [move.tag for move in winner.moves if move.tag in tags]))

    def _state(self, dataset: str) -> LogState:
        with self._lock:
            state = self._states.get(dataset)
            if state is None:
                state = self._states[dataset] = LogState()
                if len(self._states) > STATES_MAX:
                    self._states.popitem(last=False)
            self._states.move_to_end(dataset)
            return state

    def _advance(self, dataset: str, state: LogState, max_age_s: float = 0.0) -> UnreachableError | None:
        """Apply what is new in the store; why it could not be looked at, when something is known from before. Needs
        the state's lock.
        """
        now = time.monotonic()
        if state.read_at + max_age_s > now:
            return state.away
        try:
            self._catch_up(dataset, state)
        except UnreachableError as error:
            if state.serial == 0 or state.confirmed_at is None:
                raise
            state.away = error
            return error
        state.read_at = state.confirmed_at = now
        state.away = None
        return None

    def _catch_up(self, dataset: str, state: LogState) -> None:
        found, ahead_at = 0, READ_AHEAD_FROM
        ahead: dict[int, bytes | None] = {}
        while True:
            if found == ahead_at:
                ahead = self._entries.look_ahead(dataset, state.serial)
                ahead_at += len(ahead)
            data = ahead.pop(state.serial + 1, None) or self._entries.look(dataset, state.serial + 1)
            if data is None:
                return
            try:
                entry = log.verify_endorsed(data, authority=self._authority.trust)
                if entry.dataset != dataset:
                    raise RemoteProtocolError(f"it is of {entry.dataset}")
                state.apply(entry, data)
            except RemoteProtocolError as error:
                raise IntegrityError(
                    f"entry {state.serial + 1} of {dataset} in the object store is damaged ({error}): "
                    "restore it from a backup"
                ) from error
            self._entries.keep(dataset, entry.serial, data)
            found += 1

    def _exists(self, dataset: str) -> bool:
        """Whether the log has an entry. A mark without one is of a publish that did not come to its commit."""
        with self._lock:
            state = self._states.get(dataset)
        return (state is not None and state.serial > 0) or self._entries.look(dataset, 1) is not None

    def _sealed(self, dataset: str, head: Head, wall_now: float) -> bytes:
        issued = int(wall_now) - int(head.age_s)
        snapshot = Snapshot(1, dataset, head.serial, head.tags, issued, issued + SNAPSHOT_LIFETIME_S)
        return seal_snapshot(self._authority.key, snapshot)
