"""What the webhook is still to be told, and when. Pure.

Not a queue of events but a comparison: what the webhook took last, and what is so now. So nothing grows while it does
not answer, an alert that came and went meanwhile is told of at most once, and the next message says all that is new.
What fires is said again every REPEAT_S. Between tries there is a pause that doubles; between messages there is one too.

Of several trackers one tells. Who begins to tell says all that fires, and of what was over lately that it is: nobody
knows whether the one before got to say so. Who tells no more still says the end of whatever it told.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from swarm.alert_messages import Alert, Notification

REPEAT_S: Final = 4 * 3600.0
PAUSE_S: Final = 5.0
RETRY_S: Final = 5.0
RETRY_MAX_S: Final = 300.0
ALERTS_TOLD_MAX: Final = 64
# For so long the one who told before may have tried in vain to say that something is over.
LATELY_S: Final = 2 * RETRY_MAX_S


@dataclass(frozen=True, slots=True)
class _Told:
    """An alert that the webhook took as firing since ``fired``, last at ``at`` (monotonic)."""

    fired: int
    at: float


class Notices:
    """Of one tracker. ``due`` says what to send, ``taken`` and ``failed`` what became of it; ``now`` is monotonic."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._told: dict[str, _Told] = {}
        self._not_before = 0.0
        self._pause_s = RETRY_S
        self._is_teller = False
        self.sent = self.dropped = 0

    def due(self, alerts: Iterable[Alert], now: float, wall_now: float, *, is_teller: bool = True) -> tuple[Alert, ...]:
        """What to send now, nothing if it can wait. What is silenced is not told of, its end is."""
        known = list(alerts)
        self._forget(known)
        if is_teller and not self._is_teller:
            self._take_over(known, wall_now)
        self._is_teller = is_teller
        if now < self._not_before:
            return ()
        return tuple(alert for alert in known if self._is_news(alert, now))[:ALERTS_TOLD_MAX]

    def _take_over(self, known: Sequence[Alert], wall_now: float) -> None:
        """Take everything that fires for never told, and what is over lately for told."""
        self._told = {id: _Told(told.fired, float("-inf")) for id, told in self._told.items()}
        for alert in known:
            if alert.state == "resolved" and wall_now - alert.resolved < LATELY_S:
                self._told.setdefault(alert.id, _Told(alert.fired, float("-inf")))

    def _is_news(self, alert: Alert, now: float) -> bool:
        told = self._told.get(alert.id)
        if alert.state == "firing":
            is_new = told is None or told.fired != alert.fired or now - told.at >= REPEAT_S
            return is_new and self._is_teller and not alert.silenced
        return alert.state == "resolved" and told is not None

    def _forget(self, known: Sequence[Alert]) -> None:
        """Whatever the webhook was told of and that is not there any more: nobody can say now that it is resolved."""
        ids = {alert.id for alert in known}
        for id in [id for id in self._told if id not in ids]:
            del self._told[id]
            self.dropped += 1

    def taken(self, alerts: Iterable[Alert], now: float) -> None:
        """The webhook has taken these."""
        for alert in alerts:
            if alert.state == "firing":
                self._told[alert.id] = _Told(alert.fired, now)
            else:
                self._told.pop(alert.id, None)
        self.sent += 1
        self._pause_s, self._not_before = RETRY_S, now + PAUSE_S

    def failed(self, now: float) -> None:
        """It has not: try again, with all that is so by then."""
        self._not_before = now + self._pause_s * self._rng.uniform(0.75, 1.25)
        self._pause_s = min(RETRY_MAX_S, 2 * self._pause_s)


def notification(alerts: Sequence[Alert], external_url: str) -> Notification:
    """The body of one message."""
    is_firing = any(alert.state == "firing" for alert in alerts)
    rules = {alert.rule for alert in alerts}
    common = {"alertname": next(iter(rules))} if len(rules) == 1 else {}
    return Notification(
        receiver="aetherfs",
        status="firing" if is_firing else "resolved",
        alerts=tuple(_as_alertmanager(alert, external_url) for alert in alerts),
        group_labels={"service": "aetherfs"},
        common_labels={"service": "aetherfs", **common},
        common_annotations={},
        external_url=external_url,
        group_key='{}:{service="aetherfs"}',
    )


def _as_alertmanager(alert: Alert, external_url: str) -> dict[str, Any]:
    labels = {
        "alertname": alert.rule,
        "service": "aetherfs",
        "severity": alert.severity,
        "kind": alert.kind,
        "subject": alert.subject,
    }
    # Whoever is paged often sees this line alone.
    summary = f"{alert.subject}: {alert.summary}"
    told = {"summary": summary, "description": alert.remedy, "runbook_url": external_url + alert.runbook}
    return {
        "status": alert.state,
        "labels": {**labels, **({"dataset": alert.dataset} if alert.dataset else {})},
        "annotations": told,
        "startsAt": _moment(alert.fired),
        "endsAt": _moment(alert.resolved),
        "generatorURL": f"{external_url}/ui/alerts" if external_url else "",
        "fingerprint": alert.id,
    }


def _moment(wall: int) -> str:
    """RFC 3339; year 1 for what has not happened, as Alertmanager has it."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if wall else "0001-01-01T00:00:00Z"
