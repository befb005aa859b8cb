"""A version that goes out in stages: who is let in, who stays with the settled one, and what follows upon what.

A rollout stands in the log entry that moved its tag last, so what a tag means to a peer follows from that one entry and
from who the peer is. A stage lets in whoever has one of its labels or one of an earlier stage's, and a share of all
peers: those whose number, made of peer, dataset, tag and the entry that began the rollout, is below it. So it is the
same peers as long as the rollout lasts, and others the next time. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final, Literal

import msgspec

from swarm.canonical import encode
from swarm.errors import ConflictError, UsageError
from swarm.limits import TAG_CHARS
from swarm.principal import check_label
from swarm.records import Key
from swarm.signature import signature_of

# Wire: shares are written as parts of this.
WHOLE: Final = 10_000
STAGES_MAX: Final = 16
STAGE_LABELS_MAX: Final = 16
AUTHOR_MAX_CHARS: Final = 160
REASON_MAX_CHARS: Final = 256
WAIT_MAX_S: Final = 30 * 86_400
SAMPLE_MAX: Final = 1_000_000

State = Literal["running", "paused", "done", "aborted", "rolled back"]
Action = Literal["pause", "resume", "promote", "rollback", "abort"]
ACTIONS: Final[tuple[Action, ...]] = ("pause", "resume", "promote", "rollback", "abort")
# Where the tag means the settled version to everybody again.
TAKEN_BACK: Final = frozenset({"aborted", "rolled back"})
UNDER_WAY: Final = frozenset({"running", "paused"})
_MAY: Final[dict[State, tuple[Action, ...]]] = {
    "running": ("pause", "promote", "rollback", "abort"),
    "paused": ("resume", "promote", "rollback", "abort"),
    "done": ("rollback",),
    "aborted": (),
    "rolled back": (),
}

Parts = Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]
Span = Annotated[int, msgspec.Meta(ge=1, le=WAIT_MAX_S)]
Number = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
LabelText = Annotated[str, msgspec.Meta(max_length=97)]


class Stage(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Who is let in from here on: peers with one of the labels, and so many of WHOLE peers."""

    labels: Annotated[tuple[LabelText, ...], msgspec.Meta(max_length=STAGE_LABELS_MAX)]
    parts: Parts


class Health(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Abort once ``minimum`` have tried and more than ``failed`` of WHOLE of them could not; and when ``minimum`` have
    not succeeded within ``deadline_s`` of a stage.
    """

    failed: Parts
    minimum: Annotated[int, msgspec.Meta(ge=1, le=SAMPLE_MAX)]
    deadline_s: Span | None


class Plan(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How a version goes out. ``auto_s``: how long a stage lasts; None: until somebody promotes it."""

    stages: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1, max_length=STAGES_MAX)]
    auto_s: Span | None
    health: Health | None

    @property
    def last(self) -> int:
        return len(self.stages) - 1


# By which a move that went to everybody is stated when it is taken back.
AT_ONCE: Final = Plan((Stage((), WHOLE), Stage((), WHOLE)), None, None)


