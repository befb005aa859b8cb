"""What `aetherfs doctor` finds: a line a check, with what to do about it; and how a tracker tries a peer's port."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# ``skip``: there is nothing to look at here.
Health = Literal["ok", "warn", "fail", "skip"]


class Finding(msgspec.Struct, frozen=True):
    """What one check found: in words, and the ``remedy`` unless it is ok."""

    check: str
    state: Health
    found: str
    remedy: str = ""


class Findings(msgspec.Struct, frozen=True):
    """All of them. ``agent``: the process that runs on this home was asked."""

    findings: tuple[Finding, ...]
    agent: bool = True


class DialRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Try to reach the asker at this port of the address that it is seen at."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class DialAnswer(msgspec.Struct, frozen=True):
    """Whether the asker itself answered there, and at which address it is seen."""

    reached: bool
    address: str
