"""What `aetherfs alerts` shows."""

from __future__ import annotations

from typing import Any

from swarm.cli.alerts import shown

ALERT = {
    "severity": "critical",
    "state": "firing",
    "silenced": "",
    "rule": "AetherfsTrackerUnreachable",
    "subject": "192.0.2.1:7070",
    "summary": "it is away",
    "remedy": "start it",
    "since": 1000,
    "resolved": 0,
}


def first_line(**more: Any) -> str:
    told = {"alerts": [{**ALERT, **more}], "silences": [], "webhook": {}}
    return next(iter(shown(told, 2000.0, everything=True)))


def test_what_fires_says_for_how_long_and_what_is_over_since_when() -> None:
    assert first_line().endswith("192.0.2.1:7070  for 16 min 40 s")
    assert first_line(state="resolved", resolved=1940).endswith("192.0.2.1:7070  over for 60 s")
