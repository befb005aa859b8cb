"""Routes of membership: what anyone may know of the swarm, joins, renewals, tokens."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from swarm import canonical
from swarm.canonical import agree_version
from swarm.errors import NotAllowedError
from swarm.http.routes import Route
from swarm.keyring import NO_KEYS
from swarm.limits import ADDRESSES_MAX, BOOTSTRAP_MAX
from swarm.messages import (
    OUR_VERSIONS,
    Contact,
    JoinAnswer,
    JoinRequest,
    RenewAnswer,
    RenewRequest,
    RotateAnswer,
    RotateRequest,
    SwarmInfo,
    TokenAnswer,
    TokenRequest,
)
from swarm.principal import ANONYMOUS, Principal
from swarm.tracker.membership import Member
from swarm.tracker.presence import addresses_for
from swarm.tracker.state import TrackerState, answer, body_of, remote_of

PEM: Final = "application/x-pem-file"


def member_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    return [
        Route(
            "GET",
            "/api/v1/swarm",
            state.counted("swarm", serve.swarm),
            "public",
            "The swarm's root certificate and this tracker's credential",
            response=SwarmInfo,
        ),
        Route(
            "GET",
            "/api/v1/certificate",
            state.counted("certificate", serve.certificate),
            "member",
            "The certificate that this tracker shows people",
            response=PEM,
        ),
        Route(
            "POST",
            "/api/v1/join",
            state.counted("join", serve.join),
            "public",
            "Become a member, with a token's secret",
            request=JoinRequest,
            response=JoinAnswer,
        ),
        Route(
            "POST",
            "/api/v1/renew",
            state.counted("renew", serve.renew),
            "public",
            "Fresh papers for a member's key, also after its certificate has expired",
            request=RenewRequest,
            response=RenewAnswer,
        ),
        Route(
            "POST",
            "/api/v1/rotate",
            state.for_askers("rotate", serve.rotate),
            "admin",
            "Let a new key of the CA, or a new secret, follow",
            request=RotateRequest,
            response=RotateAnswer,
        ),
        Route(
            "POST",
            "/api/v1/tokens",
            state.for_askers("token", serve.token),
            "admin",
            "Make a join token",
            request=TokenRequest,
            response=TokenAnswer,
        ),
    ]


def join_answer(state: TrackerState, member: Member, papers: tuple[bytes, bytes, bytes], remote: str) -> JoinAnswer:
    """What a new member is given. ``papers``: certificate, credential, grant."""
    certificate, credential, grant = papers
    return JoinAnswer(
        protocol=OUR_VERSIONS[1],
        certificate=certificate,
        ca=state.keys.authority.certificate,
        credential=credential,
        grant=grant,
        secret=state.keys.secret,
        bootstrap=_bootstrap(state, remote),
        trackers=trackers_for(state, remote),
        wall_time=int(time.time()),
        store_key=state.store_key if member.role == "tracker" else b"",
        keys=keys_told(state),
    )


def keys_told(state: TrackerState) -> bytes:
    """What a member is told of the swarm's keys."""
    keyring = state.keys.keyring(time.time())
    return canonical.encode(keyring) if keyring != NO_KEYS else b""


def trackers_for(state: TrackerState, remote: str) -> tuple[Contact, ...]:
    """The trackers that an asker at ``remote`` can dial; this one at least by what it has."""
    known = {contact.public: contact for contact in [*state.trackers, state.contact]}
    found = [Contact(contact.public, addresses_for(contact.addresses, remote)) for contact in known.values()]
    return tuple(contact for contact in found if contact.addresses) or (state.contact,)


def _bootstrap(state: TrackerState, remote: str) -> tuple[Contact, ...]:
    """Where a DHT node can start: what the tracker's process has itself, then the peers heard of last, then those that
    were left in the store.
    """
    found = {contact.public: contact.addresses for contact in state.bootstrap}
    for peer in state.presence.latest(_now()):
        if len(found) >= BOOTSTRAP_MAX:
            break
        found.setdefault(peer.public, peer.addresses)
    for contact in state.met:
        found.setdefault(contact.public, contact.addresses)
    contacts = [Contact(public, addresses_for(addresses, remote)) for public, addresses in found.items()]
    return tuple(contact for contact in contacts if contact.addresses)[:BOOTSTRAP_MAX]


def _now() -> float:
    return time.monotonic()


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state

    async def swarm(self, request: web.Request) -> web.Response:
        state = self.state
        return answer(
            SwarmInfo(
                ca=state.keys.authority.certificate,
                credential=state.papers.credential,
                protocol=OUR_VERSIONS,
                wall_time=int(time.time()),
                links=state.keys.authority.trust.links,
            )
        )

    async def certificate(self, request: web.Request) -> web.Response:
        return web.Response(body=self.state.certificate, content_type=PEM)

    async def join(self, request: web.Request) -> web.Response:
        asked = await body_of(request, JoinRequest)
        try:
            papers, member = await self.state.work(self.state.members.join, asked, time.time())
        except NotAllowedError:
            self.state.noted.refused(ANONYMOUS, "join", "-")
            raise
        self.state.note(member.principal, "join", f"role {member.role}", f"token {asked.token_id.hex()[:12]}")
        stated = (papers.certificate, papers.credential, papers.grant)
        return answer(join_answer(self.state, member, stated, remote_of(request)))

    async def renew(self, request: web.Request) -> web.Response:
        asked = await body_of(request, RenewRequest)
        papers, _ = await self.state.work(self.state.members.renew, asked, time.time())
        return answer(
            RenewAnswer(
                protocol=agree_version(asked.protocol, OUR_VERSIONS),
                certificate=papers.certificate,
                credential=papers.credential,
                grant=papers.grant,
                trackers=trackers_for(self.state, remote_of(request)),
                wall_time=int(time.time()),
                keys=keys_told(self.state),
            )
        )

    async def rotate(self, request: web.Request, who: Principal) -> web.Response:
        asked, state = await body_of(request, RotateRequest), self.state
        rotate = state.keys.rotate_ca if asked.what == "ca" else state.keys.rotate_secret
        in_force, retired = await state.work(rotate, state.objects, time.time(), asked.after_s, asked.retire_s)
        state.keys_rotated.set()
        state.note(who, "rotate", asked.what)
        return answer(RotateAnswer(in_force, retired))

    async def token(self, request: web.Request, who: Principal) -> web.Response:
        asked = await body_of(request, TokenRequest)
        others = [contact for contact in self.state.trackers if contact.public != self.state.contact.public]
        addresses = [str(address) for contact in [self.state.contact, *others] for address in contact.addresses]
        known = tuple(dict.fromkeys(addresses))[:ADDRESSES_MAX]
        text, record = await self.state.work(self.state.tokens.create, asked, known, time.time())
        given = " ".join([*record.datasets, *([f"site={record.site}"] if record.site else []), *record.labels])
        self.state.note(who, "token", f"role {record.role}", f"{record.id.hex()[:12]} for {record.uses}: {given}")
        return answer(TokenAnswer(text, record.expires))
