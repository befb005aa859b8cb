"""What a dataset's log does in one step: entries that move tags, one after another, and what readers see of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# A tag and the version that it points to from now on; None removes it.
Moves = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Append:
    """One command that moves tags of a dataset. ``mark`` is its own: no other command's entry carries it."""

    dataset: str
    mark: str
    kind: str
    moves: Moves
    if_serial: int | None = None


@dataclass(frozen=True, slots=True)
class ReadTag:
    """Where a tag points, and all tags beside it as the snapshot tells them."""

    dataset: str
    tag: str


@dataclass(frozen=True, slots=True)
class ReadTags:
    """Head and all tags."""

    dataset: str


@dataclass(frozen=True, slots=True)
class ReadLog:
    """The entries after a serial, up to so many."""

    dataset: str
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The entry stands at this serial."""

    serial: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was done, as this entry had moved one of the tags after what was seen. None: as there is no such entry
    yet.
    """

    winner: int | None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Nothing was done, as others were always first."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing was done or found, as there is no such tag or version."""


@dataclass(frozen=True, slots=True)
class Tags:
    """The head's serial and, by tag, the serial of the entry that moved it last and the version. ``found`` is what a
    lookup said of its one tag, by the entry that proves it.
    """

    serial: int
    tags: tuple[tuple[str, int, bytes], ...]
    found: tuple[int, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """The marks of entries, in order from the one after which was asked."""

    marks: tuple[str, ...]


Call = Append | ReadTag | ReadTags | ReadLog
Answer = Committed | Refused | GaveUp | Missing | Tags | Entries


@dataclass(frozen=True, slots=True)
class LogState:
    """A log, by the marks of its entries; all else follows from them, as a mark is one command's."""

    marks: tuple[str, ...] = ()
    tags: Mapping[str, tuple[int, bytes]] = field(default_factory=dict, compare=False)
    moved: Mapping[str, int] = field(default_factory=dict, compare=False)
    versions: frozenset[bytes] = field(default=frozenset(), compare=False)

    @property
    def serial(self) -> int:
        return len(self.marks)

    def listed(self) -> tuple[tuple[str, int, bytes], ...]:
        return tuple((tag, *self.tags[tag]) for tag in sorted(self.tags))


class LogModel:
    """A ``search.Model`` of one dataset."""

    def first(self) -> LogState:
        return LogState()

    def step(self, state: LogState, call: Call, answer: Answer | None) -> LogState | None:
        if isinstance(call, Append):
            return _append(state, call, answer)
        return state if answer is None or _reads(state, call) == answer else None

    def only_looks(self, call: Call, answer: Answer | None) -> bool:
        return not isinstance(call, Append) or not (answer is None or isinstance(answer, Committed))


def _append(state: LogState, call: Append, answer: Answer | None) -> LogState | None:
    if isinstance(answer, GaveUp):
        return state
    if isinstance(answer, Refused):
        return state if call.if_serial is not None and _refusal(state, call) == answer else None
    if call.if_serial is not None and _refusal(state, call) is not None:
        return None
    if isinstance(answer, Missing):
        return None if _is_possible(state, call) else state
    if not _is_possible(state, call):
        return None
    reached = _moved(state, call)
    return reached if answer is None or answer == Committed(reached.serial) else None


def _refusal(state: LogState, call: Append) -> Refused | None:
    """How the call is refused for what it has seen, None where it is not."""
    seen = call.if_serial or 0
    if seen > state.serial:
        return Refused(None)
    last = max(state.moved.get(tag, 0) for tag, _ in call.moves)
    return Refused(last) if last > seen else None


def _is_possible(state: LogState, call: Append) -> bool:
    """Whether the tags to be removed are there, and the versions to be pointed to."""
    for tag, version in call.moves:
        if version is None and tag not in state.tags:
            return False
        if version is not None and call.kind != "publish" and version not in state.versions:
            return False
    return True


def _moved(state: LogState, call: Append) -> LogState:
    serial = state.serial + 1
    tags = dict(state.tags)
    for tag, version in call.moves:
        if version is None:
            del tags[tag]
        else:
            tags[tag] = (serial, version)
    moved = {**state.moved, **dict.fromkeys((tag for tag, _ in call.moves), serial)}
    versions = state.versions | {version for _, version in call.moves if version is not None}
    return LogState((*state.marks, call.mark), tags, moved, versions)


def _reads(state: LogState, call: ReadTag | ReadTags | ReadLog) -> Answer:
    if isinstance(call, ReadLog):
        return Entries(state.marks[call.after : call.after + call.limit]) if state.serial else Missing()
    if isinstance(call, ReadTags):
        return Tags(state.serial, state.listed()) if state.serial else Missing()
    found = state.tags.get(call.tag)
    return Tags(state.serial, state.listed(), found) if found is not None else Missing()
