"""Far ends that are not what they say: none of them ever sees the secret of a token."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from swarm.authority import create
from swarm.errors import NotAllowedError, RemoteProtocolError, UnreachableError
from swarm.http.serve import Listener, make_app, start_listener
from swarm.identity import PeerKey
from swarm.joining import join
from swarm.messages import (
    JoinRequest,
    SwarmInfo,
)
from swarm.token import Token, parse_token
from swarm.tracker.certificates import listener_context, people_certificate
from tests.integration.tracker_rig import (
    new_key,
    running_tracker,
)


class Impostor:
    """A listener that answers as a tracker would, and keeps what it is sent."""

    def __init__(self, ca: bytes, credential: bytes, links: tuple[bytes, ...] = ()) -> None:
        self.ca = ca
        self.credential = credential
        self.links = links
        self.heard = bytearray()

    async def start(self, key: PeerKey, certificate: bytes) -> Listener:
        app = make_app()
        app.router.add_get("/api/v1/swarm", self.swarm)
        app.router.add_route("*", "/{rest:.*}", self.anything)
        context, _ = listener_context(key, certificate, self.ca, people_certificate(["127.0.0.1"], time.time()))
        return await start_listener(app, "127.0.0.1", 0, context)

    async def swarm(self, request: web.Request) -> web.Response:
        info = SwarmInfo(self.ca, self.credential, (1, 1), int(time.time()), self.links)
        return web.Response(body=msgspec.json.encode(info))

    async def anything(self, request: web.Request) -> web.Response:
        self.heard += await request.read()
        return web.Response(body=b"{}")


async def give_secret_to(impostor: Impostor, key: PeerKey, certificate: bytes, good: Token) -> None:
    """Try to join there with a good token."""
    listener = await impostor.start(key, certificate)
    try:
        await join(Token(1, (f"127.0.0.1:{listener.port}",), good.fingerprint, good.id, good.secret), new_key())
    finally:
        await listener.close()


def test_impostors_never_see_a_secret(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            good = parse_token(await rig.token())
            member = await rig.member("peer")
            now = time.time()
            foreign = create(new_key(), now)
            stranger = new_key()
            foreign_papers = foreign.admit(stranger.public, "tracker", "", (), now)
            ours, tracker_credential = member.papers.ca, rig.tracker.state.papers.credential
            links = rig.tracker.state.keys.authority.trust.links

            other_ca = Impostor(foreign.certificate, foreign_papers.credential, links)
            with pytest.raises(NotAllowedError, match="another swarm"):
                await give_secret_to(other_ca, stranger, foreign_papers.certificate, good)

            forged = Impostor(ours, foreign_papers.credential, links)
            with pytest.raises(RemoteProtocolError, match="not signed"):
                await give_secret_to(forged, stranger, foreign_papers.certificate, good)

            mere_member = Impostor(ours, member.papers.credential, links)
            with pytest.raises(NotAllowedError, match="not a tracker"):
                await give_secret_to(mere_member, member.key, member.papers.certificate, good)

            replaying = Impostor(ours, tracker_credential, links)
            with pytest.raises(UnreachableError, match="identity"):
                await give_secret_to(replaying, member.key, member.papers.certificate, good)

            for impostor in (other_ca, forged, mere_member, replaying):
                assert not impostor.heard
            await join(good, new_key())

    asyncio.run(main())


def test_an_impostor_that_is_believed_would_hear_the_secret(tmp_path: Path) -> None:
    """The proof that the test above can fail: with the tracker's own key the same listener does hear it."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            good = parse_token(await rig.token())
            papers = rig.tracker.state.papers
            real = Impostor(rig.admin.papers.ca, papers.credential, rig.tracker.state.keys.authority.trust.links)
            with pytest.raises(RemoteProtocolError):
                await give_secret_to(real, rig.key, papers.certificate, good)
            heard = msgspec.json.decode(bytes(real.heard), type=JoinRequest)
            assert heard.secret == good.secret

    asyncio.run(main())
