"""People in browsers at a running tracker: what protects them from other sites and from hostile words."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cheap_passwords import make_passwords_cheap
from tests.integration.people_rig import ALICE, PASSWORD, Web, basic, cookie_of, with_people


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_passwords_cheap(monkeypatch)


def test_the_cookie_is_out_of_reach_of_code_and_of_other_sites(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        form = {"user": "alice", "password": PASSWORD}
        answered = await web.ask("POST", "/ui/signin", {"Origin": web.url}, data=form)
        name, *said = answered.headers["Set-Cookie"].split("; ")
        assert name.startswith("__Host-") and {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= set(said)
        assert not any(part.startswith("Domain") for part in said)
        again = await web.ask("POST", "/ui/signin", {"Origin": web.url}, data=form)
        assert again.headers["Set-Cookie"].split("; ")[0] != name

    with_people(tmp_path, check)


def test_another_site_neither_signs_in_nor_out_nor_changes_anything(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        cookie = await cookie_of(web)
        form = {"user": "alice", "password": PASSWORD}
        evil = {"Origin": "https://evil.example"}
        for path, headers in (
            ("/ui/signin", evil),
            ("/ui/signout", {**evil, **cookie}),
            ("/ui/signout", cookie),
            ("/api/v1/session", {**evil, **basic("alice")}),
        ):
            assert (await web.ask("POST", path, headers, data=form)).status == 403
        assert await web.who(cookie) == ALICE
        assert (await web.ask("POST", "/ui/signout", {"Origin": web.url, **cookie})).status == 303
        assert await web.who(cookie) == 401

    with_people(tmp_path, check)


def test_hostile_names_are_text_in_a_page(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>'

    async def check(web: Web) -> None:
        await web.admin("POST", "users/alice", groups=[hostile, "' onmouseover='alert(1)", "{{7*7}}"])
        page = await web.ask("GET", "/ui/", await cookie_of(web))
        # It is the same for everybody: tests/browser shows what it makes of names.
        assert page.status == 200 and page.text == (await web.ask("GET", f"/ui/{quote(hostile)}")).text
        form = {"user": hostile, "password": hostile}
        wrong = await web.ask("POST", "/ui/signin", {"Origin": web.url}, data=form)
        assert wrong.status == 401
        for answered in (wrong, await web.ask("GET", f"/ui/signin?next={hostile}")):
            assert "<script" not in answered.text and "<img src=x" not in answered.text and "' on" not in answered.text
            assert "frame-ancestors 'none'" in answered.headers["Content-Security-Policy"]
            assert answered.headers["X-Frame-Options"] == "DENY" and "style=" not in answered.text

    with_people(tmp_path, check)


def test_every_page_that_there_is_forbids_what_is_not_ours(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        document = (await web.ask("GET", "/api/openapi.json")).json
        pages = 0
        cookie = await cookie_of(web)
        for path, operations in document["paths"].items():
            said = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
            if "text/html" in said:
                pages += 1
                answered = await web.ask("GET", path, cookie)
                assert "default-src 'none'" in answered.headers["Content-Security-Policy"]
                assert answered.headers["X-Content-Type-Options"] == "nosniff"
                assert answered.headers["Referrer-Policy"] == "same-origin"
        assert pages >= 2

    with_people(tmp_path, check)


@pytest.mark.parametrize(
    "data", [b"", b"user=alice", b"user=alice&password=%ff%fe", b"&" * 5000, b"user[]=x&password="]
)
def test_a_form_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    async def check(web: Web) -> None:
        for kind in (
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=nonsense",
            "text/plain",
        ):
            headers = {"Origin": web.url, "Content-Type": kind}
            assert (await web.ask("POST", "/ui/signin", headers, data=data)).status in (400, 401, 413)

    with_people(tmp_path, check)
