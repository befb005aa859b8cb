"""Announces over real TLS: who is told of whom, what is renewed, what is passed over."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from swarm import canonical, records
from swarm.authority import Authority
from swarm.errors import AetherError, IntegrityError
from swarm.limits import ANNOUNCE_MAX_BYTES, CERTIFICATE_LIFETIME_S, GRANT_LIFETIME_S
from swarm.messages import Announce, Holding
from swarm.records import Address, Credential, Grant
from swarm.signature import signature_of
from tests.integration.tracker_rig import Enrolled, announce_of, publish, running_tracker

V1, V2 = signature_of(b"1"), signature_of(b"2")
HERE = Address("127.0.0.1", 4001)


def holding(dataset: str = "library/roads", *, complete: bool, origin: bool = False, version: bytes = V1) -> Holding:
    return Holding(dataset, version, complete, origin)


def test_fetchers_learn_of_seeds_holders_and_fetchers(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, holder, one, two = (
                await rig.member("seed", site="cloud"),
                await rig.member(site="edge"),
                await rig.member(),
                await rig.member(),
            )
            await seed.client.announce(announce_of(addresses=[HERE], keeps=True))
            await holder.client.announce(announce_of(holding(complete=True, origin=True), addresses=[HERE]))
            await one.client.announce(announce_of(holding(complete=False), addresses=[HERE]))
            answer = await two.client.announce(
                announce_of(holding(complete=False), holding(complete=False, version=V2), addresses=[HERE])
            )
            told = {neighbour.public: neighbour for neighbour in answer.handouts[0].neighbours}
            assert set(told) == {seed.key.public, holder.key.public, one.key.public}
            assert (told[seed.key.public].role, told[seed.key.public].site) == ("seed", "cloud")
            assert (told[holder.key.public].complete, told[holder.key.public].origin) == (True, True)
            assert told[holder.key.public].site == "edge"
            assert (told[one.key.public].complete, told[one.key.public].addresses) == (False, (HERE,))
            assert [neighbour.public for neighbour in answer.handouts[1].neighbours] == [seed.key.public]
            assert [neighbour.public for neighbour in answer.seeds] == [seed.key.public]
            assert answer.trackers == (rig.tracker.contact,)
            assert answer.interval_s == 30
            back = await holder.client.announce(announce_of(holding(complete=True), addresses=[HERE]))
            assert {n.public for n in back.handouts[0].neighbours} == {one.key.public, two.key.public}
            await two.client.announce(announce_of(leaving=True))
            back = await holder.client.announce(announce_of(holding(complete=True), addresses=[HERE]))
            assert {n.public for n in back.handouts[0].neighbours} == {one.key.public}
            rig.tracker.state.presence.check_invariants()

    asyncio.run(main())


def test_only_seeds_and_trackers_can_say_that_they_keep_everything(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            asker = await rig.member()
            for member, is_seed in ((await rig.member("seed"), True), (rig.admin, True), (await rig.member(), False)):
                await member.client.announce(announce_of(addresses=[HERE], keeps=True))
                told = (await asker.client.announce(announce_of())).seeds
                assert (member.key.public in {seed.public for seed in told}) == is_seed
                await member.client.announce(announce_of(addresses=[HERE], keeps=False))
                assert (await asker.client.announce(announce_of())).seeds == ()

    asyncio.run(main())


def test_a_joiner_is_told_where_to_start(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            peer = await rig.member()
            await peer.client.announce(announce_of(addresses=[Address("0.0.0.0", 4001)]))
            joiner = await rig.member()
            assert [(c.public, c.addresses) for c in joiner.papers.bootstrap] == [(peer.key.public, (HERE,))]
            rig.tracker.state.bootstrap = (rig.tracker.contact,)
            joiner = await rig.member()
            assert [c.public for c in joiner.papers.bootstrap] == [rig.key.public, peer.key.public]

    asyncio.run(main())


def test_only_granted_datasets_are_recorded_and_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            outsider = await rig.member(datasets=("team/*",))
            await publish(producer, seed, "library/roads", "latest", V1)
            await publish(producer, seed, "team/roads", "latest", V1)
            await producer.client.announce(announce_of(holding(complete=True), addresses=[HERE]))
            answer = await outsider.client.announce(
                announce_of(
                    holding(complete=False),
                    holding("team/roads", complete=False),
                    addresses=[HERE],
                    heads=["library/roads", "library/none", "team/roads", "team/none", "UPPER/../x"],
                )
            )
            assert [handout.dataset for handout in answer.handouts] == ["team/roads"]
            assert [(head.dataset, head.serial) for head in answer.heads] == [("team/roads", 1)]
            back = await producer.client.announce(
                announce_of(holding(complete=False), addresses=[HERE], heads=["library/roads", "library/none"])
            )
            assert outsider.key.public not in {n.public for n in back.handouts[0].neighbours}
            assert [(head.dataset, head.serial) for head in back.heads] == [("library/roads", 1)]

    asyncio.run(main())


def test_papers_are_renewed_from_a_third_of_their_life_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member(datasets=("team/*",))
            authority: Authority = rig.tracker.state.keys.authority
            now = int(time.time())
            known = rig.tracker.state.members.member(member.key.peer_id)
            assert known is not None
            long_ago = msgspec.structs.replace(known, changed=now - 10 * CERTIFICATE_LIFETIME_S)
            rig.tracker.state.members._remember(long_ago, time.monotonic(), rig.tracker.state.members._changes.known)

            async def renewed(certificate_age: float, grant_age: float) -> tuple[bool, bool, bool]:
                announce = msgspec.structs.replace(
                    announce_of(), certificate_issued=int(now - certificate_age), grant_issued=int(now - grant_age)
                )
                answer = await member.client.announce(announce)
                if answer.grant:
                    grant = records.open_sealed(answer.grant, Grant, authority=authority.trust, wall_now=time.time())
                    assert grant.allows("read", "team/x")
                    assert grant.public == member.key.public
                if answer.credential:
                    records.open_sealed(answer.credential, Credential, authority=authority.trust, wall_now=time.time())
                return bool(answer.certificate), bool(answer.credential), bool(answer.grant)

            assert await renewed(0, 0) == (False, False, False)
            assert await renewed(CERTIFICATE_LIFETIME_S / 3 - 60, GRANT_LIFETIME_S / 3 - 60) == (False, False, False)
            assert await renewed(0, GRANT_LIFETIME_S / 3 + 1) == (False, False, True)
            assert await renewed(CERTIFICATE_LIFETIME_S / 3 + 1, 0) == (True, True, False)
            changed = msgspec.structs.replace(known, changed=now - 10)
            rig.tracker.state.members._remember(changed, time.monotonic(), rig.tracker.state.members._changes.known)
            assert await renewed(11, 11) == (True, True, True)

    asyncio.run(main())


def test_bad_announces_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            good = canonical.encode(announce_of(holding(complete=True)))
            for body in (b"", b"\xc1", good + b"\0", good[:-1], b"\x91" * 1000, good + bytes(ANNOUNCE_MAX_BYTES)):
                with pytest.raises(IntegrityError):
                    await post(member, body)
            future = msgspec.structs.replace(announce_of(), protocol=(8, 9))
            with pytest.raises(IntegrityError, match="no common protocol version"):
                await member.client.announce(future)
            assert len(rig.tracker.state.presence) == 0
            await post(member, good)
            assert len(rig.tracker.state.presence) == 1

    asyncio.run(main())


async def post(member: Enrolled, body: bytes) -> bytes:
    return await member.client._call("POST", "/api/v1/announce", body=body, content_type="application/msgpack")


def test_the_largest_announce_is_taken(tmp_path: Path) -> None:
    """The limits fit together: 256 versions and heads of the longest names, many neighbours with many addresses."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            names = [f"{'s' * 64}/{number:064}" for number in range(256)]
            addresses = [Address(f"{number}.{'h' * 60}.example.org", 65_000) for number in range(8)]
            announce: Announce = announce_of(
                *(holding(name, complete=False) for name in names), addresses=addresses, heads=names
            )
            assert len(canonical.encode(announce)) <= ANNOUNCE_MAX_BYTES
            for _ in range(12):
                await (await rig.member()).client.announce(announce)
            answer = await rig.admin.client.announce(announce)
            assert len(answer.handouts) == 256
            assert all(len(handout.neighbours) == 2000 // 256 for handout in answer.handouts)

    asyncio.run(main())


def test_an_answer_that_is_an_error_has_the_right_class(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            with pytest.raises(AetherError) as refusal:
                await post(member, b"garbage")
            assert refusal.value.exit_code == 6
            assert "\n" not in str(refusal.value)

    asyncio.run(main())
