"""Orders to purge beside tags and claims of the same moment: whoever comes second sees the other."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from swarm.claims import GONE, LEASES, claim
from swarm.errors import ConflictError, NotAllowedError
from swarm.peer.node import PeerNode
from swarm.tracker import serve_orders
from swarm.tracker.orders import PURGES
from tests.integration.swarm_rig import Swarm, make_tree, run

ROADS = "maps/roads"


async def after_two_versions(swarm: Swarm, data: Path) -> tuple[PeerNode, PeerNode, str]:
    """Who may purge, who has moved the tag on, and the version that no tag points to any more."""
    admin, producer = await swarm.peer("admin", role="tracker"), await swarm.peer("producer")
    first = (await swarm.publish(producer, data, f"{ROADS}:latest"))["version"]
    (data / "small").write_text("more")
    await swarm.publish(producer, data, f"{ROADS}:latest")
    return admin, producer, first


def test_a_tag_that_comes_between_the_look_and_the_order_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            admin, producer, first = await after_two_versions(swarm, data)
            loop, put = asyncio.get_running_loop(), swarm.objects.put_if_absent

            def tagged_before(key: str, content: bytes) -> bool:
                if key.startswith(PURGES):
                    monkeypatch.undo()
                    tag = run(producer, "tag", ref=f"{ROADS}@{first}", names=[f"{ROADS}:old"])
                    asyncio.run_coroutine_threadsafe(tag, loop).result(20)
                return put(key, content)

            monkeypatch.setattr(swarm.objects, "put_if_absent", tagged_before)
            with pytest.raises(ConflictError, match="order to purge stands, and old of maps/roads were pointed"):
                await run(admin, "purge", ref=f"{ROADS}@{first}")
            await run(producer, "rm", names=[f"{ROADS}:old"])
            assert (await run(admin, "purge", ref=f"{ROADS}@{first}"))["version"] == first

    asyncio.run(main())


def test_a_tag_that_looked_before_the_order_and_comes_after_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag's claim shows: who orders waits until it is over, and looks at the tags then."""
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            admin, producer, first = await after_two_versions(swarm, data)
            loop, get, listed = asyncio.get_running_loop(), swarm.objects.get, swarm.objects.list
            purging: list[asyncio.Future[dict[str, object]]] = []
            looked = threading.Event()

            async def purge() -> None:
                purging.append(asyncio.ensure_future(run(admin, "purge", ref=f"{ROADS}@{first}")))
                purging[0].add_done_callback(lambda _: looked.set())

            def ordered_after_the_look(key: str) -> bytes:
                if key.startswith(GONE) and listed(LEASES) and not purging:
                    asyncio.run_coroutine_threadsafe(purge(), loop).result(20)
                    assert looked.wait(20)
                return get(key)

            def heard(prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
                if prefix == LEASES and listed(PURGES):
                    looked.set()
                return listed(prefix, after=after, limit=limit)

            monkeypatch.setattr(swarm.objects, "get", ordered_after_the_look)
            monkeypatch.setattr(swarm.objects, "list", heard)
            await run(producer, "tag", ref=f"{ROADS}@{first}", names=[f"{ROADS}:old"])
            with pytest.raises(ConflictError, match="order to purge stands, and old of maps/roads were pointed"):
                await purging[0]
            # Whoever asks for the tag is told, also a peer that has not heard of the order.
            monkeypatch.setattr(producer.access, "is_purged", lambda *_: False)
            with pytest.raises(NotAllowedError, match="was purged by order"):
                await run(producer, "ls", ref=f"{ROADS}:old")
            monkeypatch.undo()
            moved = await run(producer, "tag", ref=f"{ROADS}:latest", names=[f"{ROADS}:old"], if_serial=3)
            assert moved["serial"] == 4

    asyncio.run(main())


def test_a_claim_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_orders, "CLAIMS_WAIT_S", 0.0)
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            admin = await swarm.peer("admin", role="tracker")
            first = (await swarm.publish(admin, data, f"{ROADS}:latest"))["version"]
            await run(admin, "rm", names=[f"{ROADS}:latest"])
            expires = int(time.time()) + 3600
            claim(swarm.objects, "1" * 32, ROADS, bytes.fromhex(first), expires)
            assert (await run(admin, "purge", ref=f"{ROADS}@{first}"))["claimed_until"] == expires

    asyncio.run(main())
