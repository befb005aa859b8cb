"""The agent's API over HTTP, and its Python faces: what is sent is checked, what is told has its type."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

import swarm
from swarm import AsyncClient, Client
from swarm.agent_messages import SubscriptionChanged, TagMoved
from swarm.errors import ConflictError, NotFoundError, UnreachableError, UsageError
from swarm.http.openapi import DESCRIBED
from swarm.peer.agent import start_peer, tables
from swarm.peer.node import PeerNode
from swarm.standing import agent_of
from tests.integration.swarm_rig import Swarm, contents, make_tree

REF = "maps/roads:stable"


def in_agent(tmp_path: Path, work: Callable[[Swarm, PeerNode, Path], Any]) -> None:
    """Some work with a peer that stays, and something to publish. True: the work has closed the peer."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 1, files=4, large_bytes=200_000)
        async with Swarm(tmp_path) as rig:
            node = await start_peer(replace(rig.settings(await rig.enrol("edge")), follows=True))
            is_closed = False
            try:
                is_closed = await work(rig, node, source)
            finally:
                if not is_closed:
                    await node.close()

    asyncio.run(main())


async def _kept(sync: Client, face: AsyncClient, version: str) -> None:
    """What is kept of the dataset is told and changed."""
    assert (await face.pin(REF)).pinned == (version,)
    assert (await asyncio.to_thread(sync.keep, "maps/roads", last=3)).last == 3
    kept = (await face.inspect(REF)).keep
    assert kept == await face.keep("maps/roads")
    assert kept is not None
    assert (kept.pinned, kept.last, kept.age_s) == ((version,), 3, None)
    assert (await asyncio.to_thread(sync.unpin, REF)).pinned == ()


def test_both_faces_do_all_that_a_peer_can(tmp_path: Path) -> None:
    async def work(rig: Swarm, node: PeerNode, source: Path) -> None:
        sync, face = Client(node.home.path), AsyncClient(node.home.path)
        reports: list[dict[str, Any]] = []
        first = await face.publish(source, REF, "maps/roads:v1", message="first", progress=reports.append)
        assert (first.serial, first.tags, first.new_blocks > 0) == (1, ("stable", "v1"), True)
        assert {"scan", "upload"} <= {report["phase"] for report in reports}
        begun = asyncio.Event()
        watching = asyncio.create_task(_until_version(face, tmp_path / "served", begun))
        await asyncio.wait_for(begun.wait(), 30)
        followed = await asyncio.to_thread(sync.subscribe, REF, tmp_path / "served", keep=2, hook="true")
        assert (followed.version, followed.keep) == (first.version, 2)
        (source / "more").write_bytes(b"more")
        second = await asyncio.to_thread(sync.publish, source, REF)
        events = await asyncio.wait_for(watching, 30)
        assert [event.version for event in events if isinstance(event, TagMoved)] == [first.version, second.version]
        assert contents(tmp_path / "served" / "current") == contents(source)

        listed = await face.subscriptions()
        assert (listed.subscriptions[0].version, listed.following) == (second.version, True)
        async with face as entered:
            assert (await entered.subscriptions()).subscriptions == listed.subscriptions
        assert (await face.pause(tmp_path / "served")).paused
        assert not (await face.resume(followed.id)).paused
        assert (await face.unsubscribe(tmp_path / "served")).id == followed.id
        assert await asyncio.to_thread(sync.read, f"{REF}/more") == await face.read(f"{REF}/more") == b"more"
        assert (await face.datasets()).datasets[0].tags == ("stable", "v1")
        assert [item.path for item in (await face.files(f"{REF}/more")).entries] == ["more"]
        assert (await face.rollback(REF)).tags == {"stable": first.version}
        assert (await face.tag(f"maps/roads@{second.version}", "maps/roads:next")).tags == {"next": second.version}
        assert (await face.inspect("maps/roads:next")).version == second.version
        assert [entry.kind for entry in (await face.history(REF)).entries] == ["publish", "publish", "rollback"]
        await _kept(sync, face, first.version)
        pulled = await face.pull(REF, tmp_path / "pulled", include=["large.bin"])
        assert (pulled.files, pulled.bytes, pulled.sources.reused) == (1, 200_000, 200_000)
        assert (await face.verify(tmp_path / "pulled", REF)).left_out == 4
        assert (await face.rm("maps/roads:next")).tags == {"next": None}
        assert (await face.status())["peer_id"] == node.key.peer_id
        with pytest.raises(NotFoundError, match=r"has no tag|was removed"):
            await face.inspect("maps/roads:next")
        with pytest.raises(ConflictError):
            await asyncio.to_thread(sync.tag, f"{REF}", "maps/roads:v1", if_serial=0)
        with pytest.raises(UsageError, match=r"length >= 1 - at `\$.names`"):
            await face.publish(source)
        assert rig.seed.extension is not None
        assert rig.seed.extension.receiving() == 0
        with pytest.raises(UnreachableError, match="this seed is ending"):
            await face.publish(source, REF)
        assert (await face.shutdown()).finished
        assert node.stop_requested.is_set()
        with pytest.raises(UnreachableError, match="this peer is ending"):
            await face.publish(source, REF)

    in_agent(tmp_path, work)
    with pytest.raises(UnreachableError, match="no process runs"):
        Client(tmp_path / "edge").status()


