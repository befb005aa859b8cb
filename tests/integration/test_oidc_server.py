"""Signing in at a real OpenID Connect server, in another process: by browser, by device, and staying signed in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from swarm.errors import NotAllowedError
from swarm.home import Home
from swarm.login import Login, Logins
from swarm.oidc.discovery import Metadata, discover
from swarm.oidc.flows import DeviceCode, Tokens, bearer_of, by_browser, by_device, expiry_of
from swarm.people_messages import Issuing
from tests.integration.people_rig import Web, bearer, people
from tests.oidc_server import Browser, OidcServer

CLIENT = "aetherfs"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with OidcServer() as running:
        yield running


async def signed_in_by_browser(metadata: Metadata, issuing: Issuing, name: str) -> Tokens:
    """The tokens of somebody who signs in with a browser."""
    going: list[asyncio.Task[str]] = []

    async def visit(url: str) -> None:
        going.append(asyncio.create_task(Browser(name).visit(url)))

    tokens = await by_browser(metadata, issuing, visit)
    assert "signed in" in await going[0]
    return tokens


async def signed_in_by_device(metadata: Metadata, issuing: Issuing, name: str) -> Tokens:
    """The tokens of somebody who types a code elsewhere, after it was asked for twice."""
    asked: list[asyncio.Task[str]] = []
    waits: list[float] = []

    def show(code: DeviceCode) -> None:
        asked.append(asyncio.create_task(Browser(name).visit(code.verification_uri_complete)))

    async def pause(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) > 1:
            await asked[0]

    tokens = await by_device(metadata, issuing, show, pause)
    assert min(waits) >= 5
    return tokens


async def believed(web: Web, issuing: Issuing) -> Metadata:
    """The issuer's description, once the tracker believes it."""
    await web.admin("POST", f"issuers/{issuing.name}", **msgspec.to_builtins(issuing))
    return await discover(issuing.issuer, "")


def test_by_browser_and_device_and_renewed(server: OidcServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with people(tmp_path / "tracker") as web:
            issuing = Issuing("corp", server.issuer, CLIENT, CLIENT)
            metadata = await believed(web, issuing)
            tokens = await signed_in_by_browser(metadata, issuing, "alice+ops+dev")
            token = bearer_of(tokens, issuing)
            who = ["user:corp/alice+ops+dev", "group:corp/ops", "group:corp/dev", "anyone"]
            assert await web.who(bearer(token)) == who
            other = await signed_in_by_device(metadata, issuing, "bob")
            assert await web.who(bearer(bearer_of(other, issuing))) == ["user:corp/bob", "anyone"]
            # What is for the issuer's own use names nobody here.
            assert await web.who(bearer(tokens.access_token)) == 401

            logins = Logins(Home(tmp_path / "home"))
            expires = expiry_of(token, tokens, time.time())
            made = Login("issuer", token, expires, metadata.token_endpoint, tokens.refresh_token, issuing)
            logins.write(made)
            assert (tmp_path / "home" / "login").stat().st_mode & 0o777 == 0o600
            assert await logins.authorization() == f"Bearer {token}"
            logins.write(msgspec.structs.replace(made, token="old", expires=time.time() + 30))
            shown = await asyncio.gather(*(logins.authorization() for _ in range(4)))
            assert len(set(shown)) == 1 and await web.who({"Authorization": str(shown[0])}) == who
            # The issuer takes a second use of a refresh token for a theft, and ends all that came of it.
            logins.write(msgspec.structs.replace(made, expires=0.0))
            with pytest.raises(NotAllowedError, match="aetherfs login"):
                await logins.authorization()

    asyncio.run(main())


def test_access_tokens_for_an_audience_of_its_own(server: OidcServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with people(tmp_path / "tracker") as web:
            issuing = Issuing("corp", server.issuer, "https://aetherfs.example", CLIENT, scopes=("openid",))
            metadata = await believed(web, issuing)
            tokens = await signed_in_by_browser(metadata, issuing, "carol")
            assert await web.who(bearer(bearer_of(tokens, issuing))) == ["user:corp/carol", "anyone"]
            assert await web.who(bearer(tokens.id_token)) == 401

    asyncio.run(main())
