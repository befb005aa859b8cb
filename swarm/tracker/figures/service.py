"""The figures of one running tracker: the shell around the picture.

It reads the clock, checks who may speak of what, looks tags up in the log, connects to peers in doubt, passes reports
on to the other trackers, and ticks once a second. Routes read ``picture``; metrics and alerts do too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from swarm import canonical
from swarm import log as entries
from swarm.dialable import TRUSTED
from swarm.errors import AetherError, NotFoundError
from swarm.figure_messages import Blocks, Rollout, RolloutItem, RolloutLog, Rollouts
from swarm.figure_performance import MovePerformance, Performance
from swarm.identity import peer_id_of
from swarm.objects.bill import DEFAULT, Prices
from swarm.records import Address
from swarm.reports import REPORT_MAX_BYTES, Relay, RelayAnswer, Report, ReportAnswer
from swarm.tracker import forecasts
from swarm.tracker.figures import acts, keeping
from swarm.tracker.figures.copies import RANGES_DEFAULT, Seen, seen
from swarm.tracker.figures.counting import Counting, Key
from swarm.tracker.figures.hub import Hub
from swarm.tracker.figures.laying import Laying
from swarm.tracker.figures.peers import Tag, Who, readable
from swarm.tracker.figures.performance import PastMoves, moves_of, performance_view
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.relay import Heard, Relays
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.steering import Back, back_of, goes_on
from swarm.tracker.figures.topics import View
from swarm.tracker.figures.uniting import Uniting
from swarm.tracker.figures.views import rollout_view, rollouts
from swarm.tracker.membership import Member
from swarm.tracker.policy import decide
from swarm.tracker.presence import Present, site_seen

if TYPE_CHECKING:
    from swarm.tracker.state import TrackerState

TICK_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 1.5
PROBES_MAX: Final = 32
# A peer that was heard of by an announce alone is passed on so often at most.
HEARD_AGAIN_S: Final = 10.0
LOOKUP_MAX_AGE_S: Final = 2.0
# A rollout whose peers are all current is kept so long after, at least: somebody else may come to follow the tag.
KEEP_AFTER_S: Final = 5.0

log = logging.getLogger("aetherfs.figures")


class Figures:
    """Made with the tracker's state, started with its listener."""

    def __init__(self, state: TrackerState) -> None:
        self._state = state
        self.picture: Picture = Picture(time.monotonic(), time.time())
        self.hub = Hub(self)
        self.prices: Prices = DEFAULT
        self.relays = Relays(state.pushes, self._full_wanted)
        self.uniting = Uniting(state, self.picture.happenings)
        # What is known of the blocks of versions that were looked at.
        self.laying = Laying(self._start)
        self.counting = Counting(self._seen, self.hub.wake)
        self._kept = keeping.Kept(self._back_by)
        self._past = PastMoves()
        self._wants_full: set[bytes] = set()
        self._relayed_at: dict[bytes, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._probing = asyncio.Semaphore(PROBES_MAX)

    @property
    def tracker_id(self) -> str:
        return self._state.contact.peer_id

    async def blocks(self, dataset: str, view: View, now: float, version: bytes, ranges: int) -> Blocks:
        """Availability of a version, or of what the dataset's tag means that moved last. NotFoundError."""
        key = self._blocks_key(dataset, view, version, ranges)
        return self._explained(await self.counting.blocks(key, now), key)

    def blocks_lately(self, dataset: str, view: View, now: float) -> Blocks | None:
        """The same as it was some seconds ago, of the version that is meant now; None while that is counted."""
        key = self._blocks_key(dataset, view, b"", RANGES_DEFAULT)
        found = self.counting.lately(key, now)
        return self._explained(found, key) if found is not None else None

    def _explained(self, found: Blocks, key: Key) -> Blocks:
        """With why its files are not told; they are looked for from then on."""
        dataset, version, _, is_laid = key
        return found if is_laid else msgspec.structs.replace(found, why_no_files=self.laying.wanted(dataset, version))

    def _blocks_key(self, dataset: str, view: View, version: bytes, ranges: int) -> Key:
        version = version or self.picture.book.latest_version(dataset)
        # What may not be read is not held by anybody.
        version = version if view.may_read(dataset) else b""
        return dataset, version, ranges, self.laying.known(dataset, version) is not None

    def _seen(self, key: Key, now: float) -> Seen:
        dataset, version, *_ = key
        found = seen(self.picture, dataset, version, self.laying.known(dataset, version), now) if version else None
        if found is None:
            raise NotFoundError(f"of {dataset} nobody is known to hold that version, or there is no such dataset")
        return found

    async def know_joined(self, public: bytes) -> None:
        """Find out when a peer became a member, unless that is known: whoever passes its reports on does not tell."""
        peer = self.picture.peers.get(public)
        if peer is None or peer.joined is not None:
            return
        with contextlib.suppress(AetherError):
            member = await self._state.work(self._state.members.member, peer.who.peer_id)
            peer.joined = float(member.joined) if member is not None else None

    async def rollouts(self, view: View, now: float) -> Rollouts:
        """Those that are known here and, while the store answers, those that it keeps."""
        kept: list[RolloutItem] = []
        with contextlib.suppress(AetherError):
            kept = await self._state.work(self._kept.items, self._state.objects, view.may_read)
        return rollouts(self.picture, view.may_read, now, kept)

    async def performance(self, dataset: str, now: float) -> Performance:
        """How a dataset performs; without what the store keeps while that is away."""
        moves, objects, state = moves_of(self.picture, dataset), self._state.objects, self._state
        past: list[MovePerformance] = []
        foreseen: forecasts.Forecasts = {}
        named: dict[str, bytes] = {}
        with contextlib.suppress(AetherError):
            head = await state.work(partial(state.catalogue.head, dataset, max_age_s=LOOKUP_MAX_AGE_S))
            named = {each.tag: each.version for each in head.tags}
        with contextlib.suppress(AetherError):
            past = await self._state.work(self._past.of, objects, dataset, frozenset(moves), self.picture.offset)
            foreseen = await self._state.work(forecasts.read, objects, dataset)
        return performance_view(self.picture, dataset, [*moves.values(), *past], foreseen, now, named)

    async def rollout(self, tag: Tag, serial: int, now: float) -> Rollout:
        """One rollout, the last of its tag for serial 0. NotFoundError."""
        known = self.picture.book.rollout_of(tag, serial)
        if known is None:
            known = await self._state.work(self._kept.replayed, self._state.objects, tag, serial, self.picture.offset)
        return rollout_view(self.picture, known, now)

    def _back_by(self, tag: Tag, serial: int) -> Back | None:
        """What an entry of a log takes back; nothing where it cannot be read. Blocks on the store."""
        with contextlib.suppress(AetherError):
            return back_of(entries.parse_entry(self._state.catalogue.entry(tag[0], serial))[1], tag[1])
        return None

    async def rollout_log(self, tag: Tag, serial: int, after: int, limit: int, last: int) -> RolloutLog:
        """A page of the event log of one rollout. NotFoundError."""
        known = self.picture.book.rollout_of(tag, serial)

        def page() -> RolloutLog:
            if known is not None:
                found = keeping.living_log(self.picture, known, after, limit, last)
            else:
                found = keeping.log_of(keeping.read(self._state.objects, *tag, serial), after, limit, last)
            with contextlib.suppress(AetherError):
                told = acts.read(self._state.catalogue, tag, found.serial, LOOKUP_MAX_AGE_S)
                return msgspec.structs.replace(found, acts=told)
            return found

        return await self._state.work(page)

    def start(self) -> None:
        own = self._state.contact.public
        self.picture.is_new_swarm = all(peer.public == own for peer in self._state.met)
        for work in (self._run(), self.relays.run(), self.uniting.run()):
            self._start(work)

    async def close(self) -> None:
        self.hub.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.relays.close()
        await self.uniting.close()
        await self.counting.close()

    # ---- what is heard ------------------------------------------------------------------------------------------

    def announced(self, present: Present, member: Member, remote: str, *, is_leaving: bool, now: float) -> None:
        """A peer has announced itself here."""
        site = present.site
        who = Who(member.public, member.peer_id, member.role, site, member.labels, present.addresses, remote)
        if is_leaving:
            self.picture.left(who.public, now)
            self.relays.heard(Heard(who, now, b"", is_leaving=True))
            return
        self.picture.heard(who, now)
        if now - self._relayed_at.get(who.public, float("-inf")) >= HEARD_AGAIN_S:
            self._pass_on(Heard(who, now, b""))

    async def reported(self, member: Member, remote: str, data: bytes, now: float) -> ReportAnswer:
        """A peer's report. RemoteProtocolError for one that is malformed."""
        report = canonical.decode(data, Report, limit_bytes=REPORT_MAX_BYTES)
        policy, principal = (await self._state.policy()).policy, member.principal
        allowed = readable(report, lambda dataset: decide(policy, principal, "read", dataset).allowed)
        who = self._who(member, remote)
        needs_full = self.picture.report(who, allowed, now)
        self._pass_on(Heard(who, now, data if allowed is report else canonical.encode(allowed)))
        if who.public in self._wants_full:
            self._wants_full.discard(who.public)
            needs_full = True
        beat_ms, pause_ms = round(1000 * self.picture.beat_s), round(1000 * self.picture.pause_s)
        return ReportAnswer(1, beat_ms, pause_ms, needs_full)

    def _who(self, member: Member, remote: str) -> Who:
        present = self._state.presence.get(member.peer_id)
        addresses: tuple[Address, ...] = present.addresses if present is not None else ()
        site = member.site or (present.site if present is not None else site_seen(remote))
        return Who(member.public, member.peer_id, member.role, site, member.labels, addresses, remote)

    def relayed(self, relay: Relay, now: float) -> RelayAnswer:
        """What another tracker has heard. It has checked who may speak of what."""
        needs_full: list[bytes] = []
        for heard in relay.peers:
            at = now - heard.age_ms / 1000
            peer_id, seen = peer_id_of(heard.public), heard.seen
            who = Who(heard.public, peer_id, heard.role, heard.site, heard.labels, heard.addresses, seen)
            if heard.is_leaving:
                self.picture.left(who.public, at)
            elif not heard.report:
                self.picture.heard(who, at)
            else:
                report = canonical.decode(heard.report, Report, limit_bytes=REPORT_MAX_BYTES)
                if self.picture.report(who, report, at):
                    needs_full.append(who.public)
        return RelayAnswer(1, tuple(needs_full))

    def _pass_on(self, heard: Heard) -> None:
        self._relayed_at[heard.who.public] = heard.at
        self.relays.heard(heard)

    def _full_wanted(self, public: bytes) -> None:
        if public in self.picture.peers:
            self._wants_full.add(public)

    def committed(self, entry: bytes) -> None:
        """An entry of a log was committed, here or elsewhere."""
        try:
            parsed = entries.parse_entry(entry)[1]
        except AetherError as error:
            log.warning("a committed entry cannot be read: %s", error)
            return
        if self._lacks_begin(parsed):
            self._start(self._moved(parsed))
        else:
            self._told(parsed)

    def _told(self, entry: entries.Entry) -> None:
        self.picture.moved(entry, time.monotonic())
        self.hub.moved(entry.dataset, [move.tag for move in entry.moves])
        for each in entry.rollouts:
            if goes_on(entry, each.tag):
                self._start(self._fill((entry.dataset, each.tag)))

    async def _fill(self, tag: Tag) -> None:
        """Tell what was done to a tag when nobody told this tracker: before it began, while others were cut off, or by
        entries that came at once or were read before they were told of.
        """
        with contextlib.suppress(AetherError):
            found = await self._state.work(acts.lately, self._state.catalogue, tag, LOOKUP_MAX_AGE_S)
            self.picture.happenings.fill(found, time.time())

    def _lacks_begin(self, entry: entries.Entry) -> bool:
        """Whether it steers a rollout that is not known here: trackers name that by the entry with which it began."""
        rollouts = self.picture.rollouts
        return any(
            goes_on(entry, each.tag) and (entry.dataset, each.tag, each.begun) not in rollouts
            for each in entry.rollouts
        )

    async def _moved(self, entry: entries.Entry) -> None:
        with contextlib.suppress(AetherError):
            await self._find_begin(entry)
        self._told(entry)

    async def _find_begin(self, entry: entries.Entry) -> None:
        for each in entry.rollouts:
            if goes_on(entry, each.tag):
                begun = await self._entry(entry.dataset, each.begun)
                await self._found((entry.dataset, each.tag), begun, each.version)

    # ---- time ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self.hub.pause(TICK_S)
            try:
                self.tick()
            except Exception:
                # Figures are not what a tracker is for: it goes on without them, and says what is wrong.
                log.exception("a defect ended a tick of the figures")

    def tick(self) -> None:
        """What is done once a second."""
        now = time.monotonic()
        if self.hub.is_tick_due(now, TICK_S):
            due = self.picture.tick(now, time.time())
            self._look_at_trackers(now)
            for who in due.probes:
                self._start(self._probe(who))
            for tag in due.lookups:
                self._start(self._look_up(tag))
            for rollout in due.ended:
                self._start(self._keep(rollout))
            if len(self._relayed_at) > 2 * len(self.picture.peers) + 100:
                self._relayed_at = {p: at for p, at in self._relayed_at.items() if p in self.picture.peers}
        self.hub.tick(now)

    def _look_at_trackers(self, now: float) -> None:
        own, listings = self.tracker_id, [each.listing for each in self._state.listed.values()]
        listed = {each.peer_id: next(iter(map(str, each.addresses)), "") for each in listings if each.peer_id != own}
        self.picture.others.look(listed, self._state.pushes.silent, now, self.picture.wall(now))

    async def _probe(self, who: Who) -> None:
        """Whether anybody listens where a peer was seen: nobody is connected to because a peer says so."""
        is_there = False
        async with self._probing:
            for address in who.addresses:
                if address.host == who.seen and (is_there := await _answers(address)):
                    break
        self.picture.probed(who.public, is_there=is_there, now=time.monotonic())

    async def _keep(self, rollout: RolloutFigures) -> None:
        """Write the log of a rollout that is over, once it is for a while, unless another tracker has."""
        await asyncio.sleep(KEEP_AFTER_S * self._state.rng.uniform(1, 2))
        if rollout.ended is None or rollout.is_kept:
            return
        try:
            kept = await self._state.work(keeping.kept_of, self.picture, rollout)
            await self._state.work(keeping.write, self._state.objects, kept)
            rollout.is_kept = True
        except AetherError as error:
            log.warning("the log of rollout %d of %s is not kept: %s", rollout.serial, rollout.dataset, error)

    async def _look_up(self, tag: Tag) -> None:
        """What a tag means now, by the log."""
        state, (dataset, name) = self._state, tag
        try:
            head = await state.work(partial(state.catalogue.head, dataset, max_age_s=LOOKUP_MAX_AGE_S))
            found = next((each for each in head.tags if each.tag == name), None)
            if found is None:
                self.picture.book.unknown(tag)
                return
            entry = await self._entry(dataset, found.serial)
            await self._find_begin(entry)
            await self._found(tag, entry, found.version)
            await self._fill(tag)
        except NotFoundError:
            self.picture.book.unknown(tag)
        except AetherError as error:
            log.info("where %s of %s points is not known yet: %s", name, dataset, error)

    async def _found(self, tag: Tag, entry: entries.Entry, version: bytes) -> None:
        before = await self._state.work(keeping.before, self._state.objects, *tag, entry.serial)
        self.picture.found(tag, entry, version, time.monotonic(), before)

    async def _entry(self, dataset: str, serial: int) -> entries.Entry:
        return entries.parse_entry(await self._state.work(self._state.catalogue.entry, dataset, serial))[1]

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _answers(address: Address) -> bool:
    """Whether a connection can be made."""
    if not TRUSTED.allows(address.host):
        return False
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
