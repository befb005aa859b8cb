"""What members ask trackers about keep rules, quotas and purges, and what they are answered. JSON."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from swarm.limits import DATASET_MAX_BYTES
from swarm.retention import AGE_MAX_S, LAST_MAX, PINS_MAX

MEMBERS_TOLD_MAX: Final = 10_000

Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class KeepRequest(msgspec.Struct, frozen=True):
    """A change of a dataset's keep rule: what is None stays. ``clear`` removes it first; pins stay."""

    last: Annotated[int, msgspec.Meta(ge=1, le=LAST_MAX)] | None = None
    age_s: Annotated[int, msgspec.Meta(ge=0, le=AGE_MAX_S)] | None = None
    clear: bool = False
    pin: Hex | None = None
    unpin: Hex | None = None


class KeepAnswer(msgspec.Struct, frozen=True):
    """The rule that counts; ``serial`` 0 if there was never one."""

    dataset: str
    serial: int
    last: int | None
    age_s: int | None
    pinned: Annotated[tuple[Hex, ...], msgspec.Meta(max_length=PINS_MAX)]


class QuotaRequest(msgspec.Struct, frozen=True):
    """The bytes that a scope may take; None for as many as there are."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=DATASET_MAX_BYTES)] | None = None


class QuotaAnswer(msgspec.Struct, frozen=True):
    scope: str
    bytes: int | None


class PurgeRequest(msgspec.Struct, frozen=True):
    """Why a version has to go: for the record."""

    reason: Annotated[str, msgspec.Meta(max_length=256)] = ""


class PurgeAnswer(msgspec.Struct, frozen=True):
    """An order to purge, and which members have said that they keep nothing of the version, and which not: peer ids.

    ``claimed_until``: a commit that had begun before the order may still point a tag to the version (wall seconds).
    """

    dataset: str
    version: Hex
    wall_time: int
    reason: str
    confirmed: Annotated[tuple[str, ...], msgspec.Meta(max_length=MEMBERS_TOLD_MAX)]
    unconfirmed: Annotated[tuple[str, ...], msgspec.Meta(max_length=MEMBERS_TOLD_MAX)]
    claimed_until: int | None = None


class PurgedRequest(msgspec.Struct, frozen=True):
    """A member says that it keeps nothing of the version, but for directories that it was pulled into: these are the
    user's, and are no longer served.
    """

    directories: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 0
