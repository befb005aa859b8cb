"""Signing in with a browser at an issuer: what another browser, another issuer or an old answer brings is refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from swarm.tracker.people import records
from swarm.tracker.people.by_issuer import BEGUN_COOKIE
from swarm.tracker.people.sessions import BEGUN_TTL_S, ISSUED_TTL_S
from tests.integration.people_rig import Answered, Web, with_people
from tests.made_issuer import AUDIENCE, MadeIssuer, made_issuer

SESSION = "__Host-aetherfs"


def cookie_in(answered: Answered, name: str) -> str:
    """What a cookie is set to, empty for none."""
    found = [text for text in answered.headers.getall("Set-Cookie", []) if text.startswith(f"{name}=")]  # type: ignore[attr-defined]
    return found[0].split(";")[0].split("=", 1)[1].strip('"') if found else ""


class Going:
    """One browser on its way to an issuer and back."""

    def __init__(self, web: Web, issuer: MadeIssuer) -> None:
        self.web = web
        self.issuer = issuer
        self.cookie = ""
        self.asked: dict[str, str] = {}

    async def begin(self, after: str = "") -> Going:
        answered = await self.web.ask("GET", f"/ui/signin/corp{after}")
        assert answered.status == 303, answered.text
        where = urlsplit(answered.headers["Location"])
        assert where.geturl().startswith(f"{self.issuer.url}/authorization?")
        self.asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        self.cookie = cookie_in(answered, BEGUN_COOKIE)
        return self

    def signs(self, **changes: Any) -> None:
        """What the token endpoint gives for any code."""
        self.issuer.given = {"id_token": self.issuer.token(**{"nonce": self.asked["nonce"], **changes})}

    async def back(self, name: str = "corp", **changes: str) -> Answered:
        query = {"code": "c0de", "state": self.asked["state"], **changes}
        headers = {"Cookie": f"{BEGUN_COOKIE}={self.cookie}"} if self.cookie else {}
        return await self.web.ask("GET", f"/ui/signedin/{name}", headers, params=query)


def with_issuer(folder: Path, check: Any) -> None:
    async def checked(web: Web) -> None:
        async with made_issuer() as issuer:
            await web.admin("POST", "issuers/corp", **msgspec.structs.asdict(issuer.issuing()))
            await check(web, issuer)

    with_people(folder, checked)


def test_who_comes_back_has_a_session_as_long_as_the_issuer_counts_and_he_is_not_signed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(web: Web, issuer: MadeIssuer) -> None:
        monkeypatch.setattr(records, "FRESH_S", 0.0)
        cookies = []
        for after, wanted in (("?next=/ui/peers", "/ui/peers"), ("?next=//evil.example/", "/ui/")):
            going = await Going(web, issuer).begin(after)
            going.signs(groups=["ops"])
            answered = await going.back()
            assert (answered.status, answered.headers["Location"]) == (303, wanted)
            assert (issuer.posted["code"], issuer.posted["code_verifier"]) != ("", "")
            assert issuer.posted["redirect_uri"] == going.asked["redirect_uri"] == f"{web.url}/ui/signedin/corp"
            cookies.append({"Cookie": f"{SESSION}={cookie_in(answered, SESSION)}"})
        who = ["user:corp/alice", "group:corp/ops", "anyone"]
        assert [await web.who(cookie) for cookie in cookies] == [who, who]
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + ISSUED_TTL_S + 1)
        assert await web.who(cookies[0]) == 401
        monkeypatch.setattr(time, "time", real)
        await web.ask("POST", "/ui/signout", cookies[0] | {"Origin": web.url})
        assert [await web.who(cookie) for cookie in cookies] == [401, who]
        await web.admin("POST", "issuers/corp", **msgspec.structs.asdict(issuer.issuing(user_claim="email")))
        assert await web.who(cookies[1]) == 401, "it names people in another way now"
        await web.admin("POST", "issuers/corp", **msgspec.structs.asdict(issuer.issuing()))
        assert await web.who(cookies[1]) == who
        await web.admin("POST", "signouts", subject="user:corp/alice")
        assert await web.who(cookies[1]) == 401

    with_issuer(tmp_path, check)


def test_what_is_not_the_answer_to_this_browsers_sign_in_gives_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(web: Web, issuer: MadeIssuer) -> None:
        monkeypatch.setattr(records, "FRESH_S", 0.0)
        one, other = await Going(web, issuer).begin(), await Going(web, issuer).begin()
        assert len({each.asked[name] for each in (one, other) for name in ("state", "nonce", "code_challenge")}) == 6
        assert (one.asked["code_challenge_method"], one.asked["response_type"]) == ("S256", "code")
        assert (one.asked["scope"], one.asked.get("prompt")) == ("openid profile", None), (
            "no refresh token is asked for"
        )

        async def refused(words: str, answered: Answered, asks: bool = False) -> None:
            assert answered.status >= 400 and words in answered.text, answered.text
            assert not cookie_in(answered, SESSION)
            assert bool(issuer.posted) is asks, "the code was redeemed"
            issuer.posted = {}

        one.signs()
        await refused("not the answer", await one.back(state=other.asked["state"]))
        await refused("not the answer", await one.back(state=""))
        await refused("another issuer", await one.back(iss="https://evil.example"))
        await refused("&lt;b&gt;", await one.back(code="", error="<b>"))
        await refused("too long", await one.back(code="c" * 5000))
        await refused("no issuer", await one.back("corp2"))
        mutilated, one.cookie = one.cookie, one.cookie[:-4] + "AAAA"
        await refused("has not begun", await one.back())
        one.cookie = ""
        await refused("has not begun", await one.back())
        one.cookie = mutilated
        one.signs(nonce=other.asked["nonce"])
        await refused("another sign-in", await one.back(), asks=True)
        one.signs(aud="others")
        await refused("another audience", await one.back(), asks=True)
        elsewhere = msgspec.structs.asdict(issuer.issuing(audience="api"))
        await web.admin("POST", "issuers/corp", **elsewhere)
        issuer.given = {"access_token": issuer.token(aud="api")}
        await refused("no ID token", await one.back(), asks=True)
        await web.admin("POST", "issuers/corp", **msgspec.structs.asdict(issuer.issuing()))
        one.signs(groups=[f"{number}{'g' * 120}" for number in range(60)])
        await refused("more groups", await one.back(), asks=True)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + BEGUN_TTL_S + 1)
        await refused("took too long", await one.back())

    with_issuer(tmp_path, check)


def test_where_one_signs_in_the_issuers_are_offered_and_one_that_is_away_says_so(tmp_path: Path) -> None:
    async def check(web: Web, issuer: MadeIssuer) -> None:
        page = (await web.ask("GET", "/ui/signin", params={"next": "/ui/peers?x=1&y=2"})).text
        assert 'href="/ui/signin/corp?next=%2Fui%2Fpeers%3Fx%3D1%26y%3D2"' in page
        issuer.is_away = True
        away = await web.ask("GET", "/ui/signin/corp")
        assert (away.status, "Sign in with corp" in away.text, 'role="alert"' in away.text) == (503, True, True)
        unknown = await web.ask("GET", "/ui/signin/%3Cb%3E")
        assert (unknown.status, "<b>" in unknown.text) == (404, False)

    with_issuer(tmp_path, check)


def test_an_issuer_that_names_itself_in_every_answer_has_to(tmp_path: Path) -> None:
    async def check(web: Web, issuer: MadeIssuer) -> None:
        issuer.said = {"authorization_response_iss_parameter_supported": True}
        going = await Going(web, issuer).begin()
        going.signs()
        assert "another issuer" in (await going.back()).text
        assert (await going.back(iss=issuer.url)).status == 303
        assert issuer.posted["client_id"] == AUDIENCE

    with_issuer(tmp_path, check)
