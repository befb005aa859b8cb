"""Finding: which version a reference means, and who has it. Tracker first, swarm without it.

The tracker answers in one call. It is given a moment; then the DHT is asked beside it, so that a dead tracker costs a
second and not a timeout. What the DHT names is a hint: holders are asked themselves, and what they say is proved by
signed entries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

from swarm.answers import Found
from swarm.client import TrackerClient
from swarm.dht.epochs import Dht
from swarm.dht.keys import tag_key, trackers_key, version_key
from swarm.errors import (
    AetherError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    RemoteProtocolError,
    UnreachableError,
    UsageError,
)
from swarm.log import Entry
from swarm.names import Reference
from swarm.peer.access import Access
from swarm.peer.channels import Channels
from swarm.peer.fetch import Fetcher
from swarm.peer.lacking import mend
from swarm.peer.ledger import Ledger
from swarm.peer.meeting import Meeting
from swarm.peer.wire import TagRequest
from swarm.signers import Required

TRACKER_HEAD_START_S: Final = 1.0
SWARM_DEADLINE_S: Final = 10.0
ANSWERED_DEADLINE_S: Final = 3.0
ASK_AGAIN_S: Final = 0.3
# A version that comes from this many is not looked up in the DHT.
SERVED_BY: Final = 4
ASKED_MAX: Final = 8
# What a tracker last knew longer ago may have changed since.
FRESH_S: Final = 10

log = logging.getLogger("aetherfs.find")

# The signers that whoever is served now requires, in place of those of the whole peer.
required_now: ContextVar[Required | None] = ContextVar("required_now", default=None)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means: the version, and the signed entry that shows it. ``is_stale``: no tracker confirmed
    it now; ``age_s`` is how long ago one did, None if none ever has. ``is_gone``: the object store does not keep it any
    more, and only a peer may. ``is_held``: the tag means another to those whom a rollout has let in.
    """

    dataset: str
    tag: str | None
    version: bytes
    entry: bytes
    serial: int
    is_stale: bool
    is_gone: bool = False
    age_s: int | None = None
    is_held: bool = False

    @property
    def freshness(self) -> dict[str, bool | int | None]:
        """What is told of it."""
        age = {"age_s": self.age_s} if self.is_stale else {}
        return {"stale": self.is_stale, **age, **({"held": True} if self.is_held else {})}


