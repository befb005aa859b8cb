"""A member's view of the trackers: look up, read, append, announce, renew.

    async with TrackerClient(trackers, key=key, root=ca_pem, files=home.tls_files) as client:
        found = await client.lookup(names.parse("roads:latest"))

Whatever a tracker says about a dataset is proved by signed entries, which are verified here: a tracker is believed
about freshness only, and that through a sealed snapshot. Without ``files`` only ``swarm_info`` and ``renew`` work.
Refusals come back as the exceptions of ``swarm.errors``; UnreachableError means that no tracker answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from swarm import canonical, clock
from swarm.answers import expiry_of, parsed
from swarm.authority import fingerprint_of, public_of_root
from swarm.calls import DEFAULT_TIMEOUT_S, Calls
from swarm.dataset_calls import DatasetCalls
from swarm.dialable import TRUSTED, Dialable
from swarm.errors import AetherError, NotAllowedError
from swarm.http.tls import TlsFiles, anonymous_context, peer_client_context
from swarm.identity import PeerKey
from swarm.joining import check_papers
from swarm.keyring import decode_keyring
from swarm.limits import (
    ANNOUNCE_ANSWER_MAX_BYTES,
)
from swarm.messages import (
    OUR_VERSIONS,
    Announce,
    AnnounceAnswer,
    Contact,
    RenewAnswer,
    RenewRequest,
    SwarmInfo,
    TokenAnswer,
    TokenRequest,
    renew_proof,
)
from swarm.roster import root_fingerprint
from swarm.trust import Trust

T = TypeVar("T")

MSGPACK: Final = "application/msgpack"
ANNOUNCE_PATH: Final = "/api/v1/announce"

logger = logging.getLogger("aetherfs.client")


class TrackerClient(DatasetCalls):
    """Calls to the swarm's trackers as one member. Make it inside a running event loop, and close it."""

    def __init__(
        self,
        trackers: Sequence[Contact],
        *,
        key: PeerKey,
        root: bytes,
        files: TlsFiles | None = None,
        trust: Trust | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        dialable: Dialable = TRUSTED,
    ) -> None:
        """``root`` is the CA in PEM; ``files`` this member's certificate and key; ``trust`` the CA's keys as it knows
        them, by default that root's; ``dialable`` where trackers may be."""
        self.key = key
        self.root = root
        # Gives the Authorization header of the person who is signed in at this home, None for nobody.
        self.authorization: Callable[[], Awaitable[str | None]] | None = None
        self.wall_now: Callable[[], float] = clock.wall_now
        self.authority = trust or Trust(public_of_root(root), root)
        self._expires: float | None = None
        self._anonymous_context = anonymous_context(root.decode())
        self._anonymous = Calls(trackers, self._anonymous_context, timeout_s=timeout_s, dialable=dialable)
        self._member: Calls | None = None
        if files is not None:
            self._context = peer_client_context(files)
            self._expires = expiry_of(files.certificate)
            self._member = Calls(trackers, self._context, timeout_s=timeout_s, dialable=dialable)

    @property
    def trackers(self) -> tuple[Contact, ...]:
        return self._anonymous.trackers

    def set_trackers(self, trackers: Sequence[Contact]) -> None:
        """Use these trackers from now on, preferred first (announce answers and the DHT tell of new ones)."""
        self._anonymous.set_trackers(trackers)
        if self._member is not None:
            self._member.set_trackers(trackers)

    def reload(self, files: TlsFiles) -> None:
        """Show a renewed certificate on new connections."""
        if self._member is None:
            raise NotAllowedError("this client was made without a certificate: make a new one")
        files.load_into(self._context)
        self._member.connect_anew()
        self._expires = expiry_of(files.certificate)

    def trust_root(self, bundle: bytes) -> None:
        """Believe trackers under these roots (PEM) too, on new connections."""
        for context in [self._anonymous_context, *([self._context] if self._member is not None else [])]:
            context.load_verify_locations(cadata=bundle.decode())

    def on_news(self, told: Callable[[], None]) -> None:
        """Be told when ``keys_told`` has grown, or ``is_distrusted`` has come to be true."""
        for calls in self._pools:
            calls.on_news = told

    @property
    def keys_told(self) -> int:
        """The generation of the newest keys that a tracker has stated to know."""
        return max(calls.keys_told for calls in self._pools)

    @property
    def is_distrusted(self) -> bool:
        """Whether somebody at a tracker's address could not prove to be it, and nobody else has answered since."""
        return any(calls.is_distrusted for calls in self._pools)

    @property
    def _pools(self) -> list[Calls]:
        return [self._anonymous, *([self._member] if self._member is not None else [])]

    async def close(self) -> None:
        await self._anonymous.close()
        if self._member is not None:
            await self._member.close()

    async def __aenter__(self) -> TrackerClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- membership ---------------------------------------------------------------------------------------------

    async def swarm_info(self) -> SwarmInfo:
        """What the first tracker that answers says of the swarm."""
        return parsed(await self._anonymous.call("GET", "/api/v1/swarm"), SwarmInfo)

    async def renew(self, credential: bytes = b"", grant: bytes = b"") -> RenewAnswer:
        """Fresh papers, also after the certificate has expired. NotAllowedError when this key is no member any more.

        What was given before, ``credential`` and ``grant``, shows a tracker that has lost it that this is a member.
        """
        wall_time = int(clock.wall_now())
        proof = renew_proof(self.key, self._pinned(), wall_time)
        request = RenewRequest(OUR_VERSIONS, self.key.public, wall_time, proof, credential, grant)
        answer = parsed(
            await self._anonymous.call("POST", "/api/v1/renew", body=msgspec.json.encode(request)), RenewAnswer
        )
        # They may be under a key that is told with them.
        self.authority.learn(decode_keyring(answer.keys).links)
        check_papers(self.key, self.authority, answer.credential, answer.grant, wall_now=answer.wall_time)
        return answer

    def _pinned(self) -> bytes:
        """What both ends know of the swarm for as long as it lives."""
        trust = self.authority
        return root_fingerprint(trust.swarm_root) if trust.roster is not None else fingerprint_of(self.root)

    async def token_create(self, request: TokenRequest) -> TokenAnswer:
        """A new join token. Only for members of role tracker."""
        return parsed(
            await self._call("POST", "/api/v1/tokens", body=msgspec.json.encode(request), is_personal=True), TokenAnswer
        )

    async def remove_member(self, peer_id: str) -> None:
        """Refuse a member from now on. Only for members of role tracker."""
        await self._call("DELETE", f"/api/v1/members/{peer_id}", is_personal=True)

    # ---- orders -------------------------------------------------------------------------------------------------

    async def order(
        self, method: str, path: str, kind: type[T], request: msgspec.Struct | None = None, only: Contact | None = None
    ) -> T:
        """Ask about, or change, a keep rule, a quota or a purge (``swarm.order_messages``), or who may do what
        (``swarm.access_messages``); ``only`` this tracker, if one is named.
        """
        body = msgspec.json.encode(request) if request is not None else None
        return parsed(await self._call(method, f"/api/v1/{path}", body=body, only=only, is_personal=True), kind)

    async def tell(self, path: str, request: msgspec.Struct) -> None:
        """Say something that a tracker only notes."""
        await self._call("POST", f"/api/v1/{path}", body=msgspec.json.encode(request))

    # ---- announces ----------------------------------------------------------------------------------------------

    async def announce(self, announce: Announce) -> AnnounceAnswer:
        """One heartbeat: say where this peer is and what it holds; learn of neighbours, seeds, heads, fresh papers."""
        answer = await self.beat(ANNOUNCE_PATH, announce, AnnounceAnswer, ANNOUNCE_ANSWER_MAX_BYTES)
        self.set_trackers(answer.trackers)
        return answer

    async def beat(self, path: str, told: msgspec.Struct, kind: type[T], limit_bytes: int) -> T:
        """Tell something that is told again and again, so it is in no hurry."""
        more: dict[str, Any] = {"content_type": MSGPACK, "limit_bytes": limit_bytes, "is_urgent": False}
        data = await self._certified().call("POST", path, body=canonical.encode(told), **more)
        return canonical.decode(data, kind, limit_bytes=limit_bytes)

    async def announce_to_others(self, announce: Announce) -> None:
        """The same heartbeat to every tracker but the one that answered last. Whoever is silent is not told."""
        calls, body = self._certified(), canonical.encode(announce)
        limit = ANNOUNCE_ANSWER_MAX_BYTES
        others = [tracker for tracker in calls.trackers if tracker.peer_id != calls.answered_last]
        telling = [
            calls.call("POST", ANNOUNCE_PATH, body=body, content_type=MSGPACK, limit_bytes=limit, only=other)
            for other in others
        ]
        for told in await asyncio.gather(*telling, return_exceptions=True):
            if isinstance(told, AetherError):
                logger.debug("a tracker was not told where this peer is: %s", told)

    @property
    def calls(self) -> Calls:
        """How the trackers are called: which are known, and how each answered."""
        return self._member or self._anonymous

    # ---- inside -------------------------------------------------------------------------------------------------

    def _certified(self) -> Calls:
        if self._member is None:
            raise NotAllowedError("this needs a certificate of the swarm: join it first")
        if self._expires is not None and self._expires <= clock.wall_now():
            raise NotAllowedError("this home's certificate has expired: it has to be renewed before anything else")
        return self._member

    async def _call(self, method: str, path: str, *, is_personal: bool = False, **more: Any) -> bytes:
        """``is_personal``: what the tracker decides by the person who is signed in at this home, if one is."""
        shown = await self.authorization() if is_personal and self.authorization is not None else None
        headers = {"Authorization": shown} if shown is not None else {}
        return await self._certified().call(method, path, headers=headers, **more)
