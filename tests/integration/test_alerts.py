"""Alerts of a real tracker: found, told to a webhook that fails at first, silenced by an admin; who sees them."""

from __future__ import annotations

import asyncio
import gc
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from swarm.alert_messages import Alert, AlertsAnswer, Silence, SilenceRequest
from swarm.errors import NotAllowedError, NotFoundError, UsageError
from swarm.tracker.alerts.notices import notification
from swarm.tracker.alerts.silences import Silences, silenced
from swarm.tracker.alerts.watching import TELLER_GONE_S, Alerting
from swarm.tracker.alerts.webhook import Webhook, webhook_in
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import Enrolled, Rig, announce_of, running_tracker, until
from tests.unit.tracker.alerts.test_notices import FIRING


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """An address that answers with these statuses, the last one for ever; what it got."""
    got: list[tuple[dict[str, str], Any]] = []
    left = list(statuses)

    async def take(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.json()))
        return web.Response(
            status=left.pop(0) if len(left) > 1 else left[0], headers={"Location": "http://127.0.0.1:9/"}
        )

    app = web.Application()
    app.router.add_post("/{anything:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook/s3cret", got
    finally:
        await runner.cleanup()


async def look(rig: Rig, later_s: float) -> None:
    """As if so much time had passed; until the webhook has answered."""
    alerts = rig.tracker.state.alerts
    alerts.look(time.monotonic() + later_s, time.time() + later_s)
    assert alerts._sending is not None
    await alerts._sending


async def asked(member: Enrolled, tracker: Tracker | None = None) -> AlertsAnswer:
    only = tracker.contact if tracker is not None else None
    return msgspec.json.decode(await member.client.calls.call("GET", "/api/v1/alerts", only=only), type=AlertsAnswer)


async def with_a_wrong_clock(member: Enrolled) -> None:
    announce = msgspec.structs.replace(announce_of(), wall_time=int(time.time()) + 100)
    await member.client.announce(announce)
    await member.client.announce_to_others(announce)


async def alerting(rig: Rig, hook: Webhook | None = None) -> None:
    """Looks are the test's from now on."""
    rig.tracker._watching.cancel()
    await asyncio.gather(rig.tracker._watching, return_exceptions=True)
    rig.tracker.state.alerts._alerting = Alerting(hook)


def test_an_alert_fires_is_told_again_until_taken_and_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig, receiver(500, 200) as (url, got):
            await alerting(rig, Webhook(url, "t0ken"))
            peer = await rig.member()
            await with_a_wrong_clock(peer)
            await look(rig, 0)
            assert [alert.state for alert in (await asked(rig.admin)).alerts] == ["pending"]
            assert not got
            await look(rig, 91)
            (alert,) = (await asked(rig.admin)).alerts
            assert (alert.rule, alert.state, alert.subject) == ("AetherfsClockSkew", "firing", peer.key.peer_id)
            page = await peer.client.calls.call("GET", alert.runbook)
            assert b"<h1>AetherfsClockSkew</h1>" in page
            hook = (await asked(rig.admin)).webhook
            assert hook.sent == 0
            assert "status 500" in hook.failure and "s3cret" not in hook.failure
            await look(rig, 120)
            assert len(got) == 2
            headers, body = got[-1]
            assert headers["Authorization"] == "Bearer t0ken"
            assert body["alerts"][0]["labels"]["subject"] == peer.key.peer_id
            await peer.client.announce(announce_of())
            await look(rig, 130)
            await look(rig, 230)
            assert got[-1][1]["status"] == "resolved"
            assert (await asked(rig.admin)).webhook == msgspec.structs.replace(
                hook, sent=2, failure="", sent_last=(await asked(rig.admin)).webhook.sent_last
            )
            assert 'aetherfs_alert_notifications_total{result="sent"} 2' in rig.tracker.state.metrics.exposition()

    asyncio.run(main())


def test_a_defect_ends_one_look_and_not_those_after_it_nor_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no picture")

    async def main() -> None:
        monkeypatch.setattr("swarm.tracker.alerts.watching.LOOK_S", 0.02)
        async with running_tracker(tmp_path) as rig:
            alerts = rig.tracker.state.alerts
            await until(lambda: alerts.book.looked > 0)
            with monkeypatch.context() as patched:
                patched.setattr("swarm.tracker.alerts.watching.draw", broken)
                await until(lambda: alerts.defect == "RuntimeError: no picture")
            await until(lambda: not alerts.defect)
            await alerting(rig)
            rig.tracker._watching = asyncio.create_task(asyncio.to_thread(broken), name="as before")
            await asyncio.wait([rig.tracker._watching])
            await rig.tracker.close()
            assert rig.tracker.state.has_ended

    asyncio.run(main())


def test_who_sees_what_and_who_silences(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            await alerting(rig)
            narrow, wide = await rig.member(datasets=["maps/*"]), await rig.member()
            await with_a_wrong_clock(wide)
            await look(rig, 0)
            assert len((await asked(wide)).alerts) == 1
            told = await asked(narrow)
            assert not told.alerts and not told.silences
            body = msgspec.json.encode(SilenceRequest(3600, subject=f"{wide.key.peer_id[:8]}*", comment="known"))
            with pytest.raises(NotAllowedError):
                await wide.client.calls.call("POST", "/api/v1/alerts/silences", body=body)
            made = msgspec.json.decode(
                await rig.admin.client.calls.call("POST", "/api/v1/alerts/silences", body=body), type=Silence
            )
            seen = await asked(rig.admin)
            assert seen.silences == (made,)
            assert [alert.silenced for alert in seen.alerts] == [made.id]
            assert (await asked(wide)).silences == ()
            # Another tracker reads it from the store; what a seed wrote there silences nothing.
            rig.objects.put("swarm/silences/" + "0" * 16, b"nonsense")
            other = Silences(rig.objects, rig.tracker.state.keys.authority)
            other.refresh(time.time())
            assert other.known(time.time()) == (made,)
            assert other.known(time.time() + 3601) == ()
            with pytest.raises(NotAllowedError):
                await wide.client.calls.call("DELETE", f"/api/v1/alerts/silences/{made.id}")
            rig.tracker.state.alerts.silences.end(made.id)
            assert (await asked(rig.admin)).silences == ()
            with pytest.raises(NotFoundError):
                await rig.admin.client.calls.call("DELETE", f"/api/v1/alerts/silences/{made.id}")
            actions = {event.action for event in rig.tracker.state.noted.due(0.0, 0.0, is_ending=True)}
            assert "silence" in actions

    asyncio.run(main())


def test_not_everything_is_silenced_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            for wanted, why in (
                (SilenceRequest(60), "names a rule"),
                (SilenceRequest(60, subject="**"), "names a rule"),
                (SilenceRequest(60, "x"), "no rule"),
            ):
                with pytest.raises(UsageError, match=why):
                    rig.tracker.state.alerts.silences.add(wanted, "user:a", time.time())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("subject", "alert_subject", "covers"),
    [
        ("p1", "p1", True),
        ("p*", "p1", True),
        ("p", "p1", False),
        ("p?", "p1", False),
        ("[p]1", "p1", False),
        ("", "p1", True),
    ],
)
def test_only_a_star_stands_for_anything(subject: str, alert_subject: str, covers: bool) -> None:
    alert: Alert = msgspec.structs.replace(FIRING, subject=alert_subject)
    silence = Silence("1" * 16, FIRING.rule, subject, 1, "user:a")
    assert bool(silenced([alert], [silence])[0].silenced) is covers
    assert not silenced([alert], [msgspec.structs.replace(silence, rule="AetherfsAnnounceLag")])[0].silenced


def test_a_redirect_is_not_followed_and_silence_is_no_yes(tmp_path: Path) -> None:
    async def main() -> None:
        from swarm.errors import UnreachableError

        async with receiver(302) as (url, got):
            with pytest.raises(UnreachableError, match="status 302"):
                await Webhook(url).send(notification([FIRING], ""))
            assert len(got) == 1
        with pytest.raises(UnreachableError, match="does not take alerts") as caught:
            await Webhook(url).send(notification([FIRING], ""))
        assert "s3cret" not in str(caught.value)

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["ftp://a/b", "http:///x", "http://u:p@h/x", "https://h/a b", "http://h:0/", "https://h/\x01", "https://[/"]
)
def test_what_is_no_address_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        webhook_in(str(file), "")
    assert text not in str(caught.value)


