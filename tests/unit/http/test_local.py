"""The guard of the agent: every route, whatever it is for, refuses what a page in a browser may have sent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Final

import pytest
from aiohttp import ClientSession, DummyCookieJar, web
from aiohttp.test_utils import TestServer

from swarm.http.local import host_of
from swarm.peer.agent import agent_app

TOKEN: Final = "the home's"
BEARER: Final = {"Authorization": f"Bearer {TOKEN}"}
# What a page makes a browser send: under a name of its own that leads here, from its origin, from an image.
OF_A_PAGE: Final[tuple[dict[str, str], ...]] = (
    {"Host": "evil.example:7072"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "169.254.169.254"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:7072"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)
WRONG_TOKENS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"Authorization": ""},
    {"Authorization": TOKEN},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer caf\u00e9"},
    {"Cookie": f"token={TOKEN}"},
)


def routes_of(app: web.Application) -> list[tuple[str, str]]:
    """Method and path of every route, with something in each placeholder."""
    found = []
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        while "{" in path:
            path = path[: path.index("{")] + "x" + path[path.index("}") + 1 :]
        found.append(("GET" if route.method == "*" else route.method, path))
    return found


def ask_all(headers_of: tuple[dict[str, str], ...], only: str = "") -> dict[tuple[str, str, int], int]:
    """The status of every route of an agent under each of these headers."""

    async def main() -> dict[tuple[str, str, int], int]:
        # What is refused comes to no handler, so there is no node, but for what tables are made by.
        node: Any = SimpleNamespace(settings=SimpleNamespace(memory_bytes=0))
        app = agent_app(node, TOKEN)
        seen = {}
        async with TestServer(app) as server, ClientSession(cookie_jar=DummyCookieJar()) as session:
            for method, path in [*routes_of(app), ("GET", "/none")]:
                for number, headers in enumerate(headers_of):
                    if not only or method == only:
                        async with session.request(method, server.make_url(path), headers=headers) as answer:
                            seen[method, path, number] = answer.status
        return seen

    return asyncio.run(main())


def test_every_route_refuses_what_a_page_may_have_sent_also_with_the_token() -> None:
    seen = ask_all(tuple({**BEARER, **headers} for headers in OF_A_PAGE))
    assert len(seen) > 7 * len(OF_A_PAGE)
    assert set(seen.values()) == {403}, [key for key, status in seen.items() if status != 403]


def test_every_route_that_changes_something_needs_the_token() -> None:
    seen = {key: status for key, status in ask_all(WRONG_TOKENS, only="POST").items() if key[1].startswith("/api/")}
    assert len(seen) >= 4 * len(WRONG_TOKENS)
    assert set(seen.values()) == {403}, [key for key, status in seen.items() if status != 403]


def test_a_local_program_is_answered() -> None:
    seen = ask_all(({}, {"Host": "localhost"}, {"Host": "[::1]:7072"}, {"Sec-Fetch-Site": "none"}), only="GET")
    assert {status for (_, path, _), status in seen.items() if path == "/livez"} == {200}
    assert {status for (_, path, _), status in seen.items() if path == "/none"} == {404}


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1:80", "127.0.0.1"),
        ("LOCALHOST", "localhost"),
        ("[::1]", "[::1]"),
        ("[::1]:7072", "[::1]"),
        ("localhost:", "localhost:"),
        ("localhost:x", "localhost:x"),
        ("evil:80@localhost", "evil:80@localhost"),
        ("", ""),
    ],
)
def test_the_host_of_a_header(text: str, host: str) -> None:
    assert host_of(text) == host
