"""Looks that are shared: nobody is answered by one that began before it asked, and the store is asked seldom."""

from __future__ import annotations

import asyncio

import pytest

from swarm.errors import NotFoundError
from swarm.tracker import looking
from swarm.tracker.looking import BURST, SharedLooks


class Store:
    """What a look takes as long as the test likes."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.may_end = asyncio.Semaphore(0)
        self.failure: Exception | None = None

    async def look(self, dataset: str) -> None:
        self.began.append(dataset)
        await self.may_end.acquire()
        if self.failure is not None:
            raise self.failure


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_comes_while_a_look_is_under_way_waits_for_the_next() -> None:
    async def main() -> None:
        store = Store()
        looks = SharedLooks(store.look)
        first = asyncio.create_task(looks.fresh("a/b"))
        await settle()
        later = [asyncio.create_task(looks.fresh("a/b")) for _ in range(100)]
        other = asyncio.create_task(looks.fresh("c/d"))
        await settle()
        assert store.began == ["a/b", "c/d"]
        store.may_end.release()
        store.may_end.release()
        await asyncio.gather(first, other)
        await settle()
        assert not any(task.done() for task in later), "an answer was older than the question"
        store.may_end.release()
        await asyncio.gather(*later)
        assert store.began == ["a/b", "c/d", "a/b"]
        assert looks.looks == 3

    asyncio.run(main())


def test_closing_ends_looks_that_wait_for_somebody_to_ask() -> None:
    async def main() -> None:
        store = Store()
        store.may_end.release()
        looks = SharedLooks(store.look)
        await looks.fresh("a/b")
        assert asyncio.all_tasks() != {asyncio.current_task()}
        await looks.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_what_a_look_raises_reaches_all_and_the_next_begins_anew() -> None:
    async def main() -> None:
        store = Store()
        looks = SharedLooks(store.look)
        asked = [asyncio.create_task(looks.fresh("a/b")) for _ in range(3)]
        asked[0].cancel()
        store.failure = NotFoundError("none")
        store.may_end.release()
        for task in asked[1:]:
            with pytest.raises(NotFoundError):
                await task
        store.failure = None
        store.may_end.release()
        await looks.fresh("a/b")
        assert len(store.began) == 2

    asyncio.run(main())


def test_a_failure_that_nobody_waits_for_is_no_defect() -> None:
    async def main() -> None:
        store = Store()
        looks = SharedLooks(store.look)
        asked = asyncio.create_task(looks.fresh("a/b"))
        await settle()
        asked.cancel()
        store.failure = NotFoundError("none")
        store.may_end.release()
        await settle()

    asyncio.run(main())


def test_a_dataset_that_is_asked_for_without_a_pause_is_looked_at_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a burst each look waits for its time, which does not come here; whether one caller asks or many."""
    monkeypatch.setattr(looking, "LOOKS_PER_S", 1e-6)
    monkeypatch.setattr(looking, "PAUSE_S", 1e6)

    async def main() -> None:
        for callers in (1, 5):
            store = Store()
            looks = SharedLooks(store.look)

            async def ask(looks: SharedLooks = looks) -> None:
                while True:
                    await looks.fresh("a/b")

            asking = [asyncio.create_task(ask()) for _ in range(callers)]
            for _ in range(3 * BURST):
                await settle()
                store.may_end.release()
            await settle()
            assert len(store.began) == BURST
            for task in [*asking, *looks._looking.values()]:
                task.cancel()

    asyncio.run(main())


def test_after_a_pause_nobody_waits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOKS_PER_S", 1e-6)
    monkeypatch.setattr(looking, "BURST", 2)
    monkeypatch.setattr(looking, "PAUSE_S", 0.0)

    async def main() -> None:
        store = Store()
        looks = SharedLooks(store.look)
        for _ in range(10):
            store.may_end.release()
            await looks.fresh("a/b")
            while looks._looking:
                await asyncio.sleep(0)
        assert len(store.began) == 10

    asyncio.run(main())


def test_who_asks_in_the_very_moment_that_the_pause_ends_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop was busy: the pause is over, and the looking task does not know yet."""
    monkeypatch.setattr(looking, "PAUSE_S", 1000.0)

    async def main() -> None:
        async def look(_dataset: str) -> None:
            await asyncio.sleep(0)

        looks, loop = SharedLooks(look), asyncio.get_running_loop()
        await looks.fresh("maps/roads")
        while "maps/roads" not in looks._asked:
            await asyncio.sleep(0)
        later = loop.time() + 2 * looking.PAUSE_S
        monkeypatch.setattr(loop, "time", lambda: later)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        monkeypatch.undo()
        async with asyncio.timeout(60):
            await looks.fresh("maps/roads")
        assert looks.looks == 2

    asyncio.run(main())