class Rollout(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A tag's rollout as of one entry. ``begun`` is the entry that brought ``version``; ``since`` when the stage began.

    ``settled`` is what the tag meant to everybody before.
    """

    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=TAG_CHARS)]
    version: Key
    settled: Key
    begun: Number
    plan: Plan
    stage: Annotated[int, msgspec.Meta(ge=0, lt=STAGES_MAX)]
    state: State
    since: Moment
    author: Annotated[str, msgspec.Meta(max_length=AUTHOR_MAX_CHARS)]
    reason: Annotated[str, msgspec.Meta(max_length=REASON_MAX_CHARS)]

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def is_taken_back(self) -> bool:
        return self.state in TAKEN_BACK

    @property
    def target(self) -> bytes:
        """Where the tag points in the log."""
        return self.settled if self.is_taken_back else self.version

    @property
    def allowed(self) -> tuple[Action, ...]:
        """What can be done with it now."""
        return _MAY[self.state]

    def admits(self, dataset: str, who: Who) -> bool:
        """Whether a peer is let in by the stage of now."""
        labels = {label for stage in self.plan.stages[: self.stage + 1] for label in stage.labels}
        if not labels.isdisjoint(who.labels):
            return True
        return number_of(who.peer_id, dataset, self.tag, self.begun) < self.plan.stages[self.stage].parts

    def version_for(self, dataset: str, who: Who, *, has_it: bool) -> bytes:
        """What the tag means to a peer. ``has_it``: it has gone ahead before, and stays there while others wait."""
        if not self.is_under_way:
            return self.target
        is_let = self.admits(dataset, who) and (self.state == "running" or has_it)
        return self.version if is_let else self.settled

    def continues(self, begin: Rollout) -> bool:
        """Whether this is the same rollout later on, as the one who began it stated it."""
        return (self.tag, self.version, self.settled, self.plan) == (
            begin.tag,
            begin.version,
            begin.settled,
            begin.plan,
        )


class Who(msgspec.Struct, frozen=True, gc=False):
    """A peer as a stage looks at it. ``labels``: ``key=value``, its site among them. A structure, as trackers make
    thousands at a time, and garbage collections would look at each.
    """

    peer_id: str
    labels: Collection[str] = ()


def number_of(peer_id: str, dataset: str, tag: str, begun: int) -> int:
    """A peer's number in one rollout, below WHOLE: as good as random, and always the same."""
    digest = signature_of(encode(("rollout", peer_id, dataset, tag, begun)))
    return int.from_bytes(digest[:8], "big") * WHOLE >> 64


def begun(tag: str, version: bytes, settled: bytes, serial: int, plan: Plan, wall_time: int, author: str) -> Rollout:
    """The rollout with which entry ``serial`` brings a version."""
    return Rollout(tag, version, settled, serial, plan, 0, "running", wall_time, author, "")


def went_at_once(tag: str, version: bytes, settled: bytes, serial: int) -> Rollout:
    """A move that no plan held up, by entry ``serial``, as a rollout that is done: it can be rolled back."""
    return Rollout(tag, version, settled, serial, AT_ONCE, AT_ONCE.last, "done", 0, "", "")


def acted(rollout: Rollout, action: Action, *, full: bool, wall_time: int, author: str, reason: str) -> Rollout:
    """The rollout after somebody has done something with it. ConflictError for what cannot be done now."""
    if action not in rollout.allowed:
        raise ConflictError(
            f"the rollout of {rollout.tag!r} is {rollout.state}, so it cannot {_WORDS[action]}: "
            "see `aetherfs rollout status`"
        )
    said = {"author": author, "reason": reason}
    if action in ("pause", "resume"):
        state: State = "paused" if action == "pause" else "running"
        # The stage is tried anew, for the whole of its time: neither the pause counts nor what was before it.
        since = wall_time if action == "resume" else rollout.since
        return msgspec.structs.replace(rollout, state=state, since=since, **said)
    if action in ("abort", "rollback"):
        state = "aborted" if action == "abort" else "rolled back"
        return msgspec.structs.replace(rollout, state=state, since=wall_time, **said)
    # Of a paused rollout too: who promotes it wants it to go on.
    stage = rollout.plan.last if full else min(rollout.stage + 1, rollout.plan.last)
    state = "done" if stage == rollout.plan.last else "running"
    return msgspec.structs.replace(rollout, stage=stage, state=state, since=wall_time, **said)


_WORDS: Final[dict[Action, str]] = {
    "pause": "be paused",
    "resume": "be resumed",
    "promote": "be promoted",
    "rollback": "be rolled back",
    "abort": "be aborted",
}


def follows(before: Rollout, after: Rollout) -> bool:
    """Whether one state may come after another in the log."""
    if not after.continues(before) or before.begun != after.begun:
        return False
    return any(
        (tried.state, tried.stage) == (after.state, after.stage)
        for action in before.allowed
        for full in (False, True)
        for tried in [acted(before, action, full=full, wall_time=after.since, author="", reason="")]
    )


def check_plan(plan: Plan) -> Plan:
    """A plan, unchanged, or UsageError: two stages or more that let in ever more, up to all."""
    shares = [stage.parts for stage in plan.stages]
    if len(shares) < 2:
        raise UsageError("a plan has a stage before that of everybody: write 5%,100%, or publish without one")
    if shares != sorted(shares):
        raise UsageError("the shares of a plan's stages do not fall: write 5%,25%,100%")
    if shares[-1] != WHOLE:
        raise UsageError("the last stage of a plan is everybody: end it with 100%")
    for stage in plan.stages:
        for label in stage.labels:
            check_label(label)
    return plan