async def _until_version(
    face: AsyncClient, directory: Path, begun: asyncio.Event
) -> list[TagMoved | SubscriptionChanged]:
    """The events of a watch until the second version is current; the first is of what was so before."""
    events: list[TagMoved | SubscriptionChanged] = []
    async for event in face.watch(REF):
        events.append(event)
        begun.set()
        told = event.subscription if isinstance(event, SubscriptionChanged) else None
        if told is not None and (told.directory, told.serial, told.phase) == (str(directory), 2, ""):
            break
    return events


def test_a_watch_from_another_thread_begins_with_what_is_so_and_ends_with_the_agent(tmp_path: Path) -> None:
    async def work(rig: Swarm, node: PeerNode, source: Path) -> bool:
        client = Client(node.home.path)
        await asyncio.to_thread(client.publish, source, REF)
        seen: list[Any] = []
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def watch() -> None:
            for event in client.watch(REF):
                seen.append(event)
                loop.call_soon_threadsafe(begun.set)

        watching = asyncio.create_task(asyncio.to_thread(watch))
        await asyncio.wait_for(begun.wait(), 30)
        await node.close()
        with pytest.raises(UnreachableError):
            await watching
        assert (seen[0].tag, seen[0].serial, seen[0].kind) == ("stable", 1, "publish")
        return True

    in_agent(tmp_path, work)


