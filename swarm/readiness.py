"""What ``/livez`` and ``/readyz`` answer: whether a process runs, and whether it does what it is for.

    GET /readyz             200 "ok", 200 "degraded: why" while it still is of use, 503 "not ready: why"
    GET /readyz?verbose     a line a check: [+] name: how it stands, [~] what is degraded, [-] what fails

as Kubernetes' own components answer. Whoever looks after many processes has no use for one that is taken out of service
because something that all of them share is away: that is degraded, and ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

MARKS: Final = {"ok": "+", "degraded": "~", "failed": "-"}
VERBOSE: Final = "verbose"
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Check:
    """One check: how it stands and why."""

    name: str
    state: Literal["ok", "degraded", "failed"]
    why: str = ""


def alive() -> web.Response:
    """That the process answers at all."""
    return web.Response(text="ok\n")


def readiness(checks: Sequence[Check], request: web.BaseRequest) -> web.Response:
    """The answer; 503 if a check has failed."""
    failed = [check for check in checks if check.state == "failed"]
    status = 503 if failed else 200
    if VERBOSE in request.query:
        lines = [f"[{MARKS[check.state]}] {check.name}: {check.why or check.state}" for check in checks]
        return web.Response(status=status, text="\n".join([*lines, summary(checks)]) + "\n")
    return web.Response(status=status, text=summary(checks) + "\n")


def summary(checks: Sequence[Check]) -> str:
    """One line."""
    for state, word in (("failed", "not ready"), ("degraded", "degraded")):
        why = "; ".join(check.why or check.name for check in checks if check.state == state)
        if why:
            return f"{word}: {why}"
    return "ok"


def lasting(name: str, left_s: float, warn_s: float) -> Check:
    """Something that ends, which is to be renewed before ``warn_s`` are left."""
    if left_s <= 0:
        return Check(name, "degraded", f"the {name} has ended")
    days = f"{left_s / DAY_S:.1f} days"
    return (
        Check(name, "degraded", f"the {name} ends in {days}") if left_s < warn_s else Check(name, "ok", f"for {days}")
    )
