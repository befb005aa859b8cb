"""A tracker with people, and HTTP calls to it as a person's program makes them: no certificate of the swarm."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from swarm.http.tls import peer_client_context, unverified_context
from swarm.identity import server_name_of
from tests.integration.tracker_rig import Enrolled, FixedResolver, Rig, running_tracker

PASSWORD = "correct horse battery"
# Who alice is, as ``Web.who`` tells it.
ALICE = ["user:alice", "group:ops", "anyone"]


class Answered(msgspec.Struct):
    """An answer, read."""

    status: int
    headers: Mapping[str, Any]
    text: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """The header of a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


class Web:
    """Calls a tracker without a certificate."""

    def __init__(self, rig: Rig, session: aiohttp.ClientSession) -> None:
        self.rig = rig
        self.identifier = rig.tracker.state.identifier
        self.url = f"https://localhost:{rig.tracker.port}"
        self._session = session

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answered:
        async with self._session.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        ) as response:
            return Answered(response.status, response.headers, await response.text())

    def session(self, member: Enrolled | None = None) -> aiohttp.ClientSession:
        """For calls that stay open, or that go over a member's connection."""
        if member is None:
            return aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(ssl=unverified_context()))
        resolver = FixedResolver(self.rig.tracker.port)
        connector = aiohttp.TCPConnector(ssl=peer_client_context(member.files), resolver=resolver)
        return aiohttp.ClientSession(f"https://{server_name_of(self.rig.key.peer_id)}", connector=connector)

    async def who(self, headers: Mapping[str, str]) -> Any:
        """Whom the tracker takes the sender for, or the status of a refusal."""
        answered = await self.ask("GET", "/api/v1/whoami", headers)
        return answered.json["subjects"] if answered.status == 200 else answered.status

    async def admin(self, method: str, path: str, **body: Any) -> Any:
        """A call as the tracker's own home."""
        data = msgspec.json.encode(body) if method == "POST" else None
        return msgspec.json.decode(await self.rig.admin.client.calls.call(method, f"/api/v1/{path}", body=data))


@asynccontextmanager
async def people(folder: Path, context: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """A tracker with the user alice, of the group ops."""
    connector = aiohttp.TCPConnector(ssl=context or unverified_context())
    async with (
        running_tracker(folder) as rig,
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        web = Web(rig, session)
        await web.admin("POST", "users/alice", password=PASSWORD, groups=["ops"], is_new=True)
        yield web


def with_people(folder: Path, check: Callable[[Web], Awaitable[None]]) -> None:
    """Run a check with a tracker that knows alice."""

    async def main() -> None:
        async with people(folder) as web:
            await check(web)

    asyncio.run(main())


async def cookie_of(web: Web) -> dict[str, str]:
    """The header by which alice's browser is known, after she signed in with the form."""
    answered = await web.ask("POST", "/ui/signin", {"Origin": web.url}, data={"user": "alice", "password": PASSWORD})
    assert answered.status == 303
    return {"Cookie": answered.headers["Set-Cookie"].split(";")[0]}
