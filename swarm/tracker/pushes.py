"""What trackers tell one another at once: heads that have moved, and that one of them is there or leaves.

A push is a hint: whoever hears of a head asks the store for it, so a lost push costs a pause, not an entry; watches
poll the store every two seconds, and announces compare heads. Each tracker tells every other itself, over TLS as
tracker. What waits for one that is slow is bounded by dataset; one that does not answer is told once more and no
further. Who has nothing to tell says every few seconds that it is there, and so learns who answers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import aiohttp
import msgspec

from swarm import canonical
from swarm.calls import read_bounded, reason_of, url_of
from swarm.dialable import TRUSTED
from swarm.errors import RemoteProtocolError
from swarm.http.resolver import PeerResolver
from swarm.http.session import peer_session
from swarm.limits import HEADS_PUSHED_MAX, LISTING_MAX_BYTES
from swarm.messages import Contact, Head

PUSH_PATH: Final = "/api/v1/push"
MSGPACK: Final = "application/msgpack"
TIMEOUT_S: Final = 3.0
# How long who leaves waits for what it is saying.
LAST_WORDS_S: Final = 1.0
TRIES: Final = 2

log = logging.getLogger("aetherfs.tracker")


class Push(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """From one tracker to another: its listing, whether it leaves, and heads that have moved."""

    format: Literal[1]
    listing: Annotated[bytes, msgspec.Meta(max_length=LISTING_MAX_BYTES)]
    leaving: bool
    heads: Annotated[tuple[Head, ...], msgspec.Meta(max_length=HEADS_PUSHED_MAX)]


@dataclass(frozen=True, slots=True)
class Silent:
    """A tracker that does not answer, ``since`` a moment of the monotonic clock."""

    since: float
    why: str


class Pushes:
    """One tracker's word to the others. Make it inside a running event loop, and close it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._resolver = PeerResolver(TRUSTED)
        self.context = context
        # The last one is in use; those before it, whose connections show older papers, end with us.
        self._sessions: list[aiohttp.ClientSession] = []
        self.connect_anew()
        self._waiting: dict[str, dict[str, int]] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self.listing = b""
        self.others: tuple[Contact, ...] = ()
        self.sent = self.lost = 0
        # Of the others, who did not take the last word to it.
        self.silent: dict[str, Silent] = {}
        self._why: dict[str, str] = {}

    def connect_anew(self) -> None:
        """Make new connections from now on: the context shows another certificate."""
        self._sessions.append(peer_session(self.context, self._resolver, per_peer=2, stall_timeout_s=None))

    def moved(self, dataset: str, serial: int) -> None:
        """Tell every other tracker of a head."""
        for other in self.others:
            heads = self._waiting.setdefault(other.peer_id, {})
            heads[dataset] = max(serial, heads.get(dataset, 0))
            if len(heads) > HEADS_PUSHED_MAX:
                del heads[next(iter(heads))]
            self._start(other)

    def here(self, others: list[Contact]) -> None:
        """Tell these that this tracker is there."""
        for other in others:
            self._waiting.setdefault(other.peer_id, {})
            self._start(other)

    def ask(self) -> None:
        """Learn which of the others answer. Nothing before it is known where this tracker is."""
        if self.listing:
            self.here(list(self.others))

    def know(self, others: tuple[Contact, ...]) -> None:
        """These are all there are; whoever is not listed any more is not missed."""
        self.others = others
        ids = {other.peer_id for other in others}
        self.silent = {id: silent for id, silent in self.silent.items() if id in ids}
        self._why = {id: why for id, why in self._why.items() if id in ids}

    def silent_s(self, peer_id: str) -> float:
        """For how long it has not answered, 0 if it does."""
        silent = self.silent.get(peer_id)
        return time.monotonic() - silent.since if silent is not None else 0.0

    async def leaving(self) -> None:
        """Tell all that this tracker ends, to those who answer soon; after what is under way, by which it is there."""
        self._waiting.clear()
        if self._telling:
            await asyncio.wait(self._telling.values(), timeout=LAST_WORDS_S)
        push = canonical.encode(Push(1, self.listing, True, ()))
        await asyncio.gather(*(self._post(other, push) for other in self.others))

    async def close(self) -> None:
        telling = list(self._telling.values())
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
        for session in self._sessions:
            await session.close()

    def _start(self, other: Contact) -> None:
        if other.peer_id not in self._telling:
            self._telling[other.peer_id] = asyncio.create_task(self._tell(other))

    async def _tell(self, other: Contact) -> None:
        try:
            while (heads := self._waiting.pop(other.peer_id, None)) is not None:
                told = tuple(Head(dataset, serial) for dataset, serial in heads.items())
                push = canonical.encode(Push(1, self.listing, False, told))
                for _ in range(TRIES):
                    if await self._post(other, push):
                        self.sent += 1
                        self.silent.pop(other.peer_id, None)
                        self._why.pop(other.peer_id, None)
                        break
                else:
                    self.lost += 1
                    self._missed(other.peer_id)
        finally:
            del self._telling[other.peer_id]

    def _missed(self, peer_id: str) -> None:
        # It may have left meanwhile.
        if any(other.peer_id == peer_id for other in self.others):
            since = self.silent[peer_id].since if peer_id in self.silent else time.monotonic()
            self.silent[peer_id] = Silent(since, self._why.get(peer_id, "no answer"))

    async def _post(self, other: Contact, push: bytes) -> bool:
        return await self.post(other, PUSH_PATH, push, limit_bytes=0) is not None

    async def post(self, other: Contact, path: str, body: bytes, *, limit_bytes: int) -> bytes | None:
        """Tell another tracker something: what it answers, up to a limit; None if it did not take it."""
        self._resolver.learn(other.peer_id, other.addresses)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=TIMEOUT_S / 2)
        try:
            async with self._sessions[-1].post(
                url_of(other, path),
                data=body,
                headers={"Content-Type": MSGPACK},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status == 200:
                    return await read_bounded(response.content, limit_bytes)
                why = f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, RemoteProtocolError) as error:
            why = reason_of(error)
        if why != self._why.get(other.peer_id):
            log.info("tracker %s was not told: %s", other.peer_id[:8], why)
        self._why[other.peer_id] = why
        return None
