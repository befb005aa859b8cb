"""Which alerts there are: what rules find becomes pending, fires, is resolved and forgotten. Pure.

    pending --- held for for_s ---> firing --- gone for clear_s ---> resolved --- an hour ---> forgotten
       ^ `--------- gone -----> forgotten                               |
       `------------------------------ found again --------------------'

An alert is one rule about one subject: what is found again later is pending anew, under the same id, and what is found
again within ``clear_s`` goes on firing. A picture that could not be drawn changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from swarm.alert_messages import ALERTS_MAX, RUNBOOKS, Alert
from swarm.signature import signature_of
from swarm.tracker.alerts.rules import TIMINGS, Found

RESOLVED_KEPT_S: Final = 3600
_ORDER: Final = {"firing": 0, "pending": 1, "resolved": 2}


@dataclass(slots=True)
class _Kept:
    """``gone``: since when the condition does not hold; None while it does."""

    alert: Alert
    gone: float | None = None


class Book:
    """The alerts of one tracker."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self.looked = 0

    def take(self, found: Iterable[Found], wall_now: float) -> None:
        """What the rules found at this moment."""
        now = int(wall_now)
        self.looked = now
        seen = {id_of(one.rule, one.subject): one for one in found}
        for id, one in seen.items():
            self._found(id, one, now)
        for id in [id for id in self._kept if id not in seen]:
            self._gone(id, wall_now)
        self._forget()

    def _found(self, id: str, one: Found, now: int) -> None:
        kept = self._kept.get(id)
        is_firing = kept is not None and kept.alert.state == "firing"
        if not one.is_over and not is_firing:
            if kept is not None:
                self._gone(id, now)
        elif kept is None or kept.alert.state == "resolved":
            self._kept[id] = _Kept(_grown(_begun(id, one, now), now))
        else:
            kept.gone = None
            kept.alert = _grown(_with_values(kept.alert, one), now)

    def _gone(self, id: str, wall_now: float) -> None:
        kept = self._kept[id]
        if kept.gone is None:
            kept.gone = wall_now
        if kept.alert.state == "pending":
            del self._kept[id]
        elif kept.alert.state == "firing" and wall_now - kept.gone >= TIMINGS[kept.alert.rule].clear_s:
            kept.alert = msgspec.structs.replace(kept.alert, state="resolved", resolved=int(wall_now))
        elif kept.alert.state == "resolved" and wall_now - kept.alert.resolved >= RESOLVED_KEPT_S:
            del self._kept[id]

    def _forget(self) -> None:
        """Of too many, those that matter least."""
        while len(self._kept) > ALERTS_MAX:
            least = max(self._kept.values(), key=lambda kept: (*_rank(kept.alert), -kept.alert.resolved))
            del self._kept[least.alert.id]

    def alerts(self) -> list[Alert]:
        """Firing first, critical before warning, the latest first; then pending, then resolved."""
        return sorted(
            (kept.alert for kept in self._kept.values()), key=lambda alert: (*_rank(alert), -alert.since, alert.id)
        )

    def check_invariants(self) -> None:
        """What is kept is bounded, and every alert has the times of its state."""
        assert len(self._kept) <= ALERTS_MAX
        for id, kept in self._kept.items():
            alert = kept.alert
            assert alert.id == id
            assert (alert.state == "pending") == (alert.fired == 0)
            assert (alert.state == "resolved") == (alert.resolved != 0)
            assert alert.since <= (alert.fired or alert.since) <= (alert.resolved or alert.fired or alert.since)


def id_of(rule: str, subject: str) -> str:
    """The same for a rule and a subject, at every tracker."""
    return signature_of(f"{rule}\0{subject}".encode()).hex()[:16]


def _rank(alert: Alert) -> tuple[int, bool]:
    return _ORDER[alert.state], alert.severity != "critical"


def _begun(id: str, one: Found, now: int) -> Alert:
    return Alert(
        id=id,
        rule=one.rule,
        severity=one.severity,
        state="pending",
        kind=one.kind,
        subject=one.subject,
        dataset=one.dataset,
        summary=one.summary,
        remedy=one.remedy,
        value=one.value,
        limit=one.limit,
        unit=one.unit,
        since=now,
        runbook=f"{RUNBOOKS}{one.rule}",
    )


def _with_values(alert: Alert, one: Found) -> Alert:
    return msgspec.structs.replace(
        alert, severity=one.severity, value=one.value, limit=one.limit, summary=one.summary, remedy=one.remedy
    )


def _grown(alert: Alert, now: int) -> Alert:
    """Firing, if it has been pending for long enough."""
    if alert.state == "pending" and now - alert.since >= TIMINGS[alert.rule].for_s:
        return msgspec.structs.replace(alert, state="firing", fired=now)
    return alert
