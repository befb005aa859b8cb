"""The search itself, on registers: known good and known bad histories, and beside trying out all orders."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest

from tests.histories.history import Operation, Recorder
from tests.histories.search import Undecided, by_object, order_of

OK = 0


@dataclass(frozen=True, slots=True)
class Write:
    value: int


@dataclass(frozen=True, slots=True)
class Read:
    """Its answer is the value."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Compare and set. Its answer is whether it did."""

    old: int
    new: int


Call = Write | Read | Swap
Op = Operation[Call, int]


class Register:
    def first(self) -> int:
        return 0

    def step(self, state: int, call: Call, answer: int | None) -> int | None:
        if isinstance(call, Write):
            return call.value
        if isinstance(call, Read):
            return state if answer in (None, state) else None
        done = state == call.old
        if answer is None:
            return call.new if done else None
        return (call.new if done else state) if answer == done else None

    def only_looks(self, call: Call, answer: int | None) -> bool:
        return isinstance(call, Read) or (isinstance(call, Swap) and answer == 0)


def op(invoked: int, returned: int | None, call: Call, answer: int | None = OK) -> Op:
    return Operation("c", invoked, returned, call, None if returned is None else answer)


GOOD: dict[str, list[Op]] = {
    "nothing": [],
    "one after another": [op(1, 2, Write(1)), op(3, 4, Read(), 1)],
    "a read beside a write sees either": [op(1, 9, Write(1)), op(2, 3, Read(), 0), op(4, 5, Read(), 1)],
    "later writes are put before earlier ones": [op(1, 9, Write(1)), op(2, 8, Write(2)), op(10, 11, Read(), 1)],
    "an unknown write never was": [op(1, None, Write(1)), op(2, 3, Read(), 0), op(4, 5, Read(), 0)],
    "an unknown write comes late": [op(1, None, Write(1)), op(2, 3, Read(), 0), op(8, 9, Read(), 1)],
    "one of two swaps": [op(1, 4, Swap(0, 1), True), op(2, 3, Swap(0, 2), False), op(5, 6, Read(), 1)],
    "a moment that two share": [op(1, 3, Write(1)), op(3, 4, Read(), 0)],
}
BAD: dict[str, list[Op]] = {
    "a stale read": [op(1, 2, Write(1)), op(3, 4, Read(), 0)],
    "a read from nowhere": [op(1, 2, Write(1)), op(3, 4, Read(), 2)],
    "back to the old value": [op(1, 9, Write(1)), op(2, 3, Read(), 1), op(4, 5, Read(), 0)],
    "two readers, two orders": [
        op(1, 20, Write(1)),
        op(1, 20, Write(2)),
        op(2, 3, Read(), 1),
        op(4, 5, Read(), 2),
        op(6, 7, Read(), 1),
    ],
    "a lost update": [op(1, 4, Swap(0, 1), True), op(2, 3, Swap(0, 2), True)],
    "an unknown write before it was asked for": [op(1, 2, Read(), 1), op(3, None, Write(1))],
    "an unknown swap twice": [
        op(1, None, Swap(0, 1)),
        op(2, 3, Read(), 1),
        op(4, 5, Write(0)),
        op(6, 7, Read(), 1),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_of_a_good_history_an_order_is_found(name: str) -> None:
    order = order_of(GOOD[name], Register())
    assert order.is_linearizable
    explains(order.steps, GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_of_a_bad_history_none_is(name: str) -> None:
    order = order_of(BAD[name], Register())
    assert not order.is_linearizable
    assert not {id(step) for step in order.steps} & {id(step) for step in order.stuck}


def explains(steps: list[Op], history: list[Op]) -> None:
    """The order holds all that was answered, keeps to the moments, and each step gives what was answered."""
    assert {id(each) for each in history if each.returned is not None} <= {id(each) for each in steps}
    state: int | None = 0
    for at, each in enumerate(steps):
        assert all(later.returned is None or later.returned >= each.invoked for later in steps[at + 1 :])
        assert state is not None
        state = Register().step(state, each.call, each.answer)
    assert state is not None


def by_trying_all(history: list[Op]) -> bool:
    """Whether any order of the answered and any of the unknown ones explains the history."""
    answered = [each for each in history if each.returned is not None]
    unknown = [each for each in history if each.returned is None]
    for count in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, count):
            if any(_is_order(order) for order in itertools.permutations([*answered, *some])):
                return True
    return False


def _is_order(order: tuple[Op, ...]) -> bool:
    state: int | None = 0
    for at, each in enumerate(order):
        if any(later.returned is not None and later.returned < each.invoked for later in order[at + 1 :]):
            return False
        state = Register().step(state or 0, each.call, each.answer)
        if state is None:
            return False
    return True


def random_history(rng: random.Random) -> list[Op]:
    history: list[Op] = []
    for _ in range(rng.randint(1, 6)):
        invoked = rng.randint(1, 12)
        returned = None if rng.random() < 0.2 else rng.randint(invoked + 1, 16)
        calls: list[Call] = [Write(rng.randint(0, 2)), Read(), Swap(rng.randint(0, 2), rng.randint(0, 2))]
        call = rng.choice(calls)
        answer = rng.randint(0, 2) if isinstance(call, Read) else rng.randint(0, 1)
        history.append(op(invoked, returned, call, answer))
    return history


def test_it_says_what_trying_all_orders_says() -> None:
    verdicts = []
    for seed in range(600):
        history = random_history(random.Random(seed))
        order = order_of(history, Register())
        assert order.is_linearizable == by_trying_all(history), (seed, history)
        if order.is_linearizable:
            explains(order.steps, history)
        verdicts.append(order.is_linearizable)
    assert 100 < sum(verdicts) < 500


def test_too_much_is_said_and_not_passed() -> None:
    history = [op(number, None, Write(number)) for number in range(1, 40)] + [op(90, 91, Read(), 99)]
    with pytest.raises(Undecided):
        order_of(history, Register(), steps_max=10_000)


def test_a_recorder_numbers_and_keeps_what_is_unknown() -> None:
    recorder = Recorder[Call, int]()
    one, two = recorder.invoke("a", Write(1)), recorder.invoke("b", Read())
    recorder.answered(two, 0)
    assert recorder.history() == [
        Operation("a", one, None, Write(1), None),
        Operation("b", two, 3, Read(), 0),
    ]
    apart = by_object(recorder.history(), lambda call: type(call).__name__)
    assert {name: len(each) for name, each in apart.items()} == {"Write": 1, "Read": 1}
