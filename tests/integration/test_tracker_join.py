"""Joining over real TLS: tokens that work, that do not, and far ends that are not what they say."""

from __future__ import annotations

import asyncio
import io
import os
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from swarm import canonical, records
from swarm.authority import Authority, create
from swarm.calls import Calls
from swarm.client import TrackerClient
from swarm.errors import IntegrityError, NotAllowedError, NotFoundError, RemoteProtocolError, UnreachableError
from swarm.http.serve import Listener, make_app, start_listener
from swarm.http.tls import anonymous_context, unverified_context
from swarm.identity import PeerKey, peer_id_of
from swarm.joining import discover, join
from swarm.messages import (
    Contact,
    JoinRequest,
    RenewRequest,
    SwarmInfo,
    TokenRequest,
    join_proof,
    renew_proof,
)
from swarm.records import Credential, Grant
from swarm.signature import signature_of
from swarm.token import Token, format_token, parse_token
from swarm.tracker import sealed
from swarm.tracker.certificates import listener_context
from swarm.tracker.members import MEMBERS
from tests.integration.tracker_rig import Rig, announce_of, running_tracker


def new_key() -> PeerKey:
    return PeerKey(os.urandom(32))


def test_a_joiner_is_given_everything_that_a_member_needs(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            key = new_key()
            token = parse_token(await rig.token(datasets=("team/*",), site="lab"))
            answer = await join(token, key)
            authority = rig.tracker.state.keys.authority
            assert answer.ca == authority.certificate
            assert answer.secret == rig.tracker.state.keys.secret
            assert answer.store_key == b""
            assert answer.trackers == (rig.tracker.contact,)
            now = time.time()
            credential = records.open_sealed(answer.credential, Credential, authority=authority.public, wall_now=now)
            assert (credential.public, credential.role, credential.site) == (key.public, "peer", "lab")
            grant = records.open_sealed(answer.grant, Grant, authority=authority.public, wall_now=now)
            assert grant.allows("publish", "team/roads")
            assert grant.allows("read", "team/roads")
            assert not grant.allows("read", "other/roads")
            member = rig.enrolled(key, answer)
            assert (await member.client.datasets()).datasets == ()

    asyncio.run(main())


def test_roles_have_their_rights(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed = await rig.member("seed", datasets=("team/*",))
            tracker = await rig.member("tracker")
            rules = {}
            for member in (seed, tracker, rig.admin):
                sealed = canonical.decode(member.papers.grant, records.Signed, limit_bytes=1 << 16)
                grant = canonical.decode(sealed.body, Grant, limit_bytes=1 << 16)
                rules[peer_id_of(member.key.public)] = {(rule.action, rule.pattern) for rule in grant.rules}
            assert rules[seed.key.peer_id] == {("read", "*")}
            assert rules[tracker.key.peer_id] == rules[rig.key.peer_id] == {("read", "*"), ("publish", "*")}
            assert tracker.papers.store_key == rig.admin.papers.store_key == rig.tracker.state.store_key
            assert seed.papers.store_key == b""

    asyncio.run(main())


def test_the_same_key_and_token_again_spend_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            token = parse_token(await rig.token(uses=1))
            key = new_key()
            first, again = await join(token, key), await join(token, key)
            assert first.secret == again.secret
            with pytest.raises(NotAllowedError, match="used up"):
                await join(token, new_key())

    asyncio.run(main())


def test_uses_are_counted_when_many_race(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            token = parse_token(await rig.token(uses=3))
            results = await asyncio.gather(*(join(token, new_key()) for _ in range(8)), return_exceptions=True)
            refused = [result for result in results if isinstance(result, NotAllowedError)]
            assert len(refused) == 5
            assert len(results) - len(refused) == 3
            assert not [r for r in results if isinstance(r, Exception) and not isinstance(r, NotAllowedError)]

    asyncio.run(main())


def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            addresses = tuple(map(str, rig.tracker.contact.addresses))
            request = TokenRequest(ttl_s=60)
            text, _ = rig.tracker.state.tokens.create(request, addresses, time.time() - 61)
            with pytest.raises(NotAllowedError, match="expired at 2"):
                await join(parse_token(text), new_key())

    asyncio.run(main())


def test_unknown_and_wrong_secrets_look_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            good = parse_token(await rig.token())
            said = set()
            for bad in (
                Token(1, good.addresses, good.fingerprint, os.urandom(16), good.secret),
                Token(1, good.addresses, good.fingerprint, good.id, os.urandom(32)),
            ):
                with pytest.raises(NotAllowedError) as refusal:
                    await join(bad, new_key())
                said.add(str(refusal.value))
            assert len(said) == 1
            await join(good, new_key())

    asyncio.run(main())


def test_the_store_holds_no_secret_of_a_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            token = parse_token(await rig.token())
            await join(token, new_key())
            for key in rig.objects.list(""):
                assert token.secret not in rig.objects.get(key)

    asyncio.run(main())


def test_only_a_tracker_makes_tokens(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            for member in (await rig.member("peer"), await rig.member("seed")):
                with pytest.raises(NotAllowedError, match="role tracker"):
                    await member.client.token_create(TokenRequest(role="tracker"))
                with pytest.raises(NotAllowedError, match="role tracker"):
                    await member.client.remove_member(rig.key.peer_id)

    asyncio.run(main())


def test_another_swarms_token_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path / "a") as ours, running_tracker(tmp_path / "b") as theirs:
            good = parse_token(await ours.token())
            crossed = Token(
                1, tuple(map(str, theirs.tracker.contact.addresses)), good.fingerprint, good.id, good.secret
            )
            with pytest.raises(NotAllowedError, match="another swarm"):
                await join(crossed, new_key())

    asyncio.run(main())


def test_a_dead_address_in_a_token_is_passed_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            good = parse_token(await rig.token())
            dead = f"127.0.0.1:{await unused_port()}"
            both = Token(1, (dead, *good.addresses), good.fingerprint, good.id, good.secret)
            await join(both, new_key())
            with pytest.raises(UnreachableError, match=dead):
                await join(Token(1, (dead,), good.fingerprint, good.id, good.secret), new_key())

    asyncio.run(main())


async def unused_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


class Impostor:
    """A listener that answers as a tracker would, and keeps what it is sent."""

    def __init__(self, ca: bytes, credential: bytes) -> None:
        self.ca = ca
        self.credential = credential
        self.heard = bytearray()

    async def start(self, key: PeerKey, certificate: bytes) -> Listener:
        app = make_app()
        app.router.add_get("/api/v1/swarm", self.swarm)
        app.router.add_route("*", "/{rest:.*}", self.anything)
        context = listener_context(key, certificate, self.ca, ["127.0.0.1"], time.time())
        return await start_listener(app, "127.0.0.1", 0, context)

    async def swarm(self, request: web.Request) -> web.Response:
        info = SwarmInfo(self.ca, self.credential, (1, 1), int(time.time()))
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

            other_ca = Impostor(foreign.certificate, foreign_papers.credential)
            with pytest.raises(NotAllowedError, match="another swarm"):
                await give_secret_to(other_ca, stranger, foreign_papers.certificate, good)

            forged = Impostor(ours, foreign_papers.credential)
            with pytest.raises(RemoteProtocolError, match="not signed"):
                await give_secret_to(forged, stranger, foreign_papers.certificate, good)

            mere_member = Impostor(ours, member.papers.credential)
            with pytest.raises(NotAllowedError, match="not a tracker"):
                await give_secret_to(mere_member, member.key, member.papers.certificate, good)

            replaying = Impostor(ours, tracker_credential)
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
            real = Impostor(rig.admin.papers.ca, papers.credential)
            with pytest.raises(RemoteProtocolError):
                await give_secret_to(real, rig.key, papers.certificate, good)
            heard = msgspec.json.decode(bytes(real.heard), type=JoinRequest)
            assert heard.secret == good.secret

    asyncio.run(main())


def test_a_key_is_certified_only_for_its_holder(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            token = parse_token(await rig.token())
            thief, victim = new_key(), new_key()
            now = int(time.time())
            proof = join_proof(thief, token.id, token.fingerprint, now)
            request = JoinRequest((1, 1), token.id, token.secret, victim.public, now, proof)
            with pytest.raises(NotAllowedError, match="not signed by the key"):
                await post_join(rig, request)

    asyncio.run(main())


async def post_join(rig: Rig, request: JoinRequest) -> bytes:
    calls = Calls([rig.tracker.contact], anonymous_context(rig.admin.papers.ca.decode()), timeout_s=10)
    try:
        return await calls.call("POST", "/api/v1/join", body=msgspec.json.encode(request))
    finally:
        await calls.close()


def test_a_joiner_with_another_protocol_is_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            token = parse_token(await rig.token())
            key, now = new_key(), int(time.time())
            proof = join_proof(key, token.id, token.fingerprint, now)
            with pytest.raises(IntegrityError, match="no common protocol version"):
                await post_join(rig, JoinRequest((7, 9), token.id, token.secret, key.public, now, proof))
            await join(token, new_key())

    asyncio.run(main())


def test_garbage_at_the_join_door_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with aiohttp.ClientSession(connector=connector) as session:
                for body in (
                    b"",
                    b"{}",
                    b"\xff" * 100,
                    b"[" * 5000,
                    b'{"protocol":[1,1]}',
                    b'"' + b"x" * 100_000 + b'"',
                ):
                    for route in ("join", "renew"):
                        url = f"https://127.0.0.1:{rig.tracker.port}/api/v1/{route}"
                        async with session.post(url, data=body) as response:
                            assert response.status == 400
                url = f"https://127.0.0.1:{rig.tracker.port}/api/v1/join"
                async with session.post(url, data=io.BytesIO(b"x" * 2_000_000)) as response:
                    assert response.status == 413

    asyncio.run(main())


def test_papers_are_renewed_after_the_certificate_has_expired(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member("peer", datasets=("team/*",))
            authority: Authority = rig.tracker.state.keys.authority
            known = rig.tracker.state.members.member(member.key.peer_id)
            assert known is not None
            old = authority.admit(member.key.public, "peer", "", known.rules, time.time() - 100 * 86_400)
            expired = rig.enrolled(
                member.key, msgspec.structs.replace(member.papers, certificate=old.certificate, grant=old.grant)
            )
            with pytest.raises(NotAllowedError, match="expired"):
                await expired.client.datasets()
            answer = await expired.client.renew()
            expired.files.certificate.write_bytes(answer.certificate)
            expired.client.reload(expired.files)
            assert (await expired.client.datasets()).datasets == ()
            grant = records.open_sealed(answer.grant, Grant, authority=authority.public, wall_now=time.time())
            assert grant.allows("read", "team/x")
            assert not grant.allows("read", "x/x")

    asyncio.run(main())


def test_an_expired_certificate_is_not_let_in(tmp_path: Path) -> None:
    """The client looks at its own certificate first; here the tracker is shown an expired one all the same."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member("peer")
            authority = rig.tracker.state.keys.authority
            old = authority.admit(member.key.public, "peer", "", (), time.time() - 100 * 86_400)
            expired = rig.enrolled(member.key, msgspec.structs.replace(member.papers, certificate=old.certificate))
            expired.client._expires = None
            with pytest.raises(UnreachableError):
                await expired.client.datasets()

    asyncio.run(main())


def test_renewal_needs_the_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            stranger = TrackerClient([rig.tracker.contact], key=new_key(), root=rig.admin.papers.ca)
            try:
                with pytest.raises(NotAllowedError, match="not a member"):
                    await stranger.renew()
                with pytest.raises(NotAllowedError, match="join it first"):
                    await stranger.datasets()
            finally:
                await stranger.close()

    asyncio.run(main())


def test_nobody_renews_for_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member, thief, now = await rig.member(), new_key(), int(time.time())
            proof = renew_proof(thief, rig.tracker.state.keys.authority.fingerprint, now)
            body = msgspec.json.encode(RenewRequest((1, 1), member.key.public, now, proof))
            with pytest.raises(NotAllowedError, match="not signed by the key"):
                await member.client._call("POST", "/api/v1/renew", body=body)

    asyncio.run(main())


def test_a_membership_counts_only_in_its_own_place(tmp_path: Path) -> None:
    """Who can write to the store cannot give one member's rights to another key."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            state = rig.tracker.state
            state.members._cached.clear()
            rig.objects.put(MEMBERS + member.key.peer_id, rig.objects.get(MEMBERS + rig.key.peer_id))
            with pytest.raises(NotAllowedError, match="not a member"):
                await member.client.datasets()
            state.members._cached.clear()
            own = state.members.member(rig.key.peer_id)
            assert own is not None
            forged = msgspec.structs.replace(own, public=member.key.public)
            rig.objects.put(MEMBERS + member.key.peer_id, sealed.seal(member.key, forged))
            with pytest.raises(IntegrityError, match="damaged"):
                await member.client.datasets()

    asyncio.run(main())


def test_a_removed_member_is_refused_everywhere(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member("peer")
            await member.client.announce(announce_of())
            text = await rig.token(uses=5)
            with pytest.raises(NotFoundError):
                await rig.admin.client.remove_member(new_key().peer_id)
            await rig.admin.client.remove_member(member.key.peer_id)
            await rig.admin.client.remove_member(member.key.peer_id)
            assert len(rig.tracker.state.presence) == 0
            for call in (member.client.datasets(), member.client.announce(announce_of()), member.client.renew()):
                with pytest.raises(NotAllowedError, match="removed"):
                    await call
            with pytest.raises(NotAllowedError, match="removed"):
                await join(parse_token(text), member.key)

    asyncio.run(main())


def test_a_certificate_without_a_membership_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            key = new_key()
            papers = rig.tracker.state.keys.authority.admit(key.public, "peer", "", (), time.time())
            ghost = rig.enrolled(key, msgspec.structs.replace(rig.admin.papers, certificate=papers.certificate))
            with pytest.raises(NotAllowedError, match="not a member"):
                await ghost.client.datasets()

    asyncio.run(main())


def test_discover_says_what_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            fingerprint = rig.tracker.state.keys.authority.fingerprint
            found = await discover(rig.tracker.address, fingerprint, wall_now=time.time())
            assert found.contact == Contact(rig.key.public, (rig.tracker.address,))
            assert found.root == rig.admin.papers.ca
            with pytest.raises(NotAllowedError, match="another swarm"):
                await discover(rig.tracker.address, signature_of(b"other"), wall_now=time.time())

    asyncio.run(main())


def test_a_token_names_where_its_tracker_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            text = await rig.token()
            token = parse_token(text)
            assert token.addresses == (f"127.0.0.1:{rig.tracker.port}",)
            assert format_token(token) == text

    asyncio.run(main())
