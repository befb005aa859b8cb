"""What was refused lately, by a number that the refused one is told: so that it can ask why, and an admin can look.

Kept in memory and bounded, by number and by what the refused ones take: the oldest goes first. What is told is only
what the asker may know: whether a rule lets it do what it asked for, not whether what it asked for is there.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from swarm.errors import AetherError, HiddenError, NotAllowedError, NotFoundError, NotSignedInError
from swarm.limits import MIB
from swarm.principal import Principal, Right

PREFIX: Final = "d-"
KEPT_MAX: Final = 4096
# Of all who were refused. One with as many and as long groups as an issuer may name takes some 20 KB, or four
# times that where these are written in another alphabet.
REFUSED_MAX_BYTES: Final = 4 * MIB
_ID_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class Denial:
    """Who was refused what, and when (wall seconds). ``pattern`` is a dataset, or what the right would reach over."""

    id: str
    who: Principal
    right: Right
    pattern: str
    wall_time: int


@dataclass(slots=True)
class _Refused:
    """Somebody, what he takes in memory, and how many denials name him."""

    who: Principal
    size_bytes: int
    denials: int = 0


class DeniedError(NotAllowedError):
    """The policy does not give this right."""

    def __init__(self, message: str, right: Right) -> None:
        super().__init__(message)
        self.right = right


class Denials:
    """The last ones. Who is refused again and again is kept once."""

    def __init__(
        self, rng: random.Random, kept_max: int = KEPT_MAX, refused_max_bytes: int = REFUSED_MAX_BYTES
    ) -> None:
        self._rng = rng
        self._kept_max = kept_max
        self._refused_max_bytes = refused_max_bytes
        self._kept: OrderedDict[str, Denial] = OrderedDict()
        self._refused: dict[Principal, _Refused] = {}
        self._refused_bytes = 0

    def add(self, who: Principal, right: Right, pattern: str, wall_now: float) -> Denial:
        """Remember one."""
        refused = self._refused.get(who)
        if refused is None:
            refused = self._refused[who] = _Refused(who, _bytes_of(who))
            self._refused_bytes += refused.size_bytes
        refused.denials += 1
        denial = Denial(f"{PREFIX}{self._rng.getrandbits(_ID_BITS):012x}", refused.who, right, pattern, int(wall_now))
        self._kept[denial.id] = denial
        while len(self._kept) > self._kept_max or (
            self._refused_bytes > self._refused_max_bytes and len(self._kept) > 1
        ):
            self._forget(self._kept.popitem(last=False)[1])
        return denial

    def _forget(self, denial: Denial) -> None:
        refused = self._refused[denial.who]
        refused.denials -= 1
        if not refused.denials:
            del self._refused[denial.who]
            self._refused_bytes -= refused.size_bytes

    def find(self, denial_id: str) -> Denial:
        """NotFoundError for one that is forgotten, or was never."""
        found = self._kept.get(denial_id)
        if found is None:
            raise unknown(denial_id)
        return found


def _bytes_of(who: Principal) -> int:
    several = (who.groups, who.labels, who.token)
    texts = (who.name, who.role, *(text for texts in several for text in texts))
    return sum(map(sys.getsizeof, (who, *several, *texts)))


def unknown(denial_id: str) -> NotFoundError:
    """What is said of a denial that is not there, and of one that is another's."""
    return NotFoundError(f"no denial {denial_id[:40]!r} is remembered here: repeat what was refused, then ask again")


def numbered(error: HiddenError | DeniedError, denial: Denial) -> AetherError:
    """The same refusal with the denial's number, and how to ask for it. Who is not known is asked who he is."""
    kind: type[AetherError] = HiddenError if isinstance(error, HiddenError) else NotAllowedError
    if denial.who.kind == "anonymous":
        kind = NotSignedInError
    told = kind(f"{error}; `aetherfs access explain {denial.id}` says why")
    told.denial = denial.id
    return told


def not_allowed(who: Principal, right: Right, pattern: str) -> DeniedError:
    """The refusal of what somebody may know of and not do."""
    if who.kind == "anonymous":
        return DeniedError("this needs a certificate of the swarm or a login: join it first, or log in", right)
    where = "the swarm" if pattern == "*" else pattern
    doing = {"admin": "administrate", "tag": "move tags of", "delete": "remove tags of", "publish": "publish to"}
    return DeniedError(f"{_named(who)} may not {doing.get(right, right)} {where}", right)


def _named(who: Principal) -> str:
    return f"{who.kind} {who.name[:12] if who.kind == 'peer' else who.name}"
