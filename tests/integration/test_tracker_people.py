"""People and services at a running tracker: who is known, and who is not."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path

import msgspec
import pytest

from swarm.errors import AetherError, ConflictError, NotAllowedError, NotFoundError
from swarm.people_messages import IssuersAnswer
from swarm.tracker.people import guessing, records
from swarm.tracker.people.guessing import OF_NETWORK, OF_PAIR
from swarm.tracker.people.sessions import Session, Sessions
from swarm.tracker.policy import PolicyRule
from tests.cheap_passwords import make_passwords_cheap
from tests.integration.people_rig import ALICE, PASSWORD, Web, basic, bearer, cookie_of, with_people
from tests.integration.test_recalled import change
from tests.integration.tracker_rig import STORE_KEY, Enrolled, publish
from tests.made_issuer import forged, made_issuer


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_passwords_cheap(monkeypatch)


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has to wait does so for longer than a test takes."""
    monkeypatch.setattr(guessing, "FIRST_WAIT_S", 60.0)


async def session_of(web: Web, name: str = "alice", password: str = PASSWORD) -> str:
    """A bearer token for a password."""
    answered = await web.ask("POST", "/api/v1/session", basic(name, password))
    return str(answered.json["token"])


def test_who_is_known(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        assert await web.who(basic("alice")) == ALICE
        token = await session_of(web)
        assert await web.who(bearer(token)) == ALICE
        made = await web.admin("POST", "services/ci", groups=["robots"])
        assert await web.who(bearer(made["token"])) == ["service:ci", "group:robots", "anyone"]
        assert await web.who(await cookie_of(web)) == ALICE
        assert await web.who({}) == 401
        told = await web.admin("GET", "whoami")
        assert (told["kind"], told["name"]) == ("peer", web.rig.key.peer_id)

    with_people(tmp_path, check)


@pytest.mark.parametrize(
    "headers",
    [
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("ALICE"),
        basic("nobody"),
        basic("admin", "admin"),
        basic("aetherfs", "aetherfs"),
        basic("../users/alice"),
        basic("alice\0"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"Authorization": "Digest username=alice"},
        {"Authorization": ""},
        bearer(""),
        bearer("x"),
        bearer("aetherfs-service1."),
        bearer("aetherfs-service1." + "A" * 54),
        bearer("aetherfs-session1.AAAA"),
        bearer("aetherfs-session1." + "A" * 4000),
        bearer(forged({"alg": "none"}, {"iss": "https://issuer.example", "sub": "alice"}, b"")),
        bearer(forged({"alg": "HS256"}, {"iss": "aetherfs", "sub": "alice"}, key=b"secret")),
    ],
)
def test_what_proves_nothing_is_refused_and_never_taken_for_nobody(tmp_path: Path, headers: dict[str, str]) -> None:
    async def check(web: Web) -> None:
        answered = await web.ask("GET", "/api/v1/whoami", headers)
        assert answered.status == 401 and "WWW-Authenticate" in answered.headers

    with_people(tmp_path, check)


def test_two_authorizations_are_none(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        shown = [("Authorization", basic("alice")["Authorization"]), ("Authorization", "Bearer x")]
        async with web._session.get(web.url + "/api/v1/whoami", headers=shown) as response:
            assert response.status == 401

    with_people(tmp_path, check)


def test_a_known_and_an_unknown_name_cost_the_same_work_and_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work is counted, not timed: hashes made, objects read, and the bytes of the refusal."""
    monkeypatch.setattr(records, "FRESH_S", 1e6)

    async def refused(web: Web, name: str) -> tuple[int, int, int, str]:
        made, read = web.identifier.passwords.made, web.identifier.people.read
        answered = await web.ask("GET", "/api/v1/whoami", basic(name, "a wrong guess"))
        work = web.identifier.passwords.made - made, web.identifier.people.read - read
        return (answered.status, *work, answered.text)

    async def check(web: Web) -> None:
        await web.admin("POST", "users/bertha", password=PASSWORD, is_new=True)
        known, unknown = await refused(web, "bertha"), await refused(web, "nobody")
        assert known == unknown == (401, 1, 1, known[3])
        again = await refused(web, "bertha"), await refused(web, "nobody")
        assert again[0] == again[1] == (401, 1, 0, known[3])

    with_people(tmp_path, check)


def test_who_guesses_waits_before_anything_is_looked_up(tmp_path: Path, long_waits: None) -> None:
    async def check(web: Web) -> None:
        for name in ("alice", "nobody"):
            statuses = [await web.who(basic(name, f"guess {number}")) for number in range(OF_PAIR.free + 3)]
            assert statuses == [401] * OF_PAIR.free + [429] * 3
        made, read = web.identifier.passwords.made, web.identifier.people.read
        answered = await web.ask("GET", "/api/v1/whoami", basic("alice"))
        assert answered.status == 429 and int(answered.headers["Retry-After"]) >= 1
        form = {"user": "alice", "password": PASSWORD}
        assert (await web.ask("POST", "/ui/signin", {"Origin": web.url}, data=form)).status == 429
        assert (web.identifier.passwords.made, web.identifier.people.read) == (made, read)

    with_people(tmp_path, check)


def test_guesses_at_once_are_as_few_as_one_after_another(tmp_path: Path, long_waits: None) -> None:
    async def check(web: Web) -> None:
        asked = [web.who(basic("alice", f"guess {number}")) for number in range(OF_PAIR.free + 12)]
        found = await asyncio.gather(*asked)
        assert sorted(found) == [401] * OF_PAIR.free + [429] * 12

    with_people(tmp_path, check)


def test_names_that_are_made_up_are_not_looked_up_for_ever(tmp_path: Path, long_waits: None) -> None:
    async def check(web: Web) -> None:
        read = web.identifier.people.read
        for number in range(OF_NETWORK.free + 10):
            await web.who(basic(f"name{number}", "one password for all"))
        assert web.identifier.people.read - read == OF_NETWORK.free

    with_people(tmp_path, check)


def test_who_is_signed_in_already_is_not_held_up_by_who_guesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_waits: None
) -> None:
    monkeypatch.setattr(records, "FRESH_S", 1e6)

    async def check(web: Web) -> None:
        token = await session_of(web)
        for number in range(OF_PAIR.free + 1):
            await web.who(basic("alice", f"guess {number}"))
        assert await web.who(basic("alice", "one more")) == 429
        assert await web.who(basic("alice")) == ALICE and await web.who(bearer(token)) == ALICE

    with_people(tmp_path, check)


def test_what_is_stolen_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions end with signing out, with another password and with their time; API tokens when they are revoked."""

    async def check(web: Web) -> None:
        monkeypatch.setattr(records, "FRESH_S", 0.0)
        first, second = await session_of(web), await session_of(web)
        assert (await web.ask("DELETE", "/api/v1/session", bearer(first))).status == 200
        assert await web.who(bearer(first)) == 401 and await web.who(bearer(second)) == ALICE
        await web.admin("POST", "users/alice", password="another password")
        assert await web.who(bearer(second)) == 401 and await web.who(basic("alice")) == 401
        third = await session_of(web, password="another password")
        assert await web.who(bearer(third)) == ALICE
        await web.admin("POST", "signouts", subject="user:alice")
        assert await web.who(bearer(third)) == 401
        await web.admin("DELETE", "users/alice")
        await web.admin("POST", "users/alice", password="another password", is_new=True)
        assert await web.who(bearer(third)) == 401

        made = await web.admin("POST", "services/ci", ttl_s=600)
        other = await web.admin("POST", "services/ci")
        assert await web.who(bearer(made["token"])) == ["service:ci", "anyone"]
        await web.admin("DELETE", f"services/{made['id']}")
        assert await web.who(bearer(made["token"])) == 401 and await web.who(bearer(other["token"])) != 401
        await web.admin("DELETE", "services/ci")
        assert await web.who(bearer(other["token"])) == 401
        short = await web.admin("POST", "services/ci", ttl_s=600)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 601)
        assert await web.who(bearer(short["token"])) == 401

    with_people(tmp_path, check)


def test_a_session_is_for_its_use_its_swarm_and_its_time(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        user = web.identifier.people.user("alice")
        assert user is not None
        now = time.time()
        cookie, _ = web.identifier.sessions.begin("alice", user.stamp, "cookie", now)
        assert await web.who(bearer(cookie)) == 401
        assert await web.who({"Cookie": f"__Host-aetherfs={await session_of(web)}"}) == 401
        past, _ = web.identifier.sessions.begin("alice", user.stamp, "bearer", now - 13 * 3600)
        assert await web.who(bearer(past)) == 401
        foreign, _ = Sessions(bytes(32)).begin("alice", user.stamp, "bearer", now)
        assert await web.who(bearer(foreign)) == 401
        # Another tracker of the swarm knows it.
        own, session = Sessions(STORE_KEY).begin("alice", user.stamp, "bearer", now)
        assert await web.who(bearer(own)) == ALICE
        at = len(own) // 2
        assert await web.who(bearer(own[:at] + ("A" if own[at] != "A" else "B") + own[at + 1 :])) == 401
        assert isinstance(session, Session) and session.key < Session(1, bytes(8), "bearer", "b", b"", 0, 2**34).key

    with_people(tmp_path, check)


def test_tokens_of_an_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound to issuer, audience and time; once an issuer is believed no more or a person signed out they are void."""

    async def check(web: Web) -> None:
        monkeypatch.setattr(records, "FRESH_S", 0.0)
        async with made_issuer() as issuer, made_issuer() as other:
            token = issuer.token(groups=["ops"])
            assert await web.who(bearer(token)) == 401
            await web.admin("POST", "issuers/corp", **msgspec.to_builtins(issuer.issuing()))
            assert await web.who(bearer(token)) == ["user:corp/alice", "group:corp/ops", "anyone"]
            told = await web.ask("GET", "/api/v1/issuers")
            assert msgspec.json.decode(told.text, type=IssuersAnswer).issuers == (issuer.issuing(),)
            assert await web.who(bearer(issuer.token(aud="another"))) == 401
            assert await web.who(bearer(issuer.token(exp=time.time() - 100))) == 401
            assert await web.who(bearer(other.token(iss=issuer.url))) == 401
            with pytest.raises(ConflictError):
                await web.admin("POST", "issuers/twice", **msgspec.to_builtins(issuer.issuing(name="twice")))
            await web.admin("POST", "signouts", subject="user:corp/alice")
            assert await web.who(bearer(token)) == 401
            later = issuer.token(iat=int(time.time()) + 2)
            assert await web.who(bearer(later)) != 401
            await web.admin("DELETE", "issuers/corp")
            assert await web.who(bearer(later)) == 401

    with_people(tmp_path, check)


def test_an_issuer_that_is_away_is_no_refusal(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        async with made_issuer() as issuer:
            issuer.is_away = True
            await web.admin("POST", "issuers/corp", **msgspec.to_builtins(issuer.issuing()))
            assert await web.who(bearer(issuer.token())) == 503

    with_people(tmp_path, check)


def test_only_a_trackers_home_changes_who_is_known(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        member = await web.rig.member()
        for method, path in (
            ("GET", "users"),
            ("POST", "users/mallory"),
            ("DELETE", "users/alice"),
            ("POST", "services/mallory"),
            ("POST", "signouts"),
            ("POST", "issuers/mallory"),
        ):
            with pytest.raises(NotAllowedError):
                await member.client.calls.call(method, f"/api/v1/{path}", body=b"{}")
            assert (await web.ask(method, f"/api/v1/{path}", basic("alice"), data=b"{}")).status == 403
        with pytest.raises(ConflictError):
            await web.admin("POST", "users/alice", password=PASSWORD, is_new=True)
        with pytest.raises(NotFoundError):
            await web.admin("POST", "users/nobody", password=PASSWORD)

    with_people(tmp_path, check)


def test_who_is_signed_in_at_a_members_home_decides(tmp_path: Path) -> None:
    """What the tracker decides it decides by the person, who may have less than the peer, or more."""

    async def check(web: Web) -> None:
        member, seed = await web.rig.member(), await web.rig.member("seed")
        alice = basic("alice")

        async def ask(rights: Enrolled, headers: dict[str, str]) -> int:
            try:
                await rights.client.calls.call("POST", "/api/v1/services/ci", body=b"{}", headers=headers)
            except AetherError as error:
                return error.http_status
            return 200

        async def publish_as_alice(version: int) -> int:
            try:
                await publish(member, seed, "maps/roads", "latest", bytes([version]) * 32)
            except AetherError as error:
                return error.http_status
            return 200

        async def shown() -> str:
            return alice["Authorization"]

        assert [await ask(web.rig.admin, each) for each in ({}, alice, basic("alice", "wrong"))] == [200, 403, 403]
        assert await publish_as_alice(1) == 200
        member.client.authorization = shown
        assert await publish_as_alice(2) == 403
        await change(web.rig.tracker, allow=(PolicyRule("user:alice", "delete", "maps/*"),))
        assert await publish_as_alice(2) == 403
        await change(web.rig.tracker, allow=(PolicyRule("user:alice", "publish", "maps/*"),))
        assert await publish_as_alice(3) == 200
        assert await ask(member, alice) == 403
        await change(web.rig.tracker, allow=(PolicyRule("group:ops", "admin", "*"),))
        assert [await ask(member, each) for each in ({}, alice)] == [403, 200]

    with_people(tmp_path, check)


def test_what_is_kept_tells_no_secret(tmp_path: Path) -> None:
    async def check(web: Web) -> None:
        made = await web.admin("POST", "services/ci")
        secret = base64.urlsafe_b64decode(made["token"].partition(".")[2] + "==")[8:]
        store = web.rig.objects
        kept = b"".join(store.get(key) for key in store.list("swarm/"))
        assert b"alice" in kept and PASSWORD.encode() not in kept and secret not in kept
        told = (await web.admin("GET", "users"), await web.admin("GET", "services"))
        assert "digest" not in str(told) and made["token"] not in str(told)

    with_people(tmp_path, check)


def test_a_record_that_no_tracker_wrote_does_not_count(tmp_path: Path) -> None:
    """A seed can write to the store, and makes no user of its own there."""

    async def check(web: Web) -> None:
        store = web.rig.objects
        store.put("swarm/users/mallory", store.get("swarm/users/alice"))
        assert await web.who(basic("mallory")) == 401
        store.put("swarm/users/trudy", b"\x92\xc4\x01a\xc4\x01b")
        assert await web.who(basic("trudy")) == 422

    with_people(tmp_path, check)


def test_a_wrong_password_is_in_the_audit_wherever_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(web: Web) -> None:
        form, refused = {"user": "alice", "password": "wrong"}, list[tuple[str, str, str]]()
        monkeypatch.setattr(
            web.rig.tracker.state.noted, "refused", lambda who, what, to: refused.append((str(who), what, to))
        )
        assert (await web.ask("POST", "/ui/signin", {"Origin": web.url}, data=form)).status == 401
        assert (await web.ask("POST", "/api/v1/session", basic("alice", "wrong"))).status == 401
        assert refused == 2 * [("anyone", "sign in", "-")]

    with_people(tmp_path, check)
