"""What keeps a peer from doing well: its clock, ports, DHT, tracker, object store, disk and papers, each looked at by
itself, within a deadline, with what to do about it.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from swarm import clock
from swarm.doctor_messages import DialAnswer, DialRequest, Finding, Findings, Health
from swarm.errors import AetherError, RemoteProtocolError, UnreachableError
from swarm.limits import CLOCK_SKEW_S, MIB
from swarm.messages import Contact, SwarmInfo
from swarm.objects.standing import place_of
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.verb import NoArguments, Result
from swarm.process_metrics import open_files, open_files_most
from swarm.records import Credential, Grant, term_of
from swarm.units import size

DEADLINE_S: Final = 8.0
# A node that has just begun hears of others within this.
DHT_PATIENCE_S: Final = 3.0
SKEW_WARN_S: Final = CLOCK_SKEW_S / 5
DAY_S: Final = 86_400
PAPERS_WARN_S: Final = 7 * DAY_S
DISK_WARN: Final = 0.05
DISK_FAIL_BYTES: Final = 64 * MIB
LAG_WARN_S: Final = 1.0
FILES_WARN: Final = 1024
FOLDER: Final = "file://"
STORE_REMEDY: Final = "check its address and credentials (aetherfs config show --origin; AWS_*), and that it is there"

Check = Callable[[PeerNode], Awaitable[Finding]]


async def doctor(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """Look at clock, ports, DHT, tracker, store, disk and papers."""
    found = await asyncio.gather(*(_within(name, check, node) for name, check in CHECKS.items()))
    told: Result = msgspec.to_builtins(Findings(tuple(found)))
    return told


async def _within(name: str, check: Check, node: PeerNode) -> Finding:
    """One check, whatever becomes of it."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await check(node)
    except TimeoutError:
        return Finding(name, "fail", f"no answer within {DEADLINE_S:.0f} s", "look for what it waits for in the log")
    except (AetherError, OSError) as error:
        return Finding(name, "fail", str(error) or type(error).__name__, "see what the message says")


async def check_clock(node: PeerNode) -> Finding:
    """Against a tracker's, and against what is sealed."""
    remedy = "let it take the time from the network: timedatectl set-ntp true"
    if clock.is_wrong():
        return Finding("clock", "fail", "it cannot be right: our papers were issued later than it says", remedy)
    try:
        asked = clock.machine_now()
        told = await node.tracker.swarm_info()
    except AetherError:
        return Finding("clock", "skip", "no tracker answers that it could be compared with")
    return judged_clock((asked + clock.machine_now()) / 2 - told.wall_time - 0.5, remedy)


def judged_clock(offset_s: float, remedy: str) -> Finding:
    """By how far it is ahead of the tracker's, which states whole seconds."""
    where = "ahead of" if offset_s > 0 else "behind"
    if abs(offset_s) <= 2:
        return Finding("clock", "ok", "within two seconds of the tracker's")
    state: Health = "fail" if abs(offset_s) > CLOCK_SKEW_S else "warn" if abs(offset_s) > SKEW_WARN_S else "ok"
    return Finding("clock", state, f"{abs(offset_s):.0f} s {where} the tracker's", "" if state == "ok" else remedy)


async def check_papers(node: PeerNode) -> Finding:
    """How long certificate and grant count."""
    trust, wall_now = node.access.authority, clock.wall_now()
    remedy = "they are renewed as soon as a tracker answers: see its line; if this home was removed, join it again"
    try:
        ends = {
            "certificate": term_of(node.papers.credential, Credential, trust)[1],
            "grant": term_of(node.papers.grant, Grant, trust)[1],
        }
    except RemoteProtocolError as error:
        return Finding("certificates", "fail", str(error), remedy)
    left = {name: (end - wall_now) / DAY_S for name, end in ends.items()}
    told = ", ".join(f"{name} {'ended' if days < 0 else f'for {days:.1f} days'}" for name, days in left.items())
    if min(left.values()) < 0:
        return Finding("certificates", "fail", told, remedy)
    is_short = left["certificate"] * DAY_S < PAPERS_WARN_S
    return Finding("certificates", "warn" if is_short else "ok", told, remedy if is_short else "")


