"""Who reaches which route: every table is walked, as every role, against one table of what is to happen.

The tracker's handlers are replaced by one that says that it was reached: what is looked at is the guard before them.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from swarm import canonical
from swarm.http.routes import PLACEHOLDER, Access, Route, mount
from swarm.http.serve import make_app, start_listener
from swarm.http.tls import peer_client_context, unverified_context
from swarm.identity import server_name_of
from swarm.peer.agent import tables
from swarm.peer.node import PeerNode
from swarm.peer.wire import CHANNEL_PATH, GRANT_HEADER, TAG_PATH, TagRequest
from swarm.tracker.audit import pages_of
from swarm.tracker.guards import Guards
from swarm.tracker.policy import PolicyRule
from swarm.tracker.serve_health import check_observer
from swarm.tracker.server import _routes
from swarm.tracker.state import TrackerState
from tests.integration.people_rig import bearer
from tests.integration.swarm_rig import Swarm, make_tree
from tests.integration.test_recalled import change
from tests.integration.tracker_rig import FixedResolver, Rig, running_tracker

# Who asks: nobody known, a service without rights, one that may read maps/*, a member whose token named own/*, one
# whose token named maps/*, a seed, a tracker, and a service that may do everything.
ROLES: Final = ("stranger", "service", "reader", "outsider", "member", "seed", "tracker", "admin")
# What each is answered, by what the route declares; 200 is the handler.
EXPECTED: Final[dict[Access, tuple[int, ...]]] = {
    "public": (200, 200, 200, 200, 200, 200, 200, 200),
    "control": (200, 200, 200, 200, 200, 200, 200, 200),  # it is asked from the tracker's own machine
    "known": (401, 200, 200, 200, 200, 200, 200, 200),
    "member": (403, 403, 403, 200, 200, 200, 200, 403),
    "tracker": (403, 403, 403, 403, 403, 403, 200, 403),
    "read": (401, 404, 200, 404, 200, 200, 200, 200),
    "write": (401, 403, 403, 403, 200, 403, 200, 200),
    "publish": (401, 403, 403, 403, 200, 403, 200, 200),
    "tag": (401, 403, 403, 403, 200, 403, 200, 200),
    "admin": (401, 403, 403, 403, 403, 403, 200, 200),
}
# Nothing else is open to everybody.
PUBLIC: Final = {
    "GET /api/v1/swarm",
    "POST /api/v1/join",
    "POST /api/v1/renew",
    "GET /api",
    "GET /livez",
    "GET /readyz",
    "GET /api/openapi.json",
    "GET /api/",
    "GET /api/page.css",
    "GET /api/page.js",
    "GET /api/v1/whoami",
    "GET /api/v1/issuers",
    "POST /api/v1/session",
    "DELETE /api/v1/session",
}
PLACES: Final = {
    "scope": "maps",
    "name": "roads",
    "tag": "latest",
    "version": "ab" * 32,
    "signature": "ab" * 32,
    "denial": "d-000000000000",
    "peer": "a" * 52,
    "session": "none",
    "silence": "0" * 16,
    "digest": "0",
    "file": "app.js",
    "page": "datasets",
    "rule": "AetherfsClockSkew",
    "issuer": "corp",
}
READER, ADMIN = PolicyRule("service:reader", "read", "maps/*"), PolicyRule("service:admin", "admin", "*")


def path_of(route: Route) -> str:
    """The route's path for the dataset maps/roads."""
    return PLACEHOLDER.sub(lambda place: PLACES[place[1]], route.path)


async def reached(request: web.Request) -> web.StreamResponse:
    return web.Response(text="reached")


