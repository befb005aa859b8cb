"""Calls to S3: a bounded number at a time, each tried again while that may help, its failure told as one of ours.

boto3 itself tries once. So a write whose answer was lost is known as such here, where it can be looked after.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from swarm.objects.s3_failures import FOREIGN, failure, is_passing

# Connections to the server, and calls under way: whoever comes then waits.
CALLS_MAX: Final = 16
TRIES_MAX: Final = 6
# No try begins later than this after the first.
TRY_FOR_S: Final = 30.0
# The pause before try n + 1 is drawn from up to FIRST_PAUSE_S * 2**n: whoever failed together does not come together.
FIRST_PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0

T = TypeVar("T")


class Calls:
    """Makes the calls of one store. Thread-safe."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(CALLS_MAX)
        self._closed = threading.Event()
        self._rng = random.Random()

    def __call__(self, what: str, call: Callable[[], T], *, tries: int = TRIES_MAX) -> T:
        """What ``call`` gives. ``what`` begins the message of the error that is raised when all tries failed."""
        last_at = time.monotonic() + TRY_FOR_S
        for number in range(1, tries + 1):
            try:
                with self._slots:
                    return call()
            except FOREIGN as error:
                is_last = number == tries or not is_passing(error) or time.monotonic() > last_at
                if is_last or self._closed.wait(self._pause_s(number)):
                    raise failure(what, error) from error
        raise AssertionError("the last try returns or raises")

    def _pause_s(self, number: int) -> float:
        return self._rng.uniform(0, min(PAUSE_MAX_S, FIRST_PAUSE_S * 2**number))

    def close(self) -> None:
        """Try nothing again from now on: who waits for another try fails at once."""
        self._closed.set()