async def check_tracker(node: PeerNode) -> Finding:
    """Each that is known."""
    trackers = node.tracker.calls.trackers
    answers = await asyncio.gather(*(_answers(node, tracker) for tracker in trackers))
    failed = [f"{_where(tracker)}: {why}" for tracker, why in zip(trackers, answers, strict=True) if why]
    told = f"{len(trackers) - len(failed)} of {len(trackers)} reached"
    remedy = (
        "start it, or open its port (base port, tcp) on the way; tags are found at neighbours and in the DHT meanwhile"
    )
    if failed:
        state: Health = "fail" if len(failed) == len(trackers) else "warn"
        return Finding("tracker", state, f"{told}; {'; '.join(failed)}", remedy)
    if not node.announcer.is_answered and node.announcer.tracker_state != "not asked yet":
        return Finding(
            "tracker", "fail", f"it refuses: {node.announcer.tracker_state}", "join with a new home if it was removed"
        )
    return Finding("tracker", "ok", told)


async def _answers(node: PeerNode, tracker: Contact) -> str:
    """Why it does not; empty if it does."""
    calls = node.tracker.calls
    try:
        msgspec.json.decode(await calls.call("GET", "/api/v1/swarm", only=tracker), type=SwarmInfo)
    except UnreachableError as error:
        # The message is about all trackers and what to do; here it is about this one alone.
        known = calls.standing.get(tracker.peer_id)
        return known.failure if known is not None and known.failure else str(error)
    except (AetherError, msgspec.MsgspecError) as error:
        return str(error)
    return ""


async def check_ports(node: PeerNode) -> Finding:
    """In: a tracker calls this peer back. Out: neighbours that it has dialled, and who made a channel to it."""
    port, channels = node.listener.port, list(node.channels.open.values())
    out = sum(1 for channel in channels if channel.dialled)
    told = _neighbours(len(channels), out)
    try:
        answer = await node.tracker.order("POST", "dial", DialAnswer, DialRequest(port))
    except AetherError as error:
        why = "no tracker answers" if isinstance(error, UnreachableError) else str(error)
        if out < len(channels):
            return Finding("ports", "ok", f"{told}, the others came in; a tracker did not try it: {why}")
        return Finding("ports", "skip", f"{told}; a tracker did not try to come in: {why}")
    if answer.reached:
        return Finding("ports", "ok", f"reached at {answer.address}, tcp; {told}")
    remedy = f"open port {port} (tcp and udp) towards this machine; until then it gives to those whom it dials itself"
    return Finding("ports", "warn", f"not reached at {answer.address} from a tracker; {told}", remedy)


def _neighbours(neighbours: int, out: int) -> str:
    if not neighbours:
        return "no neighbours"
    return f"{neighbours} neighbour{'s' * (neighbours != 1)}, {out} dialled from here"


async def check_dht(node: PeerNode) -> Finding:
    """Whether others are known there."""
    # Who has run for a while has heard of others, or there are none.
    deadline = node.started + DHT_PATIENCE_S
    while not node.dht.status().nodes and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    status = node.dht.status()
    known = f"{status.nodes} node{'s' * (status.nodes != 1)} known"
    told = f"{known}, {status.packets_received} packets received, {status.packets_sent} sent"
    if status.nodes:
        return Finding("dht", "ok", told)
    if not node.channels.open:
        # With nobody at the other end of anything, silence is no sign of a closed port.
        return Finding("dht", "skip", f"{told}; nobody else is there yet")
    return Finding(
        "dht", "warn", told, "let UDP through at the exchange's port, both ways; trackers are asked meanwhile"
    )


