"""One port for HTTP and for streams in threads: each connection is looked at before anybody takes it up.

A connection whose TLS hello offers the streams' protocol is handed over as a blocking socket, with its hello unread;
every other goes on as before. Hello, handshake and the first request's head have one deadline in all; of too many
connections the one that was waited for longest goes (``visits``).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from swarm.http.hello import HELLO_MAX_BYTES, Unfinished, offered
from swarm.http.visits import Visit, Visits

BACKLOG: Final = 512
# A hello in parts is looked at again after this long, twice as long each time: its socket is readable all the time, and
# many that never end must not keep the loop busy.
LOOK_AGAIN_S: Final = 0.01
# No more files: nobody is let in for this long.
FULL_S: Final = 1.0

# Takes a connection over, and is told how long its handshake may take.
Streams = Callable[[socket.socket, float], None]
Others = Callable[[socket.socket, Visit], Awaitable[Any]]

log = logging.getLogger("aetherfs.doors")


class Doors:
    """Accepts on ``listening`` sockets, as many as ``visits`` let in. Each of ``streams`` takes over who offers its
    protocol, ``others`` the rest; without ``streams`` nobody's hello is looked at.
    """

    def __init__(
        self,
        listening: Sequence[socket.socket],
        visits: Visits,
        others: Others,
        streams: Mapping[str, Streams],
    ) -> None:
        self._listening = listening
        self._visits = visits
        self._streams = {protocol.encode(): taker for protocol, taker in streams.items()}
        self._others = others
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._again: set[asyncio.TimerHandle] = set()
        for one in listening:
            one.setblocking(False)
            one.listen(BACKLOG)
            self._loop.add_reader(one, self._accept, one)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _accept(self, listening: socket.socket) -> None:
        """One connection. By a callback: a task that is cancelled while it is given one would lose it, still open."""
        try:
            connection, address = listening.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                log.warning("nobody is let in for a moment: %s", error)
                self._pause(listening)
            return
        connection.setblocking(False)
        self._let_in(connection, str(address[0]))

    def _pause(self, listening: socket.socket) -> None:
        def go_on() -> None:
            self._again.discard(timer)
            self._loop.add_reader(listening, self._accept, listening)

        self._loop.remove_reader(listening)
        timer = self._loop.call_later(FULL_S, go_on)
        self._again.add(timer)

    def _let_in(self, connection: socket.socket, address: str) -> None:
        tasks: list[asyncio.Task[None]] = []

        def end() -> None:
            for task in tasks:
                task.cancel()

        visit = self._visits.enter(address, end)
        if visit is None:
            connection.close()
        else:
            task = self._start(self._decide(connection, visit))
            # One that is ended before it has begun does not come to its own end.
            task.add_done_callback(lambda done: self._send_away(connection, visit) if done.cancelled() else None)
            tasks.append(task)

    def _send_away(self, connection: socket.socket, visit: Visit) -> None:
        self._visits.leave(visit)
        connection.close()

    async def _decide(self, connection: socket.socket, visit: Visit) -> None:
        """Until somebody has taken it up, or it has ended."""
        is_taken = False
        try:
            async with asyncio.timeout(visit.left_s):
                taker = await self._taker(connection) if self._streams else None
            if taker is not None:
                connection.setblocking(True)
                is_taken = True
                self._visits.leave(visit)
                taker(connection, visit.left_s)
            else:
                await self._others(connection, visit)
                is_taken = True
        except (OSError, asyncio.TimeoutError) as error:
            log.debug("a connection of %s comes to nothing: %s", visit.address, error or type(error).__name__)
        finally:
            if not is_taken:
                self._send_away(connection, visit)

    async def _taker(self, connection: socket.socket) -> Streams | None:
        """Who takes over a connection, by its hello."""
        await _readable(connection)
        look_again_s = LOOK_AGAIN_S
        while True:
            data = connection.recv(HELLO_MAX_BYTES, socket.MSG_PEEK)
            if not data:
                raise ConnectionResetError("it left without a word")
            try:
                return next((self._streams[name] for name in offered(data) if name in self._streams), None)
            except Unfinished:
                await asyncio.sleep(look_again_s)
                look_again_s *= 2

    async def close(self) -> None:
        """Let nobody in any more; who is not yet let in is sent away."""
        for timer in self._again:
            timer.cancel()
        for one in self._listening:
            if one.fileno() >= 0:  # or it was closed before
                self._loop.remove_reader(one)
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for one in self._listening:
            one.close()


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = connection.fileno()

    def come() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, come)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
