"""Subscriptions in a swarm of real parts: what is current, when it changes, and what is left of the old."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from swarm.encoding import open_block
from swarm.errors import AetherError, ConflictError, IntegrityError, NotFoundError
from swarm.home import Home
from swarm.peer.agent import start_peer
from swarm.peer.following import Following
from swarm.peer.node import PeerNode
from swarm.scan import scan
from swarm.sharing import clone
from tests.integration.swarm_rig import Swarm, contents, make_tree, run

REF = "maps/roads:stable"
DEADLINE_S = 90.0


@asynccontextmanager
async def follower(swarm: Swarm, home: Home) -> AsyncIterator[PeerNode]:
    """A peer that stays."""
    node = await start_peer(replace(swarm.settings(home), follows=True))
    try:
        yield node
    finally:
        await node.close()


async def until(node: PeerNode, is_so: Callable[[Following], bool]) -> Following:
    """The one subscription of a node once it is so."""
    changed = asyncio.Event()
    end = node.subscriptions.watch(lambda following: changed.set())
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                [following] = node.subscriptions
                if is_so(following):
                    return following
                await changed.wait()
                changed.clear()
    finally:
        end()


def at(version: str) -> Callable[[Following], bool]:
    """Whether a version is current and its round is over."""
    return lambda following: following.told().version == version and not following.phase


def disk_bytes(root: Path) -> int:
    """What the files below a directory take, each inode once."""
    seen = {p.lstat().st_ino: p.lstat().st_size for p in root.rglob("*") if p.is_file() and not p.is_symlink()}
    return sum(seen.values())


def has_reflinks(folder: Path) -> bool:
    """Whether the filesystem can share bytes between files."""
    (folder / "one").write_bytes(bytes(8192))
    with (folder / "one").open("rb") as one, (folder / "two").open("wb") as two:
        try:
            clone(two.fileno(), one.fileno())
        except OSError:
            return False
    return True


def held_whole(directory: Path) -> list[str]:
    return sorted(os.listdir(directory / "versions"))


@dataclass(frozen=True, slots=True)
class World:
    """A source that is published again and again, and the directory that follows."""

    folder: Path
    producer: PeerNode

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def directory(self) -> Path:
        return self.folder / "served" / "roads"

    @property
    def current(self) -> Path:
        return self.directory / "current"

    async def moved(self) -> str:
        published = await run(self.producer, "publish", path=str(self.source), names=[REF])
        return str(published["version"])


def test_a_directory_follows_its_tag(tmp_path: Path) -> None:
    async def main() -> None:
        make_tree(tmp_path / "source", 1)
        async with Swarm(tmp_path) as swarm:
            home, world = await swarm.enrol("edge"), World(tmp_path, await swarm.peer("producer"))
            first = await world.moved()
            async with follower(swarm, home) as node:
                second = await _moves_on(world, node, first)
                await _refuses(world, node, first, second)
                await run(node, "pause", name=str(world.directory))
                (world.source / "bad").unlink()
                third = await world.moved()
            async with follower(swarm, home) as node:
                [following] = node.subscriptions
                assert (following.told().version, following.told().paused) == (first, True)
                await run(node, "resume", name=following.wanted.id)
                await until(node, at(third))
                assert held_whole(world.directory) == sorted([first, third])
                assert contents(world.current) == contents(world.source)
                # Of what went nothing is kept in memory or in the home.
                assert {holding.version.hex() for holding in node.holdings} == {first, third}
                assert set(os.listdir(home.path / "manifests")) == {first, third}
                fourth = await _gone_back_meanwhile(world, node, third)
                await run(node, "unsubscribe", name=str(world.directory))
                assert not (await run(node, "subscriptions"))["subscriptions"]
            hooked = (tmp_path / "hooked").read_text()
            # Nothing is repeated, restart or not; neither the refused version nor the one gone back from was current.
            expected = [(first, ""), (second, first), (first, second), (third, first)]
            assert hooked.splitlines() == [f"{version} from {before}".rstrip() for version, before in expected]
            assert fourth not in hooked

    asyncio.run(main())


async def _moves_on(world: World, node: PeerNode, first: str) -> str:
    """Subscribed to the first version, then the second comes."""
    told = await _subscribe(node, world)
    assert (told["version"], told["serial"], told["problem"]) == (first, 1, "")
    assert contents(world.current) == contents(world.source)
    assert os.readlink(world.current) == f"versions/{first}"
    # Nobody writes by mistake into files that versions share, and that is no difference.
    assert (world.current / "large.bin").stat().st_mode & 0o777 == 0o444
    assert (await run(node, "verify", directory=str(world.current), ref=REF))["differences"] == []

    (world.source / "d0" / "f0").write_bytes(b"changed")
    second = await world.moved()
    await until(node, at(second))
    assert contents(world.current) == contents(world.source)
    assert held_whole(world.directory) == sorted([first, second])
    # Both versions lie there, and the large file once; what a reflink shares does not show in inodes.
    assert disk_bytes(world.directory) < 3_600_000 or has_reflinks(world.folder)
    return second


async def _refuses(world: World, node: PeerNode, first: str, second: str) -> None:
    """A version that the validation refuses, and back to the first, which lies there; then somebody alters it."""
    (world.source / "bad").write_bytes(b"")
    refused = await world.moved()
    following = await until(node, lambda each: each.told().refused == refused and not each.phase)
    assert "found bad" in following.told().refusal
    assert "bad" not in contents(world.current)
    assert held_whole(world.directory) == sorted([first, second])

    await run(world.producer, "rollback", name=REF, to=1)
    received = dict(node.traffic.received)
    await until(node, at(first))
    assert dict(node.traffic.received) == received, "a version that lay there was fetched again"
    await _altered_is_not_given(node, world.current)


async def _subscribe(node: PeerNode, world: World) -> dict[str, Any]:
    return await run(
        node,
        "subscribe",
        ref=REF,
        directory=str(world.directory),
        validate="if test -e bad; then echo found bad; exit 3; fi",
        hook='test "$PWD" = "$AETHERFS_PATH" && test -e "$AETHERFS_CURRENT/large.bin" && '
        f'echo $AETHERFS_VERSION from $AETHERFS_PREVIOUS_VERSION >> "{world.folder / "hooked"}"',
    )


async def _altered_is_not_given(node: PeerNode, current: Path) -> None:
    """A file that the user has altered in place is noticed at its reading, in every version that shares it."""
    large = current / "large.bin"
    large.chmod(0o644)
    with large.open("r+b") as file:
        file.write(bytes(3_000_000))
    given = 0
    for holding in node.holdings:
        for block in holding.manifest.unique:
            encoded = await asyncio.to_thread(holding.get, block.signature, lambda reading: None)
            if encoded is not None:
                open_block(encoded, block.signature, block.size)  # IntegrityError for other bytes
                given += 1
    assert given, "nothing was given at all"


async def _gone_back_meanwhile(world: World, node: PeerNode, good: str) -> str:
    """The tag moves on, and back while that version comes: no reader sees it."""
    (world.source / "later").write_bytes(b"x" * 100_000)
    manifest = scan(world.source).manifest
    alone = node.pulling.setdefault(("maps/roads", manifest.version), asyncio.Lock())
    seen: list[str] = []
    end = node.subscriptions.watch(lambda following: seen.append(following.told().version))
    async with alone:
        assert await world.moved() == manifest.version.hex()
        await until(node, lambda following: following.phase.startswith("fetches"))
        back = await run(world.producer, "rollback", name=REF)
        await _known(node, back["serial"])
    await until(node, lambda following: following.told().serial == back["serial"] and not following.phase)
    end()
    assert set(seen) == {good}
    return manifest.version.hex()


async def _known(node: PeerNode, serial: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while node.ledger.head("maps/roads") < serial:
            await asyncio.sleep(0.01)


def test_what_cannot_be_followed_leaves_nothing_and_what_fails_for_now_stays(tmp_path: Path) -> None:
    async def main() -> None:
        source, directory = make_tree(tmp_path / "source", 2, files=3, large_bytes=70_000), tmp_path / "d"
        async with Swarm(tmp_path) as swarm:
            await swarm.publish(await swarm.peer("producer"), source, REF)
            node = await swarm.peer("edge")  # It does not stay: what it is told is done once.
            with pytest.raises(NotFoundError):
                await run(node, "subscribe", ref="maps/nowhere", directory=str(directory))
            assert len(node.subscriptions) == 0

            refusing = {"ref": REF, "directory": str(directory), "validate": "echo no; exit 1"}
            with pytest.raises(IntegrityError, match=r"refused .*: no; move the tag"):
                await run(node, "subscribe", **refusing)
            [following] = node.subscriptions
            assert not (directory / "current").is_symlink()
            assert held_whole(directory) == []

            listed = [{"ref": REF, "directory": str(directory), "keep": 2}]
            await _is_tried_again(node, directory)

            failing_hook = {"ref": REF, "directory": str(directory), "keep": 2, "hook": "echo not now; exit 3"}
            await run(node, "subscribe", ref=REF, directory=str(directory), validate="", hook="")
            with pytest.raises(AetherError, match="ended with 3: not now; it is repeated"):
                await run(node, "subscribe", **failing_hook)
            assert contents(directory / "current") == contents(source)
            checked = await run(node, "sync", subscriptions=listed, check=True)
            assert (checked["changed"], following.told().hook) == ([str(directory)], failing_hook["hook"])
            synced = await run(node, "sync", subscriptions=listed)
            assert (synced["changed"], synced["failed"], synced["following"]) == ([str(directory)], {}, False)
            assert contents(directory / "current") == contents(source)

            await _removed_is_noticed(node, directory, source)
            await _is_of_one_home(swarm, node, directory)
            with pytest.raises(AetherError, match="cannot use"):
                await run(node, "subscribe", ref=REF, directory="/proc/x")
            assert len(node.subscriptions) == 1

            await _damaged_is_mended(node, listed[0], source)

            failing = [{"ref": "maps/nowhere", "directory": str(tmp_path / "e")}]
            synced = await run(node, "sync", subscriptions=failing)
            assert synced["unlisted"] == [str(directory)]
            assert "there is no dataset" in synced["failed"][str(tmp_path / "e")]
            pruned = await run(node, "sync", subscriptions=[], prune=True)
            assert sorted(pruned["removed"]) == sorted([str(directory), str(tmp_path / "e")])
            assert (len(node.subscriptions), (directory / "current").is_dir()) == (0, True)

            await swarm.stop(swarm.tracker)
            told = await run(node, "subscribe", ref=REF, directory=str(tmp_path / "without"))
            assert (told["stale"], contents(tmp_path / "without" / "current")) == (True, contents(source))
            assert "aetherfs_subscriptions 1\n" in node.metrics.exposition()
            assert (await run(node, "status"))["subscriptions"][0]["version"] == told["version"]

    asyncio.run(main())


async def _is_tried_again(node: PeerNode, directory: Path) -> None:
    """Subscribed again, what is not named is as it was: the version is tried once more, by the same command."""
    with pytest.raises(IntegrityError, match=r"refused .*: no; move the tag"):
        await run(node, "subscribe", ref=REF, directory=str(directory), hook="true")
    kept = node.subscriptions.get(str(directory)).wanted
    assert (kept.validate, kept.hook, kept.keep) == ("echo no; exit 1", "true", 1)


async def _damaged_is_mended(node: PeerNode, listed: dict[str, Any], source: Path) -> None:
    """By the same command once more."""
    damaged = Path(listed["directory"]) / "current"
    (damaged / "large.bin").chmod(0o644)
    (damaged / "large.bin").write_bytes(b"mine")
    (damaged / "d0" / "f0").unlink()
    await run(node, "subscribe", **listed)
    assert contents(damaged) == contents(source)


async def _removed_is_noticed(node: PeerNode, directory: Path, source: Path) -> None:
    """Versions that somebody removed are missed by who looks, and come again with the next round."""
    for version in held_whole(directory):
        shutil.rmtree(directory / "versions" / version)
    for told in ("subscriptions", "status"):
        [listed] = (await run(node, told))["subscriptions"]
        assert listed["problem"].endswith("is gone: the next round mends that")
    (directory / "current").unlink()
    [following] = node.subscriptions
    await node.subscriptions.pause(following, is_paused=True)
    assert (await following.looked()).problem.endswith("is gone: --resume it to mend that")
    assert following.woken.is_set()
    await following.round()
    assert (contents(directory / "current"), (await following.looked()).problem) == (contents(source), "")


async def _is_of_one_home(swarm: Swarm, node: PeerNode, directory: Path) -> None:
    """A second home neither follows where one does already, nor keeps what it was told; once that one ends it may."""
    other, before = await swarm.peer("other"), held_whole(directory)
    with pytest.raises(ConflictError, match=f"is followed by the home '{node.home.path}': unsubscribe it there"):
        await run(other, "subscribe", ref=REF, directory=str(directory), keep=0)
    assert (len(other.subscriptions), held_whole(directory)) == (0, before)
    await run(node, "unsubscribe", name=str(directory))
    await run(other, "subscribe", ref=REF, directory=str(directory))
    with pytest.raises(ConflictError, match=f"is followed by the home '{other.home.path}'"):
        await run(node, "subscribe", ref=REF, directory=str(directory))
    await run(other, "unsubscribe", name=str(directory))
    await run(node, "subscribe", ref=REF, directory=str(directory), keep=2)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small filesystem, which needs root")
def test_a_disk_that_is_full_keeps_what_is_current_until_a_version_fits(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)

    async def main() -> None:
        source = make_tree(tmp_path / "source", 3, files=3, large_bytes=300_000)
        async with Swarm(tmp_path) as swarm:
            home, producer = await swarm.enrol("edge"), await swarm.peer("producer")
            await swarm.publish(producer, source, REF)
            async with follower(swarm, home) as node:
                first = await run(node, "subscribe", ref=REF, directory=str(disk / "d"))
                before = contents(source)
                (source / "huge").write_bytes(os.urandom(4_000_000))
                await swarm.publish(producer, source, REF)
                following = await until(node, lambda following: "free some space" in following.problem)
                assert following.told().version == first["version"]
                assert contents(disk / "d" / "current") == before
                (source / "huge").write_bytes(b"")
                fits = await swarm.publish(producer, source, REF)
                await until(node, at(fits["version"]))
                assert contents(disk / "d" / "current") == contents(source)
                assert held_whole(disk / "d") == sorted([first["version"], fits["version"]])

    try:
        asyncio.run(main())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
