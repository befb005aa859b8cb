"""Who asks a tracker: what its guards have found out, for the handlers behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from swarm.errors import HiddenError, NotAllowedError
from swarm.principal import Principal
from swarm.tracker.membership import Member


@dataclass(frozen=True, slots=True)
class Asker:
    """``member`` is what is known of a peer."""

    who: Principal
    member: Member | None = None


ASKER: Final = web.RequestKey("asker", Asker)
# Finds out anew who asks, and raises if the route is not open to it.
LetIn = Callable[[], Awaitable[None]]
LET_IN: Final[web.RequestKey[LetIn]] = web.RequestKey("let in")


def asker_of(request: web.Request) -> Asker:
    """Who asks, on a route that is not public."""
    return request[ASKER]


async def is_still_let_in(request: web.Request) -> bool:
    """Whether the guard would let the same request in now: what it shows may have ended, or its right."""
    try:
        await request[LET_IN]()
    except (HiddenError, NotAllowedError):
        return False
    return True


def member_of(request: web.Request) -> Member:
    """The member that asks. NotAllowedError for a user or a service: this takes a key of the swarm."""
    member = asker_of(request).member
    if member is None:
        raise NotAllowedError("this needs a certificate of the swarm: join it first")
    return member