def test_address_and_token_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("https://chat.example/services/T0/s3cret\n")
    (tmp_path / "token").write_text("t0ken\n")
    hook = webhook_in(str(tmp_path / "hook"), str(tmp_path / "token"))
    assert hook == Webhook("https://chat.example/services/T0/s3cret", "t0ken")
    assert "s3cret" not in repr(hook) and "t0ken" not in repr(hook)
    assert webhook_in("", "") is None
    with pytest.raises(UsageError, match="cannot read"):
        webhook_in(str(tmp_path / "none"), "")


def test_only_the_tracker_that_members_prefer_tells(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            running_tracker(tmp_path / "a") as rig,
            receiver(200) as (url, got),
            running_tracker(tmp_path / "b", objects=rig.objects) as second,
        ):
            trackers = [rig.tracker, second.tracker]
            for one in (rig, second):
                await alerting(one, Webhook(url))
            await until(lambda: all(len(one.state.trackers) == 2 for one in trackers))
            trackers.sort(key=lambda one: one.state.trackers[0].public != one.contact.public)
            peer = await rig.member()
            peer.client.set_trackers(rig.tracker.state.trackers)
            await with_a_wrong_clock(peer)
            for one in (second, rig) if trackers[0] is rig.tracker else (rig, second):
                await look(one, 0)
                await look(one, 91)
                assert len(got) == (one.tracker is trackers[0])
            for tracker in trackers:
                assert [alert.state for alert in (await asked(rig.admin, tracker)).alerts] == ["firing"]

    asyncio.run(main())


