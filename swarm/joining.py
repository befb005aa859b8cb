"""How a home comes to trust a tracker, and a tracker a home.

First one look, on a connection that proves nothing, at what the far end says it is: the CA must be the one that the
token pins, and the credential must be a tracker's under that CA. Then everything again on a connection that OpenSSL
has verified: the far end holds that tracker's key. Only there is the token's secret sent. So neither somebody with
another CA nor a mere member of the swarm, nor somebody who replays a tracker's credential, ever sees a secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from swarm import clock, records
from swarm.authority import fingerprints_of, public_of_root
from swarm.calls import (
    CONNECT_TIMEOUT_S,
    DEFAULT_TIMEOUT_S,
    FIRST_PATIENCE_S,
    PROBLEM_MAX_BYTES,
    Calls,
    read_bounded,
    reason_of,
)
from swarm.canonical import agree_version
from swarm.errors import AetherError, NotAllowedError, RemoteProtocolError, UnreachableError, UsageError
from swarm.http.tls import anonymous_context, unverified_context
from swarm.identity import PeerKey
from swarm.keyring import decode_keyring
from swarm.limits import ADDRESSES_MAX
from swarm.messages import OUR_VERSIONS, Contact, JoinAnswer, JoinRequest, SwarmInfo, join_proof
from swarm.records import Address, Credential, Grant
from swarm.roster import is_roster, open_roster, root_fingerprint
from swarm.staggered import Staggered
from swarm.token import Token
from swarm.trust import Trust

# Room for as many successions as there may be, in base64.
SWARM_INFO_MAX_BYTES = 384 * 1024

log = logging.getLogger("aetherfs.joining")


@dataclass(frozen=True, slots=True)
class Discovered:
    """A tracker that says it belongs to the pinned CA: call it at ``contact`` with ``root`` (PEM) as only authority.

    ``trust`` is what it has proved of the CA's keys.
    """

    contact: Contact
    root: bytes
    trust: Trust


def parse_address(text: str) -> Address:
    """``host:port`` or ``[v6]:port``, or UsageError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not colon or not bare or (":" in bare and not bracketed) or not port.isascii() or not port.isdigit():
        raise UsageError(f"{text[:80]!r} is not an address: expected host:port or [v6 address]:port")
    if not 1 <= int(port[:6]) <= 65535 or len(bare) > 253:
        raise UsageError(f"{text[:80]!r} is not an address: the port must be 1 to 65535")
    return Address(bare, int(port))


async def discover(
    address: Address, fingerprint: bytes, *, wall_now: float, timeout_s: float = DEFAULT_TIMEOUT_S
) -> Discovered:
    """Look at who answers at an address. Nothing secret is sent and nothing is believed that the CA did not seal.

    Raises UnreachableError, NotAllowedError when another swarm or no tracker answers, RemoteProtocolError for garbage.
    """
    info = await _look(address, timeout_s)
    try:
        pinned = next((root for root in _roots_in(info.links) if root_fingerprint(root) == fingerprint), b"")
        authority = Trust(public_of_root(info.ca), info.ca, info.links, pinned)
        known = fingerprints_of(authority)
    except (ValueError, TypeError) as error:
        raise RemoteProtocolError(
            f"what answers at {address} shows no root certificate: it is not a tracker"
        ) from error
    if fingerprint not in known or authority.find(public_of_root(info.ca)) is None:
        raise NotAllowedError(
            f"what answers at {address} belongs to another swarm than the token: ask for a token of that swarm"
        )
    agree_version(info.protocol, OUR_VERSIONS)
    issued, _ = records.term_of(info.credential, Credential, authority)
    clock.have_papers(issued)
    wall_now = max(wall_now, clock.wall_now())
    credential = records.open_sealed(info.credential, Credential, authority=authority, wall_now=wall_now)
    if credential.role != "tracker":
        raise NotAllowedError(
            f"what answers at {address} is a member of the swarm but not a tracker: its address is wrong"
        )
    return Discovered(Contact(credential.public, (address,)), info.ca, authority)


async def look_for_links(trackers: Sequence[Contact], trust: Trust) -> tuple[bytes, ...]:
    """Successions of the CA that whoever answers at the trackers' addresses shows, and that are new to ``trust``.

    They prove themselves, so it does not matter who shows them. Nothing secret is sent.
    """
    for address in [address for contact in trackers for address in contact.addresses]:
        try:
            links = (await _look(address, DEFAULT_TIMEOUT_S)).links
            if trust.copy().learn(links):
                return links
        except (UnreachableError, RemoteProtocolError) as error:
            log.info("no keys are learnt at %s: %s", address, error)
    return ()


