"""Calls to S3: a bounded number at a time, each tried again while that may help, its failure told as one of ours.

boto3 itself tries once. So a write whose answer was lost is known as such here, where it can be looked after. What is
decided by how the store answers, ``weather`` decides: a store that is away is not asked, one thread looks for it, and
whoever calls meanwhile fails at once.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from swarm.errors import AetherError, NotAllowedError, UnreachableError
from swarm.objects.meter import Meter
from swarm.objects.s3_client import CALLS_MAX, Clients
from swarm.objects.s3_failures import (
    FOREIGN,
    failure,
    is_no_answer,
    is_passing,
    is_refusal,
    is_timeout,
    short_reason_of,
)
from swarm.objects.standing import HERE, Standing
from swarm.objects.weather import Weather

TRIES_MAX: Final = 6
# No try begins later than this after the first.
TRY_FOR_S: Final = 30.0
# The pause before try n + 1 is drawn from up to FIRST_PAUSE_S * 2**n: whoever failed together does not come together.
FIRST_PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
# How often is looked for a store that is away: at first, and at least.
LOOK_FIRST_S: Final = 0.5
LOOK_MAX_S: Final = 5.0

T = TypeVar("T")

log = logging.getLogger("aetherfs.objects")


@dataclass(slots=True)
class _Trial:
    """One call under way: since when, which try, what the last one cost, whether credentials were renewed for it."""

    what: str
    tries: int
    began: float
    number: int = 1
    paid: int = 0
    is_renewed: bool = False


class Calls:
    """Makes the calls of one store. Thread-safe.

    ``look`` is one request that shows whether the store is there. Without one it never counts as away, and refusals
    are told as such: that is for who opens it.
    """

    def __init__(self, where: str, clients: Clients, meter: Meter, look: Callable[[], object] | None = None) -> None:
        self._where = where
        self._clients = clients
        self._meter = meter
        self._look = look
        self._weather = Weather()
        self._rng = random.Random()
        self._changed = threading.Condition()
        self._under_way = 0
        self._is_closed = False
        self._is_looking = False

    def __call__(self, what: str, call: Callable[[], T], *, tries: int = TRIES_MAX) -> T:
        """What ``call`` gives. ``what`` begins the message of the error that is raised when all tries failed.

        UnreachableError at once while the store is away.
        """
        trial = _Trial(what, tries, time.monotonic())
        while True:
            with self._slot(what):
                generation, began = self._clients.generation, time.monotonic()
                try:
                    answer = call()
                except FOREIGN as error:
                    failed: Exception = error
                else:
                    self._answered(trial.paid)
                    return answer
            if not self._is_worth_another(trial, failed, generation, began):
                raise self._failure(what, failed) from failed
            trial.number += 1
            self._meter.retried()

    def standing(self) -> Standing:
        """Whether the store is there, and since when and why not."""
        with self._changed:
            since, why = self._weather.away_since, self._weather.why
        return HERE if since is None else Standing(time.time() - (time.monotonic() - since), why)

    def close(self) -> None:
        """Try nothing again from now on: who waits for another try fails at once."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    # ---- inside -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _slot(self, what: str) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < CALLS_MAX or self._weather.is_away)
            if self._weather.is_away:
                self._meter.refused += 1
                raise self._away(what)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _answered(self, paid: int = 0) -> None:
        with self._changed:
            self._weather.answered(time.monotonic(), paid)
            self._changed.notify_all()

    def _is_worth_another(self, trial: _Trial, error: Exception, generation: int, began: float) -> bool:
        """Take note of a failed try; whether there is to be another, after the pause before it."""
        if is_refusal(error) and not trial.is_renewed and self._clients.renew(generation):
            trial.is_renewed = True
            return True
        self._note(error, began)
        if not is_passing(error):
            return False
        with self._changed:
            is_last = trial.number >= trial.tries or time.monotonic() > trial.began + TRY_FOR_S
            trial.paid = 0 if is_last else self._weather.pay(timed_out=is_timeout(error))
            if is_last and self._look is not None and is_no_answer(error):
                self._weather.gave_up(trial.began, short_reason_of(error))
                self._look_for_it()
            return trial.paid > 0 and not self._is_interrupted(self._pause_s(trial.number))

    def _is_interrupted(self, pause_s: float) -> bool:
        """Whether all is over before the pause is."""
        return self._changed.wait_for(lambda: self._is_closed or self._weather.is_away, pause_s)

    def _pause_s(self, number: int) -> float:
        return self._rng.uniform(0, min(PAUSE_MAX_S, FIRST_PAUSE_S * 2**number))

    def _note(self, error: Exception, began: float) -> None:
        with self._changed:
            if not is_no_answer(error) and not is_refusal(error):
                self._weather.answered(time.monotonic())
            elif self._look is not None:
                reason, timed_out = short_reason_of(error), is_timeout(error)
                self._weather.failed(began, time.monotonic(), reason, timed_out=timed_out)
                if is_refusal(error):
                    self._weather.gone(short_reason_of(error))
                self._look_for_it()

    def _failure(self, what: str, error: Exception) -> AetherError:
        """A store that refuses this machine is, to whoever asks this machine, as good as away."""
        told = failure(what, error)
        if self._look is not None and isinstance(told, NotAllowedError):
            return UnreachableError(str(told))
        return told

    def _away(self, what: str) -> UnreachableError:
        since = time.time() - (time.monotonic() - (self._weather.away_since or 0.0))
        why = self._weather.why
        return UnreachableError(
            f"{what}: the store is away since {Standing(since).clock} ({why}); it is looked for, repeat when it is back"
        )

    # ---- looking for a store that is away -----------------------------------------------------------------------

    def _look_for_it(self) -> None:
        """Have one thread look for a store that is away. Needs the lock."""
        if self._weather.is_away and not self._is_looking:
            self._is_looking = True
            log.warning("%s is away: %s", self._where, self._weather.why)
            self._changed.notify_all()
            threading.Thread(target=self._until_back, name="store-lookout", daemon=True).start()

    def _until_back(self) -> None:
        pause_s = LOOK_FIRST_S
        while self._is_away_after(self._rng.uniform(pause_s / 2, pause_s)):
            self._look_once()
            pause_s = min(LOOK_MAX_S, 2 * pause_s)

    def _is_away_after(self, pause_s: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._weather.is_away, pause_s)
            self._is_looking = self._weather.is_away and not self._is_closed
            if not self._weather.is_away:
                log.warning("%s is back", self._where)
            return self._is_looking

    def _look_once(self) -> None:
        generation, began = self._clients.generation, time.monotonic()
        try:
            if self._look is not None:
                self._look()
        except FOREIGN as error:
            if is_refusal(error):
                self._clients.renew(generation)
            self._note(error, began)
        else:
            self._answered()
