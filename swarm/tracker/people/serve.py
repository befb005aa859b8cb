"""Routes of people, services and issuers: signing in and out, who one is, and what a tracker's home changes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from swarm.errors import ConflictError, NotFoundError, NotSignedInError, UsageError
from swarm.http.routes import Route
from swarm.oidc.fetch import check_url, context_for
from swarm.people_messages import (
    IssuersAnswer,
    Issuing,
    ServiceAnswer,
    ServiceItem,
    ServiceRequest,
    ServicesAnswer,
    SignedInAnswer,
    SignOutRequest,
    UserItem,
    UserRequest,
    UsersAnswer,
    WhoAnswer,
    check_user_name,
)
from swarm.principal import ANONYMOUS, Principal, check_subject, check_subject_name
from swarm.signature import signature_of
from swarm.tracker.guards import asker_behind
from swarm.tracker.people.records import ISSUERS, SERVICES, USERS, Issuer, People, Service, User
from swarm.tracker.people.sessions import new_service_token
from swarm.tracker.state import AskerHandler, TrackerState, answer, body_of, remote_of

BASE: Final = "/api/v1"
# What a handler has done, in words for the audit: who may do what hangs on groups, so these are told.
DONE: Final = web.RequestKey("done", str)


def people_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve, change = _Serve(state), _Change(state)

    def admin(method: str, path: str, handler: AskerHandler, summary: str, *kinds: type | None) -> Route:
        request, response = (*kinds, None, None)[:2]
        noted = handler if method == "GET" else _noted(state, handler)
        return Route(method, BASE + path, state.for_askers("people", noted), "admin", summary, request, response)

    def public(method: str, path: str, name: str, summary: str, response: type | None = None) -> Route:
        handler = state.counted("session", getattr(serve, name))
        return Route(method, BASE + path, handler, "public", summary, response=response)

    return [
        public("GET", "/whoami", "who", "Who asks, as this tracker knows it", WhoAnswer),
        public("GET", "/issuers", "issuers", "The OIDC issuers by which people sign in", IssuersAnswer),
        public("POST", "/session", "sign_in", "A bearer token for a Basic password", SignedInAnswer),
        public("DELETE", "/session", "sign_out", "End the session whose bearer token is shown"),
        admin("GET", "/users", change.users, "All users", None, UsersAnswer),
        admin("POST", "/users/{name}", change.put_user, "A new user, or another password", UserRequest, UserItem),
        admin("DELETE", "/users/{name}", change.remove_user, "Remove a user"),
        admin("POST", "/signouts", change.sign_out, "End all sessions and tokens of a subject", SignOutRequest),
        admin("GET", "/services", change.services, "All API tokens", None, ServicesAnswer),
        admin("POST", "/services/{name}", change.put_service, "A new API token", ServiceRequest, ServiceAnswer),
        admin("DELETE", "/services/{name}", change.remove_service, "Revoke an API token by its id"),
        admin("POST", "/issuers/{name}", change.put_issuer, "Believe an OIDC issuer", Issuing, Issuing),
        admin("DELETE", "/issuers/{name}", change.remove_issuer, "Believe it no more"),
    ]


def _noted(state: TrackerState, handler: AskerHandler) -> AskerHandler:
    """The handler, whose doings are told in the audit."""

    async def handle(request: web.Request, who: Principal) -> web.StreamResponse:
        response = await handler(request, who)
        told = request.get(DONE, {"DELETE": "removed"}.get(request.method, "changed"))
        state.note(who, "people", request.path.removeprefix(f"{BASE}/"), told)
        return response

    return handle


def _in_groups(groups: Iterable[str] | None) -> list[str]:
    """What the audit says of the groups that somebody was given, if they were named."""
    return [] if groups is None else [f"groups {' '.join(groups) or '-'}"]


def told_of(who: Principal) -> WhoAnswer:
    """Somebody, as he is told of himself."""
    return WhoAnswer(who.kind, who.name, who.groups, who.labels, who.subjects())


class _Serve:
    """What everybody may ask."""

    def __init__(self, state: TrackerState) -> None:
        self.state = state

    async def who(self, request: web.Request) -> web.Response:
        who = (await asker_behind(self.state, request)).who
        if who == ANONYMOUS:
            raise NotSignedInError("nobody is signed in: show a password, a token or a certificate")
        return answer(told_of(who))

    async def issuers(self, request: web.Request) -> web.Response:
        found = await self.state.work(self.state.identifier.people.issuers)
        return answer(IssuersAnswer(tuple(issuer.issuing for issuer in found)))

    async def sign_in(self, request: web.Request) -> web.Response:
        scheme, _, basic = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise NotSignedInError("a session is begun with a Basic password")
        user = await self.state.identifier.user_of(basic.strip(), remote_of(request))
        text, session = self.state.identifier.sessions.begin(user.name, user.stamp, "bearer", time.time())
        return answer(SignedInAnswer(text, session.expires))

    async def sign_out(self, request: web.Request) -> web.Response:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedInError("a session is ended by who shows its bearer token")
        session, _ = await self.state.identifier.session_of(text.strip(), "bearer")
        await self.state.work(self.state.identifier.people.end_session, session.key)
        return _done()


class _Change:
    """What admins may ask. Writing waits for the store, hashing for a thread."""

    def __init__(self, state: TrackerState) -> None:
        self.state = state

    @property
    def people(self) -> People:
        return self.state.identifier.people

    async def users(self, request: web.Request, who: Principal) -> web.Response:
        found = await self.state.work(self.people.users)
        return answer(UsersAnswer(tuple(_told(user) for user in found)))

    async def put_user(self, request: web.Request, who: Principal) -> web.Response:
        name = check_user_name(request.match_info["name"])
        asked = await body_of(request, UserRequest)
        for group in asked.groups or ():
            check_subject_name(group, "group")
        known = None if asked.is_new else await self.state.work(self.people.user_now, name)
        if known is None and not asked.is_new:
            raise NotFoundError(f"there is no user {name}: make one with `aetherfs user add {name}`")
        user = await self._changed(name, known, asked)
        if not await self.state.work(self.people.put_user, user, is_new=asked.is_new):
            raise ConflictError(
                f"there is a user {name} already: change the password with `aetherfs user passwd {name}`"
            )
        said = [*(["new"] if known is None else []), *(["password"] if asked.password is not None else [])]
        request[DONE] = ", ".join([*said, *_in_groups(asked.groups)])
        return answer(_told(user))

    async def _changed(self, name: str, known: User | None, asked: UserRequest) -> User:
        if known is None and asked.password is None:
            raise UsageError("a new user needs a password")
        if asked.password is not None:
            password = await self.state.identifier.passwords.hash(asked.password)
        else:
            assert known is not None
            password = known.password
        groups = asked.groups if asked.groups is not None else known.groups if known is not None else ()
        return User(1, name, groups, password, int(time.time()))

    async def remove_user(self, request: web.Request, who: Principal) -> web.Response:
        name = check_user_name(request.match_info["name"])
        await self.state.work(self.people.remove, USERS + name)
        return _done()

    async def sign_out(self, request: web.Request, who: Principal) -> web.Response:
        asked = await body_of(request, SignOutRequest)
        await self.state.work(self.people.sign_out, check_subject(asked.subject), time.time())
        request[DONE] = asked.subject
        return _done()

    async def services(self, request: web.Request, who: Principal) -> web.Response:
        found = await self.state.work(self.people.services)
        items = (ServiceItem(one.name, one.id.hex(), one.groups, one.created, one.expires) for one in found)
        return answer(ServicesAnswer(tuple(items)))

    async def put_service(self, request: web.Request, who: Principal) -> web.Response:
        name = check_user_name(request.match_info["name"], "service")
        asked = await body_of(request, ServiceRequest)
        for group in asked.groups:
            check_subject_name(group, "group")
        text, token_id, secret = new_service_token()
        now = int(time.time())
        service = Service(1, token_id, name, asked.groups, signature_of(secret), now, now + asked.ttl_s)
        await self.state.work(self.people.put_service, service)
        request[DONE] = ", ".join([f"token {token_id.hex()}", *_in_groups(asked.groups)])
        return answer(ServiceAnswer(name, token_id.hex(), text, service.expires))

    async def remove_service(self, request: web.Request, who: Principal) -> web.Response:
        """One token by its id; all of a service by its name."""
        name = check_user_name(request.match_info["name"], "service")
        found = [
            one.id.hex() for one in await self.state.work(self.people.services) if name in (one.name, one.id.hex())
        ]
        if not found:
            raise NotFoundError(f"there is no API token {name}: see `aetherfs service ls`")
        for token_id in found:
            await self.state.work(self.people.remove, SERVICES + token_id)
        return _done()

    async def put_issuer(self, request: web.Request, who: Principal) -> web.Response:
        asked = await body_of(request, Issuing)
        if asked.name != request.match_info["name"]:
            raise UsageError("an issuer is written down under its own name")
        check_url(asked.issuer)
        context_for(asked.ca)
        known = await self.state.work(self.people.issuers)
        if any(one.issuing.issuer == asked.issuer and one.issuing.name != asked.name for one in known):
            raise ConflictError(f"{asked.issuer} is known under another name: remove that one first")
        await self.state.work(self.people.put_issuer, Issuer.of(asked, time.time()))
        request[DONE] = asked.issuer
        return answer(asked)

    async def remove_issuer(self, request: web.Request, who: Principal) -> web.Response:
        name = check_user_name(request.match_info["name"], "issuer")
        await self.state.work(self.people.remove, ISSUERS + name)
        return _done()


def _told(user: User) -> UserItem:
    return UserItem(user.name, user.groups, user.changed)


def _done() -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")
