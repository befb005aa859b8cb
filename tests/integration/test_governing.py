"""Rules, members, denials and the audit by the verbs of a running peer, as the commands use them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarm.errors import AetherError, ConflictError, FullError, NotAllowedError, NotFoundError, UsageError
from swarm.peer.governing import _only_one
from swarm.peer.node import PeerNode
from swarm.peer.upload import SeedClient
from tests.integration.swarm_rig import Swarm, make_tree, run

ROADS = "maps/roads"
DENIAL = re.compile("d-[0-9a-f]{12}")


async def refused(node: PeerNode, verb: str, **arguments: Any) -> str:
    """The number of the denial."""
    with pytest.raises(AetherError) as caught:
        await run(node, verb, **arguments)
    found = DENIAL.search(str(caught.value))
    assert found is not None, caught.value
    return found[0]


def rule(who: str, right: str, pattern: str) -> dict[str, str]:
    return {"subject": who, "right": right, "pattern": pattern}


def test_labels_give_rights_and_every_refusal_explains_itself_to_whom_it_concerns(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            admin = await swarm.peer("admin", role="tracker")
            token = await run(admin, "token", datasets=["own/*"], labels=["kind=shop"], site="paris")
            shop = await swarm.peer_with("shop", token["token"])
            me, other = f"peer:{shop.key.peer_id}", await swarm.peer("other", datasets=["own/*"])
            await run(admin, "publish", path=str(make_tree(tmp_path / "source", 1)), names=[f"{ROADS}:latest"])

            # What is there and may not be known, and what is not there: explained alike, and to nobody else.
            told = []
            for dataset in (ROADS, "maps/none"):
                number = await refused(shop, "ls", ref=dataset)
                explained = await run(shop, "explain", denial=number)
                assert (explained["who"], explained["allowed"], explained["at"] > 0) == (me, False, True)
                told.append(explained["why"])
                with pytest.raises(NotFoundError, match="no denial"):
                    await run(other, "explain", denial=number)
                assert (await run(admin, "explain", denial=number))["who"] == me
            assert told[0] == told[1]
            with pytest.raises(NotAllowedError):
                await run(shop, "explain", who=f"peer:{other.key.peer_id}", right="read", ref=ROADS)

            # What would allow it is a command that works; the deciding rule is named.
            await run(admin, "access", allow=[rule("label:kind=shop", "read", "maps/*")])
            found = await run(admin, "explain", who=me, right="read", ref=ROADS)
            assert (found["allowed"], found["why"]) == (True, "rule 'label:kind=shop read maps/*'")
            assert not (await run(admin, "explain", who=f"peer:{other.key.peer_id}", right="read", ref=ROADS))[
                "allowed"
            ]
            await run(shop, "pull", ref=f"{ROADS}:latest", directory=str(tmp_path / "copy"))
            with pytest.raises(NotAllowedError, match=f"explain {me} publish"):
                await run(shop, "publish", path=str(tmp_path / "copy"), names=[f"{ROADS}:mine"])
            await run(admin, "access", allow=[rule("label:site=paris", "publish", "maps/*")])
            await run(shop, "publish", path=str(tmp_path / "copy"), names=[f"{ROADS}:mine"])
            number = await refused(shop, "rm", names=[f"{ROADS}:latest"])
            explained = await run(shop, "explain", denial=number)
            assert (explained["right"], explained["dataset"]) == ("delete", ROADS)
            assert explained["remedy"] == f"aetherfs access allow {me} delete {ROADS}"

            await the_admin_alone_changes(admin, shop, me)
            await the_audit(swarm, admin, shop, me)

    asyncio.run(main())


def test_who_is_signed_in_at_a_home_learns_before_an_upload_what_he_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed goes by the peer's grant, trackers by the person: neither has what the other may do."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            admin, home = await swarm.peer("admin", role="tracker"), await swarm.peer("home", datasets=["own/*"])
            data = b'{"ttl_s": 600}'
            made = await admin.tracker.calls.call("POST", "/api/v1/services/ci", body=data)
            await run(admin, "access", allow=[rule("service:ci", "publish", "maps/*")])
            header = f"Bearer {msgspec.json.decode(made)['token']}"

            async def shown() -> str:
                return header

            async def begin(*_: object) -> str:
                raise AssertionError("an upload is begun")

            home.tracker.authorization = shown
            monkeypatch.setattr(SeedClient, "begin", begin)
            source, peer = str(make_tree(tmp_path / "source", 1)), f"peer:{home.key.peer_id}"
            with pytest.raises(NotAllowedError, match=f"explain {peer} publish {ROADS}"):
                await run(home, "publish", path=source, names=[f"{ROADS}:latest"])
            asked = [await run(home, "explain", who=who, right="publish", ref=ROADS) for who in ("me", peer)]
            assert [(one["who"], one["allowed"]) for one in asked] == [("service:ci", True), (peer, False)]
            with pytest.raises(NotAllowedError, match="service:ci, who is signed in here, may not publish to own/x"):
                await run(home, "publish", path=source, names=["own/x:latest"])

    asyncio.run(main())


async def the_admin_alone_changes(admin: PeerNode, shop: PeerNode, me: str) -> None:
    # A member's labels are the admin's to change, and only his.
    assert await refused(shop, "member", peer=shop.key.peer_id, labels=["kind=bank"])
    with pytest.raises(UsageError, match="too short"):
        await run(admin, "member", peer=shop.key.peer_id[:7], labels=[])
    await run(admin, "member", peer=shop.key.peer_id[:12], labels=[])
    assert not (await run(admin, "explain", who=me, right="read", ref="maps/x"))["why"].startswith("rule 'label:kind")
    with pytest.raises(NotFoundError, match="no rule"):
        await run(admin, "access", remove=[rule("anyone", "read", "*")])
    with pytest.raises(UsageError, match="not a subject"):
        await run(admin, "access", allow=[rule("shop", "read", "*")])
    with pytest.raises(FullError, match="a grant holds 64"):
        await run(admin, "access", allow=[rule("members", "publish", f"s{n}/x") for n in range(33)])
    assert (await run(admin, "access"))["serial"] == 2
    changes = [one["change"] for one in (await run(admin, "access-history"))["versions"]]
    assert changes == [
        "allow label:site=paris publish maps/*",
        "allow label:kind=shop read maps/*",
        "a new swarm",
    ]


async def the_audit(swarm: Swarm, admin: PeerNode, shop: PeerNode, me: str) -> None:
    await swarm.tracker.state.write_audit(0.0, is_ending=True)
    page = await run(admin, "audit")
    events = {(one["actor"], one["action"], one["subject"]) for one in page["events"]}
    boss = f"peer:{admin.key.peer_id}"
    assert not page["missing"]
    assert page["before"] == 0
    assert {
        (boss, "publish", ROADS),
        (me, "publish", ROADS),
        (me, "join", "role peer"),
        (boss, "token", "role peer"),
        (boss, "access", "version 1"),
        (boss, "member", me),
        (me, "refused", ROADS),
        (me, "refused", "maps/none"),
    } <= events
    assert not any(actor == boss and action == "refused" for actor, action, _ in events)
    for actor in (me, me[: len("peer:") + 8]):
        own = await run(admin, "audit", actor=actor)
        assert {one["actor"] for one in own["events"]} == {me}
    with pytest.raises(NotFoundError, match="no member's id begins"):
        await run(admin, "audit", actor="peer:22222222")
    assert await refused(shop, "audit")


def test_a_peer_id_that_is_begun_names_one_member_or_nobody() -> None:
    with pytest.raises(UsageError, match="may be aaaaaaaa2 or aaaaaaaa3"):
        _only_one("aaaaaaaa", ["aaaaaaaa2", "aaaaaaaa3"])
    with pytest.raises(NotFoundError, match="begins with"):
        _only_one("aaaaaaaa", [])


def test_nobody_locks_everybody_out_by_a_slip(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            admin, plain = await swarm.peer("admin", role="tracker"), await swarm.peer("plain")
            ids = {one["peer"] for one in (await run(admin, "members"))["members"] if one["role"] == "tracker"}
            first = (ids - {admin.key.peer_id}).pop()
            await run(admin, "access", allow=[rule(f"peer:{plain.key.peer_id}", "admin", "*")])
            with pytest.raises(ConflictError, match="this home itself"):
                await run(admin, "remove-member", peer=admin.key.peer_id)
            # Of two trackers one can be spared, and the other no more.
            assert len(ids) == 2
            assert await run(plain, "remove-member", peer=admin.key.peer_id[:12]) == {"removed": admin.key.peer_id}
            with pytest.raises(ConflictError, match="the only tracker"):
                await run(plain, "remove-member", peer=first)
            assert await run(plain, "remove-member", peer=first, force=True) == {"removed": first}

    asyncio.run(main())
