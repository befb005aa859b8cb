"""Who sends a request, if it is no peer: a user, a service, or nobody known.

An Authorization header counts before a session's cookie. What is shown and proves nothing is refused, and never taken
for nobody. Refusals of one kind read alike, whether a name is known or not, and take the same work.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiohttp import web

from swarm.errors import NotSignedInError, TooSoonError
from swarm.http.browsers import SESSION_COOKIE
from swarm.oidc.claims import Terms, check, unverified
from swarm.people_messages import Issuing
from swarm.principal import ANONYMOUS, Principal
from swarm.signature import signature_of
from swarm.tracker.people.guessing import Guessing
from swarm.tracker.people.issuers import Issuers
from swarm.tracker.people.passwords import PASSWORD_MAX_BYTES, Passwords
from swarm.tracker.people.records import People, User
from swarm.tracker.people.sessions import (
    SERVICE_START,
    SESSION_START,
    STAMP_BYTES,
    AnySession,
    IssuedSession,
    Session,
    Sessions,
    Use,
    parse_service_token,
)

HEADER_MAX_CHARS: Final = 20_000
WRONG_PASSWORD: Final = "user or password is wrong"
WRONG_TOKEN: Final = "the API token is not valid here, was revoked or has expired: ask for a new one"
ENDED: Final = "this session has ended: sign in anew"

T = TypeVar("T")


class Work(Protocol):
    """Runs what waits for the object store in a thread."""

    def __call__(self, function: Callable[..., T], *args: Any) -> Awaitable[T]: ...


class Identifier:
    """What one tracker needs to know people and services by. ``remote_of``: where a request comes from."""

    def __init__(
        self, people: People, sessions: Sessions, work: Work, remote_of: Callable[[web.BaseRequest], str]
    ) -> None:
        self.people = people
        self.sessions = sessions
        self.passwords = Passwords()
        self.guessing = Guessing()
        self.issuers = Issuers()
        self._work = work
        self._remote_of = remote_of

    async def identify(self, request: web.Request) -> Principal:
        """Who asks; ANONYMOUS who shows nothing. NotSignedInError, or TooSoonError, for what proves nothing."""
        shown = request.headers.getall("Authorization", [])
        if shown:
            kind, text = _shown(shown)
            if kind == "basic":
                return (await self.user_of(text, self._remote_of(request))).principal
            return await self._bearer(text)
        if SESSION_COOKIE in request.cookies:
            return (await self.session_of(request.cookies[SESSION_COOKIE], "cookie"))[1]
        return ANONYMOUS

    # ---- passwords --------------------------------------------------------------------------------------------------

    async def user_of(self, basic: str, remote: str) -> User:
        """The user whose name and password these are, as a Basic header has them."""
        return await self.signed_in(*_name_and_password(basic), remote)

    async def signed_in(self, name: str, password: bytes, remote: str) -> User:
        """The user with this name and password. NotSignedInError for a wrong one, TooSoonError for who guesses."""
        now = time.monotonic()
        if not self.passwords.knows(name, password, now):
            self._check_wait(name, remote, now)
        user = await self._work(self.people.user, name)
        kept = user.password if user is not None else None
        is_right = await self.passwords.is_right(name, password, kept, now, lambda: self._begin(name, remote, now))
        if user is None or not is_right:
            raise NotSignedInError(WRONG_PASSWORD)
        self.guessing.succeeded(name, remote, now)
        return user

    def _check_wait(self, name: str, remote: str, now: float) -> None:
        wait_s = self.guessing.wait_s(name, remote, now)
        if wait_s > 0:
            raise TooSoonError(f"there were too many wrong passwords: try again in {wait_s:.0f} s", wait_s)

    def _begin(self, name: str, remote: str, now: float) -> None:
        self._check_wait(name, remote, now)
        self.guessing.begin(name, remote, now)

    # ---- what is shown instead of a password ------------------------------------------------------------------------

    async def _bearer(self, text: str) -> Principal:
        if text.startswith(SERVICE_START):
            return await self._service_of(text)
        if text.startswith(SESSION_START):
            return (await self.session_of(text, "bearer"))[1]
        return await self.of_issuer(text)

    async def _service_of(self, text: str) -> Principal:
        token_id, secret = parse_service_token(text)
        service = await self._work(self.people.service, token_id)
        kept = service.secret_hash if service is not None else bytes(32)
        is_right = hmac.compare_digest(signature_of(secret), kept)
        if service is None or not is_right or service.expires <= time.time():
            raise NotSignedInError(WRONG_TOKEN)
        return service.principal

    async def session_of(self, text: str, use: Use) -> tuple[AnySession, Principal]:
        """A session and whose it is, as long as it was not ended, and he has the same password or his issuer counts as
        it did.
        """
        session = self.sessions.open(text, use, time.time())
        if isinstance(session, IssuedSession):
            who = await self._named_by_issuer(session)
        else:
            who = await self._named_by_password(session)
        await self._check_signed_out(who, session.issued)
        if await self._work(self.people.is_ended, session.key):
            raise NotSignedInError(ENDED)
        return session, who

    async def _named_by_password(self, session: Session) -> Principal:
        user = await self._work(self.people.user, session.name)
        if user is None or user.stamp != session.stamp:
            raise NotSignedInError(ENDED)
        return user.principal

    async def _named_by_issuer(self, session: IssuedSession) -> Principal:
        issuing = await self.issuing(session.issuer)
        if issuing is None or stamp_of(issuing) != session.stamp:
            raise NotSignedInError(ENDED)
        return session.principal

    async def issuing(self, name: str) -> Issuing | None:
        """The issuer that is known here by a name."""
        found = await self._work(self.people.issuers)
        return next((one.issuing for one in found if one.issuing.name == name), None)

    async def of_issuer(self, text: str) -> Principal:
        """Whom the bearer token of an issuer names."""
        header, claims = unverified(text)
        issuing = await self._issuing(claims.get("iss"))
        keys = await self.issuers.keys_of(issuing).for_token(header, time.monotonic())
        found = check(text, keys, terms_of(issuing), time.time())
        await self._check_signed_out(found.principal, found.issued)
        return found.principal

    async def _issuing(self, url: object) -> Issuing:
        for issuer in await self._work(self.people.issuers):
            if issuer.issuing.issuer == url:
                return issuer.issuing
        raise NotSignedInError("this token is of no issuer that is known here: see `aetherfs issuer ls`")

    async def _check_signed_out(self, principal: Principal, issued: int) -> None:
        """What was issued in the very second of signing out has ended too."""
        since = await self._work(self.people.signed_out_since, str(principal))
        if since and issued <= since:
            raise NotSignedInError(ENDED)

    async def close(self) -> None:
        self.passwords.close()
        await self.issuers.close()


def stamp_of(issuing: Issuing) -> bytes:
    """Other than before as soon as an issuer counts in another way."""
    return signature_of(msgspec.json.encode(issuing))[:STAMP_BYTES]


def terms_of(issuing: Issuing) -> Terms:
    """What a token of an issuer has to fulfil."""
    return Terms(
        issuing.name,
        issuing.issuer,
        issuing.audience,
        issuing.algorithms,
        issuing.user_claim,
        issuing.groups_claim,
    )


def _shown(headers: list[str]) -> tuple[str, str]:
    """The scheme of the one Authorization header, in lower case, and what follows it."""
    scheme, _, text = headers[0].partition(" ")
    if len(headers) != 1 or len(headers[0]) > HEADER_MAX_CHARS or scheme.lower() not in ("basic", "bearer"):
        raise NotSignedInError("one Authorization header is understood here: Basic, or Bearer with a token")
    return scheme.lower(), text.strip()


def _name_and_password(basic: str) -> tuple[str, bytes]:
    """RFC 7617: base64 of ``name:password`` in UTF-8."""
    try:
        name, colon, password = base64.b64decode(basic, validate=True).partition(b":")
        if not colon or len(password) > PASSWORD_MAX_BYTES or len(name) > PASSWORD_MAX_BYTES:
            raise ValueError("no name and password")
        return name.decode(), password
    except (binascii.Error, ValueError) as error:
        raise NotSignedInError("a Basic header is base64 of name:password") from error
