"""What this peer knows of tags: for each, the signed entry with the highest serial that it has ever seen.

A peer never goes below a serial it has seen. The ledger survives restarts, so a swarm without its tracker still knows
its tags, and a replayed old entry is worth nothing. Only entries that ``Access.learn`` has checked come in here.
Bounded: datasets seen longest ago are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import IntegrityError
from swarm.limits import MIB
from swarm.log import Entry, parse_entry
from swarm.signers import SIGNERS_MAX
from swarm.subscription import SUBSCRIPTIONS_MAX

DATASETS_MAX: Final = 1024
VERSIONS_PER_DATASET: Final = 64
LEDGER_MAX_BYTES: Final = 256 * MIB
# What all subscriptions of a home can require at once.
SIGNERS_KEPT_MAX: Final = SUBSCRIPTIONS_MAX * SIGNERS_MAX

Counts = Callable[[Entry], bool]


class Confirmed(msgspec.Struct, array_like=True, frozen=True):
    """What a tracker's snapshot last said of a dataset: its last serial, and when (wall seconds)."""

    dataset: str
    serial: int
    issued: int


class _State(msgspec.Struct, array_like=True, frozen=True):
    format: Literal[2]
    entries: tuple[bytes, ...]
    confirmed: tuple[Confirmed, ...]


class _Before(msgspec.Struct, array_like=True, frozen=True):
    """The state as it was kept at first."""

    format: Literal[1]
    entries: tuple[bytes, ...]


