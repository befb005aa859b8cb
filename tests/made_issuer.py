"""An OIDC issuer that says and signs whatever a test wants: on a free port of loopback, in this process."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from swarm.http.serve import make_app, start_listener
from swarm.people_messages import Issuing

AUDIENCE = "aetherfs"


def text_of(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], seal: bytes | None = None, key: bytes = b"") -> str:
    """A token with this very header; sealed with HMAC-SHA256 of a key, unless the seal itself is given."""
    signed = ".".join(text_of(msgspec.json.encode(part)) for part in (header, claims))
    made = hmac.new(key, signed.encode(), hashlib.sha256).digest() if seal is None else seal
    return f"{signed}.{text_of(made)}"


class MadeIssuer:
    """``keys`` by their id; the first signs. ``published`` is its JWKS, and ``asked`` counts who reads it; ``clock``
    tells when its tokens are made.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.keys: dict[str, ECKey] = {}
        self.more: list[Mapping[str, Any]] = []
        self.asked = 0
        self.is_away = False
        self.url = "http://127.0.0.1:0"
        self.said: dict[str, Any] = {}
        # What the token endpoint was sent last, and answers with.
        self.posted: dict[str, Any] = {}
        self.given: dict[str, Any] = {}
        self.status = 200
        self.body: bytes | None = None
        self.rotate("first")

    def rotate(self, kid: str, *, keep: bool = False) -> None:
        """Sign with another key from now on."""
        made = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
        self.keys = {kid: made, **(self.keys if keep else {})}

    @property
    def published(self) -> dict[str, Any]:
        return {"keys": [*(key.as_dict(private=False) for key in self.keys.values()), *self.more]}

    def issuing(self, **changes: Any) -> Issuing:
        """How a tracker knows it."""
        made = Issuing("corp", self.url, AUDIENCE, AUDIENCE, algorithms=("ES256",))
        return msgspec.structs.replace(made, **changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token says. A change to None leaves a claim out."""
        now = int(self.clock())
        made = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "nbf": now, "exp": now + 300} | changes
        return {name: value for name, value in made.items() if value is not None}

    def token(self, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token, signed by the first key."""
        kid, key = next(iter(self.keys.items()))
        stated = {"alg": "ES256", "kid": kid, **(header or {})}
        return jwt.encode(stated, self.claims(**changes), key, registry=JWSRegistry(algorithms=["ES256"]))

    @property
    def endpoints(self) -> dict[str, str]:
        names = ("authorization", "token", "device_authorization")
        return {"jwks_uri": f"{self.url}/jwks", **{f"{name}_endpoint": f"{self.url}/{name}" for name in names}}

    async def _describe(self, _request: web.Request) -> web.Response:
        if self.is_away:
            return web.Response(status=503)
        return web.json_response({"issuer": self.url, **self.endpoints, **self.said})

    async def _token(self, request: web.Request) -> web.Response:
        self.posted = dict(await request.post())
        if self.body is not None:
            return web.Response(body=self.body)
        return web.json_response(self.given, status=self.status)

    async def _keys(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response(self.published)


@asynccontextmanager
async def made_issuer() -> AsyncIterator[MadeIssuer]:
    """One that listens."""
    made, app = MadeIssuer(), make_app()
    app.router.add_get("/.well-known/openid-configuration", made._describe)
    app.router.add_get("/jwks", made._keys)
    app.router.add_post("/token", made._token)
    app.router.add_post("/device_authorization", made._token)
    listener = await start_listener(app, "127.0.0.1", 0, None)
    made.url = f"http://127.0.0.1:{listener.port}"
    try:
        yield made
    finally:
        await listener.close()
