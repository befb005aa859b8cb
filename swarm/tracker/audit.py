"""The audit in the object store: pages of events, each naming the one before it, sealed by the CA.

    swarm/audit/{serial:020}      written with put-if-absent
    swarm/forgotten               up to which page they were removed for their age

Who can write to the store but has not the CA's key can take pages away, and that shows: the page behind names the one
that is missing, and a tracker that runs knows the last that it has seen. Pages are kept for some time and in some
number; what is missing beyond that is not remarked on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm.authority import Authority
from swarm.errors import ConflictError, IntegrityError, NotFoundError
from swarm.limits import KIB, PAGE_MAX
from swarm.log import WallTime
from swarm.objects import ObjectStore
from swarm.signature import signature_of
from swarm.tracker import sealed
from swarm.tracker.auditing import EVENTS_PER_PAGE_MAX, Event

PREFIX: Final = "swarm/audit/"
FORGOTTEN_KEY: Final = "swarm/forgotten"
PAGE_MAX_BYTES: Final = 512 * KIB
# Thirteen months, and as many pages as five-second batches fill in six days without a pause.
KEPT_S: Final = 400 * 86_400
PAGES_KEPT: Final = 100_000
# Old pages that go at a time.
FORGOTTEN_AT_ONCE: Final = 100
ATTEMPTS: Final = 16


class Page(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Events that one tracker has written together. ``previous``: the signature of the page before, empty for none."""

    format: Literal[1]
    serial: Annotated[int, msgspec.Meta(ge=1)]
    previous: Annotated[bytes, msgspec.Meta(max_length=32)]
    events: Annotated[tuple[Event, ...], msgspec.Meta(min_length=1, max_length=EVENTS_PER_PAGE_MAX + 1)]
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time


class Forgotten(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Up to this page they were removed for their age: these are not missing."""

    format: Literal[1]
    serial: Annotated[int, msgspec.Meta(ge=1)]
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time


@dataclass(frozen=True, slots=True)
class Read:
    """Pages, the newest first, where to go on (0: there is no more), and what is missing, in words."""

    pages: tuple[Page, ...]
    before: int
    missing: tuple[str, ...]


class Audit:
    """Thread-safe; calls block on the store."""

    def __init__(self, objects: ObjectStore, authority: Authority) -> None:
        self._objects = objects
        self._authority = authority
        self._lock = threading.Lock()
        # The newest page that this tracker has seen, and what it hashes to.
        self._serial, self._hash = 0, b""

    def write(self, events: tuple[Event, ...], wall_now: float) -> None:
        """Append a page. It says so if the last page that was here is gone."""
        with self._lock:
            for _ in range(ATTEMPTS):
                gone = self._advance()
                told = events
                if gone:
                    told = (*events, Event(int(wall_now), "tracker", "missing", gone, "it was there before", 1))
                page = Page(1, self._serial + 1, self._hash, told, int(wall_now))
                data = sealed.seal(self._authority.key, page)
                if self._objects.put_if_absent(page_key(page.serial), data):
                    self._serial, self._hash = page.serial, signature_of(data)
                    return
        raise ConflictError("others write to the audit all the time: it is tried again")

    def read(self, before: int, pages_max: int) -> Read:
        """Pages before a serial (0: from the newest on)."""
        with self._lock:
            gone = self._advance()
            newest = self._serial
        missing = [f"{gone} is gone, which this tracker has seen"] if gone else []
        found: list[Page] = []
        serial, expected = (before - 1 if before else newest), b""
        oldest = self._oldest()
        while serial >= oldest and len(found) < pages_max:
            page, is_whole = self._page(serial, expected)
            if page is None or not is_whole:
                missing.append(
                    f"page {serial} is {'gone' if page is None else 'another than the one that was written'}"
                )
            if page is not None:
                found.append(page)
            expected = page.previous if page is not None else b""
            serial -= 1
        at_end, forgotten = serial < oldest, self._forgotten()
        if at_end and found and found[-1].serial > forgotten + 1:
            missing.append(f"pages {forgotten + 1} to {found[-1].serial - 1} are gone")
        return Read(tuple(found), 0 if at_end else serial + 1, tuple(missing))

    def forget(self, wall_now: float) -> int:
        """Remove some of what is older than pages are kept: how many went."""
        old: list[str] = []
        for key in self._objects.list(PREFIX, limit=FORGOTTEN_AT_ONCE):
            page, _ = self._page(_serial_of(key), b"")
            if not (page is None or page.wall_time + KEPT_S < wall_now or _serial_of(key) <= self._serial - PAGES_KEPT):
                break
            old.append(key)
        if old:
            upto = max(_serial_of(old[-1]), self._forgotten())
            self._objects.put(FORGOTTEN_KEY, sealed.seal(self._authority.key, Forgotten(1, upto, int(wall_now))))
        for key in old:
            self._objects.delete(key)
        return len(old)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _advance(self) -> str:
        """Know the newest page. The name of the last one that was known, if it is not there any more."""
        known = self._serial
        is_gone = known and not self._objects.list(page_key(known), limit=1)
        newest = ""
        while keys := self._objects.list(PREFIX, after=newest or (page_key(known) if known else ""), limit=PAGE_MAX):
            newest = keys[-1]
        if newest:
            self._serial, self._hash = _serial_of(newest), signature_of(self._objects.get(newest))
        return f"page {known}" if is_gone else ""

    def _page(self, serial: int, expected: bytes) -> tuple[Page | None, bool]:
        """A page, None if it is not there; and whether it is the one that the next names."""
        key = page_key(serial)
        try:
            data = self._objects.get(key)
        except NotFoundError:
            return None, False
        try:
            # Pages name one another, so the next online key cannot seal them anew when one was stolen.
            page = sealed.unseal(
                data, Page, authority=self._authority.trust, key=key, limit_bytes=PAGE_MAX_BYTES, is_vouched=True
            )
        except IntegrityError:
            return None, False
        return page, page.serial == serial and (not expected or signature_of(data) == expected)

    def _oldest(self) -> int:
        return next((_serial_of(key) for key in self._objects.list(PREFIX, limit=1)), 1)

    def _forgotten(self) -> int:
        """Up to which page a tracker has removed them for their age."""
        try:
            data = self._objects.get(FORGOTTEN_KEY)
            return sealed.unseal(data, Forgotten, authority=self._authority.trust, key=FORGOTTEN_KEY).serial
        except (NotFoundError, IntegrityError):
            return 0


def page_key(serial: int) -> str:
    return f"{PREFIX}{serial:020}"


def pages_of(read: Read) -> Iterator[tuple[int, Event]]:
    """The events of pages, the newest first, with the serial of their page."""
    for page in read.pages:
        for event in reversed(page.events):
            yield page.serial, event


def _serial_of(key: str) -> int:
    number = key.removeprefix(PREFIX)
    if not (number.isascii() and number.isdigit() and len(number) == 20):
        raise IntegrityError(f"{key[:80]!r} is no page of the audit: remove it from the object store")
    return int(number)
