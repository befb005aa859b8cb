"""Silences: alerts that somebody knows of and does not want to be told of for a while.

    swarm/silences/{id}      sealed with the CA key, so that every tracker takes them and nobody else makes one

They are read again every minute; who makes or ends one is heard at once by its own tracker. Reading, making and ending
take turns, for what was read before one was made or ended does not know of it.
"""

from __future__ import annotations

import fnmatch
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated, Final, Literal

import msgspec

from swarm.alert_messages import RULES, SILENCES_MAX, Alert, Comment, Silence, SilenceRequest, Subject
from swarm.authority import Authority
from swarm.claims import keys_below
from swarm.errors import FullError, IntegrityError, NotFoundError, UsageError
from swarm.log import WallTime
from swarm.objects import ObjectStore
from swarm.tracker import sealed

PREFIX: Final = "swarm/silences/"
FRESH_S: Final = 60.0
ID: Final = re.compile(r"[0-9a-f]{16}")


class KeptSilence(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """As it is written down."""

    format: Literal[1]
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    rule: Annotated[str, msgspec.Meta(max_length=64)]
    subject: Subject
    until: WallTime
    by: Annotated[str, msgspec.Meta(max_length=160)]
    comment: Comment
    made: WallTime

    @property
    def sealed_at(self) -> int:
        return self.made

    def told(self) -> Silence:
        return Silence(self.id, self.rule, self.subject, self.until, self.by, self.comment)


class Silences:
    """Those in the store, as last read. ``known`` is for the event loop, all else blocks on the store: for threads."""

    def __init__(self, objects: ObjectStore, authority: Authority) -> None:
        self._objects, self._authority = objects, authority
        # Replaced and never altered, so that the loop may go through it at any time.
        self._known: Mapping[str, Silence] = {}
        self._turn = threading.Lock()
        self._read_at = float("-inf")

    def known(self, wall_now: float) -> tuple[Silence, ...]:
        """Those that count now, the one that ends first first."""
        counting = (silence for silence in self._known.values() if silence.until > wall_now)
        return tuple(sorted(counting, key=lambda silence: (silence.until, silence.id)))[:SILENCES_MAX]

    def refresh(self, wall_now: float) -> None:
        """Read what other trackers have written, if that was a while ago; remove what has ended."""
        with self._turn:
            if time.monotonic() - self._read_at >= FRESH_S:
                self._read(wall_now)

    def _read(self, wall_now: float) -> None:
        found: dict[str, Silence] = {}
        for key in islice(keys_below(self._objects, PREFIX), 2 * SILENCES_MAX):
            try:
                data = self._objects.get(key)
                kept = sealed.unseal(data, KeptSilence, authority=self._authority.trust, key=key)
            except (IntegrityError, NotFoundError):
                continue  # written by no tracker, or ended a moment ago: it silences nothing
            if kept.until <= wall_now or key != PREFIX + kept.id:
                self._objects.delete(key)
            else:
                found[kept.id] = kept.told()
        self._known, self._read_at = found, time.monotonic()

    def add(self, asked: SilenceRequest, by: str, wall_now: float) -> Silence:
        """Make one. UsageError for one of everything or of an unknown rule, FullError for one too many."""
        if not asked.rule and asked.subject.strip("*") == "":
            raise UsageError("a silence names a rule or a subject: all alerts at once are not silenced")
        if asked.rule and asked.rule not in RULES:
            raise UsageError(f"{asked.rule[:64]!r} is no rule: there are {', '.join(RULES)}")
        self.refresh(wall_now)
        if len(self.known(wall_now)) >= SILENCES_MAX:
            raise FullError(f"there are {SILENCES_MAX} silences: end one first")
        until = int(wall_now) + asked.for_s
        made = KeptSilence(
            1, secrets.token_hex(8), asked.rule, asked.subject, until, by[:160], asked.comment, int(wall_now)
        )
        with self._turn:
            self._objects.put(PREFIX + made.id, sealed.seal(self._authority.key, made))
            self._known = {**self._known, made.id: made.told()}
        return made.told()

    def end(self, id: str) -> Silence:
        """The one that was ended; NotFoundError if there is none."""
        with self._turn:
            if ID.fullmatch(id) and id not in self._known:
                self._read(time.time())
            if id not in self._known:
                raise NotFoundError(f"there is no silence {id[:64]!r}: `aetherfs alerts` lists them")
            self._objects.delete(PREFIX + id)
            ended = self._known[id]
            self._known = {each: silence for each, silence in self._known.items() if each != id}
            return ended


def silenced(alerts: Iterable[Alert], silences: Iterable[Silence]) -> list[Alert]:
    """The alerts, with the silence of each that one covers."""
    known = [(silence, re.compile(fnmatch.translate(_literal(silence.subject)))) for silence in silences]

    def of(alert: Alert) -> str:
        for silence, pattern in known:
            is_rule = not silence.rule or silence.rule == alert.rule
            if is_rule and (not silence.subject or pattern.match(alert.subject)):
                return silence.id
        return ""

    return [msgspec.structs.replace(alert, silenced=id) if (id := of(alert)) else alert for alert in alerts]


def _literal(subject: str) -> str:
    """Only a star stands for anything."""
    return subject.replace("[", "[[]").replace("?", "[?]")
