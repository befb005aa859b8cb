"""Calls to an OIDC issuer: over TLS that proves its name, without redirects, bounded in time and bytes.

Only a loopback issuer may be called without TLS, which is for trying and for tests; nothing that another issuer says
leads there.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from swarm.errors import RemoteProtocolError, UnreachableError, UsageError

TIMEOUT_S: Final = 5.0
ANSWER_MAX_BYTES: Final = 256 * 1024
DETAIL_MAX_CHARS: Final = 200


def check_url(text: str) -> str:
    """A URL of an issuer, unchanged, or UsageError: https, or http on loopback, and nothing hidden in it."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        is_whole = bool(host) and parts.port != 0 and parts.username is None and not parts.fragment
    except ValueError as error:
        raise UsageError(f"{text[:120]!r} is not a URL: {error}") from error
    is_clean = text.isascii() and text.isprintable() and " " not in text
    if not (is_whole and is_clean and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))):
        raise UsageError(f"{text[:120]!r} is not the URL of an issuer: https://..., or http:// on this machine")
    return text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_told_url(text: str, issuer: str) -> str:
    """A URL that an issuer names, or RemoteProtocolError: without TLS only where the issuer itself is without."""
    try:
        check_url(text)
    except UsageError as error:
        raise RemoteProtocolError(f"{issuer} names a URL that is not called: {error}") from error
    if not text.startswith("https://") and issuer.startswith("https://"):
        raise RemoteProtocolError(f"{issuer} names {text[:120]}, which is without TLS")
    return text


@lru_cache(maxsize=16)
def context_for(ca: str) -> ssl.SSLContext:
    """Believes these roots (PEM), or those that the system believes. UsageError for what is no PEM."""
    try:
        context = ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"the CA of an issuer is not a certificate in PEM: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def get_object(url: str, ca: str) -> dict[str, Any]:
    """A JSON object. UnreachableError when it is not to be had, RemoteProtocolError for something else."""
    status, found = await _ask("GET", url, ca, None)
    if status != 200:
        raise UnreachableError(f"{url} answered with status {status}")
    return found


async def post_form(url: str, ca: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and JSON object that a form is answered with."""
    return await _ask("POST", url, ca, form)


async def _ask(method: str, url: str, ca: str, form: Mapping[str, str] | None) -> tuple[int, dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Accept": "application/json"}
    connector = aiohttp.TCPConnector(ssl=context_for(ca), limit=1, force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, url, data=form, headers=headers, timeout=timeout, allow_redirects=False
            ) as response,
        ):
            return response.status, _object(await _bounded(response, url), url, response.status)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UnreachableError(f"{url} does not answer: {str(error)[:DETAIL_MAX_CHARS] or 'in time'}") from error


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    found = bytearray()
    async for part in response.content.iter_any():
        found += part
        if len(found) > ANSWER_MAX_BYTES:
            raise RemoteProtocolError(f"{url} answered with more than {ANSWER_MAX_BYTES} bytes")
    return bytes(found)


def _object(body: bytes, url: str, status: int) -> dict[str, Any]:
    """Nothing at all, as after a revocation, is an empty one."""
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if status != 200:
            return {}
        raise RemoteProtocolError(f"{url} answered with something that is not a JSON object") from error
