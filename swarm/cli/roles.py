"""Which parts make up a process: a peer always, a tracker and a seed as asked, all on one home under one identity.

A tracker over a store that holds no swarm yet makes one, and so a home becomes a member without a token. With the swarm
secret a tracker or a seed enrols itself over the store, at every start. Every other home needs a token. Parts end in
the reverse order of their start, whatever happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swarm.cli.enrol import ensure_enrolled, remember
from swarm.cli.swarm_store import remember_store
from swarm.errors import ConflictError, NotAllowedError, RemoteProtocolError, UsageError
from swarm.objects.open import check_address, open_store

if TYPE_CHECKING:
    from swarm.cli.program import Program
    from swarm.config import Settings
    from swarm.home import Home
    from swarm.objects import ObjectStore
    from swarm.peer.node import PeerNode
    from swarm.peer.pace import Paces
    from swarm.peer.settings import NodeSettings
    from swarm.tracker.alerts.watching import Alerting
    from swarm.tracker.server import Tracker

STORE_KEY_BYTES: Final = 32
PORT_MAX: Final = 65_535
# Kept until the home is enrolled: a crash in between must not lock the home out of the swarm that it has made.
STORE_KEY_FILE: Final = "store_key"


@dataclass(frozen=True, slots=True)
class Running:
    """A process's parts. ``made_swarm``: its store held none before; of those that start together one has made it."""

    node: PeerNode
    tracker: Tracker | None
    made_swarm: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """What a process is besides a peer."""

    tracker: bool
    seed: bool


def node_settings(program: Program, port_base: int, *, follows: bool = False) -> NodeSettings:
    """How this home's peer runs. One that stays ``follows`` its subscriptions."""
    from swarm.cli.foretelling import foretold_s
    from swarm.dialable import networks_in
    from swarm.named_signers import required_in
    from swarm.peer.settings import NodeSettings

    settings = program.settings
    made = NodeSettings(
        home=program.home,
        listen=settings.listen,
        port_base=port_base,
        memory_bytes=settings.memory_bytes,
        disk_bytes=settings.disk_bytes,
        dial_also=networks_in(settings.dial_also),
        follows=follows,
        required=required_in(settings),
        profile=settings.profile,
        paces=_paces(settings),
        is_metered=settings.metered,
        lan_discovery=settings.lan_discovery,
        is_dht_client=settings.metered or settings.profile == "edge",
        foretell=lambda sizes, budget: foretold_s(program, sizes, budget),
    )
    return _within_budget(made, settings) if settings.memory_budget else made


def _paces(settings: Settings) -> Paces:
    """The limits that are set. UsageError for what is none."""
    from swarm.peer.pace import Pace, Paces
    from swarm.peer.timetable import parse_timetable

    return Paces(
        Pace(parse_timetable(settings.upload_limit, "upload_limit"), settings.upload_limit),
        Pace(parse_timetable(settings.download_limit, "download_limit", may_stop=False), settings.download_limit),
    )


def _within_budget(made: NodeSettings, settings: Settings) -> NodeSettings:
    """The same, sized by the memory budget; what was set itself stands."""
    from swarm.peer.frugal import be_frugal
    from swarm.peer.memory_budget import shares_of

    be_frugal()
    shares = shares_of(settings.memory_budget)
    return replace(
        made,
        memory_bytes=settings.memory_bytes if settings.is_said("memory_bytes") else shares.blocks_bytes,
        ahead_bytes=shares.ahead_bytes,
        neighbours_aim=shares.neighbours,
        runs_taken_max=shares.runs_taken,
        slots_most=shares.slots,
    )


def prepare(program: Program, role: Role) -> None:
    """What can be refused before anything runs: a home in use, a home that is no member and has no token."""
    _paces(program.settings)
    if role.tracker or role.seed:
        check_address(program.settings.store)
    if role.tracker:
        alerting_in(program.settings)
    if program.settings.health_listen:
        health_address(program.settings.health_listen)
    home = program.home
    if home.agent() is not None:
        raise ConflictError(
            f"a process runs on {home.path} already: stop it with `aetherfs down`, or set AETHERFS_HOME"
        )
    if program.settings.secret_file and (role.tracker or role.seed):
        return
    if role.tracker and not program.settings.join_file and not home.is_enrolled():
        return
    ensure_enrolled(program)
    if role.tracker and not home.swarm().store_key:
        raise _without_role(home, "tracker")
    if role.seed and not _may_keep(home):
        raise _without_role(home, "seed")


def _may_keep(home: Home) -> bool:
    """Whether others would hold a home for a seed. Papers that have expired are renewed before that is asked."""
    from swarm.tracker.presence import KEEPER_ROLES

    try:
        return home.credential(time.time()).role in KEEPER_ROLES
    except RemoteProtocolError:
        return True


def _without_role(home: Home, role: str) -> NotAllowedError:
    return NotAllowedError(
        f"{home.path} is enrolled without role {role}: use a home of its own, and a token of `--role {role}`"
    )