async def check_store(node: PeerNode) -> Finding:
    """Of a tracker or a seed."""
    if node.objects is None:
        return Finding("store", "skip", "this process uses none: trackers and seeds do")
    place, objects = place_of(node.objects).address, node.objects
    try:
        found = await asyncio.to_thread(lambda: objects.list("swarm/", limit=1))
    except (AetherError, OSError) as error:
        return Finding("store", "fail", f"{place}: {error}", STORE_REMEDY)
    if not found:
        remedy = "restore a backup: aetherfs store copy BACKUP STORE"
        return Finding("store", "fail", f"{place} holds no swarm any more", remedy)
    if not place.startswith(FOLDER):
        return Finding("store", "ok", f"{place} answers")
    usage = await asyncio.to_thread(shutil.disk_usage, place.removeprefix(FOLDER))
    return judged_folder(place, usage.free, usage.total)


def judged_folder(place: str, free_bytes: int, total_bytes: int) -> Finding:
    """A store that is a folder, which may be full while the home's disk is not."""
    told = f"{place} answers"
    if free_bytes >= max(DISK_FAIL_BYTES, DISK_WARN * total_bytes):
        return Finding("store", "ok", told)
    state: Health = "fail" if free_bytes < DISK_FAIL_BYTES else "warn"
    told += f", and its disk has {size(free_bytes)} free ({free_bytes / max(1, total_bytes):.0%})"
    return Finding(
        "store", state, told, "free some space there: `aetherfs keep` and `aetherfs gc` do, or a larger disk"
    )


async def check_disk(node: PeerNode) -> Finding:
    """Of the home: room, and whether it can be written."""
    usage = await asyncio.to_thread(shutil.disk_usage, node.home.path)
    node.home.write_state("doctor", b"")
    node.home.remove_state("doctor")
    return judged_disk(usage.free, usage.total, node.settings.disk_bytes - node.blocks.size_bytes)


def judged_disk(free_bytes: int, total_bytes: int, cache_grows_bytes: int) -> Finding:
    """``cache_grows_bytes``: what the cache may take yet."""
    told = f"{size(free_bytes)} free ({free_bytes / max(1, total_bytes):.0%})"
    remedy = "free some space, or let the cache take less: disk_bytes in config.toml"
    if free_bytes < DISK_FAIL_BYTES:
        return Finding("disk", "fail", told, remedy)
    if free_bytes < DISK_WARN * total_bytes:
        return Finding("disk", "warn", told, remedy)
    if cache_grows_bytes > free_bytes:
        return Finding("disk", "warn", f"{told}, and the cache may take {size(cache_grows_bytes)} more", remedy)
    return Finding("disk", "ok", told)


async def check_process(node: PeerNode) -> Finding:
    """Its event loop, and how many files it may open."""
    late_s, used, most = node.loop_lag.worst_s, open_files(), open_files_most()
    late = f"its event loop was {late_s * 1000:.0f} ms late at worst within a minute"
    told = f"{late}; {used or 0:,.0f} files open, {most or 0:,.0f} allowed"
    if late_s > LAG_WARN_S:
        return Finding("process", "warn", told, "give the machine more CPU, or run another tracker or seed beside it")
    if most is not None and (most < FILES_WARN or (used or 0) > 0.8 * most):
        return Finding(
            "process", "warn", told, "raise the limit of open files: ulimit -n 65536, LimitNOFILE in systemd"
        )
    return Finding("process", "ok", told)


def _where(tracker: Contact) -> str:
    return str(tracker.addresses[0]) if tracker.addresses else tracker.peer_id[:8]


CHECKS: Final[dict[str, Check]] = {
    "clock": check_clock,
    "certificates": check_papers,
    "tracker": check_tracker,
    "ports": check_ports,
    "dht": check_dht,
    "store": check_store,
    "disk": check_disk,
    "process": check_process,
}
