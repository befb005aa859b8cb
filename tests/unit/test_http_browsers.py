"""What a page of another site can make a browser send, and what an HTML answer forbids."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from swarm.http.serve import make_app

COOKIE = "__Host-aetherfs=anything"


async def _changed(_request: web.Request) -> web.Response:
    return web.Response(text="changed")


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text="<p>hello</p>", content_type="text/html")


def asked(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
    """Status and headers of an answer. ``{own}`` in a header stands for the server's own origin."""

    async def main() -> tuple[int, Mapping[str, str]]:
        app = make_app()
        app.router.add_route("*", "/change", _changed)
        app.router.add_get("/page", _page)
        async with TestClient(TestServer(app)) as client:
            own = str(client.make_url("/")).rstrip("/")
            sent = {name: value.replace("{own}", own) for name, value in headers.items()}
            async with client.request(method, path, headers=sent) as response:
                return response.status, response.headers

    return asyncio.run(main())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}", "Cookie": COOKIE}, 200),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "{own}.evil.example"}, 403),
        ({"Origin": "null", "Cookie": COOKIE}, 403),
        ({"Origin": "https://evil.example", "Authorization": "Basic YTpi"}, 403),
        ({"Cookie": COOKIE}, 403),
        ({"Cookie": f"a=b; {COOKIE}; c=d"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_what_changes_something_comes_from_our_own_pages_or_from_no_page(
    method: str, headers: dict[str, str], status: int
) -> None:
    assert asked(method, "/change", headers)[0] == status


def test_reading_needs_no_origin() -> None:
    assert asked("GET", "/change", {"Cookie": COOKIE, "Origin": "https://evil.example"})[0] == 200


def test_an_html_answer_forbids_code_within_it_frames_and_guessed_types() -> None:
    headers = asked("GET", "/page", {})[1]
    policy = {part.split()[0]: part.split()[1:] for part in headers["Content-Security-Policy"].split("; ")}
    assert policy["default-src"] == ["'none'"] and policy["script-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"] and policy["form-action"] == ["'self'"]
    assert not any("unsafe" in word for words in policy.values() for word in words)
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin" and headers["Cache-Control"] == "no-store"


def test_every_answer_forbids_guessing_its_type() -> None:
    assert asked("GET", "/change", {})[1]["X-Content-Type-Options"] == "nosniff"
    assert asked("GET", "/nowhere", {})[1]["X-Content-Type-Options"] == "nosniff"
