"""The keys of OIDC issuers, kept and asked for anew within bounds.

Keys are asked for anew every ten minutes, so that one that the issuer has withdrawn stops counting, and at once for a
token that names a key which is not known, as after a rotation; but once in half a minute at most, whatever tokens
strangers make up. An issuer that does not answer is asked again after ten seconds; what it said before counts for a
day.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from joserfc.jwk import KeySet

from swarm.errors import AetherError, IntegrityError, UnreachableError
from swarm.oidc.claims import fitting, keys_of
from swarm.oidc.discovery import Metadata, discover
from swarm.oidc.fetch import get_object
from swarm.people_messages import Issuing

REFRESH_S: Final = 600.0
REFETCH_S: Final = 30.0
RETRY_S: Final = 10.0
STALE_MAX_S: Final = 86_400.0


class IssuerKeys:
    """The keys of one issuer. ``fetched`` counts how often it was asked."""

    def __init__(self, issuing: Issuing) -> None:
        self.issuing = issuing
        self.fetched = 0
        self._keys = KeySet([])
        self._described: Metadata | None = None
        self._known_at = float("-inf")
        self._asked_at = float("-inf")
        self._failure = ""
        self._asking: asyncio.Task[None] | None = None

    async def for_token(self, header: Mapping[str, Any], now: float) -> KeySet:
        """The keys to check a token with. UnreachableError when none are known and the issuer does not answer."""
        if self._asking is None and self._is_due(header, now):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(now))
            self._asking.add_done_callback(self._asked)
        if self._asking is not None and (not fitting(self._keys, header) or now - self._known_at >= 2 * REFRESH_S):
            await asyncio.shield(self._asking)
        if now - self._known_at > STALE_MAX_S:
            raise UnreachableError(f"the keys of {self.issuing.issuer} are not to be had ({self._failure}): try later")
        return self._keys

    async def described(self, now: float) -> Metadata:
        """What the issuer says of itself, no older than its keys. UnreachableError when it does not answer."""
        await self.for_token({}, now)
        if self._described is None:
            raise UnreachableError(f"{self.issuing.issuer} does not answer ({self._failure}): try later")
        return self._described

    def _is_due(self, header: Mapping[str, Any], now: float) -> bool:
        if self._failure or self._known_at == float("-inf"):
            return now - self._asked_at >= RETRY_S
        is_unknown = not fitting(self._keys, header) and now - self._asked_at >= REFETCH_S
        return is_unknown or now - self._known_at >= REFRESH_S

    def _asked(self, _task: asyncio.Task[None]) -> None:
        self._asking = None

    async def _ask(self, now: float) -> None:
        self.fetched += 1
        try:
            described = await discover(self.issuing.issuer, self.issuing.ca)
            keys = keys_of(await get_object(described.jwks_uri, self.issuing.ca))
            if not keys.keys:
                raise IntegrityError("it publishes no key that can be used")
        except AetherError as error:
            self._failure = str(error)
            return
        self._keys, self._described, self._known_at, self._failure = keys, described, now, ""

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking


class Issuers:
    """The keys of all issuers that count, by their URL."""

    def __init__(self) -> None:
        self._known: dict[str, IssuerKeys] = {}

    def keys_of(self, issuing: Issuing) -> IssuerKeys:
        """Those of an issuer; anew if it was configured otherwise since."""
        known = self._known.get(issuing.issuer)
        if known is None or known.issuing != issuing:
            known = self._known[issuing.issuer] = IssuerKeys(issuing)
        return known

    async def close(self) -> None:
        for known in self._known.values():
            await known.close()
