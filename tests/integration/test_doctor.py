"""The doctor: each check finds what it is for with its remedy; all end in time; a tracker calls only its asker back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarm.cli.main import main
from swarm.doctor_messages import DialAnswer, DialRequest, Finding
from swarm.errors import NotAllowedError, UnreachableError
from swarm.identity import PeerKey
from swarm.limits import CLOCK_SKEW_S, MIB
from swarm.messages import Contact
from swarm.peer import doctor as checks
from swarm.peer import operations
from swarm.records import Address
from swarm.tracker.serve_dial import ASKERS_MAX, PAUSE_S, Recently, is_there
from tests.integration.tracker_rig import running_tracker
from tests.integration.whole_process import whole_process


@contextmanager
def taken(port: int) -> Iterator[int]:
    """A port of which nobody else listens on it meanwhile, and we do not: whoever dials it is refused."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        yield bound.getsockname()[1]


def by_check(told: dict[str, Any]) -> dict[str, Finding]:
    return {each["check"]: msgspec.convert(each, Finding) for each in told["findings"]}


def test_a_whole_process_is_well_and_what_is_taken_away_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with whole_process(tmp_path / "home") as parts:
            node, tracker = parts.node, parts.tracker
            monkeypatch.setattr(checks, "DHT_PATIENCE_S", 0.0)
            monkeypatch.setattr(checks, "LAG_WARN_S", 3600.0)  # this machine may be busy
            assert tracker is not None
            found = by_check(await operations.run(node, "doctor", {}, lambda _: None))
            assert {name: one.state for name, one in found.items()} == {
                **dict.fromkeys(checks.CHECKS, "ok"),
                "dht": "skip",
            }
            assert f"127.0.0.1:{node.listener.port}" in found["ports"].found

            with monkeypatch.context() as full:
                full.setattr(checks, "DISK_FAIL_BYTES", 1 << 62)
                store = await checks._within("store", checks.check_store, node)
            assert (store.state, "home/store answers, and its disk has " in store.found) == ("fail", True)

            def refused(*arguments: object, **more: object) -> list[str]:
                raise UnreachableError("the bucket is away")

            async def silent(*arguments: object, **more: object) -> None:
                await asyncio.Event().wait()

            monkeypatch.setattr(node.objects, "list", refused)
            store = await checks._within("store", checks.check_store, node)
            assert "the bucket is away" in store.found
            monkeypatch.setattr(checks, "DEADLINE_S", 0.2)
            monkeypatch.setattr(node.tracker.calls, "call", silent)
            monkeypatch.setattr(node.tracker, "swarm_info", silent)
            found = by_check(await operations.run(node, "doctor", {}, lambda _: None))
            assert "no answer within" in found["tracker"].found
            for name, one in {**found, "store": store}.items():
                if name in ("clock", "tracker", "store"):
                    assert (one.state, bool(one.remedy)) == ("fail", True), name

    asyncio.run(main())


def test_of_a_tracker_that_is_stopped_it_says_which_and_why_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr(checks, "DHT_PATIENCE_S", 0.0)

    async def running() -> str:
        async with whole_process(home) as parts:
            node, tracker = parts.node, parts.tracker
            assert tracker is not None
            monkeypatch.setattr(node.announcer, "_keep", lambda *_: None)  # a heartbeat would forget the other
            with taken(0) as port:
                gone = Contact(PeerKey(b"g" * 32).public, (Address("127.0.0.1", port),))
                node.tracker.set_trackers([tracker.contact, gone])
                found = await checks.check_tracker(node)
            assert (found.state, bool(found.remedy)) == ("warn", True)
            assert found.found == f"1 of 2 reached; {gone.addresses[0]}: Connection refused"
            return str(tracker.address)

    address = asyncio.run(running())
    # The same home with nothing running on it: whoever is to start it is told so, and that its store is there.
    with taken(int(address.rpartition(":")[2])):
        assert main(["doctor", "--json", "--home", str(home), "--port-base", "0"]) == 1
    told = by_check(json.loads(capsys.readouterr().out))
    assert (told["running"].state, told["store"].state, told["ports"].state) == ("warn", "ok", "skip")
    assert told["store"].found.endswith("home/store answers")
    assert f"{address}: Connection refused" in told["tracker"].found
    assert sum("Connection refused" in each.found for each in told.values()) == 1
    (home / "store").rename(tmp_path / "elsewhere")
    assert main(["doctor", "--json", "--home", str(home), "--port-base", "0"]) == 1
    assert by_check(json.loads(capsys.readouterr().out))["store"].state == "fail"


@pytest.mark.parametrize(
    ("offset_s", "state"), [(1.0, "ok"), (-30.0, "ok"), (61.0, "warn"), (-200.0, "warn"), (CLOCK_SKEW_S + 1.0, "fail")]
)
def test_a_clock_is_judged_by_what_others_take(offset_s: float, state: str) -> None:
    found = checks.judged_clock(offset_s, "set it")
    assert found.state == state
    assert bool(found.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("free", "grows", "state"),
    [(50_000, 1000, "ok"), (50_000, 60_000, "warn"), (4_000, 0, "warn"), (63, 0, "fail"), (0, 0, "fail")],
)
def test_a_disk_is_judged_by_what_is_left(free: int, grows: int, state: str) -> None:
    found = checks.judged_disk(free * MIB, 100_000 * MIB, grows * MIB)
    assert found.state == state
    assert bool(found.remedy) == (state != "ok")


@pytest.mark.parametrize(("free", "state"), [(50_000, "ok"), (4_000, "warn"), (63, "fail")])
def test_a_store_in_a_folder_is_judged_by_what_is_left_on_its_own_disk(free: int, state: str) -> None:
    found = checks.judged_folder("file:///srv/store", free * MIB, 100_000 * MIB)
    assert (found.check, found.state) == ("store", state)
    assert bool(found.remedy) == ("free (" in found.found) == (state != "ok")


def test_a_tracker_calls_back_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            answer = await member.client.order("POST", "dial", DialAnswer, DialRequest(rig.tracker.port))
            # A tracker listens there, and that is not told: only the asker itself would have been reached.
            assert answer == DialAnswer(False, f"127.0.0.1:{rig.tracker.port}")
            with pytest.raises(NotAllowedError, match="a moment ago"):
                await member.client.order("POST", "dial", DialAnswer, DialRequest(rig.tracker.port))
            context = rig.tracker.state.pushes.context
            assert await is_there(context, rig.key.peer_id, "127.0.0.1", rig.tracker.port)

    asyncio.run(main())


def test_who_asked_lately_waits_and_is_not_remembered_for_ever() -> None:
    recently = Recently()
    assert recently.wait_s("a", 10.0) == 0
    assert recently.wait_s("a", 11.0) == PAUSE_S - 1
    assert recently.wait_s("a", 10.0 + PAUSE_S) == 0
    for number in range(2 * ASKERS_MAX):
        recently.wait_s(str(number), 20.0)
    assert len(recently._asked) == ASKERS_MAX
