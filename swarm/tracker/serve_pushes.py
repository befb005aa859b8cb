"""The route by which trackers tell one another what is new: see ``swarm.tracker.pushes``."""

from __future__ import annotations

import logging

from aiohttp import web

from swarm import canonical, log
from swarm.errors import AetherError, RemoteProtocolError
from swarm.http.routes import Route
from swarm.limits import PUSH_MAX_BYTES
from swarm.messages import Head
from swarm.tracker.listing import open_listing
from swarm.tracker.membership import Member
from swarm.tracker.pushes import MSGPACK, PUSH_PATH, Push
from swarm.tracker.registry import Listed
from swarm.tracker.state import TrackerState

logger = logging.getLogger("aetherfs.tracker")


def push_routes(state: TrackerState) -> list[Route]:
    """The declaration."""

    async def push(request: web.Request, member: Member) -> web.Response:
        told = canonical.decode(await request.read(), Push, limit_bytes=PUSH_MAX_BYTES)
        listing = open_listing(told.listing, state.keys.authority.trust)
        if listing.public != member.public:
            raise RemoteProtocolError("a tracker says of another where it is")
        if told.leaving:
            state.delist(listing.peer_id)
        else:
            state.enlist([Listed(listing, told.listing)])
        for head in told.heads:
            await heard_of_head(state, head)
        return web.Response(body=b"", content_type=MSGPACK)

    summary = "A tracker tells another which heads have moved, and that it is there"
    return [Route("POST", PUSH_PATH, state.for_members("push", push), "tracker", summary, request=MSGPACK)]


async def heard_of_head(state: TrackerState, head: Head) -> None:
    """Another tracker has committed: wake who waits here, and let the peer in this process pass the entry on."""
    serials = state.catalogue.expect(head.dataset, head.serial)
    if not serials:
        return
    state.bell.ring(head.dataset)
    try:
        for serial in serials:
            data = await state.work(state.catalogue.entry, head.dataset, serial)
            log.verify_endorsed(data, authority=state.keys.authority.trust)
            state.figures.committed(data)
        if state.on_commit is not None:
            state.on_commit(data)
    except AetherError as error:
        logger.info("entry %d of %s was pushed and is not to be had: %s", head.serial, head.dataset, error)
