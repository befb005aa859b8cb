"""Tracker, seed and peer in one process, as `aetherfs up` puts them together, for tests that look at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from swarm.cli.program import Program
from swarm.cli.roles import Role, Running, running


@asynccontextmanager
async def whole_process(home: Path, **flags: str) -> AsyncIterator[Running]:
    """Running over a folder in its home, on free ports."""
    program = Program()
    program.flags = {"home": str(home), "port_base": "0", **flags}
    async with running(program, Role(tracker=True, seed=True)) as parts:
        yield parts


async def asked(parts: Running, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """What the agent answers: status, media type and text."""
    url = f"http://{parts.node.agent_address}{path}"
    async with asyncio.timeout(20), aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, response.headers.get("Content-Type", ""), await response.text()