@asynccontextmanager
async def running(program: Program, role: Role) -> AsyncIterator[Running]:
    """The parts, started; ended on leaving."""
    from swarm.messages import Contact
    from swarm.peer.agent import start_peer
    from swarm.peer.browsing import Browsing
    from swarm.peer.layouts import Layouts

    async with AsyncExitStack() as stack:
        objects = await _open_store(program, stack) if role.tracker or role.seed else None
        made_swarm = False
        store_key = await asyncio.to_thread(_store_key, program, objects) if objects is not None else b""
        tracker = None
        if role.tracker and objects is not None:
            tracker = await _start_tracker(program, objects, store_key, stack)
            made_swarm = tracker.state.keys.is_new
        elif objects is not None and store_key:
            made_swarm = await asyncio.to_thread(_enrol_seed, program.home, objects, store_key)
        settings = node_settings(program, program.settings.port_base, follows=True)
        if role.seed and objects is not None:
            from seed.node import start_seed

            node = await start_seed(settings, objects)
        else:
            node = await start_peer(settings)
        stack.push_async_callback(node.close)
        if objects is not None:
            node.set_objects(objects)
        if tracker is not None:
            node.tracker_address = str(tracker.contact.addresses[0])
            # One process, one set of metrics, whichever of its ports is asked.
            node.metrics.include(tracker.state.metrics)
            tracker.state.metrics.include(node.metrics)
            node.listeners["tracker"] = tracker.listener
            contact = Contact(node.key.public, node.addresses())
            await tracker.set_node(contact, node.exchange.announce, node.exchange.tracker_listed)
            node.tasks.start(node.announcer.announce_records())
            tracker.state.reader = Browsing(node)
            tracker.state.figures.laying.find = Layouts(node)
            tracker.state.on_order = lambda order: node.purging.take_all([order])
            await take_orders(node, tracker)
            follow_recalls(node, tracker)
        if program.settings.health_listen:
            from swarm.peer.health import listen

            await listen(node, *health_address(program.settings.health_listen))
        if objects is not None:
            remember_store(program)
        yield Running(node, tracker, made_swarm)


def follow_recalls(node: PeerNode, tracker: Tracker) -> None:
    """Let neighbours hear from this node which grants are recalled, as soon as its tracker does."""
    loop = asyncio.get_running_loop()

    def tell(data: bytes) -> None:
        loop.call_soon_threadsafe(node.recalling.take, data)

    tracker.state.rights.on_recalls = tell
    if data := tracker.state.rights.recalls_data:
        node.recalling.take(data)


async def take_orders(node: PeerNode, tracker: Tracker) -> None:
    """Obey, and pass on, what was ordered while this home's process did not run."""
    from swarm.tracker.orders import purge_orders

    node.purging.take_all(await asyncio.to_thread(purge_orders, tracker.state.objects))


async def _open_store(program: Program, stack: AsyncExitStack) -> ObjectStore:
    """The one store of all parts, open until they have ended."""
    objects = await asyncio.to_thread(open_store, program.settings.store)
    stack.callback(objects.close)
    return objects


def _store_key(program: Program, objects: ObjectStore) -> bytes:
    """The store key in the secret file, if one is named. A file that is not there is made for a swarm that is not."""
    from swarm.cli.secret import made_store_key, passphrase_of, store_key_in
    from swarm.tracker.keys import holds_swarm

    if not program.settings.secret_file:
        return b""
    path, passphrase = Path(program.settings.secret_file), passphrase_of(program.settings)
    if not path.exists() and not holds_swarm(objects):
        return made_store_key(path, passphrase)
    return store_key_in(path, passphrase)


def _enrol_seed(home: Home, objects: ObjectStore, store_key: bytes) -> bool:
    """Whether this made the swarm."""
    from swarm.tracker.enrolment import enrol_by_store

    answer, is_new = enrol_by_store(objects, store_key, home.key(), "seed", time.time())
    remember(home, answer)
    return is_new


async def _start_tracker(program: Program, objects: ObjectStore, store_key: bytes, stack: AsyncExitStack) -> Tracker:
    from swarm.cli.prices import prices_for
    from swarm.tracker.certificates import GivenCertificate
    from swarm.tracker.server import Tracker

    home, settings = program.home, program.settings
    if not store_key:
        store_key = home.swarm().store_key if home.is_enrolled() else _new_store_key(home)
    given = GivenCertificate.named(settings.tls_cert, settings.tls_key)
    prices = prices_for(program)
    tracker = await Tracker.start(
        objects,
        store_key,
        home.key(),
        settings.listen,
        settings.port_base,
        certificate=given,
        alerting=alerting_in(settings),
    )
    stack.push_async_callback(tracker.close)
    tracker.state.figures.prices = prices
    remember(home, await tracker.membership())
    (home.path / STORE_KEY_FILE).unlink(missing_ok=True)
    return tracker


def health_address(text: str) -> tuple[str, int]:
    """Out of the setting. UsageError for what is no host and port."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        raise UsageError(f"{text[:80]!r} is no address for health_listen: give host:port, as 0.0.0.0:9464")
    return host.strip("[]"), int(port)


def alerting_in(settings: Settings) -> Alerting:
    """Whom a tracker tells of alerts. UsageError for an address that is none."""
    from swarm.tracker.alerts.watching import Alerting
    from swarm.tracker.alerts.webhook import webhook_in

    hook = webhook_in(settings.alert_webhook, settings.alert_webhook_token_file)
    return Alerting(hook, settings.offload_target / 100)


def _new_store_key(home: Home) -> bytes:
    key = home.read_state(STORE_KEY_FILE)
    if key is None or len(key) != STORE_KEY_BYTES:
        key = os.urandom(STORE_KEY_BYTES)
        home.write_secret(STORE_KEY_FILE, key)
    return key


def _open_more_files() -> None:
    """As many as the system lets this user have: each connection is one, and shells give 1,024 by old habit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(program: Program, role: Role, ready: Callable[[Running], None]) -> bool:
    """Run until told to stop by a signal or through the agent. True when it was SIGINT."""
    _open_more_files()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    received: list[signal.Signals] = []

    def note(number: signal.Signals) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, note, number)
    async with running(program, role) as parts:
        ready(parts)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(parts.node.stop_requested.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    return signal.SIGINT in received
