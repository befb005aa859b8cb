"""Calls to whichever tracker answers: one session, failover between trackers, refusals turned back into our exceptions.

A tracker that does not answer is asked last for a while. A call is repeated at the next tracker only when none has
refused it, so whatever is sent here must be safe to send twice. Every answer has a size limit and every call a
deadline.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.http.problem import error_from
from swarm.http.resolver import PeerResolver
from swarm.http.session import peer_session
from swarm.identity import server_name_of
from swarm.keyring import HEADER
from swarm.limits import JSON_BODY_MAX_BYTES
from swarm.messages import Contact

DEFAULT_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
BACKOFF_S: Final = 15.0
PROBLEM_MAX_BYTES: Final = 16 * 1024
# A proxy's or a starting tracker's way to say: ask another.
_ASK_ANOTHER: Final = frozenset({502, 503, 504})


class Calls:
    """A pool of connections to the swarm's trackers, keyed by their identity. Use inside a running event loop."""

    def __init__(self, trackers: Sequence[Contact], context: ssl.SSLContext, *, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._resolver = PeerResolver()
        self._context = context
        # The last one is in use; those before it, whose connections show older papers, end with us.
        self._sessions = [self._new_session()]
        self._avoided_until: dict[str, float] = {}
        self.trackers: tuple[Contact, ...] = ()
        # The newest keys that a tracker has stated to know, and whether one could not prove lately to be one.
        self.keys_told = 0
        self.is_distrusted = False
        # Told of a change of these.
        self.on_news: Callable[[], None] = lambda: None
        self.set_trackers(trackers)

    def _new_session(self) -> aiohttp.ClientSession:
        return peer_session(self._context, self._resolver, per_peer=8, stall_timeout_s=None)

    @property
    def _session(self) -> aiohttp.ClientSession:
        return self._sessions[-1]

    def connect_anew(self) -> None:
        """Make new connections from now on: the context shows another certificate."""
        self._sessions.append(self._new_session())

    def set_trackers(self, trackers: Sequence[Contact]) -> None:
        """Use these trackers from now on, in this order. None at all is ignored."""
        if not trackers:
            return
        self.trackers = tuple(trackers)
        for tracker in trackers:
            self._resolver.learn(tracker.peer_id, tracker.addresses)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        limit_bytes: int = JSON_BODY_MAX_BYTES,
    ) -> bytes:
        """The body of the first answer. Raises what the tracker refused with, or UnreachableError when none answers."""
        timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, self.timeout_s))
        failures: list[str] = []
        for tracker in self._in_order():
            try:
                async with self._session.request(
                    method,
                    url_of(tracker, path),
                    data=body,
                    params=query,
                    headers={"Content-Type": content_type} if body is not None else {},
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    self._note_keys(response)
                    return await _answer_of(response, limit_bytes)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._note_distrust(error)
                failures.append(f"{_where(tracker)}: {reason_of(error)}")
            except UnreachableError as error:
                failures.append(f"{_where(tracker)}: {error}")
            self._avoid(tracker)
        tried = "; ".join(failures) or "none is known"
        raise UnreachableError(f"no tracker answers ({tried}); check that one runs and can be reached from here")

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], stall_timeout_s: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """An answer that does not end, from the first tracker that gives one."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=stall_timeout_s)
        failures: list[str] = []
        for tracker in self._in_order():
            url = url_of(tracker, path)
            try:
                response = await self._session.get(url, params=query, timeout=timeout, allow_redirects=False)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failures.append(f"{_where(tracker)}: {reason_of(error)}")
                self._avoid(tracker)
                continue
            async with response:
                if response.status != 200:
                    await _answer_of(response, PROBLEM_MAX_BYTES)
                yield response.content
                return
        raise UnreachableError(
            f"no tracker answers ({'; '.join(failures) or 'none is known'}); it is tried again later"
        )

    async def close(self) -> None:
        for session in self._sessions:
            await session.close()

    def _in_order(self) -> list[Contact]:
        now = asyncio.get_running_loop().time()
        return sorted(self.trackers, key=lambda tracker: self._avoided_until.get(tracker.peer_id, 0.0) > now)

    def _note_keys(self, response: aiohttp.ClientResponse) -> None:
        stated = response.headers.get(HEADER, "")
        self.is_distrusted = False
        if stated.isascii() and stated.isdigit() and len(stated) < 8 and int(stated) > self.keys_told:
            self.keys_told = int(stated)
            self.on_news()

    def _note_distrust(self, error: BaseException) -> None:
        if isinstance(error, aiohttp.ClientConnectorCertificateError) and not self.is_distrusted:
            self.is_distrusted = True
            self.on_news()

    def _avoid(self, tracker: Contact) -> None:
        self._avoided_until[tracker.peer_id] = asyncio.get_running_loop().time() + BACKOFF_S


def url_of(tracker: Contact, path: str) -> str:
    """Where a tracker is called: by its key; the resolver knows the address and its port."""
    return f"https://{server_name_of(tracker.peer_id)}{path}"


async def read_bounded(content: aiohttp.StreamReader, limit_bytes: int) -> bytes:
    """A whole body of at most ``limit_bytes``, or RemoteProtocolError."""
    parts = bytearray()
    async for part in content.iter_any():
        parts += part
        if len(parts) > limit_bytes:
            raise RemoteProtocolError(f"an answer is longer than {limit_bytes} bytes")
    return bytes(parts)


async def _answer_of(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    where = f"the tracker at {response.host[:8]}"
    if response.status == 200:
        return await read_bounded(response.content, limit_bytes)
    error = error_from(response.status, await read_bounded(response.content, PROBLEM_MAX_BYTES), where)
    if response.status in _ASK_ANOTHER:
        raise UnreachableError(str(error))
    raise error


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        problem = error.certificate_error
        told = getattr(problem, "verify_message", "") or str(problem)
        clock = "; check this machine's clock" if "not yet valid" in told or "expired" in told else ""
        return f"it cannot prove its identity: {told}{clock}"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__


def _where(tracker: Contact) -> str:
    return ", ".join(map(str, tracker.addresses)) or tracker.peer_id[:8]
