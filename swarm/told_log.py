"""A log entry as it is told: to the command line and to browsers. Pure."""

from __future__ import annotations

from swarm.agent_messages import HistoryEntry, Moved, StagedMove
from swarm.identity import peer_id_of
from swarm.log import Entry
from swarm.rollout import Rollout


def told(entry: Entry) -> HistoryEntry:
    """An entry in words. Who asked a tracker for it stands beside the tracker, which published it."""
    author, reason = _asked_by(entry)
    totals = entry.totals
    return HistoryEntry(
        serial=entry.serial,
        kind=entry.kind,
        moves=tuple(Moved(move.tag, None if move.version is None else move.version.hex()) for move in entry.moves),
        message="" if entry.kind == "plan" else entry.message,
        publisher=peer_id_of(entry.publisher),
        time=entry.wall_time,
        files=None if totals is None else totals.files,
        bytes=None if totals is None else totals.bytes,
        rollouts=tuple(_staged(rollout) for rollout in entry.rollouts),
        author=author,
        reason=reason,
        planned=tuple(plan.tag for plan in entry.plans),
    )


def _asked_by(entry: Entry) -> tuple[str, str]:
    """Only trackers make entries of these kinds; what others say of their author is not told."""
    if entry.kind == "rollout":
        return entry.rollouts[0].author, entry.rollouts[0].reason
    return (entry.message.removeprefix("by "), "") if entry.kind == "plan" else ("", "")


def _staged(rollout: Rollout) -> StagedMove:
    return StagedMove(
        tag=rollout.tag,
        state=rollout.state,
        stage=rollout.stage,
        stages=len(rollout.plan.stages),
        version=rollout.version.hex(),
        settled=rollout.settled.hex(),
        author=rollout.author,
        reason=rollout.reason,
    )
