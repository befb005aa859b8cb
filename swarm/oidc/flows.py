"""How a person signs in at an OIDC issuer from a terminal, and stays signed in.

By browser: authorization code with PKCE (RFC 7636) and a redirect to a free port of loopback (RFC 8252). By another
device: a code that is typed there (RFC 8628). Both are a public client's: there is no secret here to steal.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from swarm.errors import AetherError, IncompleteError, NotAllowedError, NotFoundError, RemoteProtocolError
from swarm.http.serve import make_app, start_listener
from swarm.oidc.claims import Terms, check, keys_of, unverified
from swarm.oidc.discovery import Metadata
from swarm.oidc.fetch import check_told_url, get_object, post_form
from swarm.people_messages import Issuing

# What a refusal ends with, for who signs in by the command.
AGAIN: Final = " with `aetherfs login`"
LOOPBACK: Final = "127.0.0.1"
CALLBACK: Final = "/callback"
BROWSER_DEADLINE_S: Final = 300.0
DEVICE_DEADLINE_S: Final = 1800.0
DEVICE_INTERVAL_S: Final = 5.0
SLOW_DOWN_S: Final = 5.0
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


T = TypeVar("T")


class Tokens(msgspec.Struct, frozen=True):
    """What a token endpoint gives."""

    access_token: str = ""
    id_token: str = ""
    refresh_token: str = ""
    expires_in: float = 0


class DeviceCode(msgspec.Struct, frozen=True):
    """What a device authorization endpoint gives."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    expires_in: float = DEVICE_DEADLINE_S
    interval: float = DEVICE_INTERVAL_S


def bearer_of(tokens: Tokens, issuing: Issuing) -> str:
    """The token that trackers take: the one that is for their audience."""
    text = tokens.id_token if issuing.audience == issuing.client_id else tokens.access_token
    if not text:
        raise RemoteProtocolError(f"{issuing.issuer} gave no token for {issuing.audience}: check how it is configured")
    return text


def expiry_of(bearer: str, tokens: Tokens, wall_now: float) -> float:
    """Until when a token counts, as it says itself (wall seconds)."""
    try:
        stated = unverified(bearer)[1].get("exp")
    except NotAllowedError:
        stated = None
    return float(stated) if isinstance(stated, int | float) else wall_now + (tokens.expires_in or 300)


async def refresh(endpoint: str, issuing: Issuing, refresh_token: str) -> Tokens:
    """Fresh tokens for who has signed in before. NotAllowedError when he has to sign in anew."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **_client(issuing)}
    fresh = await _tokens(endpoint, issuing, form)
    return msgspec.structs.replace(fresh, refresh_token=fresh.refresh_token or refresh_token)


async def by_device(
    metadata: Metadata,
    issuing: Issuing,
    show: Callable[[DeviceCode], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Tokens:
    """Sign in by a code that ``show`` tells the person. NotAllowedError when he declines or is too late."""
    endpoint = metadata.device_authorization_endpoint
    if not endpoint:
        raise NotFoundError(f"{issuing.issuer} knows no device codes: sign in with a browser on this machine")
    form = {"scope": " ".join(issuing.scopes), **_client(issuing)}
    code = _converted((await _posted(endpoint, issuing, form))[1], DeviceCode, endpoint)
    check_told_url(code.verification_uri, issuing.issuer)
    show(code)
    form = {"grant_type": DEVICE_GRANT, "device_code": code.device_code, **_client(issuing)}
    interval_s = min(max(code.interval, 0.1), 60.0)
    deadline = time.monotonic() + min(code.expires_in, DEVICE_DEADLINE_S)
    while time.monotonic() < deadline:
        await pause(interval_s)
        status, found = await post_form(metadata.token_endpoint, issuing.ca, form)
        if status == 200:
            return await _checked(_converted(found, Tokens, metadata.token_endpoint), metadata, issuing, None)
        if found.get("error") == "slow_down":
            interval_s += SLOW_DOWN_S
        elif found.get("error") != "authorization_pending":
            raise _refusal(found, issuing)
    raise NotAllowedError("nobody has typed the code in time: repeat `aetherfs login`")


async def by_browser(metadata: Metadata, issuing: Issuing, visit: Callable[[str], Awaitable[None]]) -> Tokens:
    """Sign in by a browser on this machine, which ``visit`` shows a URL."""
    if not metadata.authorization_endpoint:
        raise NotFoundError(f"{issuing.issuer} has no page to sign in at: try `aetherfs login --device`")
    asking = new_asking()
    callback = _Callback(asking.state, metadata.issuer)
    listener = await start_listener(callback.app(), LOOPBACK, 0, None)
    try:
        redirect = f"http://{LOOPBACK}:{listener.port}{CALLBACK}"
        await visit(address_of(metadata, issuing, redirect, asking))
        return await redeem(metadata, issuing, redirect, asking, await callback.code())
    finally:
        await listener.close()


@dataclass(frozen=True, slots=True)
class Asking:
    """What one sign-in is known by: to the browser that comes back, in the ID token, and at the token endpoint."""

    state: str
    nonce: str
    verifier: str


def new_asking() -> Asking:
    """Of 256 bits each."""
    return Asking(*(secrets.token_urlsafe(32) for _ in range(3)))


def address_of(metadata: Metadata, issuing: Issuing, redirect: str, asking: Asking) -> str:
    """Where a browser is sent to, from where it comes back to ``redirect`` with a code."""
    query = {
        "response_type": "code",
        "redirect_uri": redirect,
        "scope": " ".join(issuing.scopes),
        "state": asking.state,
        "nonce": asking.nonce,
        "code_challenge": _text_of(hashlib.sha256(asking.verifier.encode()).digest()),
        "code_challenge_method": "S256",
        # Without it many issuers give no refresh token (OpenID Connect Core 11).
        **({"prompt": "consent"} if "offline_access" in issuing.scopes else {}),
        **_client(issuing),
    }
    mark = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{mark}{urlencode(query)}"


async def redeem(metadata: Metadata, issuing: Issuing, redirect: str, asking: Asking, code: str) -> Tokens:
    """The tokens for a code, whose ID token is of this very sign-in. NotAllowedError for what is not."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    whole = {**form, "code_verifier": asking.verifier, **_client(issuing)}
    return await _checked(await _tokens(metadata.token_endpoint, issuing, whole), metadata, issuing, asking.nonce)


