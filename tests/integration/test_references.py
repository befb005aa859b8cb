"""What a name means: a whole dataset or a tag in its history, the first digits of a signature, an unchanged publish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarm.cli.status import status_lines
from swarm.errors import ConflictError, NotFoundError, UnreachableError, UsageError
from swarm.objects.counted import CountedStore
from swarm.objects.folder import FolderObjectStore
from swarm.objects.standing import place_of
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm, make_tree, run

ROADS = "maps/roads"


def test_status_tells_dates_and_where_the_store_is(tmp_path: Path) -> None:
    assert "1970-01-01 " in " ".join(status_lines({"certificate_expires": 43_200}))
    place = place_of(CountedStore(FolderObjectStore(tmp_path)))
    assert place.address == f"file://{tmp_path}"
    assert place.encryption.startswith("none")


async def serials(node: PeerNode, ref: str) -> list[int]:
    return [entry["serial"] for entry in (await run(node, "history", ref=ref))["entries"]]


def test_names_mean_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_tree(tmp_path / "data", 1, large_bytes=100_000)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer, other = await swarm.peer("producer"), await swarm.peer("other")
            first = await swarm.publish(producer, data, f"{ROADS}:latest")
            (data / "more").write_text("more")
            second = await swarm.publish(producer, data, f"{ROADS}:latest", f"{ROADS}:v2")
            await run(other, "tag", ref=f"{ROADS}@{first['version'][:12]}", names=[f"{ROADS}:v1"])
            assert await serials(other, ROADS) == [1, 2, 3]
            assert await serials(other, f"{ROADS}:latest") == [1, 2]
            assert await serials(other, f"{ROADS}@{first['version'][:8]}") == [1, 3]
            assert await serials(other, f"{ROADS}@{first['version']}") == [1, 3]
            listed = await run(other, "ls", ref=f"{ROADS}@{second['version'][:8]}/more")
            assert listed["version"] == second["version"]
            with pytest.raises(NotFoundError, match=r"no version is maps/roads@0000000000"):
                await run(other, "ls", ref=f"{ROADS}@0000000000")
            with pytest.raises(UsageError, match="is not a tag"):
                await run(other, "rm", names=[f"{ROADS}:v1@{first['version'][:12]}"])
            await check_unchanged(producer, other, data, second)
            await check_digits_without_tracker(other, first["version"], monkeypatch)

    asyncio.run(main())


async def check_unchanged(producer: PeerNode, other: PeerNode, data: Path, second: dict[str, object]) -> None:
    """The same content under the same tags is answered with the entry that stands."""

    async def again(node: PeerNode, *tags: str, **more: object) -> tuple[int, bool]:
        names = [f"{ROADS}:{tag}" for tag in tags]
        done = await run(node, "publish", path=str(data), names=names, **more)
        assert done["version"] == second["version"]
        return done["serial"], done["unchanged"]

    assert second["unchanged"] is False
    assert await again(producer, "v2", "latest") == (2, True)
    assert await again(other, "latest") == (2, True)
    assert await again(producer, "latest", if_serial=2) == (2, True)
    with pytest.raises(ConflictError, match="entry 2 of maps/roads"):
        await again(producer, "latest", if_serial=1)
    with pytest.raises(ConflictError):
        await again(producer, "latest", if_serial=9)
    assert await again(producer, "latest", "v3") == (4, False)
    # The entry that stands is the last that moved one of them, whichever is named first.
    assert await again(producer, "v2", "v3") == (4, True)
    assert await again(producer, "latest", message="checked") == (5, False)
    assert await again(producer, "latest", message="checked") == (5, True)
    assert await serials(other, ROADS) == [1, 2, 3, 4, 5]


async def check_digits_without_tracker(node: PeerNode, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several that begin alike are not guessed at; without a tracker what is known here counts."""

    async def alike(_: str) -> AsyncIterator[bytes]:
        yield bytes.fromhex(version)
        yield bytes.fromhex(version[:62] + ("00" if version[62:] != "00" else "11"))

    async def away(_: str) -> AsyncIterator[bytes]:
        raise UnreachableError("no tracker answers")
        yield b""

    monkeypatch.setattr(node.tracker, "versions", alike)
    with pytest.raises(UsageError, match="2 versions begin with"):
        await run(node, "ls", ref=f"{ROADS}@{version[:20]}")
    monkeypatch.setattr(node.tracker, "versions", away)
    assert (await run(node, "ls", ref=f"{ROADS}@{version[:20]}"))["version"] == version
    with pytest.raises(UnreachableError):
        await run(node, "ls", ref=f"{ROADS}@0000000000")