def test_of_a_tracker_that_was_killed_the_next_tells_and_of_its_return_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            running_tracker(tmp_path / "a") as rig,
            receiver(200) as (url, got),
            running_tracker(tmp_path / "b", objects=rig.objects) as second,
        ):
            for one in (rig, second):
                await alerting(one, Webhook(url))
            # Whoever began in the same second as another is not surely the first.
            first, last = rig.tracker.state, second.tracker.state
            await until(lambda: all(len(state.trackers) == 2 for state in (first, last)))
            if first.trackers[0].public != first.contact.public:
                first, last, rig, second = last, first, second, rig
            await look(second, 0)
            assert not last.alerts.alerts(time.time())
            port = rig.tracker.port
            await rig.tracker.listener.close()
            await look(second, 0)
            await until(lambda: first.contact.peer_id in last.pushes.silent)
            silent = last.pushes.silent[first.contact.peer_id]
            assert "aetherfs_trackers_unreachable 1" in last.metrics.exposition()
            await look(second, 5)
            assert not got
            last.pushes.silent[first.contact.peer_id] = replace(silent, since=silent.since - TELLER_GONE_S)
            await look(second, 36)
            (alert,) = got.pop()[1]["alerts"]
            assert (alert["labels"]["alertname"], alert["status"]) == ("AetherfsTrackerUnreachable", "firing")
            assert alert["labels"]["subject"] == f"127.0.0.1:{port}"
            # It is back, and tells again; what this one told of is over, and only this one can say so.
            last.pushes.silent.clear()
            last.pushes.others = ()  # so that it is not asked again
            await look(second, 50)
            await look(second, 90)
            assert [told["status"] for _, body in got for told in body["alerts"]] == ["resolved"]
            # Whoever is listed no more is missed by nobody.
            last.enlist(())
            last.pushes.silent[first.contact.peer_id] = silent
            last.delist(first.contact.peer_id)
            assert "aetherfs_trackers_unreachable 0" in last.metrics.exposition()

    asyncio.run(main())


def test_a_defect_in_telling_or_in_silences_is_said_and_the_next_try_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("no message")

    def unread(*_: object) -> None:
        raise KeyError("no silences")

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            await alerting(rig, Webhook("http://127.0.0.1:9/"))
            await with_a_wrong_clock(await rig.member())
            alerts, left = rig.tracker.state.alerts, []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
            monkeypatch.setattr(Webhook, "send", broken)
            monkeypatch.setattr(alerts.silences, "refresh", unread)
            await look(rig, 0)
            await look(rig, 91)
            assert "RuntimeError" in (await asked(rig.admin)).webhook.failure
            assert alerts._notices.due(alerts.alerts(time.time()), time.monotonic() + 1, time.time()) == ()
            del alerts._sending, alerts._reading
            gc.collect()
            assert left == []

    asyncio.run(main())


def test_certificates_of_the_machine_are_not_read_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []
    made = ssl.create_default_context

    def noted() -> ssl.SSLContext:
        readers.append(threading.current_thread())
        return made()

    async def main() -> None:
        monkeypatch.setattr(ssl, "create_default_context", noted)
        async with receiver(200) as (url, got):
            await Webhook(url).send(notification([FIRING], ""))
            assert len(got) == 1

    asyncio.run(main())
    assert readers and threading.main_thread() not in readers