class _Callback:
    """Waits for the browser to come back with a code, or with a refusal."""

    def __init__(self, state: str, issuer: str) -> None:
        self._state = state
        self._issuer = issuer
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def app(self) -> web.Application:
        app = make_app()
        app.router.add_get(CALLBACK, self._come)
        return app

    async def code(self) -> str:
        try:
            return await asyncio.wait_for(self._code, BROWSER_DEADLINE_S)
        except TimeoutError as error:
            raise IncompleteError("nobody has signed in with the browser in time: repeat `aetherfs login`") from error

    async def _come(self, request: web.Request) -> web.Response:
        query = request.query
        is_ours = hmac.compare_digest(query.get("state", "").encode(), self._state.encode())
        # RFC 9207: an answer of another issuer is not for this one.
        if not is_ours or query.get("iss", self._issuer) != self._issuer or self._code.done():
            return _told(400, "This is not the answer that is waited for.")
        if "code" not in query:
            refusal = NotAllowedError(f"signing in was refused: {query.get('error', 'no reason given')[:200]}")
            self._code.set_exception(refusal)
            return _told(200, str(refusal))
        self._code.set_result(query["code"])
        return _told(200, "You are signed in. This page can be closed.")


def _told(status: int, text: str) -> web.Response:
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>AetherFS</title><p>{html.escape(text)}</p></html>'
    )
    return web.Response(status=status, text=page, content_type="text/html")


async def _checked(tokens: Tokens, metadata: Metadata, issuing: Issuing, nonce: str | None) -> Tokens:
    """The tokens, whose ID token is the issuer's, for us and of this very sign-in."""
    if tokens.id_token:
        keys = keys_of(await get_object(metadata.jwks_uri, issuing.ca))
        terms = Terms(issuing.name, issuing.issuer, issuing.client_id, issuing.algorithms, "sub", issuing.groups_claim)
        check(tokens.id_token, keys, terms, time.time())
        if nonce is not None and unverified(tokens.id_token)[1].get("nonce") != nonce:
            raise NotAllowedError(f"the issuer's answer is of another sign-in: sign in anew{AGAIN}")
    return tokens


async def _tokens(endpoint: str, issuing: Issuing, form: Mapping[str, str]) -> Tokens:
    return _converted((await _posted(endpoint, issuing, form))[1], Tokens, endpoint)


async def _posted(endpoint: str, issuing: Issuing, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    status, found = await post_form(endpoint, issuing.ca, form)
    if status != 200:
        raise _refusal(found, issuing)
    return status, found


def _refusal(found: Mapping[str, Any], issuing: Issuing) -> AetherError:
    said = str(found.get("error_description") or found.get("error") or "without a reason")[:200]
    return NotAllowedError(f"{issuing.issuer} refuses: {said}; sign in anew{AGAIN}")


def _client(issuing: Issuing) -> dict[str, str]:
    """Who asks, and for which audience where that is another (RFC 8707)."""
    resource = {} if issuing.audience == issuing.client_id else {"resource": issuing.audience}
    return {"client_id": issuing.client_id, **resource}


def _converted(found: object, kind: type[T], endpoint: str) -> T:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"{endpoint} answered with something else: {error}") from error


def _text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
