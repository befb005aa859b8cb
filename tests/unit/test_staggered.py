"""Trying several, each a moment after the one before: who counts, who is cancelled, and what is told of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from swarm.staggered import Staggered

NEVER_S = 1e9


class Silent(Exception):
    """The next one may do better."""


def round_of(behaviours: dict[str, Any], wait_s: Callable[[str], float]) -> tuple[Staggered[str, str], list[str]]:
    """A round over names, each with an answer, an error, or None for silence; and a list of who was cancelled."""
    cancelled: list[str] = []

    async def attempt(name: str) -> str:
        behaviour = behaviours[name]
        if behaviour is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise
        if isinstance(behaviour, Exception):
            raise behaviour
        return str(behaviour)

    return Staggered(list(behaviours), attempt, wait_s, lambda error: isinstance(error, Silent)), cancelled


def test_who_is_silent_is_overtaken_and_cancelled() -> None:
    async def main() -> None:
        tried, cancelled = round_of({"a": None, "b": None, "c": "yes", "d": "no"}, lambda _: 0.0)
        assert await tried.first() == ("c", "yes")
        assert tried.overtaken == cancelled == ["a", "b"]
        assert tried.failures == []

    asyncio.run(main())


def test_who_answers_in_time_is_the_only_one_asked() -> None:
    async def main() -> None:
        tried, cancelled = round_of({"a": "yes", "b": "no"}, lambda _: NEVER_S)
        assert await tried.first() == ("a", "yes")
        assert (tried.overtaken, cancelled) == ([], [])

    asyncio.run(main())


def test_who_fails_is_not_waited_for() -> None:
    """Each may take for ever, yet nobody waits: the next comes at once."""

    async def main() -> None:
        told = Silent()
        tried, _ = round_of({"a": told, "b": told, "c": "yes"}, lambda _: NEVER_S)
        assert await tried.first() == ("c", "yes")
        assert tried.failures == [("a", told), ("b", told)]
        tried, _ = round_of({"a": told, "b": told}, lambda _: NEVER_S)
        assert await tried.first() is None
        tried, _ = round_of({}, lambda _: NEVER_S)
        assert await tried.first() is None

    asyncio.run(main())


def test_a_refusal_ends_the_round() -> None:
    async def main() -> None:
        tried, cancelled = round_of({"a": None, "b": ValueError("no"), "c": "yes"}, lambda _: 0.0)
        with pytest.raises(ValueError, match="no"):
            await tried.first()
        assert cancelled == ["a"]

    asyncio.run(main())


def test_one_that_was_silent_may_answer_first_after_all() -> None:
    async def main() -> None:
        late = asyncio.Event()

        async def attempt(name: str) -> str:
            if name == "b":
                late.set()
                await asyncio.Event().wait()
            await late.wait()
            return name

        tried = Staggered(["a", "b"], attempt, lambda _: 0.0, lambda _: True)
        assert await tried.first() == ("a", "a")
        assert tried.overtaken == ["b"]

    asyncio.run(main())


def test_an_answer_that_comes_beside_the_first_is_discarded() -> None:
    async def main() -> None:
        both = asyncio.Event()
        discarded: list[str] = []

        async def attempt(name: str) -> str:
            if name == "b":
                both.set()
            await both.wait()
            return name

        tried = Staggered(["a", "b"], attempt, lambda _: 0.0, lambda _: True, discarded.append)
        found = await tried.first()
        assert found is not None
        assert sorted([found[1], *discarded]) == ["a", "b"]

    asyncio.run(main())
