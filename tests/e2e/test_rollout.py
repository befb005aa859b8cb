"""A rollout as operators run it: the program, two peers that follow, and CI that waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.datasets import write_files
from tests.e2e.harness import Bench, wait_for

FAILURE = 1
USAGE = 2
CONFLICT = 5
TIMED_OUT = 8
NAME = "ferries:stable"


def reads(directory: Path, text: bytes) -> bool:
    file = directory / "current" / "one"
    return file.exists() and file.read_bytes() == text


def told_of(swarm: Bench) -> dict[str, Any]:
    found: dict[str, Any] = swarm.ok("hub", "rollout", "status", NAME, "--json").json
    return found


def test_a_canary_goes_ahead_and_the_others_when_it_is_promoted(swarm: Bench) -> None:
    data, canary, late = swarm.folder / "ferries", swarm.folder / "canary-dir", swarm.folder / "late-dir"
    write_files(data, {"one": b"first"})
    swarm.ok("hub", "publish", str(data), NAME)
    for name, label, directory in (("canary", "ring=canary", canary), ("late", "ring=late", late)):
        swarm.enrol(name, options=("--label", label))
        swarm.start(name, "peer")
        swarm.ok(name, "subscribe", NAME, str(directory))
    write_files(data, {"one": b"second"})
    told = swarm.ok("hub", "publish", str(data), NAME, "--canary", "0%", "--canary-label", "ring=canary").text
    assert "stable goes out in stages" in told
    wait_for("the canary goes ahead", lambda: reads(canary, b"second"))
    wait_for("the other is held", lambda: "held back" in swarm.ok("late", "subscriptions").text)
    assert reads(late, b"first")
    assert swarm.ok("late", "cat", f"{NAME}/one").text == "first"
    # Who has just subscribed is not yet known to follow.
    wait_for("the tracker has heard of both", lambda: told_of(swarm)["counts"]["peers"] == 2)
    shown = told_of(swarm)
    assert (shown["state"], shown["stage"], len(shown["plan"]["stages"])) == ("running", 0, 2)
    seen = str(shown["serial"])
    swarm.ok("hub", "wait", NAME, "--admitted", "--label", "ring=canary", "--timeout", "60s", "--quiet")
    said = swarm.refused(TIMED_OUT, "hub", "wait", NAME, "--timeout", "1s", "--quiet")
    assert "held back" in said
    assert "paused by peer:" in swarm.ok("hub", "rollout", "pause", NAME, "-m", "a look").text
    assert f"after {seen}" not in swarm.refused(CONFLICT, "hub", "rollout", "promote", NAME, "--if-serial", seen)
    assert swarm.ok("hub", "rollout", "promote", NAME).text.split(": ", 1)[1].startswith("done, everybody is let in")
    wait_for("the other follows", lambda: reads(late, b"second"))
    done = swarm.ok("hub", "wait", NAME, "--share", "100%", "--timeout", "60s", "--json").json
    assert done["counts"]["switched"] == done["counts"]["peers"] >= 2
    swarm.ok("hub", "rollout", "rollback", NAME, "-m", "it sinks")
    wait_for("both go back", lambda: reads(late, b"first") and reads(canary, b"first"))
    assert "it sinks" in swarm.refused(FAILURE, "hub", "wait", NAME, "--timeout", "10s")
    history = swarm.ok("hub", "history", NAME).text
    assert "[stable paused, stage 1 of 2" in history and "[stable rolled back] it sinks" in history


def test_what_is_no_plan_is_said_at_once(swarm: Bench) -> None:
    for options in (
        ["--canary", "five"],
        ["--canary", "150%"],
        ["--stages", "50%,5%"],
        ["--stages", "5%+6%"],
        ["--canary-label", "paris"],
        ["--auto", "10m"],
        ["--canary", "5%", "--stages", "5%"],
    ):
        swarm.refused(USAGE, "hub", "publish", str(swarm.folder), NAME, *options)
    swarm.refused(USAGE, "hub", "wait", NAME, "--share", "all")
