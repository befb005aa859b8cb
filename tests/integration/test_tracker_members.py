"""Memberships over real TLS: renewals, removals, and what others try with them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from swarm import records
from swarm.authority import Authority
from swarm.client import TrackerClient
from swarm.errors import IntegrityError, NotAllowedError, NotFoundError, UnreachableError
from swarm.identity import peer_id_of
from swarm.joining import join
from swarm.messages import (
    RenewRequest,
    renew_proof,
)
from swarm.records import Grant
from swarm.token import parse_token
from swarm.tracker import sealed
from swarm.tracker.members import MEMBERS
from swarm.tracker.policy import DEFAULT, grant_rules
from tests.integration.tracker_rig import (
    announce_of,
    new_key,
    running_tracker,
)


def test_papers_are_renewed_after_the_certificate_has_expired(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member("peer", datasets=("team/*",))
            authority: Authority = rig.tracker.state.keys.authority
            known = rig.tracker.state.members.member(member.key.peer_id)
            assert known is not None
            rules = grant_rules(DEFAULT, known.principal)
            old = authority.admit(member.key.public, "peer", "", rules, time.time() - 100 * 86_400)
            expired = rig.enrolled(
                member.key, msgspec.structs.replace(member.papers, certificate=old.certificate, grant=old.grant)
            )
            with pytest.raises(NotAllowedError, match="expired"):
                await expired.client.datasets()
            answer = await expired.client.renew()
            expired.files.certificate.write_bytes(answer.certificate)
            expired.client.reload(expired.files)
            assert (await expired.client.datasets()).datasets == ()
            grant = records.open_sealed(answer.grant, Grant, authority=authority.trust, wall_now=time.time())
            assert grant.allows("read", "team/x")
            assert not grant.allows("read", "x/x")

    asyncio.run(main())


def test_a_tracker_that_runs_is_written_down_again_in_a_store_that_was_restored(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            record, state = MEMBERS + peer_id_of(rig.tracker.contact.public), rig.tracker.state
            rig.objects.delete(record)
            state.members._cached.clear()
            await rig.tracker.tending.tend_keys()
            await rig.tracker.tending.renew()
            assert rig.objects.get(record)

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
