"""What a peer of profile edge takes of a small device, idle and under load, in a swarm of many.

The device is the real program in a process of its own; so is ``aetherfs up``. The rest of the swarm are real nodes too,
with their sockets, keys and stores, but all in this one process, since fifty interpreters are more than a bench's
machine has. Idle is measured when all have joined. Under load the device pulls a version to its disk, and then some of
the others fetch that from whoever has it, the device among them.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.contenders.ours import (
    PROGRAM,
    READY_DEADLINE_S,
    REFERENCE,
    ROLE_OPTIONS,
    STATUS,
    home_environment,
    standing_node,
)
from bench.payload import make_payload
from bench.processes import BenchError, Standing, end_together, run_plain
from bench.report import Tell
from swarm.cli.enrol import remember
from swarm.home import Home
from swarm.joining import join
from swarm.peer import operations
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.peer.settings import NodeSettings
from swarm.token import parse_token

MIB: Final = 1024 * 1024
# What the issue asks of the profile.
IDLE_MOST_BYTES: Final = 96 * MIB
LOAD_MOST_BYTES: Final = 128 * MIB
IDLE_CPU_MOST: Final = 0.01
SETTLE_S: Final = 15.0
LOOK_S: Final = 0.1
STARTED_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """``others``: peers besides the device and the origin; ``takers`` of them fetch what the device has."""

    others: int
    takers: int
    size_bytes: int
    idle_s: float


@dataclass(slots=True)
class EdgeReport:
    """Resident bytes, shares of one core, and what the device gave."""

    settings: dict[str, Any]
    idle_bytes: int = 0
    idle_cpu: float = 0.0
    load_peak_bytes: int = 0
    pulled_s: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    neighbours: int = 0
    after_bytes: int = 0
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def is_within(self) -> bool:
        return (
            self.idle_bytes <= IDLE_MOST_BYTES
            and self.load_peak_bytes <= LOAD_MOST_BYTES
            and self.idle_cpu <= IDLE_CPU_MOST
            and self.sent_bytes > 0
        )


def run_edge(settings: EdgeSettings, folder: Path, tell: Tell) -> EdgeReport:
    """Measure once. BenchError when something does not start."""
    with ExitStack() as stack:
        up, environment = stack.enter_context(standing_node(folder / "up"))
        payload = make_payload(folder / "payload", settings.size_bytes, 1)
        run_plain([str(PROGRAM), "publish", str(payload.directory), REFERENCE, "--quiet"], environment)
        uses = str(settings.others + 1)
        token = run_plain([str(PROGRAM), "token", "create", "--uses", uses, "--quiet"], environment).strip()
        (folder / "token").write_text(token)
        edge = [str(PROGRAM), "peer", "--profile", "edge", *ROLE_OPTIONS]
        device = stack.enter_context(
            Standing(
                [*edge, "--join-file", str(folder / "token")], folder / "edge.log", home_environment(folder / "edge")
            )
        )
        device.wait_line(READY_DEADLINE_S)
        stack.callback(end_together, [up, device])
        return asyncio.run(_measure(settings, folder, token, device.process.pid, tell))


async def _measure(settings: EdgeSettings, folder: Path, token: str, device: int, tell: Tell) -> EdgeReport:
    report = EdgeReport({"others": settings.others, "takers": settings.takers, "size_bytes": settings.size_bytes})
    async with AsyncExitStack() as stack:
        tell(f"{settings.others} others join")
        # Not below the run's own folder: whoever has a file open there when the run ends is taken for left behind.
        aside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder.parent)))
        others = await _others(settings.others, aside, token, stack)
        await asyncio.sleep(SETTLE_S)
        before = cpu_s(device)
        tell("the device is idle")
        await asyncio.sleep(settings.idle_s)
        report.idle_cpu = round((cpu_s(device) - before) / settings.idle_s, 4)
        report.idle_bytes = resident_bytes(device)
        report.parts = _parts(device)
        seen = [report.idle_bytes]
        watching = asyncio.create_task(_watch(device, seen))
        tell("it pulls, and is fetched from")
        began = time.monotonic()
        await _program(folder / "edge", "pull", REFERENCE, str(folder / "edge-pulled"), "--json")
        report.pulled_s = round(time.monotonic() - began, 2)
        takers = others[: settings.takers]
        await asyncio.gather(*(_pull(node, aside / f"taken{number}") for number, node in enumerate(takers)))
        watching.cancel()
        report.load_peak_bytes = max(seen)
        status = json.loads(await _program(folder / "edge", *STATUS[1:]))
        report.received_bytes = sum(status["received_bytes"].values())
        report.sent_bytes = sum(status["sent_bytes"].values())
        report.neighbours = len(status["neighbours"])
        await asyncio.sleep(SETTLE_S)
        report.after_bytes = resident_bytes(device)
    return report


async def _others(count: int, folder: Path, token: str, stack: AsyncExitStack) -> list[PeerNode]:
    gate = asyncio.Semaphore(STARTED_AT_ONCE)

    async def start(number: int) -> PeerNode:
        async with gate:
            home = Home(folder / f"other{number}")
            remember(home, await join(parse_token(token), home.key()))
            node = await start_peer(NodeSettings(home=home))
            stack.push_async_callback(node.close)
            return node

    return list(await asyncio.gather(*(start(number) for number in range(count))))


async def _pull(node: PeerNode, directory: Path) -> None:
    await operations.run(node, "pull", {"ref": REFERENCE, "directory": str(directory)}, lambda report: None)


async def _program(home: Path, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), *arguments, env=home_environment(home), stdout=-1, stderr=-3
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"aetherfs {arguments[0]} ended with {process.returncode}")
    return output.splitlines()[-1] if output else b""


async def _watch(process: int, seen: list[int]) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        seen.append(resident_bytes(process))


def resident_bytes(process: int) -> int:
    """What a process has in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(process: int) -> float:
    """What it has taken of the processors, itself and for it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _parts(process: int) -> dict[str, int]:
    """Resident bytes that are the process's own, and that are of files; threads."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line)
    wanted: Sequence[tuple[str, str]] = (("own_bytes", "RssAnon"), ("file_bytes", "RssFile"))
    return {name: int(lines[key].split()[0]) * 1024 for name, key in wanted} | {"threads": int(lines["Threads"])}
