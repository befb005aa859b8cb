"""Calls to whichever tracker answers: one session, failover between trackers, refusals turned back into our exceptions.

A tracker that is silent for a moment is not waited for: the next is asked beside it, and the first answer counts. Who
does not answer, or later than another, is asked last for a while. A call goes to the next tracker only when none has
refused it, so whatever is sent here must be safe to send twice. Every answer has a size limit and every call a
deadline.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp

from swarm import traces
from swarm.dialable import TRUSTED, Dialable
from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.http.problem import error_from
from swarm.http.resolver import PeerResolver
from swarm.http.session import peer_session
from swarm.identity import server_name_of
from swarm.keyring import HEADER, RECALLS_HEADER
from swarm.limits import JSON_BODY_MAX_BYTES
from swarm.log_lines import REQUEST_ID_HEADER, request_id
from swarm.messages import Contact
from swarm.staggered import Staggered

DEFAULT_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
BACKOFF_S: Final = 15.0
# How long a tracker is waited for before the next is asked too: one that was not heard of yet or failed the last time,
# with handshake and all, and one that has answered.
FIRST_PATIENCE_S: Final = 0.3
PATIENCE_S: Final = 1.5
PROBLEM_MAX_BYTES: Final = 16 * 1024
# A proxy's or a starting tracker's way to say: ask another.
_ASK_ANOTHER: Final = frozenset({502, 503, 504})


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a tracker: when it answered last (seconds of the loop's clock), why it did not since."""

    answered_at: float | None
    failure: str


UNKNOWN: Final = Standing(None, "")


class Calls:
    """A pool of connections to the swarm's trackers, keyed by their identity. Use inside a running event loop."""

    def __init__(
        self, trackers: Sequence[Contact], context: ssl.SSLContext, *, timeout_s: float, dialable: Dialable = TRUSTED
    ) -> None:
        self.timeout_s = timeout_s
        self._resolver = PeerResolver(dialable)
        self._context = context
        # The last one is in use; those before it, whose connections show older papers, end with us.
        self._sessions = [self._new_session()]
        self._avoided_until: dict[str, float] = {}
        self.standing: dict[str, Standing] = {}
        self.answered_last = ""
        # Told, in a moment, when another tracker answers than before.
        self.on_moved: Callable[[], None] | None = None
        self.trackers: tuple[Contact, ...] = ()
        # The newest keys that a tracker has stated to know, and whether one could not prove lately to be one.
        self.keys_told = 0
        self.is_distrusted = False
        # The serial of the list of recalled grants that a tracker has stated last.
        self.recalls_told = self._recalls_most = 0
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
        known = {tracker.peer_id for tracker in trackers}
        for forgotten in self.standing.keys() - known:
            del self.standing[forgotten]
        for forgotten in self._avoided_until.keys() - known:
            del self._avoided_until[forgotten]
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
        headers: Mapping[str, str] | None = None,
        limit_bytes: int = JSON_BODY_MAX_BYTES,
        only: Contact | None = None,
        is_urgent: bool = True,
    ) -> bytes:
        """The body of the first answer; ``only`` asks that tracker alone. What is not urgent waits longer for a tracker
        that was not heard of yet. Raises what a tracker refused with, or UnreachableError when none answers.
        """
        sent = {**(headers or {}), **({"Content-Type": content_type} if body is not None else {})}
        sent |= traces.onward()
        if id := request_id():
            sent[REQUEST_ID_HEADER] = id
        timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, self.timeout_s))

        async def ask(tracker: Contact) -> bytes:
            async with self._session.request(
                method,
                url_of(tracker, path),
                data=body,
                params=query,
                headers=sent,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                self._note_keys(response)
                return await _answer_of(response, limit_bytes)

        return await self._first(ask, only, is_urgent=is_urgent)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], stall_timeout_s: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """An answer that does not end, from the first tracker that gives one."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=stall_timeout_s)

        async def ask(tracker: Contact) -> aiohttp.ClientResponse:
            response = await self._session.get(
                url_of(tracker, path), params=query, timeout=timeout, allow_redirects=False
            )
            if response.status != 200:
                async with response:
                    await _answer_of(response, PROBLEM_MAX_BYTES)
            return response

        async with await self._first(ask, None, aiohttp.ClientResponse.close) as response:
            yield response.content

    async def _first(
        self,
        ask: Callable[[Contact], Awaitable[T]],
        only: Contact | None,
        discard: Callable[[T], object] = lambda answer: None,
        *,
        is_urgent: bool = True,
    ) -> T:
        """What the first tracker that answers says, and what this tells of all that were asked."""
        asked = [only] if only is not None else self._in_order()
        if only is not None:
            self._resolver.learn(only.peer_id, only.addresses)
        round_ = Staggered(asked, ask, self._patience_s if is_urgent else _patience, _is_silence, discard)
        try:
            found = await round_.first()
        finally:
            for tracker, error in round_.failures:
                self._note_distrust(error)
                self._avoid(tracker, reason_of(error))
        if found is None:
            tried = "; ".join(f"{_where(tracker)}: {reason_of(error)}" for tracker, error in round_.failures)
            raise UnreachableError(
                f"no tracker answers ({tried or 'none is known'}); check that one runs and can be reached from here"
            )
        for tracker in round_.overtaken:
            self._avoid(tracker, "it is slower than others")
        tracker, answer = found
        self.standing[tracker.peer_id] = Standing(asyncio.get_running_loop().time(), "")
        self._avoided_until.pop(tracker.peer_id, None)
        if only is None and tracker.peer_id != self.answered_last:
            self.answered_last = tracker.peer_id
            if self.on_moved is not None:
                asyncio.get_running_loop().call_soon(self.on_moved)
        return answer

    def _patience_s(self, tracker: Contact) -> float:
        """Who has answered lately may be busy; of others silence is the first that is heard."""
        known = self.standing.get(tracker.peer_id, UNKNOWN)
        return FIRST_PATIENCE_S if known.failure or known.answered_at is None else PATIENCE_S

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
        recalls = response.headers.get(RECALLS_HEADER, "")
        if recalls.isascii() and recalls.isdigit() and len(recalls) < 16:
            self.recalls_told = int(recalls)
            # Trackers that do not agree yet are no news again and again.
            if self.recalls_told > self._recalls_most:
                self._recalls_most = self.recalls_told
                self.on_news()

    def _note_distrust(self, error: BaseException) -> None:
        if isinstance(error, aiohttp.ClientConnectorCertificateError) and not self.is_distrusted:
            self.is_distrusted = True
            self.on_news()

    def _avoid(self, tracker: Contact, why: str) -> None:
        self.standing[tracker.peer_id] = Standing(self.standing.get(tracker.peer_id, UNKNOWN).answered_at, why)
        self._avoided_until[tracker.peer_id] = asyncio.get_running_loop().time() + BACKOFF_S


def _patience(_tracker: Contact) -> float:
    return PATIENCE_S


def _is_silence(error: BaseException) -> bool:
    """Whether another tracker may answer where this one did not."""
    return isinstance(error, aiohttp.ClientError | TimeoutError | OSError | UnreachableError)


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
        return failure_of(error.os_error)
    return str(error) or type(error).__name__


def failure_of(error: OSError) -> str:
    """Why nothing was reached, without the address that asyncio puts into its words: whoever tells this knows it."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def _where(tracker: Contact) -> str:
    return ", ".join(map(str, tracker.addresses)) or tracker.peer_id[:8]
