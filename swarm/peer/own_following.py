"""What a peer tells of each tag that it follows: how far it is, in which phase, and why it does not go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from swarm.errors import AetherError, FullError
from swarm.figure_words import Cause
from swarm.peer.commands import HookError, RefusedError
from swarm.peer.works import Pull, Steps, Work
from swarm.reports import FOLLOWED_TOLD_MAX, WORDS_MAX, Followed, Phase, Step
from swarm.units import rate

if TYPE_CHECKING:
    from swarm.peer.following import Following
    from swarm.peer.node import PeerNode

# Who fetches at this share of its own limit or more is held up by that: headers and pauses take some of it.
LIMIT_SHARE: Final = 0.7

Tag = tuple[str, str]

_CAUSES: Final[dict[type[AetherError], Cause]] = {RefusedError: "refused", HookError: "hook", FullError: "disk-full"}


class OwnFollowing:
    """Looks at the subscriptions and pulls of one node, and tells of them."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._steps: dict[str, Steps] = {}

    def look(self) -> None:
        """Note in which phase everything is: to be called whenever something may have changed."""
        now = time.monotonic()
        for work in self._node.works.by_version.values():
            work.look(now)
        followings = self._followings()
        self._steps = {each.wanted.id: self._steps.get(each.wanted.id) or Steps() for each in followings}
        for following in followings:
            serial, phase, _, _ = self.standing(following)
            self._steps[following.wanted.id].enter(serial, phase, now)

    def _followings(self) -> list[Following]:
        subscriptions = getattr(self._node, "subscriptions", None)
        return list(subscriptions)[:FOLLOWED_TOLD_MAX] if subscriptions is not None else []

    def standing(self, following: Following) -> tuple[int, Phase, Cause, str]:
        """Towards which serial a subscription is in which phase, and why it does not go on."""
        reference, followed = following.wanted.reference, following.followed
        ledger = self._node.ledger
        heard = max(followed.serial, ledger.serial_of_tag(reference.dataset, reference.tag or ""))
        if following.is_held and not following.phase:
            return heard, "waiting", "held-back", "held back by the rollout"
        if followed.serial >= heard:
            if following.problem and following.is_hook_due:
                return heard, "failed", _cause_of(following), following.problem
            if following.phase.startswith("runs"):
                return heard, "verifying", "hook", following.phase
            return heard, "current", "", following.problem
        known = self._node.finder.known(reference)
        # What a version before it met with says nothing of the one that is meant now.
        is_of_it = known is None or following.failed_at in (b"", known.version)
        words = (following.problem if is_of_it else "") or following.phase
        if following.problem and not following.phase and is_of_it:
            return heard, "failed", _cause_of(following), following.problem
        if following.phase.startswith("fetches"):
            work = self._node.works.by_version.get((reference.dataset, known.version)) if known is not None else None
            return heard, "verifying" if work is not None and work.is_ended else "fetching", "", words
        if following.phase.startswith(("validates", "runs")):
            return heard, "verifying", "", words
        if followed.is_paused:
            return heard, "waiting", "paused", "paused here: `aetherfs subscriptions --resume DIR`"
        return heard, "waiting", "queued" if following.phase else "", words

    def followed(self) -> dict[Tag, Followed]:
        """Every tag that is followed or pulled, at most so many as a report may name."""
        now = time.monotonic()
        found: dict[Tag, Followed] = {}
        for following in self._followings():
            reference = following.wanted.reference
            if reference.tag is not None and reference.signature is None:
                found[reference.dataset, reference.tag] = self._subscription(following, now)
        for tag, pull in self._node.works.pulls.items():
            found.setdefault(tag, self._pull(tag, pull, now))
        return dict(list(found.items())[:FOLLOWED_TOLD_MAX])

    def _subscription(self, following: Following, now: float) -> Followed:
        reference, followed = following.wanted.reference, following.followed
        serial, phase, cause, words = self.standing(following)
        known = self._node.finder.known(reference)
        target = known.version if known is not None and phase != "current" else b""
        current = followed.recent[0] if followed.recent else b""
        work = self._node.works.by_version.get((reference.dataset, target or current))
        steps = self._steps.setdefault(following.wanted.id, Steps())
        cause, words = self._held_up(phase, cause, words)
        return _told(
            (reference.dataset, reference.tag or ""),
            work or Work(),
            steps,
            now,
            is_pull=False,
            serial=followed.serial,
            version=current,
            heard=serial,
            target=serial if phase != "current" else 0,
            target_version=target,
            phase=phase,
            cause=cause,
            words=words,
        )

    def _pull(self, tag: Tag, pull: Pull, now: float) -> Followed:
        resolved, is_current = pull.resolved, pull.phase == "current"
        work = self._node.works.by_version.get((resolved.dataset, resolved.version)) or Work()
        cause, words = self._held_up(pull.phase, pull.cause, pull.words)
        return _told(
            tag,
            work,
            pull.steps,
            now,
            is_pull=True,
            serial=resolved.serial if is_current else 0,
            version=resolved.version if is_current else b"",
            heard=resolved.serial,
            target=0 if is_current else resolved.serial,
            target_version=b"" if is_current else resolved.version,
            phase=pull.phase,
            cause=cause,
            words=words,
        )

    def _held_up(self, phase: Phase, cause: Cause, words: str) -> tuple[Cause, str]:
        """Why a fetch is not faster, if that is this peer's own will: all its fetches share one limit."""
        limit = self._node.paces.download.bytes_per_s()
        came = sum(work.rate for work in self._node.works.by_version.values())
        if phase != "fetching" or cause or came < LIMIT_SHARE * limit:
            return cause, words
        return "own-limit", f"held to {rate(limit)} by its own download limit"


def _told(
    tag: Tag,
    work: Work,
    steps: Steps,
    now: float,
    *,
    is_pull: bool,
    serial: int,
    version: bytes,
    heard: int,
    target: int,
    target_version: bytes,
    phase: Phase,
    cause: Cause,
    words: str,
) -> Followed:
    """One tag, with the bytes of its work."""
    return Followed(
        dataset=tag[0],
        tag=tag[1],
        is_pull=is_pull,
        age_ms=round(1000 * (now - steps.since)),
        serial=serial,
        version=version,
        heard=heard,
        target=target,
        target_version=target_version,
        phase=phase,
        cause=cause,
        words=(words or (work.words if phase == "fetching" else ""))[:WORDS_MAX],
        done_bytes=work.done,
        total_bytes=work.total,
        missing_blocks=work.missing_blocks,
        peers=work.peers,
        origin=work.origin,
        reused=max(0, work.done - work.fetched),
        wasted=work.wasted,
        wire=work.wire,
        rate_bytes_per_s=round(work.rate),
        neighbours=work.neighbours,
        steps=tuple(Step(number, each, max(0, round(1000 * (now - at)))) for number, each, at in steps.known),
    )


def is_told(before: Followed | None, after: Followed) -> bool:
    """Whether it says the same as before; ages grow by themselves."""
    if before is None or len(before.steps) != len(after.steps):
        return False
    ageless = {"age_ms": 0, "steps": ()}
    return msgspec.structs.replace(before, **ageless) == msgspec.structs.replace(after, **ageless)


def _cause_of(following: Following) -> Cause:
    """Of what kind a subscription's problem is, by its error: its words may name anything."""
    kind = following.failure or AetherError
    return next((cause for error, cause in _CAUSES.items() if issubclass(kind, error)), "error")
