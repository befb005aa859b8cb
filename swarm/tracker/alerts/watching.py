"""Goes through the rules every few seconds, keeps the alerts of this tracker, and tells the webhook of them.

Every tracker decides by itself, so each can be asked. The webhook is told by the one that members prefer, the oldest
that is listed and answers, since peers announce there; when that one is gone the next tells again whatever fires. So a
receiver may hear of an alert twice, with the same ``fingerprint``, and never not at all. What ends while no
tracker runs has no end there: books are not kept.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from swarm.alert_messages import ALERTS_MAX, RULES, Alert, AlertsAnswer, WebhookState
from swarm.errors import AetherError, UnreachableError
from swarm.tracker.alerts.bad_blocks import BadBlocks
from swarm.tracker.alerts.book import Book
from swarm.tracker.alerts.drawing import draw
from swarm.tracker.alerts.notices import Notices, notification
from swarm.tracker.alerts.picture import Picture
from swarm.tracker.alerts.rules import found_in
from swarm.tracker.alerts.silences import Silences, silenced

if TYPE_CHECKING:
    from swarm.metrics import Metrics
    from swarm.tracker.alerts.webhook import Webhook
    from swarm.tracker.state import TrackerState

LOOK_S: Final = 5.0
OFFLOAD_TARGET: Final = 0.8
# A tracker that has not answered for so long tells the webhook of nothing.
TELLER_GONE_S: Final = 15.0

log = logging.getLogger("aetherfs.alerts")


@dataclass(frozen=True, slots=True)
class Alerting:
    """What an operator has set."""

    webhook: Webhook | None = None
    offload_target: float = OFFLOAD_TARGET


class Watching:
    """The alerts of one tracker."""

    def __init__(self, state: TrackerState, alerting: Alerting) -> None:
        self._state, self._alerting = state, alerting
        self.book = Book()
        self.silences = Silences(state.objects, state.keys.authority)
        self._notices = Notices(random.Random(state.rng.getrandbits(64)))
        self.picture = Picture(0.0, float(state.interval_s), alerting.offload_target)
        self._bad = BadBlocks()
        self._failure = ""
        # Of the last look: why it found nothing.
        self.defect = self._said = ""
        self._sent_last = 0
        self._states: dict[str, str] = {}
        self._reading: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        _add_metrics(state.metrics, self)

    async def run(self) -> None:
        """Look until cancelled. What hangs at the store or the webhook holds no look up, a defect ends but one."""
        try:
            while True:
                try:
                    self.look(time.monotonic(), time.time())
                    self.defect = ""
                except Exception as error:
                    self._failed("a look at the swarm", error)
                await asyncio.sleep(LOOK_S)
        finally:
            begun = [task for task in (self._reading, self._sending) if task is not None]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    def _failed(self, what: str, error: Exception) -> None:
        """A defect of ours: said once in the log as long as it stays the same, and by /readyz while looks fail."""
        said = f"{type(error).__name__}: {error}"
        if said != self._said:
            log.error("a defect ended %s for alerts: %s", what, said, exc_info=error)
        self._said = said
        if what == "a look at the swarm":
            self.defect = said

    def look(self, now: float, wall_now: float) -> None:
        """One look at the swarm, and at what is to be told of it."""
        self._state.pushes.ask()
        self.picture = draw(self._state, self._bad, self._alerting.offload_target, wall_now)
        self.book.take(found_in(self.picture), wall_now)
        self._tell_changes()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(wall_now))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(now, wall_now))

    def alerts(self, wall_now: float) -> list[Alert]:
        """All, with their silences."""
        return silenced(self.book.alerts(), self.silences.known(wall_now))

    def answer(self, wall_now: float, may_see: Callable[[Alert], bool], *, is_admin: bool) -> AlertsAnswer:
        """What one who asks is told."""
        alerts = [alert for alert in self.alerts(wall_now) if may_see(alert)]
        silences = self.silences.known(wall_now) if is_admin else ()
        hook = self.webhook_state() if is_admin else WebhookState()
        return AlertsAnswer(tuple(alerts[:ALERTS_MAX]), silences, self.book.looked, len(alerts), hook)

    def webhook_state(self) -> WebhookState:
        hook = self._alerting.webhook
        if hook is None:
            return WebhookState()
        return WebhookState(True, hook.shown, self._notices.sent, self._notices.dropped, self._sent_last, self._failure)

    def _tell_changes(self) -> None:
        now = {alert.id: alert.state for alert in self.book.alerts()}
        for alert in self.book.alerts():
            if alert.state != "pending" and self._states.get(alert.id) != alert.state:
                log.warning("%s is %s: %s: %s", alert.rule, alert.state, alert.subject, alert.summary)
                self._happened(alert)
        self._states = {id: state for id, state in now.items() if state != "pending"}

    def _happened(self, alert: Alert) -> None:
        """It is one of the swarm's events too."""
        is_firing = alert.state == "firing"
        dataset, _, tag = alert.subject.rpartition(":") if alert.kind == "rollout" else (alert.dataset, "", "")
        self._state.figures.picture.happenings.add(
            "alert" if is_firing else "cleared",
            float(alert.fired if is_firing else alert.resolved),
            f"{alert.rule} {alert.subject}: {alert.summary if is_firing else 'over'}",
            peer=alert.subject if alert.kind == "peer" and alert.subject != "others" else "",
            dataset=dataset,
            tag=tag,
            severity=alert.severity if is_firing else "info",
            occasion=alert.id,
        )

    async def _read(self, wall_now: float) -> None:
        try:
            await self._state.work(self.silences.refresh, wall_now)
        except AetherError as error:
            log.info("silences are not read now: %s", error)
        except Exception as error:
            self._failed("reading silences", error)

    async def _send(self, now: float, wall_now: float) -> None:
        try:
            await self._tell(now, wall_now)
        except Exception as error:
            self._failed("telling the webhook", error)
            self._failure = f"a defect here: {type(error).__name__}, see this tracker's log"
            self._notices.failed(time.monotonic())

    async def _tell(self, now: float, wall_now: float) -> None:
        hook = self._alerting.webhook
        if hook is None:
            return
        alerts = self._notices.due(self.alerts(wall_now), now, wall_now, is_teller=self._is_teller())
        if not alerts:
            return
        try:
            await hook.send(notification(alerts, _own_address(self._state)))
        except UnreachableError as error:
            if str(error) != self._failure:
                log.warning("%s; it is tried again", error)
            self._failure = str(error)
            self._notices.failed(time.monotonic())
        else:
            self._failure, self._sent_last = "", int(time.time())
            self._notices.taken(alerts, time.monotonic())

    def _is_teller(self) -> bool:
        """Whether nobody who comes before this tracker answers."""
        before = takewhile(lambda contact: contact.public != self._state.contact.public, self._state.trackers)
        return all(self._state.pushes.silent_s(contact.peer_id) > TELLER_GONE_S for contact in before)


