"""An agent's own page, on loopback: what this peer follows, holds, gives and takes.

Programs of this machine may read it without the home's token, as they may the files (``swarm.http.local``). So it tells
nothing of the machine's directories, of commands or of keys, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from aiohttp import web

from swarm import __version__, clock
from swarm.http.routes import Route
from swarm.peer.following import Following
from swarm.peer.node import PeerNode
from swarm.peer.status import status_of
from swarm.tracker.web_files import HTML, STATIC, send_file, sent_page, site

OWN: Final = "/api/v1/agent/own"
NEIGHBOURS_TOLD_MAX: Final = 100
SCRIPT: Final = "text/javascript"


class OwnTag(msgspec.Struct, frozen=True):
    """What is followed. ``version`` is current, empty if none is yet; ``phase`` is what is done now, ``problem`` why
    the last round failed. ``is_stale``: no tracker confirmed the last look.
    """

    ref: str
    version: str
    serial: int
    phase: str
    problem: str
    is_paused: bool
    is_stale: bool


class OwnHolding(msgspec.Struct, frozen=True):
    """A version that is held, whole or in part."""

    dataset: str
    version: str
    blocks: int
    held: int
    bytes: int
    is_origin: bool


class OwnNeighbour(msgspec.Struct, frozen=True):
    """Plain bytes since the process began. ``is_open``: there is a channel now."""

    peer: str
    sent_bytes: int
    received_bytes: int
    is_open: bool


class OwnTracker(msgspec.Struct, frozen=True):
    """In the order in which they are asked. ``dashboard`` is where its pages are."""

    address: str
    state: str
    answered_s_ago: float | None
    is_last: bool
    dashboard: str


class Own(msgspec.Struct, frozen=True):
    """The whole page. ``store`` is empty where this process has none; a limit is "none" or as it was set. ``received``
    are whole blocks, as everywhere; ``coming_bytes`` is what is here of others, and in none of the totals.
    """

    at: float
    peer: str
    role: str
    site: str
    program: str
    uptime_s: float
    tracker_state: str
    trackers: tuple[OwnTracker, ...]
    follows: bool
    tags: tuple[OwnTag, ...]
    holdings: tuple[OwnHolding, ...]
    neighbours: tuple[OwnNeighbour, ...]
    open_channels: int
    sent_bytes: int
    received_bytes: int
    coming_bytes: int
    bad_blocks: int
    held_blocks: int
    held_bytes: int
    memory_bytes: int
    memory_most_bytes: int
    resident_bytes: int
    dht_nodes: int
    dht_records: int
    upload: str
    download: str
    is_metered: bool
    profile: str
    waiting_for: tuple[str, ...]
    certificate_expires: float
    store: str


def own_routes(node: PeerNode) -> list[Route]:
    """The declarations."""

    async def page(request: web.Request) -> web.Response:
        return sent_page(request, site().agent)

    async def own(request: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=msgspec.json.encode(own_of(node)), content_type="application/json", headers=headers)

    return [
        Route("GET", "/ui/", page, "public", "This agent's own page", response=HTML),
        Route("GET", STATIC + "/{digest}/{file:.+}", send_file, "public", "A file of the page", response=SCRIPT),
        Route("GET", OWN, own, "public", "What the page shows", response=Own),
    ]


def own_of(node: PeerNode) -> Own:
    """What is told of a node now."""
    told = status_of(node)
    traffic, memory = node.traffic, told["memory"]
    return Own(
        at=clock.wall_now(),
        peer=told["peer_id"],
        role=told["role"],
        site=told["site"],
        program=__version__,
        uptime_s=round(time.monotonic() - node.started, 1),
        tracker_state=told["tracker_state"],
        trackers=tuple(_tracker(each) for each in told["trackers_asked"]),
        follows=node.settings.follows,
        tags=tuple(_tag(each) for each in _sorted(node.subscriptions)),
        holdings=tuple(_holding(each) for each in told["datasets"]),
        neighbours=_neighbours(node),
        open_channels=len(told["neighbours"]),
        sent_bytes=traffic.sent.total(),
        received_bytes=traffic.received.total(),
        coming_bytes=node.works.coming_bytes,
        bad_blocks=traffic.bad_blocks,
        held_blocks=told["held"]["blocks"],
        held_bytes=told["held"]["bytes"],
        memory_bytes=memory["blocks_bytes"],
        memory_most_bytes=memory["blocks_most_bytes"],
        resident_bytes=memory["resident_bytes"],
        dht_nodes=told["dht"]["nodes"],
        dht_records=told["dht"]["records"],
        upload=told["limits"]["upload"]["set"],
        download=told["limits"]["download"]["set"],
        is_metered=told["metered"],
        profile=told["profile"],
        waiting_for=tuple(f"{name}: {words}" for name, words in told["waiting_for"].items() if words),
        certificate_expires=told["certificate_expires"],
        store=told.get("store", {}).get("state", ""),
    )


def _sorted(followed: Iterable[Following]) -> list[Following]:
    return sorted(followed, key=lambda each: each.wanted.ref)


def _tag(following: Following) -> OwnTag:
    told = following.told()
    return OwnTag(told.ref, told.version, told.serial, told.phase, told.problem, told.paused, told.stale)


def _tracker(told: dict[str, Any]) -> OwnTracker:
    address = told["tracker"]
    dashboard = f"https://{address}/ui/" if ":" in address else ""
    return OwnTracker(address, told["state"], told["answered_s_ago"], told["last"], dashboard)


def _holding(told: dict[str, Any]) -> OwnHolding:
    return OwnHolding(told["dataset"], told["version"], told["blocks"], told["held"], told["bytes"], told["origin"])


def _neighbours(node: PeerNode) -> tuple[OwnNeighbour, ...]:
    """Those that moved most, first."""
    sent, received, now = node.traffic.sent, node.traffic.received, node.channels.open
    known = sorted({*sent, *received, *now}, key=lambda peer: (-sent[peer] - received[peer], peer))
    told = known[:NEIGHBOURS_TOLD_MAX]
    return tuple(OwnNeighbour(peer, sent[peer], received[peer], peer in now) for peer in told)
