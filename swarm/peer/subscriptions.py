"""The subscriptions of one home: kept in its state, each followed by a task, told of to whoever watches.

A subscription is followed by rounds (``swarm.peer.following``): at news of its tag, else every minute; after a failure
again, ever more rarely. A round is the same whatever broke the last one off. Only a process that stays follows.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from swarm.errors import AetherError, ConflictError, FullError, NotFoundError, UsageError
from swarm.log import Entry
from swarm.log_lines import about
from swarm.peer.following import Following
from swarm.subscription import SUBSCRIPTIONS_MAX, Followed, Wanted, decode_state, encode_state

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

STATE: Final = "subscriptions.json"
# News come over channels within seconds; this is for who has heard none.
POLL_S: Final = 60.0
RETRY_S: Final = 2.0
RETRY_MAX_S: Final = 600.0
# Versions that are fetched at the same time.
FETCHING_MAX: Final = 4

log = logging.getLogger("aetherfs.subscriptions")

Told = Callable[[Following], None]


class Subscriptions:
    """All of one home. ``watch`` is told of each that has changed."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._by_directory: dict[str, Following] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watchers: list[Told] = []
        self._fetching = asyncio.Semaphore(FETCHING_MAX)
        data = node.home.read_state(STATE)
        try:
            for followed in decode_state(data) if data else []:
                self._by_directory[followed.wanted.directory] = self._following(followed)
        except UsageError as error:
            raise UsageError(f"{node.home.path / STATE}: {error}; restore it, or remove it") from error
        node.ledger.watch(self._heard)
        node.admitted.watchers.append(self._look)
        node.metrics.gauge("aetherfs_subscriptions", "Subscriptions of this home.", lambda: len(self))
        node.metrics.gauge(
            "aetherfs_subscriptions_failing",
            "Subscriptions whose last round failed.",
            lambda: sum(1 for following in self if following.problem),
        )

    def __iter__(self) -> Iterator[Following]:
        return iter(list(self._by_directory.values()))

    def __len__(self) -> int:
        return len(self._by_directory)

    def _following(self, followed: Followed) -> Following:
        return Following(self._node, followed, self._save, self._tell, self._fetching)

    def start(self) -> None:
        """Follow all of them, if this process stays."""
        for following in self:
            self.follow(following)

    def get(self, name: str) -> Following:
        """The one with this id, or of this directory. NotFoundError if there is none."""
        for following in self:
            if name == following.wanted.id or os.path.realpath(name) == following.wanted.directory:
                return following
        raise NotFoundError(f"there is no subscription {name!r}: see `aetherfs subscriptions`")

    def check(self, wanted: Wanted) -> None:
        """What can be refused before anything is done: UsageError, ConflictError, FullError."""
        _ = wanted.reference, wanted.required
        directory = Path(wanted.directory)
        if not directory.is_absolute():
            raise UsageError(f"{wanted.directory!r} does not begin at the root: give the whole path")
        before = self._by_directory.get(wanted.directory)
        if before is not None and before.wanted.include != wanted.include and before.followed.recent:
            raise ConflictError(
                f"{wanted.directory} holds what another --include chose: unsubscribe it, then take a new directory"
            )
        if before is None and len(self) >= SUBSCRIPTIONS_MAX:
            raise FullError(f"this home has {SUBSCRIPTIONS_MAX} subscriptions: `aetherfs unsubscribe` one first")
        for other in self:
            known = Path(other.wanted.directory)
            if known != directory and (known in directory.parents or directory in known.parents):
                raise ConflictError(f"{known} is a subscription already: one does not lie within another")

    async def put(self, wanted: Wanted) -> Following:
        """Want this from now on, in place of what was wanted in its directory. What is current is looked through, and
        a refused version is tried again.

        It is followed once ``follow`` is called.
        """
        self.check(wanted)
        before = self._by_directory.get(wanted.directory)
        if before is None:
            following = self._by_directory[wanted.directory] = self._following(Followed(wanted=wanted))
        else:
            await self._halt(before)
            following = before
            hooked = before.followed.hooked if wanted.hook == before.wanted.hook else b""
            changed = {"wanted": wanted, "hooked": hooked, "refused": b"", "refusal": "", "is_paused": False}
            following.followed = msgspec.structs.replace(before.followed, **changed)
            following.is_checked = False
        self._save()
        self._tell(following)
        return following

    async def remove(self, following: Following) -> None:
        """Follow it no longer. Its directory stays as it is, and goes on being served."""
        await self._halt(following)
        self._by_directory.pop(following.wanted.directory, None)
        self._save()
        await following.release()
        following.is_removed = True
        self._tell(following)

    async def pause(self, following: Following, *, is_paused: bool) -> None:
        """Stay with the current version until told otherwise."""
        await self._halt(following)
        following.followed = msgspec.structs.replace(following.followed, is_paused=is_paused)
        self._save()
        self._tell(following)
        self.follow(following)

    def watch(self, told: Told) -> Callable[[], None]:
        """Call ``told`` with each subscription that has changed; the result ends that."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _heard(self, entry: Entry) -> None:
        for following in self:
            reference = following.wanted.reference
            if entry.dataset == reference.dataset and any(move.tag == reference.tag for move in entry.moves):
                following.woken.set()

    def _look(self) -> None:
        """Rollouts may let this peer in that did not."""
        for following in self:
            following.woken.set()

    def follow(self, following: Following) -> None:
        """Follow one, if this process stays and it is not paused."""
        if following.is_removed:
            return
        directory = following.wanted.directory
        if self._node.settings.follows and not following.followed.is_paused and directory not in self._tasks:
            self._tasks[directory] = self._node.tasks.start(self._rounds(following))

    async def _halt(self, following: Following) -> None:
        task = self._tasks.pop(following.wanted.directory, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _rounds(self, following: Following) -> None:
        retry_s = RETRY_S
        while True:
            has_news = following.woken.is_set()
            following.woken.clear()
            try:
                with about(dataset=following.wanted.reference.dataset):
                    await following.round(has_news=has_news)
                wait_s, retry_s = POLL_S * self._node.rng.uniform(0.5, 1.5), RETRY_S
            except AetherError as error:
                log.info("%s: %s", following.wanted.directory, error)
                wait_s, retry_s = retry_s, min(RETRY_MAX_S, 2 * retry_s)
            except Exception:
                # The others are followed all the same, and this one again once what it met has passed.
                log.exception("a defect ended a round of %s", following.wanted.directory)
                wait_s, retry_s = retry_s, min(RETRY_MAX_S, 2 * retry_s)
            try:
                async with asyncio.timeout(wait_s):
                    await following.woken.wait()
            except TimeoutError:
                continue

    def _save(self) -> None:
        self._node.home.write_state(STATE, encode_state(following.followed for following in self))

    def _tell(self, following: Following) -> None:
        for told in list(self._watchers):
            told(following)
