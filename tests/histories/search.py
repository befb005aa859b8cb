"""Whether a history is linearizable: is there an order of single steps that explains every answer, in which nothing
comes before what had returned when it was asked for?

Wing and Gong, *Testing and verifying concurrent objects*, 1993: try each operation that nothing still waiting must
precede, go back where none fits. What keeps it short is Lowe, *Testing for linearizability*, 2017: the same operations
done and the same state reached is never searched twice. And what only looks is done as soon as it can be, with no other
try beside it: it is in nobody's way. Histories of several objects are judged one object at a time (Herlihy and Wing:
linearizability is local); see ``by_object``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from tests.histories.history import Answer, Call, Operation

# A history of some thousand operations needs about as many steps; who needs so many has too many unknown outcomes.
STEPS_MAX: Final = 2_000_000
# Before all events and behind them.
END: Final = 0

State = TypeVar("State", bound=Hashable)
Object = TypeVar("Object", bound=Hashable)
Asked = TypeVar("Asked", contravariant=True)
Answered = TypeVar("Answered", contravariant=True)


class Model(Protocol[State, Asked, Answered]):
    """What one step of a sequential object does. States are values: equal ones are the same state."""

    def first(self) -> State:
        """The state before any step."""
        ...

    def step(self, state: State, call: Asked, answer: Answered | None) -> State | None:
        """The state after a call with this answer, or None where it cannot be answered so.

        Without an answer: the state after the call took effect, None where it would have had none.
        """
        ...

    def only_looks(self, call: Asked, answer: Answered | None) -> bool:
        """Whether a call with this answer leaves every state as it is."""
        ...


@dataclass(frozen=True, slots=True)
class Order(Generic[Call, Answer]):
    """``steps`` explains the history, if ``stuck`` is empty. Else it is the longest beginning that was found, and none
    of ``stuck`` can come next.
    """

    steps: list[Operation[Call, Answer]]
    stuck: list[Operation[Call, Answer]]

    @property
    def is_linearizable(self) -> bool:
        return not self.stuck


class Undecided(Exception):
    """The search was given up: the history has too many unknown outcomes at once."""


class _Events:
    """Calls and returns in the order of their moments, as a list from which operations are lifted and put back.

    Node 0 is before all, 1 to n are calls, n + 1 to 2n returns. What has no answer has no return.
    """

    def __init__(self, history: Sequence[Operation[Call, Answer]]) -> None:
        self._count = len(history)
        moments = [(each.invoked, 0, at + 1) for at, each in enumerate(history)]
        moments += [
            (each.returned, 1, at + 1 + self._count) for at, each in enumerate(history) if each.returned is not None
        ]
        nodes = [0, *(node for _, _, node in sorted(moments))]
        self.after = [0] * (2 * self._count + 1)
        self._before = [0] * (2 * self._count + 1)
        for one, other in zip(nodes, [*nodes[1:], 0], strict=True):
            self.after[one], self._before[other] = other, one
        self._has_return = [False, *(each.returned is not None for each in history)]

    def is_call(self, node: int) -> bool:
        return 0 < node <= self._count

    def lift(self, call: int) -> None:
        for node in self._nodes(call):
            self.after[self._before[node]], self._before[self.after[node]] = self.after[node], self._before[node]

    def put_back(self, call: int) -> None:
        for node in reversed(self._nodes(call)):
            self.after[self._before[node]] = self._before[self.after[node]] = node

    def _nodes(self, call: int) -> list[int]:
        return [call, call + self._count] if self._has_return[call] else [call]

    def calls_that_may_come_next(self) -> list[int]:
        found, node = [], self.after[0]
        while self.is_call(node):
            found.append(node)
            node = self.after[node]
        return found


def order_of(
    history: Sequence[Operation[Call, Answer]], model: Model[State, Call, Answer], steps_max: int = STEPS_MAX
) -> Order[Call, Answer]:
    """An order that explains the history, or why there is none. Raises Undecided."""
    search = _Search(history, model)
    for _ in range(steps_max):
        if not search.left:
            return Order(search.steps(), [])
        if search.at_call():
            search.try_call()
        elif not search.go_back():
            return search.best
    raise Undecided(f"no order was found or ruled out for {len(history)} operations in {steps_max} steps")


class _Search(Generic[State, Call, Answer]):
    """The state is reached by the operations done, which are lifted out of the events; the node is tried next."""

    def __init__(self, history: Sequence[Operation[Call, Answer]], model: Model[State, Call, Answer]) -> None:
        self._history = history
        self._model = model
        self._events = _Events(history)
        self._state = model.first()
        self._done: list[tuple[int, State]] = []
        self._mask = 0
        self._seen: set[tuple[int, State]] = set()
        self._node = self._events.after[0]
        self.left = sum(1 for each in history if each.answer is not None)
        self.best: Order[Call, Answer] = Order([], [])

    def steps(self) -> list[Operation[Call, Answer]]:
        return [self._history[call - 1] for call, _ in self._done]

    def at_call(self) -> bool:
        return self._events.is_call(self._node)

    def try_call(self) -> None:
        """Let this operation come next, if it can, and if that does not lead where the search has been."""
        each = self._history[self._node - 1]
        reached = self._model.step(self._state, each.call, each.answer)
        mask = self._mask | 1 << self._node
        if reached is None or (mask, reached) in self._seen:
            is_dead = reached is not None and self._model.only_looks(each.call, each.answer)
            self._node = END if is_dead else self._events.after[self._node]
            return
        self._seen.add((mask, reached))
        self._done.append((self._node, self._state))
        self._mask, self._state = mask, reached
        self.left -= each.answer is not None
        self._events.lift(self._node)
        self._node = self._events.after[0]

    def go_back(self) -> bool:
        """What has returned could not come before: take the last step back. False when there is none."""
        if not self.best.stuck or len(self._done) > len(self.best.steps):
            stuck = [self._history[call - 1] for call in self._events.calls_that_may_come_next()]
            self.best = Order(self.steps(), stuck)
        while self._done:
            node = self._take_back()
            each = self._history[node - 1]
            if not self._model.only_looks(each.call, each.answer):
                self._node = self._events.after[node]
                return True
        return False

    def _take_back(self) -> int:
        node, self._state = self._done.pop()
        self._mask &= ~(1 << node)
        self.left += self._history[node - 1].answer is not None
        self._events.put_back(node)
        return node


def by_object(
    history: Sequence[Operation[Call, Answer]], object_of: Callable[[Call], Object]
) -> dict[Object, list[Operation[Call, Answer]]]:
    """The history of each object."""
    found: dict[Object, list[Operation[Call, Answer]]] = {}
    for each in history:
        found.setdefault(object_of(each.call), []).append(each)
    return found
