"""A graceful end waits for what others may rely on, for nothing else, and begins nothing of the kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from swarm.errors import UnreachableError
from swarm.peer.ending import Ending


def test_it_waits_for_publishes_and_says_so() -> None:
    async def main() -> None:
        ending, told, go = Ending(), asyncio.Event(), asyncio.Event()
        reports: list[dict[str, Any]] = []

        async def publish() -> None:
            with ending.work("publish"):
                await go.wait()

        def progress(report: dict[str, Any]) -> None:
            reports.append(report)
            told.set()

        work = asyncio.create_task(publish())
        await asyncio.sleep(0)
        assert ending.waiting_for() == "publish"
        finishing = asyncio.create_task(ending.finish(progress, None))
        await told.wait()
        with pytest.raises(UnreachableError, match="ending"), ending.work("tag"):
            pass
        with ending.work("pull"):
            pass
        assert not finishing.done()
        go.set()
        assert await finishing
        await work
        assert reports[0] == {"event": "progress", "phase": "finish", "waiting_for": "publish"}

    asyncio.run(main())


def test_it_waits_no_longer_than_it_is_told_to() -> None:
    async def main() -> None:
        ending = Ending(lambda: 2)
        assert await ending.finish(lambda report: None, 0.0) is False
        assert ending.waiting_for() == "upload (2)"

    asyncio.run(main())


def test_a_pull_is_not_waited_for_nor_one_that_failed() -> None:
    async def main() -> None:
        ending = Ending()
        with pytest.raises(ValueError, match="no"), ending.work("publish"):
            raise ValueError("no")
        with ending.work("pull"):
            assert await ending.finish(lambda report: None, None)

    asyncio.run(main())
