"""What top and events show of a tracker's figures: pages joined, hostile names shown harmless, trackers that change."""

from __future__ import annotations

import asyncio
import importlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from swarm.cli import at_hand, watching
from swarm.cli.program import Program
from swarm.cli.watching import EVENTS_PAGE, event_line, happenings, picture
from swarm.errors import ConflictError, UnreachableError
from swarm.standing import AgentInfo
from swarm.tracker.figures.happenings import KEPT_MAX


def event(at: float, number: int) -> dict[str, Any]:
    said = {"kind": "moved", "text": f"move {number}", "severity": "info"}
    return {"number": number, "at": at, "id": f"of {at}", "was": "", "serial": 0, **said}


def page(events: list[dict[str, Any]], following: int) -> dict[str, Any]:
    return {"at": 0.0, "events": events, "next": following, "missed": False, "since": 0.0}


def told(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> list[dict[str, str]]:
    """Let these be the answers, in order; what was asked."""
    asked: list[dict[str, str]] = []
    left = iter(answers)

    def figures(program: Program, what: str, **query: str) -> dict[str, Any]:
        asked.append(query)
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    monkeypatch.setattr(watching, "figures", figures)
    monkeypatch.setattr(watching, "LOOK_S", 0.0)
    return asked


def _nothing() -> None:
    """An agent is there."""


def test_pages_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    full = [event(float(n), n) for n in range(1, EVENTS_PAGE + 1)]
    asked = told(monkeypatch, [page(full, EVENTS_PAGE), page([], 600), page([event(601.0, 601)], 601), page([], 601)])
    assert len(list(happenings(Program(), 0.0, _nothing, follow=False))) == 501
    assert [one["after"] for one in asked] == ["0", str(EVENTS_PAGE), "600", "601"]


def test_what_is_known_is_shown_in_order_of_time_and_since_when_all_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, [{**page([event(5.0, 1), event(3.0, 2)], 2), "since": 4.0}] * 2)
    assert [one["at"] for one in happenings(Program(), 2.0, _nothing, follow=False)] == [3.0, 5.0]
    assert "lack nothing since" in capsys.readouterr().err


def test_another_tracker_goes_on_where_the_first_was(monkeypatch: pytest.MonkeyPatch) -> None:
    again = [event(9.0, 3), event(10.0, 4), event(11.0, 5)]
    away = UnreachableError("no tracker answers")
    answers = [page([event(10.0, 900)], 900), page([], 900), away, page([], 5), page(again, 5), KeyboardInterrupt()]

    def until_stopped() -> Iterator[float]:
        try:
            for one in happenings(Program(), 0.0, _nothing, follow=True):
                yield one["at"]
        except (KeyboardInterrupt, StopIteration, RuntimeError):
            return

    told(monkeypatch, answers[:-1])
    assert list(until_stopped()) == [10.0, 9.0, 11.0], "each once; and what only the other one knows"


def test_who_follows_is_told_once_each_time_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    away = UnreachableError("no tracker answers")
    told(monkeypatch, [away, away, page([event(1.0, 1)], 1), page([], 1), away, away])
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(happenings(Program(), 0.0, _nothing, follow=True))
    assert capsys.readouterr().err.count("no tracker answers") == 2


def test_an_earlier_account_of_what_was_shown_is_not_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, earliest = ({**event(at, number), "was": f"of {at + 1}"} for at, number in ((9.0, 2), (8.0, 3)))
    told(monkeypatch, [page([event(10.0, 1)], 1), page([earlier], 2), page([earliest], 3), page([], 3)])
    assert [one["at"] for one in happenings(Program(), 0.0, _nothing, follow=False)] == [10.0]


def test_what_happens_while_it_is_told_does_not_keep_the_command_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = told(monkeypatch, [page([event(float(n), n)], n) for n in range(1, 1000)])
    assert [one["at"] for one in happenings(Program(), 0.0, _nothing, follow=False)] == list(range(1, len(asked) + 1))
    assert len(asked) * EVENTS_PAGE == KEPT_MAX, "all that a tracker keeps has come by then"


def test_trackers_that_answer_in_turn_with_numbers_of_their_own_do_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, [page([event(1.0, 900)], 900), page([event(2.0, 5)], 5)] * 100)
    assert [one["at"] for one in happenings(Program(), 0.0, _nothing, follow=False)] == [1.0, 2.0]