class Finder:
    """Looks things up for one peer. ``learnt`` is told of each signed entry that is new here."""

    def __init__(
        self,
        access: Access,
        ledger: Ledger,
        channels: Channels,
        fetcher: Fetcher,
        tracker: TrackerClient,
        dht: Dht,
        meeting: Meeting,
        learnt: Callable[[bytes], None],
        required: Required | None = None,
    ) -> None:
        self._required = required
        ledger.signers |= required.keys if required is not None else frozenset()
        self._access = access
        self._ledger = ledger
        self._channels = channels
        self._fetcher = fetcher
        self._tracker = tracker
        self._dht = dht
        self._meeting = meeting
        self._learnt = learnt
        # What a tag means here by the entry that moved it: the version, and whether a rollout holds this peer back.
        self.meaning: Callable[[Entry, str], tuple[bytes | None, bool]] = meaning_of_log
        self.prepare: Callable[[Entry, str], Awaitable[None]] | None = None

    async def resolve(self, reference: Reference) -> Resolved:
        """The version that a reference means now.

        NotFoundError when the tracker knows no such thing (or may not tell), UnreachableError when nobody can be asked
        and nothing is known from before, IntegrityError when all that is offered is older than what was seen before, or
        not by a signer that is required (``swarm.signers``).
        """
        reference = await self.completed(reference)
        asking = asyncio.create_task(self._ask_tracker(reference))
        try:
            done, _ = await asyncio.wait([asking], timeout=TRACKER_HEAD_START_S)
            if done and not isinstance(asking.exception(), UnreachableError):
                return await self._answered(reference, await self._mended(reference, asking.result()))
            entry = await self._without_tracker(reference, asking)
            is_answered = asking.done() and not asking.cancelled() and asking.exception() is None
            is_stale = not is_answered or asking.result().age_s > FRESH_S
            return self._resolved(reference, entry, is_stale=is_stale, shown=await self._vouching(reference, entry))
        finally:
            asking.cancel()

    async def completed(self, reference: Reference) -> Reference:
        """With the whole signature of the one version that begins as it says. UsageError when several do."""
        if (prefix := reference.prefix) is None:
            return reference
        try:
            found = {v async for v in self._tracker.versions(reference.dataset) if v.hex().startswith(prefix)}
        except UnreachableError:
            found = {v for v in self._ledger.versions(reference.dataset) if v.hex().startswith(prefix)}
            if not found:
                raise
        if not found:
            raise NotFoundError(f"no version is {reference}: see `aetherfs history {reference.dataset}`")
        if len(found) > 1:
            raise UsageError(f"{len(found)} versions begin with {prefix}: write more of the signature")
        return replace(reference, signature=found.pop(), prefix=None)

    async def _answered(self, reference: Reference, found: Found) -> Resolved:
        """What a tracker says; of one whose object store is away, the later of that and of what is known here."""
        is_stale = found.age_s > FRESH_S
        if not is_stale:
            self._ledger.confirm(reference.dataset, found.snapshot.serial, found.snapshot.issued)
        known = self.entry_here(reference) if is_stale else None
        entry = found.data if known is None else max(found.data, known, key=self._serial)
        resolved = self._resolved(reference, entry, is_stale=is_stale, shown=await self._vouching(reference, entry))
        return replace(resolved, is_gone=found.is_gone and resolved.version == found.version)

    async def _mended(self, reference: Reference, found: Found) -> Found:
        """What the tracker answered, or answers once its log has back what it lacks of what was seen here."""
        known, said = self.entry_here(reference), self._ledger.serial_said(reference.dataset)
        is_behind = known is not None and self._serial(known) > self._serial(found.data)
        if found.age_s > FRESH_S or not (is_behind or found.snapshot.serial < said):
            return found
        is_mended = await mend(self._tracker, self._ledger, reference.dataset)
        return await self._ask_tracker(reference) if is_mended else found

    async def _without_tracker(self, reference: Reference, asking: asyncio.Task[Found]) -> bytes:
        """The highest entry that this home or the swarm knows, or the tracker's after all. The DHT may still be
        joining.
        """
        started = time.monotonic()
        known = [entry for entry in [self.entry_here(reference)] if entry is not None]
        while True:
            answers = await self._ask_swarm(reference)
            entries = known + [entry for entry in answers if entry and self._may_take(self._access.learn(entry))]
            if entries:
                return max(entries, key=self._serial)
            # Who answers has heard all news that it may read: it is not asked for as long as nobody at all.
            deadline = started + (ANSWERED_DEADLINE_S if answers else SWARM_DEADLINE_S)
            if asking.done() and not isinstance(asking.exception(), UnreachableError):
                return asking.result().data
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"no tracker answers, and no peer that can be reached knows {reference}: "
                    "see `aetherfs status`, and repeat when one of them is up"
                )
            await asyncio.sleep(ASK_AGAIN_S)

    async def _ask_tracker(self, reference: Reference) -> Found:
        return await self._tracker.lookup(reference)

    def known(self, reference: Reference) -> Resolved | None:
        """What this home knows of a reference, with nobody asked; None if it knows none, or that it was removed."""
        raw = self.entry_here(reference)
        try:
            return self._resolved(reference, raw, is_stale=True) if raw is not None else None
        except (NotFoundError, IntegrityError):
            return None

    def fixed(self, reference: Reference) -> Resolved | None:
        """A version that an entry shows here, by a signer who counts: nothing can change it, nobody is asked."""
        version, required = reference.signature or b"", self.required

        def takes(entry: Entry) -> bool:
            return required is None or (required.takes(entry) and entry.moves_to(version))

        raw = self._ledger.entry_of_version(reference.dataset, version, takes)
        if raw is None or self._access.is_purged(reference.dataset, version):
            return None
        return Resolved(reference.dataset, reference.tag, version, raw, self._access.learn(raw).serial, is_stale=False)

    def entry_here(self, reference: Reference) -> bytes | None:
        """The last signed entry that this home knows of a reference, of those that may count."""
        if reference.signature is not None:
            return self._ledger.entry_of_version(reference.dataset, reference.signature, self._may_take)
        return self._ledger.entry_of_tag(reference.dataset, reference.tag or "", self._may_take)

    @property
    def required(self) -> Required | None:
        """The signers that are required of what is looked up now."""
        return required_now.get() or self._required

    def _may_take(self, entry: Entry) -> bool:
        return self.required is None or self.required.may_take(entry)

    def _check_signer(self, reference: Reference, entry: Entry, shown: Sequence[Entry]) -> None:
        """IntegrityError for an entry that is not by a signer who is required."""
        if (required := self.required) is not None:
            tag = reference.tag or "" if reference.signature is None else ""
            last = self._ledger.serial_of_tag(reference.dataset, tag, required.takes)
            required.check(entry, self._meant(reference, entry)[0], shown, tag=tag, last=last)

    async def _vouching(self, reference: Reference, raw: bytes) -> list[Entry]:
        """The entries that published the version which is meant and that began its rollout, where it matters who that
        was.
        """
        entry, required = self._access.learn(raw), self.required
        if self.prepare is not None and reference.signature is None:
            await self.prepare(entry, reference.tag or "")
        version, is_held = self._meant(reference, entry)
        is_own = required is not None and required.takes(entry) and not is_held
        if required is None or version is None or is_own or not required.may_take(entry):
            return []
        found = [await self._publishing(reference, version)]
        if (rollout := entry.rollout_of(reference.tag or "")) is not None:
            found.append(await self._entry_at(reference.dataset, rollout.begun))
        return [each for each in found if each is not None]

    async def _publishing(self, reference: Reference, version: bytes) -> Entry | None:
        def publishes(entry: Entry) -> bool:
            return entry.kind == "publish" and entry.version == version

        known = self._ledger.entry_of_version(reference.dataset, version, publishes)
        if known is not None:
            return self._access.learn(known)
        try:
            return (await self._tracker.lookup(Reference(reference.scope, reference.name, None, version))).entry
        except (NotFoundError, UnreachableError):
            return None

    async def _entry_at(self, dataset: str, serial: int) -> Entry | None:
        known = self._ledger.entry_at(dataset, serial)
        if known is not None:
            return known
        try:
            page = await self._tracker.log(dataset, after=serial - 1, limit=1)
        except (NotFoundError, UnreachableError):
            return None
        return page[0][1] if page else None

    def _meant(self, reference: Reference, entry: Entry) -> tuple[bytes | None, bool]:
        """The version that an entry gives a reference here, None if it removes the tag or does not move it."""
        if reference.signature is not None:
            return reference.signature, False
        return self.meaning(entry, reference.tag or "")

    async def _ask_swarm(self, reference: Reference) -> list[bytes]:
        """What those whom the DHT names and neighbours answer: a signed entry, or nothing if they know none."""

        def key_of(secret: bytes) -> bytes:
            if reference.signature is not None:
                return version_key(secret, reference.dataset, reference.signature)
            return tag_key(secret, reference.dataset, reference.tag or "")

        peers = dict.fromkeys(self._channels.open)
        for provider in await self._dht.find_providers(key_of):
            self._meeting.learn(provider.peer_id, provider.addresses)
            peers[provider.peer_id] = None
        request = TagRequest(
            1,
            reference.dataset,
            "" if reference.signature is not None else reference.tag or "",
            reference.signature or b"",
        )
        answers = await asyncio.gather(*(self._ask_peer(peer, request) for peer in list(peers)[-ASKED_MAX:]))
        return [answer for answer in answers if answer is not None]

    async def _ask_peer(self, peer: str, request: TagRequest) -> bytes | None:
        try:
            entry = await self._fetcher.tag(peer, request)
            if entry:
                self._access.learn(entry)
        except AetherError as error:
            log.info("peer %s does not help with a tag: %s", peer[:8], error)
            return None
        return entry

    def _serial(self, entry: bytes) -> int:
        return self._access.learn(entry).serial

    def _resolved(self, reference: Reference, raw: bytes, *, is_stale: bool, shown: Sequence[Entry] = ()) -> Resolved:
        entry = self._access.learn(raw)
        if entry.dataset != reference.dataset:
            raise RemoteProtocolError(f"asked for {reference.dataset}, got an entry of {entry.dataset}")
        self._check_signer(reference, entry, shown)
        # Under a required signer what others did is no news, and a serial of theirs no floor.
        bars = self.required.bars if self.required is not None else self._may_take
        seen = self._ledger.serial_of_tag(reference.dataset, reference.tag or "", bars)
        if reference.signature is None and entry.serial < seen:
            raise IntegrityError(
                f"{reference} was offered at serial {entry.serial}, after {seen} was seen: old records are replayed"
            )
        if self._ledger.record(entry, raw):
            self._learnt(raw)
        version, is_held = self._meant(reference, entry)
        if version is None:
            raise _no_version(entry, reference)
        if self._access.is_purged(reference.dataset, version):
            raise NotAllowedError(
                f"version {version.hex()[:16]} of {reference.dataset} was purged by order of the swarm's operators: "
                "nobody gives it any more"
            )
        if version not in entry.shown:
            raise RemoteProtocolError(f"the entry that was offered does not show that {reference} exists")
        said = self._ledger.confirmed_at(reference.dataset)
        age_s = max(0, int(self._tracker.wall_now()) - said) if said is not None else None
        return Resolved(
            reference.dataset, reference.tag, version, raw, entry.serial, is_stale, age_s=age_s, is_held=is_held
        )

    async def neighbours(self, dataset: str, version: bytes) -> None:
        """Let the mesh know of peers that hold or fetch a version, by what the DHT knows."""
        self._meeting.want(version)
        if self._meeting.mesh.gets_on(version, time.monotonic(), members=SERVED_BY):
            return
        for provider in await self._dht.find_providers(lambda secret: version_key(secret, dataset, version)):
            self._meeting.learn(provider.peer_id, provider.addresses, version)

    async def trackers(self) -> list[str]:
        """The peers in whose processes trackers run, as the DHT says. Who has a channel with one is told where."""
        found = await self._dht.find_providers(trackers_key)
        for provider in found:
            self._channels.learn(provider.peer_id, provider.addresses)
        return [provider.peer_id for provider in found]


def meaning_of_log(entry: Entry, tag: str) -> tuple[bytes | None, bool]:
    """What an entry says of a tag to everybody who is let in."""
    return next((move.version for move in entry.moves if move.tag == tag), None), False


def _no_version(entry: Entry, reference: Reference) -> NotFoundError | RemoteProtocolError:
    if any(move.tag == reference.tag for move in entry.moves):
        return NotFoundError(f"{reference} was removed; see `aetherfs history {reference.dataset}:{reference.tag}`")
    return RemoteProtocolError(f"the entry that was offered does not move {reference}")
