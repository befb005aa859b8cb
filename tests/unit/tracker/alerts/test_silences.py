"""Silences in a store that several threads and trackers read and write."""

from __future__ import annotations

import threading
import time

from swarm import authority
from swarm.alert_messages import SilenceRequest
from swarm.identity import PeerKey
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.alerts.silences import FRESH_S, Silences

CA = authority.create(PeerKey(b"c" * 32), time.time())
ASKED = SilenceRequest(3600, subject="p1")
# For so long a thread may do what it must not, before another goes on.
CHANCE_S = 0.2


class SlowStore(MemoryObjectStore):
    """The first that reads an object waits with it in its hands, until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reading, self.may_go_on = threading.Event(), threading.Event()

    def get(self, key: str) -> bytes:
        found = super().get(key)
        if not self.is_reading.is_set():
            self.is_reading.set()
            assert self.may_go_on.wait(10)
        return found


def aged(silences: Silences) -> Silences:
    """They are to be read again."""
    silences._read_at -= 2 * FRESH_S
    return silences


def test_what_is_made_while_they_are_read_is_known_and_what_is_ended_is_not() -> None:
    objects, now = SlowStore(), time.time()
    silences = Silences(objects, CA)
    first = silences.add(ASKED, "user:a", now)
    made: list[str] = []

    def change() -> None:
        silences.end(first.id)
        made.append(silences.add(ASKED, "user:b", now).id)

    reading = threading.Thread(target=aged(silences).refresh, args=(now,))
    reading.start()
    assert objects.is_reading.wait(10)
    changing = threading.Thread(target=change)
    changing.start()
    changing.join(CHANCE_S)
    objects.may_go_on.set()
    reading.join()
    changing.join()
    assert [one.id for one in silences.known(now)] == made


def test_what_the_loop_goes_through_is_not_altered_by_who_makes_one() -> None:
    silences, now = Silences(MemoryObjectStore(), CA), time.time()
    silences.add(ASKED, "user:a", now)
    going_through = iter(silences._known.values())
    silences.add(ASKED, "user:b", now)
    assert len(list(going_through)) == 1