class Home(Program):
    """One on which no process runs, but for peers of the command's own."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: list[str] = []
        self.is_taken = 0

    def agent(self) -> AgentInfo | None:
        return AgentInfo(1, 1, "token") if self.peers[-1:] == ["begun"] else None

    @contextmanager
    def at_hand(self, _program: Program) -> Iterator[None]:
        if self.is_taken:
            self.is_taken -= 1
            raise ConflictError("another process has the home")
        self.peers.append("begun")
        try:
            yield
        finally:
            self.peers.append("ended")


@pytest.mark.parametrize("command", ["events", "top", "audit"])
def test_a_command_that_asks_again_and_again_does_so_by_one_peer(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    home, asked = Home(), list[str]()

    def perform(program: Program, verb: str, arguments: Any) -> dict[str, Any]:
        assert home.agent() is not None
        asked.append(verb)
        if len(asked) == 6 and command == "top":
            raise KeyboardInterrupt
        if verb == "audit":
            return {"events": [], "before": 6 - len(asked)}
        if verb == "alerts":
            return {"alerts": []}
        return page([], min(5, len(asked))) if command == "events" else OVERVIEW | {"tags": []}

    monkeypatch.setattr(at_hand, "agent_at_hand", home.at_hand)
    monkeypatch.setattr("swarm.cli.perform.perform", perform)
    monkeypatch.setattr(watching, "LOOK_S", 0.0)
    done = CliRunner().invoke(getattr(importlib.import_module(OF[command]), command), ["--json"], obj=home)
    assert (len(asked), home.peers, done.exit_code) == (6, ["begun", "ended"], int(command == "top")), done.output


def test_a_home_in_use_is_waited_for_and_one_that_somebody_has_freed_is_left_to_him(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = Home()
    monkeypatch.setattr(at_hand, "agent_at_hand", home.at_hand)
    monkeypatch.setattr(at_hand, "RETRY_S", 0.0)
    with at_hand.agent_throughout(home) as be_there:
        assert home.peers == [], "who never asks begins none"
        home.is_taken = 3
        be_there()
        be_there()
        assert home.peers == ["begun"]
        home.peers.append("stopped")
        with pytest.raises(UnreachableError, match=r"runs on .* any more"):
            be_there()
        home.peers.append("begun")  # by him
        be_there()
    assert home.peers == ["begun", "stopped", "begun", "ended"]
    monkeypatch.setattr(at_hand, "HANDOVER_S", -1.0)
    home.is_taken = 1
    with pytest.raises(ConflictError), at_hand.agent_throughout(home) as be_there:
        be_there()


def test_a_peer_meanwhile_gives_the_home_up_when_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    is_closed = threading.Event()

    class Node:
        def __init__(self) -> None:
            self.stop_requested, self.loop = asyncio.Event(), asyncio.get_running_loop()

        async def close(self) -> None:
            closed.append("node")
            is_closed.set()

    nodes: list[Node] = []

    async def start(_settings: object) -> Node:
        nodes.append(Node())
        return nodes[-1]

    monkeypatch.setattr("swarm.peer.agent.start_peer", start)
    monkeypatch.setattr("swarm.cli.roles.node_settings", lambda *_, **__: None)
    for is_stopped in (True, False):
        is_closed.clear()
        with at_hand._peer_meanwhile(Program()):
            if is_stopped:
                nodes[-1].loop.call_soon_threadsafe(nodes[-1].stop_requested.set)
                assert is_closed.wait(60)
        assert is_closed.is_set()
    assert closed == ["node", "node"], "each once"


def test_what_a_peer_was_interrupted_in_closes_what_it_has_opened() -> None:
    closed: list[str] = []

    async def starts() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("connector")

    loop, begun = asyncio.new_event_loop(), threading.Event()
    thread = threading.Thread(target=at_hand._run, args=(loop,))
    thread.start()
    asyncio.run_coroutine_threadsafe(starts(), loop)
    begun.wait()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert (closed, loop.is_closed()) == (["connector"], True)


OF = {"events": "swarm.cli.watching", "top": "swarm.cli.watching", "audit": "swarm.cli.audit"}
OVERVIEW: dict[str, Any] = {
    "at": 1.0,
    "verdict": "`stable` of maps/roads: 3 of 4 current",
    "trend": "slow",
    "stale_since": 1.0,
    "why_stale": "a tracker is away",
    "totals": {
        "peers": 4, "seeds": 1, "trackers": 1, "sites": 2, "rate_bytes_per_s": 2e6, "origin_rate_bytes_per_s": 1e3,
    },
    "tags": [
        {
            "dataset": "maps/roads", "tag": "stable", "trend": "slow", "behind": 1, "current": 3, "wanted": 4,
            "eta_s": 90.0, "sources": {"share_origin": 0.018},
        }
    ],
}  # fmt: skip
STRAGGLER = {
    "peer": "a" * 52,
    "site": "[red]x",
    "state": "fetching",
    "reason": "slow \x1b[31mlink",
    "cause": "slow-link",
}
ALERT = {"severity": "critical", "rule": "AetherfsRolloutStalled", "subject": "maps/roads:stable", "summary": "stuck"}


def test_top_says_how_it_stands_who_is_behind_and_what_is_wrong() -> None:
    seen = {"overview": OVERVIEW, "stragglers": {"maps/roads:stable": [STRAGGLER]}, "alerts": [ALERT]}
    lines = [text for text, _ in picture(seen)]
    assert lines[0] == OVERVIEW["verdict"]
    assert "a tracker is away" in lines[1]
    assert "2.0 MB/s, of it 1.0 kB/s from the origin" in lines[2]
    assert lines[3].startswith("critical: AetherfsRolloutStalled")
    assert "[###############.....] 3/4 slow, 90 s left, origin 1.8%" in lines[4]
    assert "slow \x1b[31mlink" in lines[5]


def test_a_tag_that_nobody_follows_is_not_shown_as_done() -> None:
    idle = {**OVERVIEW["tags"][0], "tag": "v1", "trend": "idle", "behind": 0, "current": 0, "wanted": 0}
    lines = [text for text, _ in picture({"overview": {**OVERVIEW, "tags": [idle]}, "stragglers": {}, "alerts": []})]
    assert lines[3].split() == ["maps/roads:v1", "followed", "by", "nobody"]


def test_what_others_named_drives_no_terminal() -> None:
    seen = {"overview": OVERVIEW, "stragglers": {"maps/roads:stable": [STRAGGLER]}, "alerts": []}
    shown = io.StringIO()
    Console(file=shown, width=200, color_system=None).print(watching._drawn(picture(seen)))
    assert "\x1b" not in shown.getvalue()
    assert "[red]x" in shown.getvalue()


def test_an_event_is_a_line() -> None:
    assert event_line(event(1.8e9, 7) | {"severity": "critical"}).endswith("!! moved        move 7")
