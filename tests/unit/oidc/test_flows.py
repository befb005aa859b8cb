"""Signing in at an issuer that is not what it should be, or with a browser that somebody else sends here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from swarm.errors import AetherError, NotAllowedError, RemoteProtocolError
from swarm.oidc.discovery import discover
from swarm.oidc.fetch import ANSWER_MAX_BYTES, post_form
from swarm.oidc.flows import Tokens, bearer_of, by_browser, by_device, refresh
from tests.made_issuer import MadeIssuer, made_issuer


async def come_back(query: dict[str, str], **answer: str) -> int:
    """What the browser does in the end: the status of the answer."""
    async with aiohttp.ClientSession() as session, session.get(query["redirect_uri"], params=answer) as response:
        return response.status


def signed_in(visit: Callable[[MadeIssuer, dict[str, str]], Awaitable[object]]) -> Tokens:
    """The tokens of who signs in by a browser that does as ``visit`` says."""

    async def main() -> Tokens:
        async with made_issuer() as issuer:
            metadata = await discover(issuer.url, "")
            coming: list[asyncio.Task[Any]] = []

            async def open_page(url: str) -> None:
                query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
                coming.append(asyncio.ensure_future(visit(issuer, query)))

            try:
                return await by_browser(metadata, issuer.issuing(), open_page)
            finally:
                await asyncio.gather(*coming)

    return asyncio.run(main())


def test_the_code_is_proved_by_what_only_we_know() -> None:
    async def visit(issuer: MadeIssuer, query: dict[str, str]) -> None:
        assert query["code_challenge_method"] == "S256" and len(query["state"]) >= 32
        issuer.given = {"id_token": issuer.token(nonce=query["nonce"])}
        assert await come_back(query, state=query["state"], code="c") == 200
        while "code_verifier" not in issuer.posted:
            await asyncio.sleep(0.01)
        made = hashlib.sha256(issuer.posted["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(made).decode().rstrip("=") == query["code_challenge"]
        assert issuer.posted["code"] == "c" and "client_secret" not in issuer.posted

    assert signed_in(visit).id_token


def test_what_others_send_to_the_callback_is_not_taken() -> None:
    """Without our state, of another issuer, or a second time."""

    async def visit(issuer: MadeIssuer, query: dict[str, str]) -> None:
        issuer.given = {"id_token": issuer.token(nonce=query["nonce"])}
        assert await come_back(query, code="evil") == 400
        assert await come_back(query, code="evil", state="x" * 43) == 400
        assert await come_back(query, error="access_denied", state="") == 400
        assert await come_back(query, code="evil", state=query["state"], iss="https://evil.example") == 400
        assert await come_back(query, code="good", state=query["state"], iss=issuer.url) == 200
        assert issuer.posted.get("code") in (None, "good")

    assert signed_in(visit).id_token


def test_a_refusal_ends_it() -> None:
    async def visit(issuer: MadeIssuer, query: dict[str, str]) -> None:
        await come_back(query, state=query["state"], error="<script>alert(1)</script>")

    with pytest.raises(NotAllowedError, match="refused"):
        signed_in(visit)


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "of another sign-in"}, {"nonce": None}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}],
)
def test_an_id_token_is_of_this_very_sign_in(claims: dict[str, Any]) -> None:
    async def visit(issuer: MadeIssuer, query: dict[str, str]) -> None:
        issuer.given = {"id_token": issuer.token(**{"nonce": query["nonce"], **claims})}
        await come_back(query, state=query["state"], code="c")

    with pytest.raises(NotAllowedError):
        signed_in(visit)


def with_device(given: dict[str, Any], answers: list[tuple[int, dict[str, Any]]]) -> tuple[Tokens, list[float]]:
    """The tokens of who types a code elsewhere, and how long was waited each time, in virtual time."""

    async def main() -> tuple[Tokens, list[float]]:
        async with made_issuer() as issuer:
            code = {"device_code": "d", "user_code": "u", "verification_uri": f"{issuer.url}/device"}
            issuer.given, waits = {**code, **given}, list[float]()
            metadata = await discover(issuer.url, "")

            async def pause(wait_s: float) -> None:
                waits.append(wait_s)
                issuer.status, issuer.given = answers[len(waits) - 1]
                if issuer.given.get("id_token") == "good":
                    issuer.given = {"id_token": issuer.token()}

            return await by_device(metadata, issuer.issuing(), lambda code: None, pause), waits

    return asyncio.run(main())


def test_a_device_asks_as_often_as_it_may() -> None:
    pending, slower = (400, {"error": "authorization_pending"}), (400, {"error": "slow_down"})
    tokens, waits = with_device({"interval": 2}, [pending, slower, pending, (200, {"id_token": "good"})])
    assert tokens.id_token and waits == [2, 2, 7, 7]


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "", "server_error"])
def test_a_device_that_is_refused_ends(error: str) -> None:
    with pytest.raises(NotAllowedError):
        with_device({}, [(400, {"error": error})])


@pytest.mark.parametrize(
    "given",
    [{"verification_uri": "javascript:alert(1)"}, {"verification_uri": "http://evil.example/"}, {"user_code": 7}],
)
def test_what_a_device_is_not_told_to_show(given: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        with_device(given, [])


def test_a_refresh_token_that_is_not_renewed_stays() -> None:
    async def main() -> None:
        async with made_issuer() as issuer:
            issuer.given = {"id_token": issuer.token()}
            fresh = await refresh(f"{issuer.url}/token", issuer.issuing(), "kept")
            assert fresh.refresh_token == "kept" and issuer.posted["refresh_token"] == "kept"
            issuer.status, issuer.given = 400, {"error": "invalid_grant", "error_description": "stolen\x1b[2J"}
            with pytest.raises(AetherError, match="aetherfs login"):
                await refresh(f"{issuer.url}/token", issuer.issuing(), "kept")

    asyncio.run(main())


def test_an_answer_may_be_empty_and_never_endless() -> None:
    """RFC 7009 2.2: whoever asks for a revocation gets a 200 and nothing else."""

    async def main() -> None:
        async with made_issuer() as issuer:
            issuer.body = b""
            assert await post_form(f"{issuer.url}/token", "", {"token": "t"}) == (200, {})
            for body in (b"[]", b"ok", b'{"a":' * 5000, b" " * (ANSWER_MAX_BYTES + 1)):
                issuer.body = body
                with pytest.raises(RemoteProtocolError):
                    await post_form(f"{issuer.url}/token", "", {"token": "t"})

    asyncio.run(main())


def test_the_token_for_our_audience_is_shown() -> None:
    issuing, tokens = MadeIssuer().issuing(), Tokens(access_token="a", id_token="i")
    assert bearer_of(tokens, issuing) == "i"
    assert bearer_of(tokens, MadeIssuer().issuing(audience="https://aetherfs.example")) == "a"
    with pytest.raises(RemoteProtocolError):
        bearer_of(Tokens(access_token="a"), issuing)
