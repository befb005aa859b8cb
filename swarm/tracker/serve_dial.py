"""Whether a member can be reached: the tracker calls it back, at the address that it is seen at and nowhere else.

The handshake proves that it is that member which answers; what else may listen there is not told, and a member may ask
once in a few seconds, so nobody has ports tried through a tracker.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict
from typing import Final

from aiohttp import web

from swarm.doctor_messages import DialAnswer, DialRequest
from swarm.errors import TooSoonError
from swarm.http.routes import Route
from swarm.identity import server_name_of
from swarm.tracker.membership import Member
from swarm.tracker.state import TrackerState, answer, body_of, remote_of

PATH: Final = "/api/v1/dial"
DEADLINE_S: Final = 3.0
PAUSE_S: Final = 5.0
ASKERS_MAX: Final = 1024
AT_ONCE: Final = 8


class Recently:
    """Who asked when, the latest ones; times are monotonic. Pure."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, peer_id: str, now: float) -> float:
        """How long it has to wait yet; 0 counts as asking now."""
        left_s = self._asked.get(peer_id, float("-inf")) + PAUSE_S - now
        if left_s > 0:
            return left_s
        self._asked[peer_id] = now
        self._asked.move_to_end(peer_id)
        while len(self._asked) > ASKERS_MAX:
            self._asked.popitem(last=False)
        return 0.0


def dial_routes(state: TrackerState) -> list[Route]:
    """The declaration."""
    recently, room = Recently(), asyncio.Semaphore(AT_ONCE)

    async def dial(request: web.Request, member: Member) -> web.Response:
        asked = await body_of(request, DialRequest)
        left_s = recently.wait_s(member.peer_id, time.monotonic())
        if left_s:
            raise TooSoonError(f"this peer's port was tried a moment ago: again in {left_s:.0f} s", left_s)
        host = remote_of(request)
        async with room:
            reached = await is_there(state.pushes.context, member.peer_id, host, asked.port)
        return answer(DialAnswer(reached, f"[{host}]:{asked.port}" if ":" in host else f"{host}:{asked.port}"))

    handle = state.for_members("dial", dial)
    return [Route("POST", PATH, handle, "member", "Whether the asker is reached from here", DialRequest, DialAnswer)]


async def is_there(context: ssl.SSLContext, peer_id: str, host: str, port: int) -> bool:
    """Whether this very peer answers there, soon."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            name = server_name_of(peer_id)
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
    except (OSError, ssl.SSLError, TimeoutError, ValueError):
        return False
    writer.transport.abort()
    return True
