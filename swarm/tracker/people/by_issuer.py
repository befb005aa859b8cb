"""Signing in with a browser at an OIDC issuer: authorization code with PKCE, as RFC 9700 advises.

The tracker redeems the code, so no token of the issuer ever is in a page: a browser gets a session of ours, as after a
password. What a sign-in is known by (``state``, ``nonce``, the verifier) lies sealed in a cookie of the browser that
has begun it, so trackers keep nothing, any of them may finish it, and nobody has another one's browser finish his own.
That cookie is SameSite=Lax, as it comes back from the issuer's site; the session's is Strict. Each issuer has its own
redirect URI, and an answer that names another issuer is refused (RFC 9207): one cannot be taken for another. We are a
public client: there is no secret to keep.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Final

import msgspec
from aiohttp import web

from swarm.errors import NotFoundError, NotSignedInError
from swarm.oidc.discovery import Metadata
from swarm.oidc.flows import Asking, address_of, bearer_of, new_asking, redeem
from swarm.people_messages import Issuing
from swarm.tracker.people.identify import Identifier, stamp_of
from swarm.tracker.people.sessions import BEGUN_TTL_S, Begun

BEGUN_COOKIE: Final = "__Host-aetherfs-signin"
SIGNED_IN: Final = "/ui/signedin"
CODE_MAX_CHARS: Final = 2048
SAID_MAX_CHARS: Final = 200
# Codes that are redeemed at once; whoever comes then waits.
REDEEMING_MAX: Final = 8


class ByIssuer:
    """Of one tracker."""

    def __init__(self, identifier: Identifier) -> None:
        self._identifier = identifier
        self._redeeming = asyncio.Semaphore(REDEEMING_MAX)

    async def begin(self, request: web.Request, after: str) -> web.Response:
        """Send a browser to the issuer. NotFoundError for one that is not known, or has no page."""
        issuing, metadata = await self._issuer(request)
        if not metadata.authorization_endpoint:
            raise NotFoundError(f"{issuing.name} has no page to sign in at")
        asking = new_asking()
        begun = Begun(
            1, issuing.name, asking.state, asking.nonce, asking.verifier, after, int(time.time()) + BEGUN_TTL_S
        )
        response = web.Response(
            status=303,
            headers={"Location": address_of(metadata, _of_once(issuing), _redirect(request, issuing), asking)},
        )
        text = self._identifier.sessions.keep(begun)
        response.set_cookie(
            BEGUN_COOKIE, text, max_age=BEGUN_TTL_S, path="/", secure=True, httponly=True, samesite="Lax"
        )
        return response

    async def finish(self, request: web.Request) -> tuple[str, str]:
        """The text of a session for who has come back from the issuer, and where he wanted to go. NotSignedInError."""
        begun = self._identifier.sessions.kept(request.cookies.get(BEGUN_COOKIE, ""), time.time())
        issuing, metadata = await self._issuer(request)
        code = _code_in(request, begun, issuing, metadata)
        asking = Asking(begun.state, begun.nonce, begun.verifier)
        async with self._redeeming:
            tokens = await redeem(metadata, issuing, _redirect(request, issuing), asking, code)
        if not tokens.id_token:
            raise NotSignedInError(f"{issuing.name} gave no ID token: let its scopes have openid")
        who = await self._identifier.of_issuer(bearer_of(tokens, issuing))
        if not who.name.startswith(f"{issuing.name}/"):
            raise NotSignedInError(f"{issuing.name} gave a token of another issuer")
        text = self._identifier.sessions.begin_issued(who, issuing.name, stamp_of(issuing), time.time())
        return text, begun.after

    async def _issuer(self, request: web.Request) -> tuple[Issuing, Metadata]:
        name = request.match_info["issuer"]
        issuing = await self._identifier.issuing(name)
        if issuing is None:
            raise NotFoundError(f"there is no issuer {name[:40]!r} here")
        return issuing, await self._identifier.issuers.keys_of(issuing).described(time.monotonic())


def _of_once(issuing: Issuing) -> Issuing:
    """Who signs in here needs an ID token, and no refresh token: those are kept by nobody."""
    others = tuple(scope for scope in issuing.scopes if scope not in ("openid", "offline_access"))
    return msgspec.structs.replace(issuing, scopes=("openid", *others))


def _redirect(request: web.Request, issuing: Issuing) -> str:
    """Where the issuer sends browsers back to: it has to know exactly this address."""
    return f"{request.scheme}://{request.host}{SIGNED_IN}/{issuing.name}"


def _code_in(request: web.Request, begun: Begun, issuing: Issuing, metadata: Metadata) -> str:
    """The code that a browser brings, if the sign-in is one that it has begun at this issuer."""
    query = request.query
    if begun.issuer != issuing.name or not hmac.compare_digest(query.get("state", "").encode(), begun.state.encode()):
        raise NotSignedInError("this is not the answer to the sign-in that this browser has begun: try again")
    required = metadata.authorization_response_iss_parameter_supported
    if query.get("iss", "" if required else metadata.issuer) != metadata.issuer:
        raise NotSignedInError("this answer is of another issuer: try again")
    code = query.get("code", "")
    if not code:
        raise NotSignedInError(f"{issuing.name} refuses: {query.get('error', 'without a reason')[:SAID_MAX_CHARS]}")
    if len(code) > CODE_MAX_CHARS:
        raise NotSignedInError(f"{issuing.name} gave a code that is too long")
    return code
