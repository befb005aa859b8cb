"""What trackers are asked about rollouts in stages, and what they answer. JSON; the routes are:

    GET  /api/v1/datasets/{scope}/{name}/rollouts               RolloutsAnswer: of every tag that has (had) one
    GET  /api/v1/datasets/{scope}/{name}/tags/{tag}/rollout     RolloutAnswer; ?label=KEY=VALUE counts these peers alone
    POST /api/v1/datasets/{scope}/{name}/tags/{tag}/rollout     RolloutRequest, answered with RolloutAnswer
    GET  /api/v1/datasets/{scope}/{name}/tags/{tag}/plan        PlanAnswer: the plan that every publish to the tag takes
    POST /api/v1/datasets/{scope}/{name}/tags/{tag}/plan        PlanRequest, answered with PlanAnswer

Reading takes the right ``read``, changing ``tag``. A change that somebody else has overtaken is a ConflictError (409).
Shares are from 0 to 1. Nothing here does I/O.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from swarm.log import SeenSerial, WallTime
from swarm.rollout import (
    REASON_MAX_CHARS,
    SAMPLE_MAX,
    STAGE_LABELS_MAX,
    STAGES_MAX,
    WAIT_MAX_S,
    WHOLE,
    Action,
    Health,
    Plan,
    Stage,
    check_plan,
)

# ``none``: the tag has no rollout, its last move went out to everybody at once.
State = Literal["none", "running", "paused", "done", "aborted", "rolled back"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=WAIT_MAX_S)]
LabelText = Annotated[str, msgspec.Meta(min_length=3, max_length=97)]
Reason = Annotated[str, msgspec.Meta(max_length=REASON_MAX_CHARS)]


class StageItem(msgspec.Struct, frozen=True):
    """Who is let in from this stage on: a peer with one of the ``labels`` (``site=paris``), and this share of all."""

    share: Share
    labels: Annotated[tuple[LabelText, ...], msgspec.Meta(max_length=STAGE_LABELS_MAX)] = ()


class HealthItem(msgspec.Struct, frozen=True):
    """When a rollout is aborted: more than ``failed`` of those who have tried could not (their validation refused it,
    their hook failed, it could not be fetched), once ``minimum`` have tried.

    A stage is passed by itself only after ``minimum`` peers have succeeded; where they have not within ``deadline_s``
    (None: no matter how long), the rollout is aborted as well.
    """

    failed: Share = 0.0
    minimum: Annotated[int, msgspec.Meta(ge=1, le=SAMPLE_MAX)] = 1
    deadline_s: Seconds | None = None


class PlanItem(msgspec.Struct, frozen=True):
    """How a version goes out. Shares do not fall from stage to stage, labels add up, and the last stage is everybody.

    ``auto_s``: a stage passes by itself after so long, if health allows; None: only somebody promotes it.
    """

    stages: Annotated[tuple[StageItem, ...], msgspec.Meta(min_length=1, max_length=STAGES_MAX)]
    auto_s: Seconds | None = None
    health: HealthItem | None = None


class Counts(msgspec.Struct, frozen=True):
    """Peers that are there now and subscribe to the tag: how far they are.

    ``switched``: they have the new version whole; ``failed``: they cannot take it; ``held``: the rollout holds them
    back; ``behind``: they are let in and not there yet. These four add up to ``peers``. ``admitted`` are let in by the
    stage of now, whatever they have. Of a rollout that was taken back, the same of the version that was settled.
    """

    peers: int = 0
    admitted: int = 0
    switched: int = 0
    failed: int = 0
    held: int = 0
    behind: int = 0

    @property
    def share(self) -> float:
        """The share of all that has switched; 0 of none."""
        return self.switched / self.peers if self.peers else 0.0


class RolloutAnswer(msgspec.Struct, frozen=True):
    """A tag's rollout. ``serial`` is the last log entry about it (give it back as ``if_serial``), ``begun`` the entry
    that brought the version.

    ``version`` goes out; peers that are held back stay with ``settled`` (both hex; ``settled`` is empty without a
    rollout). ``stage`` counts from 0; ``since`` is when it began and ``next_at`` when it may pass by itself (wall
    seconds; None: only somebody promotes it). ``plan`` is None for what went out at once. ``says`` is the state in one
    sentence, ``allowed`` what can be done now by who asks: a page shows these buttons. ``listening_until``: the tracker
    has just begun, and until then (wall seconds) ``counts`` may lack some, of whom it has not heard.
    """

    dataset: str
    tag: str
    state: State
    serial: int
    begun: int
    version: str
    settled: str
    says: str
    counts: Counts
    plan: PlanItem | None = None
    stage: int = 0
    since: WallTime = 0
    next_at: WallTime | None = None
    author: str = ""
    reason: str = ""
    allowed: tuple[Action, ...] = ()
    listening_until: WallTime | None = None


class RolloutsAnswer(msgspec.Struct, frozen=True):
    """The rollouts of a dataset's tags, those that are under way first."""

    dataset: str
    rollouts: tuple[RolloutAnswer, ...]


class RolloutRequest(msgspec.Struct, frozen=True):
    """Do something with a tag's rollout.

    ``pause``: nobody goes ahead any more, who has the version keeps it. ``resume`` ends that. ``promote``: the next
    stage, with ``full`` the last; a paused one goes on. ``abort``: of a rollout that is under way, everybody goes back
    to what was settled. ``rollback``: the same, also once it is done, and of a move that went out at once.
    ``if_serial``: only if no later entry has moved the tag.
    """

    action: Action
    full: bool = False
    reason: Reason = ""
    if_serial: SeenSerial | None = None


class PlanRequest(msgspec.Struct, frozen=True):
    """Let every publish to the tag go out by this plan; None: at once. ``if_serial``: only if no later entry has
    changed it.
    """

    plan: PlanItem | None = None
    if_serial: SeenSerial | None = None


class PlanAnswer(msgspec.Struct, frozen=True):
    """The plan of a tag; ``serial`` is the entry that changed it last (give it back as ``if_serial``), 0 for none."""

    dataset: str
    tag: str
    serial: int
    plan: PlanItem | None
    author: str = ""
    wall_time: WallTime = 0


def plan_of(item: PlanItem) -> Plan:
    """A plan as logs have it. UsageError for one that cannot be."""
    stages = tuple(Stage(stage.labels, round(stage.share * WHOLE)) for stage in item.stages)
    health = item.health
    kept = Health(round(health.failed * WHOLE), health.minimum, health.deadline_s) if health is not None else None
    return check_plan(Plan(stages, item.auto_s, kept))


def item_of(plan: Plan) -> PlanItem:
    """A plan of a log as it is told."""
    stages = tuple(StageItem(stage.parts / WHOLE, stage.labels) for stage in plan.stages)
    health = plan.health
    told = HealthItem(health.failed / WHOLE, health.minimum, health.deadline_s) if health is not None else None
    return PlanItem(stages, plan.auto_s, told)