async def sessions(rig: Rig, port: int, stack: AsyncExitStack) -> Mapping[str, aiohttp.ClientSession]:
    """A session for each role."""

    async def session(context: ssl.SSLContext, headers: Mapping[str, str] | None = None) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=context, resolver=FixedResolver(port))
        return await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))

    async def service(name: str) -> aiohttp.ClientSession:
        data = b'{"ttl_s": 3600}'
        made = await rig.admin.client.calls.call("POST", f"/api/v1/services/{name}", body=data)
        return await session(unverified_context(), bearer(made.decode().split('"token":"')[1].split('"')[0]))

    members = {
        "outsider": await rig.member(datasets=["own/*"]),
        "member": await rig.member(datasets=["maps/*"]),
        "seed": await rig.member("seed"),
        "tracker": rig.admin,
    }
    return {
        "stranger": await session(unverified_context()),
        "service": await service("nobody"),
        "reader": await service("reader"),
        **{name: await session(peer_client_context(member.files)) for name, member in members.items()},
        "admin": await service("admin"),
    }


async def refusals(state: TrackerState) -> set[tuple[str, str]]:
    """Who was refused what, by the audit: the tracker may have written a part of it by now."""
    await state.write_audit(time.monotonic(), is_ending=True)
    read = await state.work(state.audit.read, 0, 16)
    return {(event.actor, event.detail) for _, event in pages_of(read) if event.action == "refused"}


def test_every_route_of_a_tracker_is_open_to_whom_it_says_and_to_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig, AsyncExitStack() as stack:
            state = rig.tracker.state
            await change(rig.tracker, allow=(READER, ADMIN))
            routes, app = _routes(state), make_app()
            guards = Guards(state, check_observer)
            reachable = [replace(route, handler=reached, request=None, query=()) for route in routes]
            mount(app, reachable, guarded=guards.guarded)
            listener = await start_listener(app, "127.0.0.1", 0, rig.tracker._contexts[0])
            stack.push_async_callback(listener.close)
            base = f"https://{server_name_of(rig.key.peer_id)}"
            wrong = []
            for role, session in (await sessions(rig, listener.port, stack)).items():
                for route in routes:
                    async with session.request(route.method, base + path_of(route)) as answered:
                        expected = EXPECTED[route.access][ROLES.index(role)]
                        if answered.status != expected:
                            wrong.append((role, route.access, route.method, route.path, answered.status, expected))
            assert not wrong
            told = await refusals(state)
            assert {("anyone", "read"), ("service:nobody", "read"), ("service:reader", "admin")} <= told
            public = {f"{route.method} {route.path}" for route in routes if route.access == "public"}
            assert {name for name in public if not name.split()[1].startswith("/ui/")} == PUBLIC
            assert {route.access for route in routes} <= EXPECTED.keys()

    asyncio.run(main())


def test_a_listener_without_a_guard_opens_only_what_is_public(tmp_path: Path) -> None:
    """As peers mount their routes: what asks for a right there is a slip, and refused."""

    async def main() -> None:
        app = make_app()
        routes = [Route("GET", f"/{access}", reached, access, "") for access in EXPECTED]
        mount(app, routes)
        listener = await start_listener(app, "127.0.0.1", 0, None)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}") as session:
                for access in EXPECTED:
                    async with session.get(f"/{access}") as answered:
                        assert answered.status == (200 if access == "public" else 403), access
        finally:
            await listener.close()

    asyncio.run(main())


def routes_of(node: PeerNode) -> set[tuple[str, str]]:
    """What a node's exchange listener answers to: methods and paths."""
    app = node.listener._runner.app
    return {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}


# What a member is answered on the exchange listener of a seed with no grant for the dataset, and with one.
EXCHANGE: Final = {
    ("GET", "/api/v1/blocks/{signature}"): (404, 200),
    ("HEAD", "/api/v1/blocks/{signature}"): (404, 200),
    ("PUT", "/api/v1/blocks/{signature}"): (404, 404),  # there is no such upload
    ("POST", "/api/v1/blocks:missing"): (400, 400),
    ("POST", "/api/v1/uploads"): (403, 200),
    ("POST", "/api/v1/uploads/{session}/blocks"): (404, 404),
    ("POST", "/api/v1/uploads/{session}:commit"): (404, 404),
    ("DELETE", "/api/v1/uploads/{session}"): (404, 404),
    ("POST", TAG_PATH): (200, 200),
    ("GET", CHANNEL_PATH): (400, 400),  # it is no WebSocket
    **{("GET", path): (200, 200) for path in ("/livez", "/readyz", "/metrics")},
}


