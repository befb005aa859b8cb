"""Telling one address of alerts: a POST of JSON, over HTTP, bounded in time and bytes.

The address is an operator's setting and nobody else's, so it may lead anywhere, also into a private network or to this
machine: ``swarm.dialable`` judges what strangers say, and is not asked. Redirects are not followed, proxies of the
environment are not used, and nothing of the answer but its status is looked at. What a chat's address has in its path
is a secret: it is read from a file if a file is named, and no message or log shows more than scheme, host and port.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from swarm.alert_messages import Notification
from swarm.errors import UnreachableError, UsageError

TIMEOUT_S: Final = 10.0
ADDRESS_MAX_CHARS: Final = 2048
FILE_MAX_BYTES: Final = 8192


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """Where alerts are sent. ``bearer`` is shown there, if there is one."""

    url: str
    bearer: str = ""

    @property
    def shown(self) -> str:
        """What may be told of it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def __repr__(self) -> str:
        return f"<Webhook {self.shown}>"

    async def send(self, told: Notification) -> None:
        """UnreachableError unless it is taken with a 2xx."""
        headers = {"Content-Type": "application/json", "User-Agent": "aetherfs"}
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        try:
            # Hundreds of certificates are read for it: not on the loop. What they are may change while we run.
            context = await asyncio.to_thread(ssl.create_default_context)
            connector = aiohttp.TCPConnector(ssl=context, limit=1, force_close=True)
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(
                    self.url,
                    data=msgspec.json.encode(told),
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                    allow_redirects=False,
                ) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # What aiohttp says may hold the whole address.
            why = getattr(getattr(error, "os_error", None), "strerror", None) or type(error).__name__
            raise UnreachableError(f"{self.shown} does not take alerts: {why}") from error
        if not 200 <= status < 300:
            raise UnreachableError(f"{self.shown} does not take alerts: it answers with status {status}")


def webhook_in(address: str, token_file: str) -> Webhook | None:
    """Out of the settings: an http(s) address or a file that holds one, and perhaps a file with a bearer token. None
    for none. UsageError for what is no address.
    """
    if not address:
        return None
    url = address if address.startswith(("http://", "https://")) else _line_of(address, "alert_webhook")
    return Webhook(check_address(url), _line_of(token_file, "alert_webhook_token_file") if token_file else "")


def check_address(url: str) -> str:
    """The address, unchanged. UsageError, which does not show it, for what is none."""
    wanted = "alert_webhook is the http:// or https:// address that takes alerts, or a file that holds it"
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise UsageError(f"{wanted}: what is given is no URL") from error
    if not is_whole or not url.isascii() or not url.isprintable() or " " in url or len(url) > ADDRESS_MAX_CHARS:
        raise UsageError(f"{wanted}: what is given is no URL")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{wanted}: put its secret into a file, alert_webhook_token_file, and not into the address")
    return url


def _line_of(path: str, setting: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            text = file.read(FILE_MAX_BYTES + 1).decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"cannot read {path}, which {setting} names: {why}") from error
    line = text.strip()
    if not line or len(line.splitlines()) != 1 or not line.isprintable():
        raise UsageError(f"{path}, which {setting} names, does not hold one line of text")
    return line
