"""The event log of one rollout: who entered which state when, in little memory, and as bytes for the object store.
Pure.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.limits import MIB, NAME_CHARS
from swarm.log import DatasetName, TagName
from swarm.records import Key

# 13 bytes a step, and the words of some.
STEPS_MAX: Final = 200_000
# One peer that comes and goes uses up no more of them.
PEER_STEPS_MAX: Final = 128
PEERS_MAX: Final = 65_536
WORDS_KEPT_MAX: Final = 1000
WORDS_CHARS: Final = 200
LOG_MAX_BYTES: Final = 16 * MIB

Site = Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]


class LoggedStep(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """``t_ms`` after the start, peer ``peer`` of the log entered state ``state``."""

    t_ms: Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
    peer: Annotated[int, msgspec.Meta(ge=0, lt=PEERS_MAX)]
    state: Annotated[int, msgspec.Meta(ge=0, le=15)]
    words: Annotated[str, msgspec.Meta(max_length=WORDS_CHARS)]


class Logged(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A peer of the log."""

    public: Key
    site: Site


class KeptLog(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A rollout that is over, as it lies in the object store. Times are wall milliseconds."""

    format: Literal[1]
    dataset: DatasetName
    tag: TagName
    serial: Annotated[int, msgspec.Meta(ge=1)]
    version: Key
    previous: Annotated[bytes, msgspec.Meta(max_length=32)]
    message: Annotated[str, msgspec.Meta(max_length=1024)]
    started_ms: Annotated[int, msgspec.Meta(ge=0)]
    ended_ms: Annotated[int, msgspec.Meta(ge=0)]
    total_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sources: tuple[int, int, int, int, int]
    states: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]
    peers: Annotated[tuple[Logged, ...], msgspec.Meta(max_length=PEERS_MAX)]
    steps: Annotated[tuple[LoggedStep, ...], msgspec.Meta(max_length=STEPS_MAX)]
    dropped: Annotated[int, msgspec.Meta(ge=0)]


class StepLog:
    """The steps of one rollout as they come, nearly in order of time; read in threads while more come.

    Beyond ``STEPS_MAX``, and beyond ``PEER_STEPS_MAX`` of one peer, they are counted only.
    """

    def __init__(self) -> None:
        self._times = array("q")
        self._peers = array("I")
        self._states = array("B")
        self._words: dict[int, str] = {}
        self._numbers: dict[bytes, int] = {}
        # How many there are of each peer, by its number.
        self._counts = array("B")
        self.logged: list[Logged] = []
        self.dropped = 0

    def add(self, t_s: float, public: bytes, site: str, state: int, words: str = "") -> None:
        """A peer entered a state, so long after the start."""
        number = self._numbers.get(public)
        if len(self._times) >= STEPS_MAX or (number is None and len(self.logged) >= PEERS_MAX):
            self.dropped += 1
            return
        if number is None:
            number = self._numbers[public] = len(self.logged)
            self.logged.append(Logged(public, site))
            self._counts.append(0)
        if self._counts[number] >= PEER_STEPS_MAX:
            self.dropped += 1
            return
        self._counts[number] += 1
        if words and len(self._words) < WORDS_KEPT_MAX:
            self._words[len(self._times)] = words[:WORDS_CHARS]
        self._times.append(max(0, round(t_s * 1000)))
        self._peers.append(number)
        self._states.append(state)

    def __len__(self) -> int:
        # Of a step this is appended last: those before are whole.
        return len(self._states)

    def __iter__(self) -> Iterator[LoggedStep]:
        """In order of time."""
        return map(self._step, sorted(range(len(self)), key=self._times.__getitem__))

    def part(self, first: int, count: int) -> list[LoggedStep]:
        """A few of them as they came, at the cost of these few: what was told stays where it is."""
        return [self._step(place) for place in range(first, min(first + count, len(self)))]

    def _step(self, place: int) -> LoggedStep:
        return LoggedStep(self._times[place], self._peers[place], self._states[place], self._words.get(place, ""))


def decode_log(data: bytes) -> KeptLog | None:
    """None for what is damaged, or has steps of peers and states that it does not name: it is told of nowhere."""
    try:
        kept = canonical.decode(data, KeptLog, limit_bytes=LOG_MAX_BYTES)
    except RemoteProtocolError:
        return None
    peers, states = len(kept.peers), len(kept.states)
    return kept if all(step.peer < peers and step.state < states for step in kept.steps) else None
