"""Who reaches which route of the tracker: one place that looks at what a route declares, before its handler runs.

The asker is whoever its certificate or its login shows; what it may do says the policy. What it may not read is
answered exactly as what is not there, before the store is asked. Every refusal is numbered, and noted for the audit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web

from swarm.authority import root_name
from swarm.errors import AetherError, HiddenError, NotAllowedError, NotSignedInError
from swarm.http.problem import Handler
from swarm.http.routes import Access, Route
from swarm.http.serve import caller_of, issuer_of
from swarm.names import check_name
from swarm.principal import ANONYMOUS, Principal, Right
from swarm.tracker.absent import no_dataset
from swarm.tracker.asking import ASKER, LET_IN, Asker, LetIn
from swarm.tracker.denials import DeniedError, not_allowed, numbered
from swarm.tracker.policy import may_any
from swarm.tracker.state import TrackerState, dataset_of

# By what an entry may be committed: which of these it takes says its kind. Here, before it is read, that is what the
# caller says; it only makes the refusal clear.
WRITING: Final[tuple[Right, ...]] = ("publish", "tag", "delete")
RIGHT_TO: Final[dict[str, Right]] = {"publish": "publish", "tag": "tag", "rollback": "tag", "rm": "delete"}
_RIGHTS: Final[dict[Access, tuple[Right, ...]]] = {
    "read": ("read",),
    "publish": ("publish",),
    "tag": ("tag",),
    "write": WRITING,
    "admin": ("admin",),
}


class Guards:
    """Of one tracker. ``observe`` raises for who may not look at its health."""

    def __init__(self, state: TrackerState, observe: Callable[[web.Request], None]) -> None:
        self._state = state
        self._observe = observe

    def guarded(self, route: Route) -> Handler:
        """The route's handler behind what it declares."""

        async def handle(request: web.Request) -> web.StreamResponse:
            asker = Asker(ANONYMOUS)
            try:
                if route.access == "control":
                    self._observe(request)
                elif route.access != "public":
                    asker = request[ASKER] = await asker_behind(self._state, request)
                    await self._check(asker, route, request)
                    let_in: LetIn = partial(self._let_in, route, request)
                    request[LET_IN] = let_in
                return await route.handler(request)
            except (HiddenError, DeniedError) as error:
                raise await self._refused(error, asker, request) from error
            except NotSignedInError:
                self._state.noted.refused(ANONYMOUS, "sign in", "-")
                raise

        return handle

    async def _let_in(self, route: Route, request: web.Request) -> None:
        await self._check(await asker_behind(self._state, request), route, request)

    async def _check(self, asker: Asker, route: Route, request: web.Request) -> None:
        """NotAllowedError, or HiddenError, unless the asker may use the route."""
        if route.access in ("member", "tracker"):
            if asker.member is None:
                raise NotAllowedError("this needs a certificate of the swarm: join it first")
            if route.access == "tracker" and asker.member.role != "tracker":
                raise NotAllowedError(f"this is for trackers alone, your role is {asker.member.role}")
        elif route.access == "known":
            known = await self._state.policy()
            if asker.who.kind == "anonymous" and not may_any(known.policy, asker.who, "read"):
                raise not_allowed(asker.who, "read", "*")
        else:
            rights = _RIGHTS[route.access]
            meant = RIGHT_TO.get(request.query.get("kind", ""), rights[0])
            await self._check_right(asker.who, rights, pattern_of(request), meant if meant in rights else rights[0])

    async def _check_right(self, who: Principal, rights: tuple[Right, ...], pattern: str, meant: Right) -> None:
        """``meant``: the right that a refusal names."""
        for right in rights:
            if await self._state.may(who, right, pattern):
                return
        if rights == ("read",) and who.kind != "anonymous":
            raise no_dataset(pattern)
        raise not_allowed(who, meant, pattern)

    async def _refused(self, error: HiddenError | DeniedError, asker: Asker, request: web.Request) -> AetherError:
        state, pattern = self._state, pattern_of(request)
        state.requests.add(operation="guard", result=error.title)
        right = error.right if isinstance(error, DeniedError) else "read"
        # What is not there is refused to nobody, but looks as if it were.
        if isinstance(error, DeniedError) or not await state.may(asker.who, right, pattern):
            state.noted.refused(asker.who, right, pattern)
        return numbered(error, state.denials.add(asker.who, right, pattern, time.time()))


async def asker_behind(state: TrackerState, request: web.Request) -> Asker:
    """Who signs in counts before the peer whose connection it is, if both are shown; the peer is known all the same.

    Raises for what proves nothing, or nothing any more.
    """
    who, peer_id = await state.identifier.identify(request), caller_of(request)
    if peer_id is None:
        return Asker(who)
    # TLS of a running tracker goes on trusting a root that was retired meanwhile.
    counting = state.keys.authority.trust.counting(time.time())
    if issuer_of(request) not in {root_name(anchor.public) for anchor in counting}:
        raise NotAllowedError("your certificate is under a retired key of the CA: renew it")
    member = await state.member(peer_id)
    return Asker(who if who != ANONYMOUS else member.principal, member)


def pattern_of(request: web.Request) -> str:
    """What a right has to reach over: the dataset in the path, all of the scope in it, or everything."""
    scope = request.match_info.get("scope")
    if scope is None:
        return "*"
    return dataset_of(request) if "name" in request.match_info else f"{check_name(scope, 'scope')}/*"