async def look_at(token: Token, *, timeout_s: float) -> tuple[tuple[Contact, ...], list[AetherError]]:
    """The trackers that prove to be there at a token's addresses, and why the others are of no use. Nothing secret is
    sent: for who is a member already, and to whom the token is a way to the swarm.
    """

    async def look(text: str) -> Discovered:
        wall_now = clock.wall_now()
        return await discover(parse_address(text), token.fingerprint, wall_now=wall_now, timeout_s=timeout_s)

    seen = await asyncio.gather(*map(look, token.addresses), return_exceptions=True)
    met: dict[bytes, Contact] = {}
    failures = []
    for each in seen:
        if isinstance(each, Discovered):
            known = met.get(each.contact.public, each.contact)
            both = dict.fromkeys((*known.addresses, *each.contact.addresses))
            met[known.public] = Contact(known.public, tuple(both)[:ADDRESSES_MAX])
        elif isinstance(each, AetherError):
            failures.append(each)
        else:
            raise each
    return tuple(met.values()), failures


async def join(token: Token, key: PeerKey, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> JoinAnswer:
    """Become a member: the first tracker of the token that proves itself gets the secret and gives the papers.

    Safe to repeat with the same key and token. Raises NotAllowedError (expired, used up, unknown, removed, other
    swarm) and UnreachableError.
    """

    async def attempt(text: str) -> JoinAnswer:
        wall_now = clock.wall_now()
        found = await discover(parse_address(text), token.fingerprint, wall_now=wall_now, timeout_s=timeout_s)
        try:
            return await _join_at(found, token, key, clock.wall_now(), timeout_s)
        except UnreachableError:
            raise
        except AetherError as error:
            raise _Refused(error) from error

    round_ = Staggered(token.addresses, attempt, lambda _: FIRST_PATIENCE_S, _may_be_elsewhere)
    try:
        found = await round_.first()
    except _Refused as refused:
        raise refused.error from None
    if found is not None:
        return found[1]
    failures = [error for _, error in round_.failures]
    refusals = [error for error in failures if not isinstance(error, UnreachableError)]
    raise (refusals or failures)[0]


def _roots_in(links: Sequence[bytes]) -> set[bytes]:
    """The roots that rosters among these links name, each sealed by itself."""
    return {open_roster(data).roster.root for data in links if is_roster(data)}


class _Refused(Exception):
    """What a tracker that has proved itself answered to the token: no other would say otherwise."""

    def __init__(self, error: AetherError) -> None:
        super().__init__(str(error))
        self.error = error


def _may_be_elsewhere(error: BaseException) -> bool:
    return isinstance(error, NotAllowedError | UnreachableError | RemoteProtocolError)


async def _look(address: Address, timeout_s: float) -> SwarmInfo:
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
    # The session waits for the end of what it still has; of a connection that is closed after each request it does not.
    connector = aiohttp.TCPConnector(ssl=unverified_context(), limit=1)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(f"https://{address}/api/v1/swarm", allow_redirects=False) as response,
        ):
            limit = SWARM_INFO_MAX_BYTES if response.status == 200 else PROBLEM_MAX_BYTES
            data = await read_bounded(response.content, limit)
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UnreachableError(
            f"no tracker answers at {address} ({reason_of(error)}); check that it runs and can be reached from here"
        ) from error
    if status != 200:
        raise UnreachableError(
            f"what answers at {address} is not a tracker: it gave status {status}; check the address"
        )
    try:
        return msgspec.json.decode(data, type=SwarmInfo)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"what answers at {address} is not a tracker: {error}") from error


async def _join_at(found: Discovered, token: Token, key: PeerKey, wall_now: float, timeout_s: float) -> JoinAnswer:
    request = JoinRequest(
        protocol=OUR_VERSIONS,
        token_id=token.id,
        secret=token.secret,
        public=key.public,
        wall_time=int(wall_now),
        proof=join_proof(key, token.id, token.fingerprint, int(wall_now)),
    )
    calls = Calls([found.contact], anonymous_context(found.trust.bundle(wall_now).decode()), timeout_s=timeout_s)
    try:
        data = await calls.call("POST", "/api/v1/join", body=msgspec.json.encode(request))
    finally:
        await calls.close()
    try:
        answer = msgspec.json.decode(data, type=JoinAnswer)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"the tracker's answer to a join is malformed: {error}") from error
    keyring = decode_keyring(answer.keys)
    found.trust.learn(keyring.links)
    if any(root != found.trust.swarm_root for root in _roots_in(keyring.links)):
        raise RemoteProtocolError("the tracker's answer to a join names another root of the swarm than the token's")
    check_papers(key, found.trust, answer.credential, answer.grant, wall_now=wall_now)
    if answer.ca != found.root:
        raise RemoteProtocolError("the tracker's answer to a join names another root than its own")
    return answer


def check_papers(key: PeerKey, authority: Trust, credential: bytes, grant: bytes, *, wall_now: float) -> None:
    """Whether papers are the CA's and for this key, or RemoteProtocolError."""
    holders = {
        records.open_sealed(credential, Credential, authority=authority, wall_now=wall_now).public,
        records.open_sealed(grant, Grant, authority=authority, wall_now=wall_now).public,
    }
    if holders != {key.public}:
        raise RemoteProtocolError("the tracker gave papers for another key")