def _own_address(state: TrackerState) -> str:
    return f"https://{state.contact.addresses[0]}" if state.contact.addresses else ""


def _add_metrics(metrics: Metrics, watching: Watching) -> None:
    """Of alerts, and of the picture that they are found in: which dataset or peer it is, only the alerts tell."""

    def firing() -> dict[str, float]:
        found = dict.fromkeys(RULES, 0.0)
        for alert in watching.book.alerts():
            found[alert.rule] += alert.state == "firing"
        return found

    def rollouts() -> dict[str, float]:
        seen = watching.picture.rollouts
        behind = [rollout for rollout in seen if rollout.behind and not rollout.is_stuck]
        stuck = sum(1 for rollout in seen if rollout.behind and rollout.is_stuck)
        return {"done": len(seen) - len(behind) - stuck, "running": len(behind), "stuck": stuck}

    def copies() -> float | None:
        known = [rollout.copies for rollout in watching.picture.rollouts if rollout.copies is not None]
        return min(known, default=None)

    def offload() -> float | None:
        fetched = sum(rollout.fetched_bytes for rollout in watching.picture.rollouts)
        return 1 - sum(rollout.origin_bytes for rollout in watching.picture.rollouts) / fetched if fetched else None

    metrics.levels("aetherfs_alerts_firing", "Alerts that fire, silenced ones too, by rule.", "rule", firing)
    metrics.levels("aetherfs_rollouts", "Tags that peers follow, by how their last move stands.", "state", rollouts)
    metrics.gauge(
        "aetherfs_rollout_peers_behind",
        "Peers that are not where a tag that they follow is, over all tags.",
        lambda: sum(rollout.behind for rollout in watching.picture.rollouts),
    )
    metrics.gauge(
        "aetherfs_copies_fewest", "Copies of the rarest block of a followed version, with one in the origin.", copies
    )
    metrics.gauge(
        "aetherfs_offload_ratio", "Of what consumers fetched in these rollouts, the share that peers gave.", offload
    )
    metrics.sampled(
        "aetherfs_alert_notifications_total",
        "Messages to the webhook, and alerts whose end it was not told of.",
        "result",
        lambda: {"sent": watching.webhook_state().sent, "dropped": watching.webhook_state().dropped},
    )
    metrics.gauge(
        "aetherfs_alert_webhook_up",
        "1 if the webhook took the last message; none without one.",
        lambda: float(not watching.webhook_state().failure) if watching.webhook_state().is_set else None,
    )
