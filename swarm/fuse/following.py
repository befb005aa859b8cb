"""A mount that follows its tag: by the agent's news, and by a look now and then for what was lost.

Two threads. One reads the agent's watch and says that there is something to look at; the other looks what the tag means
and lets the mount show it. Where there is no watch (the agent is away, or has too many) the looks are frequent.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from swarm.errors import AetherError
from swarm.fuse.serving import Server
from swarm.fuse.source import Source

# Looks without news from the agent, and with a watch that stands.
FOLLOW_S: Final = 2.0
LOST_S: Final = 60.0

log = logging.getLogger("aetherfs.mount")


class Following:
    """From ``start`` until ``close``, or until the mount has ended."""

    def __init__(self, server: Server, source: Source) -> None:
        self._server = server
        self._source = source
        self._is_told = False
        self._moved = threading.Event()
        self._is_over = threading.Event()

    def start(self) -> None:
        for work in (self._listen, self._look):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """End soon. The watch ends with the next word of the agent, at most its sign of life later."""
        self._is_over.set()
        self._moved.set()

    def _is_ended(self) -> bool:
        return self._is_over.is_set() or self._server.ended.is_set()

    def _listen(self) -> None:
        while not self._is_ended():
            try:
                for is_news in self._source.news():
                    if self._is_ended():
                        return
                    self._is_told = True
                    if is_news:
                        self._moved.set()
            except (AetherError, OSError) as error:
                log.info("the agent tells no news at the moment: %s", error)
            self._is_told = False
            self._is_over.wait(FOLLOW_S)

    def _look(self) -> None:
        while True:
            self._moved.wait(LOST_S if self._is_told else FOLLOW_S)
            self._moved.clear()
            if self._is_ended():
                return
            try:
                version = self._source.version()
            except (OSError, ValueError) as error:
                log.warning("what the tag means is not known at the moment: %s", error)
                continue
            if version != self._server.version:
                log.info("the tag has moved to %s", version)
                self._server.version = version
