"""Sparing the origin: an origin that has given a block away sends the next askers to those who have it.

Pure. One ``Redirector`` per version at an origin. A block is given to an asker that insists (its redirect failed), else
the asker is told whom to ask. When many insist at once, their redirects having led to the same silent peer, few are
given the block and the others are sent to them, once each. Receivers that left are forgotten, so a block whose
receivers are gone is given again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

# Receivers remembered per block: enough to spread askers, few enough to forget cheaply.
RECEIVERS_MAX: Final = 8
# Of so many that insisted it is remembered that they were sent elsewhere all the same.
INSISTED_MAX: Final = 4096


class Redirector:
    """Who was given which block."""

    def __init__(self) -> None:
        self._receivers: dict[Hashable, dict[str, int]] = {}
        self._given: dict[str, set[Hashable]] = {}
        self._insisted: dict[tuple[str, Hashable], None] = {}

    def decide(self, asker: str, block: Hashable, insist: bool) -> str | None:
        """The peer to send the asker to, or None: give the block."""
        receivers = self._receivers.get(block)
        if not receivers or insist or asker in receivers:
            return None
        target = min(receivers, key=receivers.__getitem__)
        receivers[target] += 1
        return target

    def newest(self, asker: str, block: Hashable) -> str | None:
        """For an asker that insists on a block which is being given to another: whom to send it to, the first time."""
        receivers = self._receivers.get(block)
        if not receivers or asker in receivers or (asker, block) in self._insisted:
            return None
        self._insisted[asker, block] = None
        if len(self._insisted) > INSISTED_MAX:
            del self._insisted[next(iter(self._insisted))]
        return next(reversed(receivers))

    def given(self, receiver: str, block: Hashable) -> None:
        """The block is on its way to the receiver."""
        receivers = self._receivers.setdefault(block, {})
        if len(receivers) >= RECEIVERS_MAX:
            oldest = next(iter(receivers))
            del receivers[oldest]
            self._given[oldest].discard(block)
        if receiver not in receivers:
            receivers[receiver] = 0
            self._given.setdefault(receiver, set()).add(block)

    def not_given(self, receiver: str, block: Hashable) -> None:
        """The transfer broke off."""
        receivers = self._receivers.get(block, {})
        receivers.pop(receiver, None)

    def left(self, receiver: str) -> None:
        """The receiver is gone and cannot give anything on."""
        for block in self._given.pop(receiver, ()):
            self.not_given(receiver, block)