def test_what_is_sent_is_checked_and_what_is_told_is_described(tmp_path: Path) -> None:
    async def work(rig: Swarm, node: PeerNode, source: Path) -> None:
        info = agent_of(node.home.path)
        assert info is not None
        base, own = f"http://127.0.0.1:{info.port}", {"Authorization": f"Bearer {info.token}"}
        async with ClientSession() as session:

            async def refused(method: str, path: str, **how: Any) -> tuple[int, str]:
                async with session.request(method, f"{base}{path}", headers=own, **how) as answer:
                    problem = await answer.json(content_type="application/problem+json")
                    assert "\n" not in problem["detail"]
                    return answer.status, problem["detail"]

            verbs = "/api/v1/agent"
            for data, says in (
                (b"{", "malformed"),
                (b"[]", "Expected `object`"),
                (b"{}", "missing required field `path`"),
                (b'{"path": 1, "names": ["a:b"]}', r"Expected `str`, got `int` - at `\$.path`"),
                (b'{"path": "/x", "names": ["a:b"], "whatever": 1}', "unknown field `whatever`"),
                (b'{"path": "/x", "names": ["a:b"], "links": "melt"}', "Invalid enum value 'melt'"),
            ):
                status, detail = await refused("POST", f"{verbs}/publish", data=data)
                assert status == 400
                assert re.search(says, detail), detail
            assert (await refused("POST", f"{verbs}/nothing"))[0] == 404
            assert (await refused("GET", f"{verbs}/subscriptions?limit=0"))[0] == 400
            assert (await refused("GET", f"{verbs}/subscriptions?limits=1"))[0] == 400
            assert (await refused("GET", f"{verbs}/subscriptions/0123456789abcdef"))[0] == 404
            assert (await refused("GET", f"{verbs}/watch?ref=maps/nowhere"))[0] == 404
            assert (await refused("GET", f"{verbs}/watch?ref=a@b"))[0] == 400

            json_alone = {**own, "Accept": "application/json"}
            published = {"path": str(source), "names": [REF]}
            async with session.post(f"{base}{verbs}/publish", json=published, headers=json_alone) as answer:
                assert (answer.status, (await answer.json())["serial"]) == (200, 1)
            async with session.post(f"{base}{verbs}/inspect", json={"ref": "a/b"}, headers=json_alone) as answer:
                assert (answer.status, answer.content_type) == (404, "application/problem+json")
            for number in range(3):
                given = {"ref": REF, "directory": str(tmp_path / f"d{number}"), "wait": False}
                async with session.post(f"{base}{verbs}/subscribe", json=given, headers=json_alone) as answer:
                    assert answer.status == 200
            await _paged(session, f"{base}{verbs}/subscriptions", own)
            await _described(session, base, node)

    in_agent(tmp_path, work)


async def _paged(session: ClientSession, url: str, own: dict[str, str]) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        async with session.get(f"{url}?limit=2&cursor={cursor}", headers=own) as answer:
            page = await answer.json()
        seen += [each["id"] for each in page["subscriptions"]]
        cursor = page["next"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 3
    async with session.delete(f"{url}/{seen[0]}", headers=own) as answer:
        assert (await answer.json())["id"] == seen[0]


async def _shows_the_way(session: ClientSession, base: str) -> None:
    """Who comes to the agent's root, or forgets a slash, finds the files and the page; who may only read is told so."""
    async with session.get(f"{base}/") as answer:
        assert re.findall(r'href="([^"]+)"', await answer.text()) == ["/ui/", "/fs/", "/api/"]
    async with session.get(f"{base}/api", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "/api/")
    async with session.put(f"{base}/fs/maps/roads/stable/x") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def _described(session: ClientSession, base: str, node: PeerNode) -> None:
    """Every route that a document can tell of is in it, and every reference in it leads somewhere; the page takes
    nothing from outside.
    """
    await _shows_the_way(session, base)
    async with session.get(f"{base}/api/openapi.json") as answer:
        told = await answer.json()
    assert told["openapi"].startswith("3.1")
    count = sum(len(methods) for methods in told["paths"].values())
    routes = {(route.method, re.sub(r"{(\w+):[^}]*}", r"{\1}", route.path)) for route in tables(node)}
    assert count == len([route for route in routes if route[0] in DESCRIBED])
    names = [operation["operationId"] for methods in told["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
    for found in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(told)):
        assert found in told["components"]["schemas"], found
    for path in ("/api/", "/api/page.js", "/api/page.css"):
        async with session.get(f"{base}{path}") as answer:
            text = await answer.text()
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert not re.search(r"https?:|//[a-z]|<script>|<style| on[a-z]+=|style=", text), path


def test_the_package_loads_nothing_that_is_not_asked_for() -> None:
    code = (
        "import sys, swarm; print('msgspec' in sys.modules); from swarm import Client; print('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert str(inspect.signature(Client(".").inspect)) == "(ref: 'str') -> 'Inspected'"
    with pytest.raises(AttributeError, match="has no attribute 'Cleint'"):
        _ = swarm.Cleint
    assert msgspec.json.schema(SubscriptionChanged)["$ref"]
