"""What a dataset is after an entry of its log: tags, versions, what goes out in stages, and which entry may come next.

Pure; ``now`` is monotonic.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from swarm import log
from swarm.errors import FullError, NotFoundError, UnreachableError
from swarm.limits import DATASET_MAX_TAGS
from swarm.log import Entry
from swarm.snapshot import TagState
from swarm.tracker.absent import no_dataset, no_tag
from swarm.tracker.staged import Staged

# Of each tag: the entries that moved it last, or steered its rollout.
TURNS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Head:
    """A dataset at one moment: its last serial and all tags, sorted; and how long ago that moment is."""

    serial: int
    tags: tuple[TagState, ...]
    age_s: float = 0.0


@dataclass(slots=True)
class LogState:
    """A dataset as of entry ``serial``. ``versions`` tells in which entry a version came first, ``turns`` which entries
    moved, steered or removed a tag last, rising; ``confirmed_at`` is when the store said that this is all there is.
    """

    serial: int = 0
    data: bytes = b""
    tags: dict[str, TagState] = field(default_factory=dict)
    versions: dict[bytes, int] = field(default_factory=dict)
    turns: dict[str, list[int]] = field(default_factory=dict)
    staged: Staged = field(default_factory=Staged)
    read_at: float = float("-inf")
    confirmed_at: float | None = None
    # Why the last look at the store failed; None when it did not.
    away: UnreachableError | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def head_hash(self) -> bytes:
        return log.entry_hash(self.data) if self.serial else b""

    def apply(self, entry: Entry, data: bytes) -> None:
        """The next entry, as it lies in the store. RemoteProtocolError for one that does not follow."""
        log.check_follows(entry, self.serial, self.head_hash)
        for move in entry.moves:
            # A list, as a deque of one is ten times as large, and tags that were removed stay.
            turns = self.turns.setdefault(move.tag, [])
            turns.append(entry.serial)
            del turns[:-TURNS_MAX]
            if move.version is None:
                self.tags.pop(move.tag, None)
            else:
                self.tags[move.tag] = TagState(move.tag, entry.serial, move.version)
                self.versions.setdefault(move.version, entry.serial)
        self.staged.apply(entry)
        self.serial, self.data = entry.serial, data

    def as_head(self, dataset: str, now: float) -> Head:
        """NotFoundError for a log without entries."""
        if self.serial == 0:
            raise no_dataset(dataset)
        age_s = max(0.0, now - (self.confirmed_at or 0.0))
        return Head(self.serial, tuple(self.tags[tag] for tag in sorted(self.tags)), age_s)

    def check_moves(self, entry: Entry) -> None:
        """What an entry may refer to: removed tags must be there, and only a publish brings a version that is new.
        NotFoundError, and FullError for too many tags.
        """
        for move in entry.moves:
            if move.version is None and move.tag not in self.tags:
                raise no_tag(entry.dataset, move.tag, list(self.tags.values()))
            if entry.kind in ("tag", "rollback") and move.version is not None and move.version not in self.versions:
                raise NotFoundError(
                    f"{entry.dataset} has no version {move.version.hex()[:16]}...: publish it, "
                    "or see `aetherfs history`"
                )
        added = sum(move.version is not None and move.tag not in self.tags for move in entry.moves)
        if added and len(self.tags) + added > DATASET_MAX_TAGS:
            raise FullError(f"{entry.dataset} has {len(self.tags)} tags, the limit is {DATASET_MAX_TAGS}: remove some")
