"""The person who is signed in at a home: what proves it, kept for its owner alone, and renewed before it expires.

One process renews at a time: issuers that rotate refresh tokens take a second use of one for a theft.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from swarm.errors import AetherError, NotAllowedError, UnreachableError
from swarm.people_messages import Issuing

if TYPE_CHECKING:
    from swarm.home import Home

FILE: Final = "login"
LOCK: Final = "login.lock"
# How long before its end a token is renewed.
AHEAD_S: Final = 60.0


class Login(msgspec.Struct, frozen=True):
    """Who is signed in. ``token`` is what trackers are shown, until ``expires`` (wall seconds).

    With an issuer, ``refresh_token`` brings the next one from ``endpoint``. ``tracker`` and ``ca`` (PEM) are for a home
    that is no member: the tracker's URL, and whom its TLS is believed by.
    """

    kind: Literal["session", "service", "issuer"]
    token: str
    expires: float
    endpoint: str = ""
    refresh_token: str = ""
    issuing: Issuing | None = None
    tracker: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        """Without the tokens: this ends up in logs otherwise."""
        return f"<Login {self.kind} until {self.expires:.0f}>"


class Logins:
    """The login of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def read(self) -> Login | None:
        """Who is signed in, None for nobody. AetherError for a file that is damaged."""
        data = self._home.read_state(FILE)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Login)
        except (msgspec.MsgspecError, ValueError) as error:
            raise AetherError(f"{self._home.path / FILE} is damaged: sign in anew with `aetherfs login`") from error

    def write(self, login: Login) -> None:
        self._home.write_secret(FILE, msgspec.json.encode(login))

    async def remove(self) -> Login | None:
        """Nobody is signed in any more: who was."""
        if self.read() is None:
            return None  # Nor need there be a home.
        async with self._alone():
            login = self.read()
            self._home.remove_state(FILE)
            return login

    async def authorization(self) -> str | None:
        """The header that proves who is signed in, renewed if it is about to expire; None for nobody.

        NotAllowedError when he has to sign in anew: what he asks must not be done as somebody else.
        """
        login = self.read()
        if login is None:
            return None
        if login.expires - AHEAD_S <= time.time():
            login = await self._renewed()
        return f"Bearer {login.token}"

    async def _renewed(self) -> Login:
        async with self._alone():
            login = self.read()
            if login is None:
                raise NotAllowedError("nobody is signed in any more: `aetherfs login`")
            if login.expires - AHEAD_S > time.time():
                return login  # Another process was first.
            return await self._renew(login)

    async def _renew(self, login: Login) -> Login:
        from swarm.oidc.flows import bearer_of, expiry_of, refresh

        wall_now = time.time()
        if login.issuing is None or not login.refresh_token:
            if login.expires > wall_now:
                return login
            raise NotAllowedError("your sign-in has expired: sign in anew with `aetherfs login`, or `aetherfs logout`")
        try:
            tokens = await refresh(login.endpoint, login.issuing, login.refresh_token)
        except UnreachableError:
            if login.expires > wall_now:
                return login
            raise
        token = bearer_of(tokens, login.issuing)
        expires = expiry_of(token, tokens, wall_now)
        fresh = msgspec.structs.replace(login, token=token, expires=expires, refresh_token=tokens.refresh_token)
        self.write(fresh)
        return fresh

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        descriptor = os.open(self._home.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
