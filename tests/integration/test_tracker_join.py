"""Joining over real TLS: tokens that work and tokens that do not."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from swarm import canonical, records
from swarm.calls import Calls
from swarm.errors import IntegrityError, NotAllowedError, UnreachableError
from swarm.http.tls import anonymous_context, unverified_context
from swarm.identity import peer_id_of
from swarm.joining import discover, join
from swarm.messages import (
    Contact,
    JoinRequest,
    TokenRequest,
    join_proof,
)
from swarm.records import Credential, Grant
from swarm.signature import signature_of
from swarm.token import Token, format_token, parse_token
from tests.integration.tracker_rig import (
    Rig,
    new_key,
    running_tracker,
)


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
            credential = records.open_sealed(answer.credential, Credential, authority=authority.trust, wall_now=now)
            assert (credential.public, credential.role, credential.site) == (key.public, "peer", "lab")
            grant = records.open_sealed(answer.grant, Grant, authority=authority.trust, wall_now=now)
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
                with pytest.raises(NotAllowedError, match="may not administrate the swarm"):
                    await member.client.token_create(TokenRequest(role="tracker"))
                with pytest.raises(NotAllowedError, match="may not administrate the swarm"):
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
            with socket.socket() as held:  # nobody listens there, nor can anybody else
                held.bind(("127.0.0.1", 0))
                dead = f"127.0.0.1:{held.getsockname()[1]}"
                both = Token(1, (dead, *good.addresses), good.fingerprint, good.id, good.secret)
                await join(both, new_key())
                with pytest.raises(UnreachableError, match=dead):
                    await join(Token(1, (dead,), good.fingerprint, good.id, good.secret), new_key())

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
    calls = Calls([rig.tracker.contact], anonymous_context(rig.admin.papers.ca.decode()), timeout_s=60)
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
