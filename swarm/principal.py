"""Who asks: a person, a service or a peer, and the texts under which the policy's rules mean it.

    user:alice  service:ci  group:ops  peer:<peer id>  label:site=paris  members (every peer)  anyone

Who makes one has proved its name: a password, a bearer token or a certificate. Groups and labels come from whoever
proved it, never from the asker itself. Nobody known is ``ANONYMOUS``. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from swarm.errors import UsageError
from swarm.identity import public_of

# What one may do with a dataset. Moving a tag to a version that is there is ``tag``, removing one ``delete``.
Right = Literal["read", "publish", "tag", "delete", "admin"]
RIGHTS: Final[tuple[Right, ...]] = ("read", "publish", "tag", "delete", "admin")
Kind = Literal["user", "service", "peer", "anonymous"]
MEMBERS: Final = "members"
ANYONE: Final = "anyone"
# What OIDC issuers call people and groups fits: mail addresses, paths, words with spaces.
SUBJECT_NAME_CHARS: Final = 128
GROUPS_MAX: Final = 128
LABELS_MAX: Final = 16
_LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}=[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose name is proved. ``name`` is a peer id where ``kind`` is ``peer``; a label is ``key=value``.

    Of a peer also its ``role`` and the dataset patterns that its join ``token`` named.
    """

    kind: Kind
    name: str
    groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    role: str = ""
    token: tuple[str, ...] = ()

    def subjects(self) -> tuple[str, ...]:
        """The subjects of rules that mean this principal, the narrowest first."""
        if self.kind == "anonymous":
            return (ANYONE,)
        groups = tuple(f"group:{group}" for group in self.groups)
        labels = tuple(f"label:{label}" for label in self.labels)
        members = (MEMBERS,) if self.kind == "peer" else ()
        return (f"{self.kind}:{self.name}", *groups, *labels, *members, ANYONE)

    def __str__(self) -> str:
        return ANYONE if self.kind == "anonymous" else f"{self.kind}:{self.name}"


ANONYMOUS: Final = Principal("anonymous", "")


def check_subject(text: str) -> str:
    """The subject of a rule, unchanged, or UsageError."""
    kind, colon, name = text.partition(":")
    if text in (MEMBERS, ANYONE):
        return text
    if not colon or kind not in ("user", "service", "group", "peer", "label"):
        raise UsageError(
            f"{text[:80]!r} is not a subject: write user:NAME, service:NAME, group:NAME, peer:ID, label:KEY=VALUE, "
            f"{MEMBERS} or {ANYONE}"
        )
    if kind == "peer":
        public_of(name)
    elif kind == "label":
        check_label(name)
    else:
        check_subject_name(name, kind)
    return text


def check_subject_name(text: str, what: str = "name") -> str:
    """The name of a user, a service or a group, unchanged, or UsageError."""
    if not (1 <= len(text) <= SUBJECT_NAME_CHARS and text.isprintable() and text == text.strip()):
        raise UsageError(f"{text[:80]!r} is not a {what}: 1 to {SUBJECT_NAME_CHARS} printable characters")
    return text


def check_label(text: str) -> str:
    """A label ``key=value``, unchanged, or UsageError."""
    if not _LABEL.fullmatch(text):
        raise UsageError(
            f"{text[:80]!r} is not a label: write key=value, the key of a-z, 0-9, '.', '_', '-' (32 at most), "
            "the value of letters, digits, '.', '_', '-' (64 at most)"
        )
    return text


def check_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of one peer, unchanged, or UsageError. Its site is a label that has an option of its own."""
    keys = [check_label(label).partition("=")[0] for label in labels]
    if len(set(keys)) != len(keys) or "site" in keys:
        raise UsageError("a label is given once, and the site with --site")
    if len(keys) > LABELS_MAX:
        raise UsageError(f"{len(keys)} labels are given, the limit is {LABELS_MAX}")
    return labels
