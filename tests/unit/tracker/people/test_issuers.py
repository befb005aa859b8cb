"""An issuer's keys are asked for as often as needed, and no oftener whatever strangers send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from swarm.errors import RemoteProtocolError, UnreachableError, UsageError
from swarm.oidc.discovery import discover
from swarm.oidc.fetch import check_told_url, check_url
from swarm.tracker.people.issuers import REFETCH_S, REFRESH_S, RETRY_S, STALE_MAX_S, IssuerKeys, Issuers
from tests.made_issuer import MadeIssuer, made_issuer

FIRST, SECOND = {"kid": "first"}, {"kid": "second"}


def with_issuer(check: Callable[[MadeIssuer, IssuerKeys], Awaitable[None]]) -> None:
    """Run a check with an issuer that listens."""

    async def main() -> None:
        async with made_issuer() as issuer:
            keys = IssuerKeys(issuer.issuing())
            await check(issuer, keys)
            await keys.close()

    asyncio.run(main())


async def known(keys: IssuerKeys, header: dict[str, str], now: float) -> list[str]:
    """The ids of the keys that are known then."""
    return [str(key.kid) for key in (await keys.for_token(header, now)).keys]


def test_a_rotation_is_seen_with_the_first_token_of_the_new_key() -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        assert await known(keys, FIRST, 0.0) == ["first"]
        issuer.rotate("second", keep=True)
        assert await known(keys, SECOND, REFETCH_S) == ["second", "first"]

    with_issuer(check)


def test_a_key_that_is_withdrawn_stops_counting() -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        await known(keys, FIRST, 0.0)
        issuer.rotate("second")
        assert await known(keys, FIRST, REFRESH_S - 1) == ["first"]
        await known(keys, FIRST, REFRESH_S)
        while keys._asking is not None:
            await asyncio.sleep(0.01)
        assert await known(keys, FIRST, REFRESH_S + 1) == ["second"]

    with_issuer(check)


def test_unheard_of_keys_ask_the_issuer_once_in_half_a_minute() -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        now = 0.0
        for number in range(600):
            await keys.for_token({"kid": f"made up {number}"}, now)
            now += 0.5
        assert issuer.asked == keys.fetched <= 1 + 300 / REFETCH_S

    with_issuer(check)


def test_many_at_once_ask_once() -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        found = await asyncio.gather(*(known(keys, FIRST, 0.0) for _ in range(50)))
        assert found == [["first"]] * 50 and issuer.asked == 1

    with_issuer(check)


def test_an_issuer_that_is_away_is_asked_seldom_and_believed_for_a_day() -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        issuer.is_away = True
        for now in range(int(RETRY_S)):
            with pytest.raises(UnreachableError):
                await keys.for_token(FIRST, float(now))
        assert keys.fetched == 1
        issuer.is_away = False
        assert await known(keys, FIRST, RETRY_S) == ["first"]
        issuer.is_away = True
        assert await known(keys, FIRST, RETRY_S + STALE_MAX_S) == ["first"]
        with pytest.raises(UnreachableError):
            await keys.for_token(FIRST, RETRY_S + STALE_MAX_S + 1)

    with_issuer(check)


def test_an_issuer_without_a_key_changes_nothing() -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        await known(keys, FIRST, 0.0)
        issuer.keys.clear()
        assert await known(keys, SECOND, REFETCH_S) == ["first"]

    with_issuer(check)


def test_an_issuer_that_is_configured_otherwise_is_asked_anew() -> None:
    issuing, issuers = MadeIssuer().issuing(), Issuers()
    kept = issuers.keys_of(issuing)
    assert issuers.keys_of(issuing) is kept
    assert issuers.keys_of(MadeIssuer().issuing(audience="another")) is not kept


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://another.example"},
        {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": 7},
    ],
)
def test_what_an_issuer_must_not_say_of_itself(said: dict[str, object]) -> None:
    async def check(issuer: MadeIssuer, keys: IssuerKeys) -> None:
        issuer.said = said
        with pytest.raises(RemoteProtocolError):
            await discover(issuer.url, "")

    with_issuer(check)


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example",
        "http://127.0.0.1.evil.example",
        "https://",
        "https://user:secret@issuer.example",
        "https://issuer.example/#part",
        "https://issuer.example:99999",
        "https://issuer.example:0",
        "ftp://issuer.example",
        "https://issuer.example/\n",
        "https://ïssuer.example",
        "issuer.example",
        "",
    ],
)
def test_what_is_no_url_of_an_issuer(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


def test_an_issuer_with_tls_leads_nowhere_without() -> None:
    assert check_url("http://localhost:8080") and check_url("http://[::1]:1") and check_url("https://issuer.example/a")
    with pytest.raises(RemoteProtocolError):
        check_told_url("http://127.0.0.1:8500/v1/kv", "https://issuer.example")
