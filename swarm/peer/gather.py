"""Waking once for many packets of a block, and not for each.

A block of 300 KB comes in two hundred packets; handling each by itself costs more than all else that is done with it.
The socket is told how many bytes to wait for (SO_RCVLOWAT): as long as much of a block is still to come, that many; for
its end, none, so it is never late. Part of what is to come may have been read from the socket already and wait for the
rest of its TLS record, so a little less is waited for than is lacking, and a socket that stays silent is looked into
before long whatever it holds.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

MOST_BYTES: Final = 64 * 1024
# A TLS record is at most 16 KiB and its framing.
RECORD_BYTES: Final = 20 * 1024
SILENCE_S: Final = 0.05


class Gathering:
    """For one response on a connection. ``close`` gives the socket back as it was."""

    def __init__(self, transport: asyncio.BaseTransport | None) -> None:
        self._socket = transport.get_extra_info("socket") if transport is not None else None
        self._least = 1
        self._is_silent = False
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, left_bytes: int) -> None:
        """Something came; so much is lacking of the block that has begun."""
        self._is_silent = False
        self._wait_for(min(MOST_BYTES, left_bytes - RECORD_BYTES))

    def close(self) -> None:
        """The response is over."""
        self._wait_for(1)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for(self, least: int) -> None:
        least = max(1, least)
        if self._socket is None or least == self._least:
            return
        self._least = least
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
        except OSError:
            self._socket = None  # closed, or of a kind that cannot
            return
        if self._timer is None and least > 1:
            self._timer = asyncio.get_running_loop().call_later(SILENCE_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._is_silent:
            self._wait_for(1)
        elif self._least > 1:
            self._is_silent = True
            self._timer = asyncio.get_running_loop().call_later(SILENCE_S, self._look)
