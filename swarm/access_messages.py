"""What trackers are asked about the policy, members and the audit, and what they answer. JSON."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swarm.limits import (
    CERTIFICATE_LIFETIME_S,
    GRANT_LIFETIME_MIN_S,
    NAME_CHARS,
    PAGE_MAX,
    PATTERNS_MAX,
    POLICY_RULES_MAX,
)
from swarm.messages import Labels
from swarm.principal import Right

CHANGES_MAX = 64

Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=2 * NAME_CHARS + 1)]


class RuleItem(msgspec.Struct, frozen=True):
    """One rule of the policy: see ``swarm.tracker.policy``."""

    subject: Subject
    right: Right
    pattern: Pattern


class AccessRequest(msgspec.Struct, frozen=True):
    """A change of the policy: all of it in one version, or none."""

    allow: Annotated[tuple[RuleItem, ...], msgspec.Meta(max_length=CHANGES_MAX)] = ()
    remove: Annotated[tuple[RuleItem, ...], msgspec.Meta(max_length=CHANGES_MAX)] = ()
    grant_lifetime_s: Annotated[int, msgspec.Meta(ge=GRANT_LIFETIME_MIN_S, le=CERTIFICATE_LIFETIME_S)] | None = None


class AccessAnswer(msgspec.Struct, frozen=True):
    """The policy. ``recalled``: from how many members the change has taken something. ``changed``: it is new."""

    serial: int
    grant_lifetime_s: int
    rules: Annotated[tuple[RuleItem, ...], msgspec.Meta(max_length=POLICY_RULES_MAX)]
    recalled: int = 0
    changed: bool = False


class PolicyItem(msgspec.Struct, frozen=True):
    """One version of the policy, for people."""

    serial: int
    wall_time: int
    by: str
    change: str
    rules: int


class PolicyHistory(msgspec.Struct, frozen=True):
    """Versions, the newest first."""

    versions: Annotated[tuple[PolicyItem, ...], msgspec.Meta(max_length=PAGE_MAX)]


class ExplainAnswer(msgspec.Struct, frozen=True):
    """Whether somebody may do something, why (the deciding rule), and what would allow it, if nothing does.

    ``subjects`` are those under which rules mean it. ``at`` (wall seconds): when it was refused, 0 for a question.
    """

    who: str
    right: Right
    dataset: str
    allowed: bool
    why: str
    remedy: str
    subjects: tuple[str, ...]
    at: int = 0


class MemberItem(msgspec.Struct, frozen=True):
    """A member, for people."""

    peer: str
    role: str
    site: str
    datasets: tuple[str, ...]
    labels: tuple[str, ...]
    joined: int


class MembersAnswer(msgspec.Struct, frozen=True):
    """A page of members; ``next`` is the cursor of the next page, empty at the end."""

    members: Annotated[tuple[MemberItem, ...], msgspec.Meta(max_length=PAGE_MAX)]
    next: str


class MemberRequest(msgspec.Struct, frozen=True):
    """What a member's token is to have named; what is None stays."""

    datasets: Annotated[tuple[Pattern, ...], msgspec.Meta(max_length=PATTERNS_MAX)] | None = None
    labels: Labels | None = None


class AuditItem(msgspec.Struct, frozen=True):
    """One thing that was done, or refused, ``count`` times until ``wall_time``."""

    serial: int
    wall_time: int
    actor: str
    action: str
    subject: str
    detail: str
    count: int


class AuditAnswer(msgspec.Struct, frozen=True):
    """A page of the audit, the newest first; ``before`` is where the next page begins, 0 at the end.

    ``missing``: what is no longer as it was written, in words.
    """

    events: tuple[AuditItem, ...]
    before: int
    missing: tuple[str, ...] = ()
