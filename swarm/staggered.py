"""The first of several that answers: each is tried a moment after the one before it, or at once when that one failed.

As RFC 8305 does with addresses, so that one that is silent costs a moment and not a timeout. Whoever is slower than
the first answer is cancelled; what is tried must be safe to be done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")


class Staggered(Generic[C, T]):
    """One round over ``candidates``. ``attempt`` does it with one; ``wait_s`` is how long one is waited for before the
    next is tried too; ``is_failure`` tells an attempt that the next may make good from one that ends the round.
    """

    def __init__(
        self,
        candidates: Sequence[C],
        attempt: Callable[[C], Awaitable[T]],
        wait_s: Callable[[C], float],
        is_failure: Callable[[BaseException], bool],
        discard: Callable[[T], object] = lambda answer: None,
    ) -> None:
        """``discard`` is given an answer that came at the same moment as the first."""
        self._left = list(candidates)
        self._attempt = attempt
        self._wait_s = wait_s
        self._is_failure = is_failure
        self._discard = discard
        self._running: dict[asyncio.Future[T], C] = {}
        # Who failed, with why; and who had not answered when another had.
        self.failures: list[tuple[C, BaseException]] = []
        self.overtaken: list[C] = []

    async def first(self) -> tuple[C, T] | None:
        """Who answered first and what; None when all have failed. Raises what ended the round."""
        try:
            while self._left or self._running:
                wait_s = self._start() if self._left else None
                answer = await self._answer(wait_s)
                if answer is not None:
                    return answer
            return None
        finally:
            await self._end()

    def _start(self) -> float:
        candidate = self._left.pop(0)
        self._running[asyncio.ensure_future(self._attempt(candidate))] = candidate
        return self._wait_s(candidate)

    async def _answer(self, wait_s: float | None) -> tuple[C, T] | None:
        """The first answer; None when it is time for the next one."""
        loop = asyncio.get_running_loop()
        until = None if wait_s is None else loop.time() + wait_s
        while self._running:
            left_s = None if until is None else max(0.0, until - loop.time())
            done, _ = await asyncio.wait(self._running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return None
            for future in done:
                candidate = self._running.pop(future)
                error = future.exception()
                if error is None:
                    self.overtaken += self._running.values()
                    return candidate, future.result()
                if not self._is_failure(error):
                    raise error
                self.failures.append((candidate, error))
            if self._left and not self._running:
                return None
        return None

    async def _end(self) -> None:
        for future in self._running:
            future.cancel()
        for answer in await asyncio.gather(*self._running, return_exceptions=True):
            if not isinstance(answer, BaseException):
                self._discard(answer)
