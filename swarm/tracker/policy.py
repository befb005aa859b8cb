"""Who may do what: rules, and what they decide. Pure: no I/O, no clock.

A rule says that a subject has a right on the datasets under a pattern; there are no rules that forbid, and what no rule
allows is refused. ``@token`` as the pattern stands for what the peer's own join token named: so tokens give what the
policy lets them give. Two things no rule can take away: trackers hold the CA's key and may do everything as it is, and
seeds read everything, since they keep everything.

Rights: whoever may publish, tag or delete may read; ``admin`` is all of them, and changing the rules themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm.errors import FullError, NotFoundError
from swarm.limits import (
    CERTIFICATE_LIFETIME_S,
    GRANT_LIFETIME_MIN_S,
    GRANT_LIFETIME_S,
    GRANT_MAX_RULES,
    NAME_CHARS,
    POLICY_RULES_MAX,
)
from swarm.log import WallTime
from swarm.names import check_pattern, covers
from swarm.principal import MEMBERS, Principal, Right, check_subject
from swarm.records import Rule

TOKEN: Final = "@token"
CHANGE_MAX_CHARS: Final = 512

# By which rights a right is had.
INCLUDED_IN: Final[dict[Right, tuple[Right, ...]]] = {
    "read": ("read", "publish", "tag", "delete", "admin"),
    "publish": ("publish", "admin"),
    "tag": ("tag", "admin"),
    "delete": ("delete", "admin"),
    "admin": ("admin",),
}


class PolicyRule(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, order=True):
    """A subject (``swarm.principal``) has a right on the datasets under a pattern (``swarm.names``), or ``@token``."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    right: Right
    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=2 * NAME_CHARS + 1)]

    def __str__(self) -> str:
        return f"{self.subject} {self.right} {self.pattern}"


class Policy(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One version of the policy: all its rules, who made it of the one before, and by what change (in words)."""

    format: Literal[1]
    serial: Annotated[int, msgspec.Meta(ge=0)]
    rules: Annotated[tuple[PolicyRule, ...], msgspec.Meta(max_length=POLICY_RULES_MAX)]
    grant_lifetime_s: Annotated[int, msgspec.Meta(ge=GRANT_LIFETIME_MIN_S, le=CERTIFICATE_LIFETIME_S)]
    by: Annotated[str, msgspec.Meta(max_length=256)]
    change: Annotated[str, msgspec.Meta(max_length=CHANGE_MAX_CHARS)]
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time


# What a new swarm begins with: members read and publish what their tokens name.
DEFAULT: Final = Policy(
    format=1,
    serial=0,
    rules=tuple(PolicyRule(MEMBERS, right, TOKEN) for right in ("read", "publish", "tag", "delete")),
    grant_lifetime_s=GRANT_LIFETIME_S,
    by="",
    change="a new swarm",
    wall_time=0,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """``why``: the rule that allows it, or what comes with the role, in words; empty if nothing allows it."""

    allowed: bool
    why: str = ""


REFUSED: Final = Decision(False)


def check_rule(rule: PolicyRule) -> PolicyRule:
    """The rule, unchanged, or UsageError."""
    check_subject(rule.subject)
    if rule.pattern != TOKEN:
        check_pattern(rule.pattern)
    return rule


def decide(policy: Policy, who: Principal, right: Right, pattern: str) -> Decision:
    """Whether ``who`` has a right on a dataset, or on everything under a pattern."""
    if who.role == "tracker":
        return Decision(True, "role tracker: it holds the key of the swarm's CA")
    if who.role == "seed" and right == "read":
        return Decision(True, "role seed: it keeps every block")
    subjects = who.subjects()
    for subject in subjects:
        for rule in policy.rules:
            if rule.subject == subject and rule.right in INCLUDED_IN[right] and _reaches(rule, who, pattern):
                named = f", and its token named {', '.join(who.token)}" if rule.pattern == TOKEN else ""
                return Decision(True, f"rule {str(rule)!r}{named}")
    return REFUSED


def may_any(policy: Policy, who: Principal, right: Right) -> bool:
    """Whether there is anything that ``who`` has a right on."""
    return bool(patterns_of(policy, who, right))


def patterns_of(policy: Policy, who: Principal, right: Right) -> tuple[str, ...]:
    """The patterns on which ``who`` has a right, none of which another covers."""
    if who.role == "tracker" or (who.role == "seed" and right == "read"):
        return ("*",)
    subjects = set(who.subjects())
    found: list[str] = []
    for rule in policy.rules:
        if rule.subject in subjects and rule.right in INCLUDED_IN[right]:
            found += _patterns(rule, who)
    return _widest(found)


def grant_rules(policy: Policy, who: Principal) -> tuple[Rule, ...]:
    """What a peer's grant says. Publishing in a grant is writing to the log; by which entries is decided at the commit.

    FullError for more than a grant holds.
    """
    written = _widest([p for right in ("publish", "tag", "delete") for p in patterns_of(policy, who, right)])
    rules = tuple(
        [Rule("read", pattern) for pattern in patterns_of(policy, who, "read")]
        + [Rule("publish", pattern) for pattern in written]
    )
    if len(rules) > GRANT_MAX_RULES:
        raise FullError(
            f"the policy gives {who} {len(rules)} patterns to read and publish, a grant holds {GRANT_MAX_RULES}: "
            "use wider patterns, such as 'scope/*'"
        )
    return rules


def is_narrower(after: Sequence[Rule], before: Sequence[Rule]) -> bool:
    """Whether something that was granted before is not granted after."""
    return any(not any(a.action == b.action and covers(a.pattern, b.pattern) for a in after) for b in before)


def what_would_allow(who: Principal, right: Right, dataset: str) -> str:
    """The command by which an admin would allow it."""
    return f"aetherfs access allow {_quoted(who.subjects()[0])} {right} {dataset}"


def added(known: Iterable[PolicyRule], rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """The rules with others added. UsageError for one that is not well-formed, FullError for too many."""
    found = tuple(dict.fromkeys([*known, *map(check_rule, rules)]))
    if len(found) > POLICY_RULES_MAX:
        raise FullError(
            f"the policy would have {len(found)} rules, the limit is {POLICY_RULES_MAX}: use groups or labels"
        )
    return found


def without(known: Sequence[PolicyRule], rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """The rules without some. NotFoundError if one of them is not there."""
    gone = frozenset(rules)
    for rule in gone.difference(known):
        raise NotFoundError(f"there is no rule {str(rule)!r}: see `aetherfs access ls`")
    return tuple(rule for rule in known if rule not in gone)


def _reaches(rule: PolicyRule, who: Principal, pattern: str) -> bool:
    return any(covers(own, pattern) for own in _patterns(rule, who))


def _patterns(rule: PolicyRule, who: Principal) -> tuple[str, ...]:
    return who.token if rule.pattern == TOKEN else (rule.pattern,)


def _widest(patterns: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for pattern in dict.fromkeys(patterns):
        if not any(covers(other, pattern) for other in found):
            found = [other for other in found if not covers(pattern, other)] + [pattern]
    return tuple(found)


def _quoted(text: str) -> str:
    return f"'{text}'" if " " in text else text