def test_a_peer_gives_nothing_to_who_has_no_grant_and_does_not_show_what_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            producer, outsider = [
                await swarm.peer(name, datasets=[pattern]) for name, pattern in (("a", "maps/*"), ("b", "own/*"))
            ]
            await swarm.publish(producer, make_tree(tmp_path / "source", 1), "maps/roads:latest")
            seed, holding = swarm.seed, next(iter(producer.holdings))
            here = {"dataset": "maps/roads", "version": holding.version.hex()}
            none = {"dataset": "maps/roads", "version": "ab" * 32}
            signature = holding.manifest.unique[0].signature.hex()
            base = f"https://{server_name_of(seed.key.peer_id)}"

            async def ask(node: PeerNode | None, method: str, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
                context = unverified_context() if node is None else peer_client_context(node.home.tls_files)
                connector = aiohttp.TCPConnector(ssl=context, resolver=FixedResolver(seed.listener.port))
                headers = {} if node is None else {GRANT_HEADER: base64.b64encode(node.papers.grant).decode()}
                data = b'{"dataset": "maps/roads"}' if method == "POST" else b""
                if path == TAG_PATH:
                    data = canonical.encode(TagRequest(1, query["dataset"], "latest", b""))
                async with (
                    aiohttp.ClientSession(connector=connector) as session,
                    session.request(method, base + path, params=query, headers=headers, data=data) as answered,
                ):
                    # Another each time, whatever is asked.
                    drawn = ("Date", "X-Request-ID")
                    told = {k: v for k, v in answered.headers.items() if k not in drawn}
                    return answered.status, canonical.encode(told) + await answered.read()

            assert routes_of(seed) == EXCHANGE.keys()
            for (method, path), expected in EXCHANGE.items():
                at = path.format(signature=signature, session="none")
                with pytest.raises(aiohttp.ClientError):
                    await ask(None, method, at, here)
                assert (
                    (await ask(outsider, method, at, here))[0],
                    (await ask(producer, method, at, here))[0],
                ) == expected
                if path in ("/livez", "/readyz", "/metrics"):
                    continue  # They tell of the process, and their figures move.
                # In bytes, what is there and what is not are the same to who may not know.
                other = path.format(signature="ab" * 32, session="none")
                for query in (here, none, {**none, "dataset": "maps/none"}):
                    assert await ask(outsider, method, other, query) == await ask(outsider, method, at, here)

    asyncio.run(main())


READING = ("GET", "HEAD", "OPTIONS", "PROPFIND")


def test_control_of_an_agent_takes_its_homes_token(tmp_path: Path) -> None:
    """Reading is open to programs of this machine. The Hub's clients also ask by POST, which changes nothing there."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            routes = tables(swarm.seed)
            wrong = []
            async with aiohttp.ClientSession(f"http://{swarm.seed.agent_address}") as session:
                for route in routes:
                    if route.access == "public":
                        is_reading = route.method in READING or route.path.startswith("/hf/")
                        if route.path.startswith("/webdav") and not is_reading:
                            path = re.sub(r"\{[^}]*\}", "maps", route.path)
                            method = route.method if route.method != "*" else "SEARCH"
                            async with session.request(method, path) as answered:
                                is_reading = answered.status in (403, 405)  # it is there to say so
                        assert is_reading, f"{route.method} {route.path} changes something"
                        continue
                    assert route.access == "control"
                    path = re.sub(r"\{[^}]*\}", "status", route.path)
                    for headers in ({}, bearer("x" * 43), {"Host": "evil.example"}, {"Origin": "https://evil.example"}):
                        async with session.request(route.method, path, headers=headers) as answered:
                            if answered.status != 403:
                                wrong.append((route.method, path, headers, answered.status))
            assert not wrong
            assert any(route.access == "control" for route in routes)

    asyncio.run(main())
