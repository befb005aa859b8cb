"""Whoever is signed in counts, as long as what was shown does: in watches, in the audit, over a peer's connection."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from swarm.http.serve import issuer_of
from swarm.tracker import guards, serve_datasets
from swarm.tracker.audit import pages_of
from swarm.tracker.people import records
from swarm.tracker.policy import PolicyRule
from tests.cheap_passwords import make_passwords_cheap
from tests.integration.people_rig import Web, basic, bearer, with_people
from tests.integration.test_recalled import change
from tests.integration.tracker_rig import publish


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_passwords_cheap(monkeypatch)


def test_a_watch_is_of_who_is_signed_in_and_ends_with_what_was_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API token, a password, and a password over the connection of a peer that may not read this itself."""

    async def check(web: Web) -> None:
        monkeypatch.setattr(records, "FRESH_S", 0.0)
        monkeypatch.setattr(serve_datasets, "RECHECK_S", 0.0)
        seed, producer, plain = [await web.rig.member(role) for role in ("seed", "peer")] + [
            await web.rig.member(datasets=("own/*",))
        ]
        await publish(producer, seed, "maps/roads", "latest", bytes([1]) * 32)
        rules = [PolicyRule(subject, "read", "maps/*") for subject in ("service:ci", "user:alice")]
        await change(web.rig.tracker, allow=tuple(rules))
        made = await web.admin("POST", "services/ci", ttl_s=600)
        async with AsyncExitStack() as stack:
            sessions = [await stack.enter_async_context(session) for session in (web.session(), web.session(plain))]
            watches = [
                await stack.enter_async_context(session.get("/api/v1/datasets/maps/roads/watch", headers=headers))
                for session, headers in (
                    (sessions[0], bearer(made["token"])),
                    (sessions[0], basic("alice")),
                    (sessions[1], basic("alice")),
                )
            ]
            assert [await told(watch) for watch in watches] == [True] * 3
            await publish(producer, seed, "maps/roads", "latest", bytes([2]) * 32)
            assert [await told(watch) for watch in watches] == [True] * 3
            await web.admin("DELETE", f"services/{made['id']}")
            await web.admin("DELETE", "users/alice")
            await publish(producer, seed, "maps/roads", "latest", bytes([3]) * 32)
            assert [await told(watch) for watch in watches] == [False] * 3

    with_people(tmp_path, check)


async def told(watch: aiohttp.ClientResponse) -> bool:
    """Whether a watch brings another entry, and does not end."""
    async for line in watch.content:
        if line.startswith(b"data"):
            return True
    return False


def test_the_audit_names_who_signed_in_and_not_the_peer_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(web: Web) -> None:
        seed, producer, plain = [await web.rig.member(role) for role in ("seed", "peer")] + [
            await web.rig.member(datasets=("own/*",))
        ]
        for version in (1, 2):
            await publish(producer, seed, "maps/roads", "latest", bytes([version]) * 32)
        await change(web.rig.tracker, allow=(PolicyRule("user:alice", "admin", "maps/*"),))
        monkeypatch.setattr(web.rig.tracker.state.catalogue, "take_back", lambda dataset, entries: (1, 3))
        base = "/api/v1/datasets/maps/roads"
        purge = f"{base}/versions/{'01' * 32}/purge"
        refused = await web.ask("POST", purge, basic("alice"), json={"reason": "law"})
        assert (refused.status, "certificate of the swarm as well" in refused.text) == (403, True)
        async with web.session(plain) as session:
            for path, body in ((purge, {"reason": "law"}), (f"{base}/log/held", {"entries": ["AAAA"]})):
                async with session.post(path, json=body, headers=basic("alice")) as answered:
                    assert answered.status == 200, await answered.text()
        state = web.rig.tracker.state
        # It may have written a part by now.
        await state.write_audit(time.monotonic(), is_ending=True)
        written = [event for _, event in pages_of(await state.work(state.audit.read, 0, 16))]
        assert [one.actor for one in written if one.action in ("purge", "give back")] == ["user:alice"] * 2

    with_people(tmp_path, check)


def test_who_comes_with_a_certificate_under_a_retired_key_is_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS of a running tracker goes on trusting that key. Asking who one is is looked at as all else."""

    async def check(web: Web) -> None:
        async with web.session(await web.rig.member()) as session:
            for issuer, status in ((issuer_of, 200), (lambda _: "retired", 403)):
                monkeypatch.setattr(guards, "issuer_of", issuer)
                for path in ("/api/v1/whoami", "/api/v1/datasets"):
                    async with session.get(path) as answered:
                        assert answered.status == status, path

    with_people(tmp_path, check)


def test_the_audit_tells_which_groups_somebody_was_given_and_who_was_signed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(web: Web) -> None:
        done = list[tuple[str, str]]()
        monkeypatch.setattr(
            web.rig.tracker.state.noted, "done", lambda who, action, to, detail, wall_now: done.append((to, detail))
        )
        await web.admin("POST", "users/bob", password="another word", groups=["guests"], is_new=True)
        await web.admin("POST", "users/bob", groups=["ops", "guests"])
        await web.admin("POST", "users/bob", password="one more word")
        await web.admin("POST", "users/bob", groups=[])
        await web.admin("POST", "signouts", subject="user:bob")
        token = await web.admin("POST", "services/ci", groups=["ops"], ttl_s=60)
        await web.admin("DELETE", "services/ci")
        await web.admin("DELETE", "users/bob")
        assert done == [
            ("users/bob", "new, password, groups guests"),
            ("users/bob", "groups ops guests"),
            ("users/bob", "password"),
            ("users/bob", "groups -"),
            ("signouts", "user:bob"),
            ("services/ci", f"token {token['id']}, groups ops"),
            ("services/ci", "removed"),
            ("users/bob", "removed"),
        ]

    with_people(tmp_path, check)
