"""Routes by which admins see the members, change what their tokens named, and remove one."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from swarm.access_messages import MemberItem, MemberRequest, MembersAnswer
from swarm.http.routes import Route
from swarm.names import check_pattern
from swarm.principal import Principal, check_labels
from swarm.tracker.membership import Member
from swarm.tracker.state import TrackerState, answer, body_of

PAGE: Final = 200


def roll_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    listed, change = state.for_askers("members", serve.members), state.for_askers("member", serve.change)
    remove, members, one = state.for_askers("remove", serve.remove), "/api/v1/members", "/api/v1/members/{peer}"
    return [
        Route("GET", members, listed, "admin", "The members", None, MembersAnswer, ("cursor",)),
        Route("POST", one, change, "admin", "Change what its token is to have named", MemberRequest, MemberItem),
        Route("DELETE", one, remove, "admin", "Refuse a member from now on"),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state

    async def members(self, request: web.Request, who: Principal) -> web.Response:
        found, after = await self.state.work(self.state.members.page, request.query.get("cursor", ""), PAGE)
        return answer(MembersAnswer(tuple(map(_item, found)), after))

    async def change(self, request: web.Request, who: Principal) -> web.Response:
        peer_id, asked = request.match_info["peer"], await body_of(request, MemberRequest)
        for pattern in asked.datasets or ():
            check_pattern(pattern)
        check_labels(asked.labels or ())
        change = self.state.members.change
        member = await self.state.work(change, peer_id, asked.datasets, asked.labels, time.time())
        self.state.note(who, "member", str(member.principal), " ".join([*member.datasets, *member.labels]))
        return answer(_item(member))

    async def remove(self, request: web.Request, who: Principal) -> web.Response:
        peer_id = request.match_info["peer"]
        await self.state.work(self.state.members.remove, peer_id)
        self.state.presence.forget(peer_id)
        self.state.note(who, "remove", f"peer:{peer_id}")
        return web.Response(body=b"{}", content_type="application/json")


def _item(member: Member) -> MemberItem:
    return MemberItem(member.peer_id, member.role, member.site, member.datasets, member.labels, member.joined)
