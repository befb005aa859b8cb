"""One port for HTTP and for streams in threads: each connection is looked at before anybody takes it up.

A connection whose TLS hello offers the streams' protocol is handed over as a blocking socket, with its hello unread;
every other goes on as before. A hello that does not come within a deadline ends its connection; of too many that are
waited for, the one that was waited for longest goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from swarm.http.hello import HELLO_MAX_BYTES, Unfinished, offered
from swarm.limits import HEADER_DEADLINE_S

UNDECIDED_MAX: Final = 512
BACKLOG: Final = 512
# A hello in parts is looked at again after this long, twice as long each time: its socket is readable all the time, and
# many that never end must not keep the loop busy.
LOOK_AGAIN_S: Final = 0.01
# No more files: nobody is let in for this long.
FULL_S: Final = 1.0

Streams = Callable[[socket.socket], None]
Others = Callable[[socket.socket], Awaitable[Any]]

log = logging.getLogger("aetherfs.doors")


class Doors:
    """Accepts on ``listening`` sockets. ``streams`` takes over who offers ``protocol``, ``others`` the rest."""

    def __init__(self, listening: Sequence[socket.socket], protocol: str, streams: Streams, others: Others) -> None:
        self._listening = listening
        self._protocol = protocol.encode()
        self._streams = streams
        self._others = others
        self._undecided: dict[asyncio.Task[None], None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for one in listening:
            one.setblocking(False)
            one.listen(BACKLOG)
            self._start(self._accept(one))

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    log.warning("nobody is let in for a moment: %s", error)
                    await asyncio.sleep(FULL_S)
                continue
            task = self._start(self._decide(connection))
            self._undecided[task] = None
            task.add_done_callback(lambda done: self._undecided.pop(done, None))
            if len(self._undecided) > UNDECIDED_MAX:
                next(iter(self._undecided)).cancel()

    async def _decide(self, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(HEADER_DEADLINE_S):
                is_stream = await self._is_stream(connection)
        except (OSError, asyncio.TimeoutError):
            connection.close()
            return
        except BaseException:
            connection.close()
            raise
        task = asyncio.current_task()
        assert task is not None
        self._undecided.pop(task, None)
        if is_stream:
            connection.setblocking(True)
            self._streams(connection)
        else:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await self._others(connection)

    async def _is_stream(self, connection: socket.socket) -> bool:
        await _readable(connection)
        look_again_s = LOOK_AGAIN_S
        while True:
            data = connection.recv(HELLO_MAX_BYTES, socket.MSG_PEEK)
            if not data:
                raise ConnectionResetError("it left without a word")
            try:
                return self._protocol in offered(data)
            except Unfinished:
                await asyncio.sleep(look_again_s)
                look_again_s *= 2

    async def close(self) -> None:
        """Let nobody in any more; who is not yet let in is sent away."""
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
