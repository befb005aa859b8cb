"""What is told of alerts, as JSON: what is wrong with a swarm, since when, what to do; and how one is silenced.

    GET    /api/v1/alerts                  AlertsAnswer            who may read something; each sees what is his to see
    POST   /api/v1/alerts/silences         SilenceRequest          admins; answers with Silence
    DELETE /api/v1/alerts/silences/{id}                            admins

An alert is one rule about one subject. It is ``pending`` while its condition has not yet held for as long as the rule
wants, then ``firing``, and ``resolved`` for an hour after its condition has been gone long enough. Times are wall
seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from swarm.log import WallTime

Severity = Literal["critical", "warning"]
State = Literal["pending", "firing", "resolved"]
# The rules, by the names that Prometheus' rules and the runbooks have too (``swarm/tracker/web/runbooks``).
RULES: Final = (
    "AetherfsRolloutStalled",
    "AetherfsCopiesUnderTwo",
    "AetherfsOffloadUnderTarget",
    "AetherfsHashFailures",
    "AetherfsCertificateExpires",
    "AetherfsClockSkew",
    "AetherfsDiskNearlyFull",
    "AetherfsAnnounceLag",
    "AetherfsTrackerUnreachable",
    "AetherfsStoreUnreachable",
)
# Where a tracker shows their pages.
RUNBOOKS: Final = "/ui/runbooks/"
ALERTS_MAX: Final = 512
SILENCES_MAX: Final = 256
SUBJECT_MAX_CHARS: Final = 320
COMMENT_MAX_CHARS: Final = 512
SILENCE_MAX_S: Final = 30 * 86_400

Subject = Annotated[str, msgspec.Meta(max_length=SUBJECT_MAX_CHARS)]
Comment = Annotated[str, msgspec.Meta(max_length=COMMENT_MAX_CHARS)]


class Alert(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    ``id`` stays the same for a rule and a subject (16 hex digits). ``subject`` is what it is about: ``scope/name:tag``,
    a peer id, a tracker's address, or ``store``; ``kind`` says which. ``dataset`` is empty unless it is about one.
    ``summary`` is one sentence with the numbers, ``remedy`` what to do next. ``value`` and ``limit`` are what was
    compared, in ``unit`` (``s``, ``bytes``, ``ratio``, ``copies``, ``blocks``). ``since``: from when the condition
    holds; ``fired`` and ``resolved`` are 0 until they happened. ``silenced``: the id of a silence that covers it.
    ``runbook`` is the path of its page at a tracker.
    """

    id: str
    rule: str
    severity: Severity
    state: State
    kind: Literal["rollout", "peer", "tracker", "store", "swarm"]
    subject: Subject
    dataset: str
    summary: str
    remedy: str
    value: float
    limit: float
    unit: str
    since: WallTime
    fired: WallTime = 0
    resolved: WallTime = 0
    silenced: str = ""
    runbook: str = ""


class Silence(msgspec.Struct, frozen=True):
    """Alerts of ``rule`` (empty: of every rule) about ``subject`` (empty: about anything; ``*`` stands for any text)
    are shown as silenced, and no webhook is told of them, until ``until``."""

    id: str
    rule: str
    subject: Subject
    until: WallTime
    by: str
    comment: Comment = ""


class SilenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``for_s``: for how long. At least one of rule and subject is named."""

    for_s: Annotated[int, msgspec.Meta(ge=60, le=SILENCE_MAX_S)]
    rule: Annotated[str, msgspec.Meta(max_length=64)] = ""
    subject: Subject = ""
    comment: Comment = ""


class WebhookState(msgspec.Struct, frozen=True):
    """How telling the webhook goes. ``address`` is its host and port alone, for admins; ``sent`` counts notifications
    that were taken, ``dropped`` those given up; ``failure`` is why the last one was not taken, empty if it was."""

    is_set: bool = False
    address: str = ""
    sent: int = 0
    dropped: int = 0
    sent_last: WallTime = 0
    failure: str = ""


class AlertsAnswer(msgspec.Struct, frozen=True):
    """Firing alerts first, critical before warning, then pending, then resolved; ``total`` counts those beyond
    ALERTS_MAX too. ``looked``: when the rules were last gone through, here; older than a minute is worth saying."""

    alerts: Annotated[tuple[Alert, ...], msgspec.Meta(max_length=ALERTS_MAX)]
    silences: Annotated[tuple[Silence, ...], msgspec.Meta(max_length=SILENCES_MAX)]
    looked: WallTime
    total: int = 0
    webhook: WebhookState = WebhookState()


class Notification(msgspec.Struct, frozen=True, rename="camel"):
    """What the webhook gets: the JSON of Alertmanager's webhook, version 4, so that what reads that reads this."""

    receiver: str
    status: Literal["firing", "resolved"]
    alerts: tuple[dict[str, Any], ...]
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    external_url: Annotated[str, msgspec.Meta()] = msgspec.field(name="externalURL", default="")
    version: str = "4"
    group_key: str = ""
    truncated_alerts: int = 0
