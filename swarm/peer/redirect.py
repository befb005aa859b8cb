"""Sparing the origin: an origin that has given a block away sends the next askers to those who have it.

Pure. One ``Redirector`` per version at an origin. A block is given once for each asker that insists (its redirect
failed), else the asker is told whom to ask. Receivers that left are forgotten, so a block whose receivers are gone is
given again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

# Receivers remembered per block: enough to spread askers, few enough to forget cheaply.
RECEIVERS_MAX: Final = 8


class Redirector:
    """Who was given which block."""

    def __init__(self) -> None:
        self._receivers: dict[Hashable, dict[str, int]] = {}
        self._given: dict[str, set[Hashable]] = {}

    def decide(self, asker: str, block: Hashable, insist: bool) -> str | None:
        """The peer to send the asker to, or None: give the block."""
        receivers = self._receivers.get(block)
        if not receivers or insist or asker in receivers:
            return None
        target = min(receivers, key=receivers.__getitem__)
        receivers[target] += 1
        return target

    def given(self, receiver: str, block: Hashable) -> None:
        """The block is on its way to the receiver."""
        receivers = self._receivers.setdefault(block, {})
        if len(receivers) < RECEIVERS_MAX:
            receivers.setdefault(receiver, 0)
            self._given.setdefault(receiver, set()).add(block)

    def not_given(self, receiver: str, block: Hashable) -> None:
        """The transfer broke off."""
        receivers = self._receivers.get(block, {})
        receivers.pop(receiver, None)

    def left(self, receiver: str) -> None:
        """The receiver is gone and cannot give anything on."""
        for block in self._given.pop(receiver, ()):
            self.not_given(receiver, block)