class Ledger:
    """``save`` is called with the bytes to keep: after each change that was acted upon here, and for mere news at the
    next ``flush``. News that a crash loses are told again by the neighbours that told them.
    """

    def __init__(self, data: bytes | None, save: Callable[[bytes], None]) -> None:
        self._save = save
        self._is_saved = True
        self._watchers: list[Callable[[Entry], None]] = []
        # dataset -> serial -> signed entry, of entries that still say something
        self._datasets: dict[str, dict[int, tuple[Entry, bytes]]] = {}
        # Whose last entry of a tag is kept though others have moved it since: signers that this peer requires of all,
        # and those that somebody here required, the latest at the end.
        self.signers: frozenset[bytes] = frozenset()
        self._asked_for: OrderedDict[bytes, None] = OrderedDict()
        self._confirmed: dict[str, Confirmed] = {}
        self._read(data or b"")

    def _read(self, data: bytes) -> None:
        state = canonical.try_decode(data, _State, limit_bytes=LEDGER_MAX_BYTES)
        before = canonical.try_decode(data, _Before, limit_bytes=LEDGER_MAX_BYTES) if state is None else None
        for raw in state.entries if state is not None else before.entries if before is not None else ():
            self._take(parse_entry(raw)[1], raw)
        self._confirmed = {each.dataset: each for each in (state.confirmed if state is not None else ())}

    def watch(self, watcher: Callable[[Entry], None]) -> Callable[[], None]:
        """Call ``watcher`` with every entry that is new here, however it came; the result ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def require(self, signers: Iterable[bytes]) -> None:
        """Somebody here takes these signers' entries alone: keep their last ones. Bounded: the latest count."""
        for signer in signers:
            self._asked_for[signer] = None
            self._asked_for.move_to_end(signer)
        while len(self._asked_for) > SIGNERS_KEPT_MAX:
            self._asked_for.popitem(last=False)

    def record(self, entry: Entry, raw: bytes, *, is_news: bool = False) -> bool:
        """Remember a checked entry. False if it was known. IntegrityError if another one was seen in its place: a
        tracker shows different logs to different peers, or its log was restored from an old backup.
        """
        is_new = self._take(entry, raw)
        self._is_saved = self._is_saved and not is_new
        if not is_news:
            self.flush()
        if is_new:
            for watcher in list(self._watchers):
                watcher(entry)
        return is_new

    def keep_only(self, is_proved: Callable[[bytes], bool]) -> int:
        """Forget every entry that is not proved (any more), and its serial with it. How many these were."""
        kept = {
            dataset: {serial: (entry, raw) for serial, (entry, raw) in known.items() if is_proved(raw)}
            for dataset, known in self._datasets.items()
        }
        gone = sum(map(len, self._datasets.values())) - sum(map(len, kept.values()))
        self._datasets = {dataset: known for dataset, known in kept.items() if known}
        self._confirmed = {}
        self._is_saved = self._is_saved and not gone
        self.flush()
        return gone

    def flush(self) -> None:
        """Save what is not saved yet."""
        if self._is_saved:
            return
        everything = (raw for known in self._datasets.values() for _, raw in known.values())
        self._save(canonical.encode(_State(2, tuple(everything), tuple(self._confirmed.values()))))
        self._is_saved = True

    def confirm(self, dataset: str, serial: int, issued: int) -> None:
        """A tracker's snapshot says that the dataset ends at this serial. IntegrityError if a later end was said."""
        known = self._confirmed.get(dataset)
        if known is not None and serial < known.serial:
            raise IntegrityError(
                f"the log of {dataset} is said to end at entry {serial}, after {known.serial} was said: old records "
                "are replayed, or the trackers' store was restored from an old backup"
            )
        self._is_saved = self._is_saved and known is not None and known.serial == serial
        self._confirmed.pop(dataset, None)
        self._confirmed[dataset] = Confirmed(dataset, serial, max(issued, known.issued if known is not None else 0))
        if len(self._confirmed) > DATASETS_MAX:
            del self._confirmed[next(iter(self._confirmed))]

    def serial_said(self, dataset: str) -> int:
        """The last serial of a dataset by what trackers said, 0 for none."""
        known = self._confirmed.get(dataset)
        return known.serial if known is not None else 0

    def confirmed_at(self, dataset: str) -> int | None:
        """When a tracker last said what the dataset's tags are (wall seconds)."""
        known = self._confirmed.get(dataset)
        return known.issued if known is not None else None

    def _take(self, entry: Entry, raw: bytes) -> bool:
        known = self._datasets.pop(entry.dataset, {})
        self._datasets[entry.dataset] = known
        is_new = entry.serial not in known
        if not is_new and known[entry.serial][0] != entry:
            raise IntegrityError(
                f"the log of {entry.dataset} has two entries {entry.serial}: not all peers are shown the same one; "
                "tell whoever runs the trackers"
            )
        known[entry.serial] = (entry, raw)
        if len(known) > VERSIONS_PER_DATASET:
            self._forget(known)
        if len(self._datasets) > DATASETS_MAX:
            del self._datasets[next(iter(self._datasets))]
        return is_new

    def _forget(self, known: dict[int, tuple[Entry, bytes]]) -> None:
        """Drop the oldest entry that no tag rests on."""
        latest: dict[tuple[str, bytes], int] = {}
        for serial, (entry, _) in sorted(known.items()):
            latest.update(((move.tag, b""), serial) for move in entry.moves)
            if entry.publisher in self.signers or entry.publisher in self._asked_for:
                latest.update(((move.tag, entry.publisher), serial) for move in entry.moves)
        needed = set(latest.values())
        spare = next((serial for serial in sorted(known) if serial not in needed), min(known))
        del known[spare]

    def heads(self) -> dict[str, int]:
        """The highest serial known of each dataset, those that changed last at the end."""
        return {dataset: max(known) for dataset, known in self._datasets.items()}

    def head(self, dataset: str) -> int:
        """The highest serial known of a dataset, 0 for none."""
        return max(self._datasets.get(dataset, {}), default=0)

    def above(self, dataset: str, serial: int) -> list[bytes]:
        """The signed entries after a serial, in order."""
        return [raw for at, (_, raw) in sorted(self._datasets.get(dataset, {}).items()) if at > serial]

    def entry_of_tag(self, dataset: str, tag: str, counts: Counts = lambda entry: True) -> bytes | None:
        """The highest entry that moved the tag, of those that count."""
        for _, (entry, raw) in sorted(self._datasets.get(dataset, {}).items(), reverse=True):
            if any(move.tag == tag for move in entry.moves) and counts(entry):
                return raw
        return None

    def entry_at(self, dataset: str, serial: int) -> Entry | None:
        """The entry with this serial, if it is known."""
        known = self._datasets.get(dataset, {}).get(serial)
        return known[0] if known is not None else None

    def last_of_tag(self, dataset: str, tag: str) -> Entry | None:
        """The same entry, parsed."""
        raw = self.entry_of_tag(dataset, tag)
        return parse_entry(raw)[1] if raw is not None else None

    def entry_of_version(self, dataset: str, version: bytes, counts: Counts = lambda entry: True) -> bytes | None:
        """An entry that shows that the version belongs to the dataset, of those that count."""
        for entry, raw in self._datasets.get(dataset, {}).values():
            if version in entry.shown and counts(entry):
                return raw
        return None

    def versions(self, dataset: str) -> list[bytes]:
        """Every version that a known entry names, the latest first."""
        entries = [entry for _, (entry, _) in sorted(self._datasets.get(dataset, {}).items(), reverse=True)]
        return list(dict.fromkeys(version for entry in entries for version in entry.shown))

    def serial_of_tag(self, dataset: str, tag: str, counts: Counts = lambda entry: True) -> int:
        """The highest serial seen for a tag, 0 for none."""
        raw = self.entry_of_tag(dataset, tag, counts)
        return parse_entry(raw)[1].serial if raw is not None else 0

    def tags(self) -> list[tuple[str, str, bytes | None]]:
        """Every known (dataset, tag, version)."""
        found: dict[tuple[str, str], bytes | None] = {}
        for dataset, known in self._datasets.items():
            for _, (entry, _raw) in sorted(known.items()):
                found.update(((dataset, move.tag), move.version) for move in entry.moves)
        return [(dataset, tag, version) for (dataset, tag), version in found.items()]
