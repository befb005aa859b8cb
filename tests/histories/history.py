"""What a history is: who asked for what, when, and what was answered.

Moments are numbers that only order: one less than another happened before it. An operation whose answer never came may
have taken effect at any moment since it was asked for, also long afterwards, or never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Call = TypeVar("Call")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Operation(Generic[Call, Answer]):
    """One call of one client. ``answer`` is None when it is not known what came of it, and ``returned`` when that was
    not known while others were still asking.
    """

    client: str
    invoked: int
    returned: int | None
    call: Call
    answer: Answer | None

    def __repr__(self) -> str:
        until = "?" if self.returned is None else self.returned
        return f"{self.client} [{self.invoked}, {until}] {self.call} -> {self.answer}"


class Recorder(Generic[Call, Answer]):
    """Writes a history down. For calls of one thread: moments are counted, so none is the same as another."""

    def __init__(self) -> None:
        self._moment = 0
        self._asked: dict[int, tuple[str, Call]] = {}
        self._done: list[Operation[Call, Answer]] = []

    def invoke(self, client: str, call: Call) -> int:
        """A call begins: its moment, to be given to ``answered``."""
        self._moment += 1
        self._asked[self._moment] = (client, call)
        return self._moment

    def answered(self, invoked: int, answer: Answer) -> None:
        """A call ended with this answer. One for which it is never told is of unknown outcome."""
        self._moment += 1
        client, call = self._asked.pop(invoked)
        self._done.append(Operation(client, invoked, self._moment, call, answer))

    def forget(self, invoked: int) -> None:
        """A call that changes nothing ended without an answer: it says nothing."""
        del self._asked[invoked]

    def history(self) -> list[Operation[Call, Answer]]:
        """All that was recorded, by the moments of the calls."""
        unknown: list[Operation[Call, Answer]] = [
            Operation(client, at, None, call, None) for at, (client, call) in self._asked.items()
        ]
        return sorted([*self._done, *unknown], key=lambda operation: operation.invoked)
