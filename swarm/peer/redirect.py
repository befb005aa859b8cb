"""Sparing the origin: an origin that has given a block away sends the next askers to those who have it.

Pure. One ``Redirector`` per version at an origin. A block is given once for each asker that insists (its redirect
failed), else the asker is told whom to ask. Receivers that left are forgotten, so a block whose receivers are gone is
given again.
"""

from __future__ import annotations

from typing import Final

# Receivers remembered per block: enough to spread askers, few enough to forget cheaply.
RECEIVERS_MAX: Final = 8


class Redirector:
    """Who was given which block."""

    def __init__(self) -> None:
        self._receivers: dict[bytes, dict[str, int]] = {}
        self._given: dict[str, set[bytes]] = {}

    def decide(self, asker: str, signature: bytes, insist: bool) -> str | None:
        """The peer to send the asker to, or None: give the block."""
        receivers = self._receivers.get(signature)
        if not receivers or insist or asker in receivers:
            return None
        target = min(receivers, key=receivers.__getitem__)
        receivers[target] += 1
        return target

    def given(self, receiver: str, signature: bytes) -> None:
        """The block is on its way to the receiver."""
        receivers = self._receivers.setdefault(signature, {})
        if len(receivers) < RECEIVERS_MAX:
            receivers.setdefault(receiver, 0)
            self._given.setdefault(receiver, set()).add(signature)

    def not_given(self, receiver: str, signature: bytes) -> None:
        """The transfer broke off."""
        receivers = self._receivers.get(signature, {})
        receivers.pop(receiver, None)

    def left(self, receiver: str) -> None:
        """The receiver is gone and cannot give anything on."""
        for signature in self._given.pop(receiver, ()):
            self.not_given(receiver, signature)
