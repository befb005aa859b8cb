"""The agent: the local API of a running peer, on loopback.

What it serves is put together in one place, ``tables``: each table is a list of routes of one room. Every request
passes the guard (``swarm.http.local``); what is ``control`` needs the home's token too.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

from aiohttp import web

from swarm.http.local import LocalGuard
from swarm.http.openapi import described
from swarm.http.routes import Route, mount
from swarm.http.serve import make_app, start_listener
from swarm.peer.agent_verbs import verb_routes
from swarm.peer.agent_watch import watch_routes
from swarm.peer.dav_routes import DavRoutes
from swarm.peer.extension import Extension
from swarm.peer.file_routes import FileRoutes
from swarm.peer.health import health_routes
from swarm.peer.hub_routes import HubRoutes
from swarm.peer.node import PeerNode
from swarm.peer.own_page import own_routes
from swarm.peer.registry_routes import RegistryRoutes
from swarm.peer.settings import NodeSettings
from swarm.peer.subscriptions import Subscriptions
from swarm.standing import AgentInfo

ROOMS: Final = (
    '<!doctype html><title>AetherFS</title><p><a href="/ui/">How this peer is</a>'
    '<p><a href="/fs/">Datasets and their files</a>'
    '<p><a href="/api/">What this agent can be told</a>\n'
)


def tables(node: PeerNode) -> list[Route]:
    """Every route of an agent. The first that fits a path answers."""
    routes = [
        *watch_routes(node),
        *verb_routes(node),
        *FileRoutes(node).routes(),
        *DavRoutes(node).routes(),
        *HubRoutes(node).routes(),
        *RegistryRoutes(node).routes(),
        *root_routes(),
        *own_routes(node),
        *health_routes(node),
        *described(lambda: routes, "AetherFS agent"),
    ]
    return routes


async def start_peer(settings: NodeSettings, extension: Extension | None = None) -> PeerNode:
    """A peer with its agent: see ``PeerNode.start``."""
    node = await PeerNode.start(settings, extension)
    try:
        node.subscriptions = Subscriptions(node)
        await _start_agent(node)
        node.subscriptions.start()
        node.reporter.follow_subscriptions()
    except BaseException:
        await node.close()
        raise
    return node


async def _start_agent(node: PeerNode) -> None:
    token = secrets.token_urlsafe(32)
    app = agent_app(node, token)
    base = node.settings.port_base
    listener = await start_listener(app, "127.0.0.1", base + 2 if base else 0, None)
    node.at_close(listener.close)
    node.listeners["agent"] = listener
    node.agent_address = f"127.0.0.1:{listener.port}"
    node.home.publish_agent(AgentInfo(os.getpid(), listener.port, token))


def agent_app(node: PeerNode, token: str) -> web.Application:
    """All routes of a node's agent, each behind the guard."""
    guard = LocalGuard(token)
    app = make_app()
    app.middlewares.append(guard.local)
    mount(app, tables(node), guard.control)
    return app


def root_routes() -> list[Route]:
    """Where somebody begins who opens the agent in a browser."""

    async def rooms(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Security-Policy": "default-src 'none'"}
        return web.Response(text=ROOMS, content_type="text/html", charset="utf-8", headers=headers)

    return [Route("GET", "/", rooms, "public", "Where to go from here", response="text/html")]
