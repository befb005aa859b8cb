"""Asking a neighbour to show parts of a manifest: several may wait for the same."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from swarm.peer.showing import Showing
from swarm.peer.wire import Shown

ROOT = bytes(32)


def test_who_gives_up_waiting_leaves_the_answer_to_the_others() -> None:
    async def main() -> None:
        nothing: Any = None
        showing = Showing(nothing, nothing, nothing)
        channel: Any = SimpleNamespace(peer_id="peer", send=lambda message: None)

        def asking() -> asyncio.Task[dict[bytes, Any]]:
            return asyncio.create_task(showing.ask(channel, "maps/roads", bytes(32), b"", (ROOT,)))

        first, second = asking(), asking()
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait((first,))
        assert not second.done()
        showing.came(channel, Shown(ROOT, b"root"))
        assert await second == {ROOT: b"root"}
        last = asking()
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.wait((last,))
        assert not showing._awaited
        showing.came(channel, Shown(ROOT, b"root"))  # nobody waits: it is nothing

    asyncio.run(main())
