"""Who steered a rollout, how and why: what entries of a log say of it, as figures and events tell it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from swarm.figure_messages import EventKind
from swarm.figure_words import Severity
from swarm.identity import peer_id_of
from swarm.log import Entry, Move
from swarm.rollout import Rollout as Stage
from swarm.rollout_health import who_words

# What a producer gave as the reason may be as long as a message.
WHY_CHARS: Final = 160


@dataclass(frozen=True, slots=True)
class Back:
    """How a version was taken back, by whom and why; ``why`` may be empty."""

    word: Literal["rolled back", "aborted"]
    by: str
    why: str

    @property
    def words(self) -> str:
        return f"{self.word} by {self.by}{f' ({self.why})' if self.why else ''}"


def back_of(entry: Entry, tag: str) -> Back | None:
    """How an entry takes back what a tag meant; None for one that does not."""
    staged = entry.rollout_of(tag)
    if staged is not None and staged.is_taken_back:
        word: Literal["rolled back", "aborted"] = "aborted" if staged.state == "aborted" else "rolled back"
        return Back(word, who_words(staged.author), tidy(staged.reason))
    if entry.kind == "rollback":
        return Back("rolled back", who_words(f"peer:{peer_id_of(entry.publisher)}"), tidy(entry.message))
    return None


def tidy(text: str) -> str:
    """A reason on one line, which ends nowhere else than it did."""
    line = " ".join(text.replace("`", "'").split())
    return line if len(line) <= WHY_CHARS else line[: WHY_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def moved_words(entry: Entry, move: Move) -> str:
    """What is told of an entry that brings a tag another version."""
    version = move.version.hex()[:12] if move.version is not None else "nothing"
    if (back := back_of(entry, move.tag)) is not None:
        why = f": {back.why}" if back.why else ""
        return f"is {back.word} by {back.by}, back to {version}{why}"
    staged = entry.rollout_of(move.tag)
    stage = f", stage 1 of {len(staged.plan.stages)}" if staged is not None else ""
    why = f": {tidy(entry.message)}" if entry.message else ""
    return f"is {version} now ({entry.kind} by {who_words(f'peer:{peer_id_of(entry.publisher)}')}{stage}){why}"


def goes_on(entry: Entry, tag: str) -> bool:
    """Whether an entry only steers the rollout that the one before it was of: the version stays the same."""
    staged = entry.rollout_of(tag)
    return entry.kind == "rollout" and staged is not None and not staged.is_taken_back


def turn_of(entry: Entry, move: Move, before: Stage | None) -> tuple[EventKind, str] | None:
    """What is told of an entry that moves a tag, or steers its rollout, which stood as ``before`` (None: not known):
    as which kind of event. None for what was told before.
    """
    if goes_on(entry, move.tag):
        return _steered(before, entry.rollout_of(move.tag))
    if move.version is None:
        return "moved", f"is removed by {who_words(f'peer:{peer_id_of(entry.publisher)}')}"
    back = back_of(entry, move.tag)
    kind: EventKind = "moved" if back is None else "aborted" if back.word == "aborted" else "rolled-back"
    return kind, moved_words(entry, move)


def severity_of(kind: EventKind) -> Severity:
    """Of a turn."""
    return "warning" if kind == "aborted" else "info"


def turn_words(tag: str, dataset: str, kind: EventKind, words: str) -> str:
    """A turn as one line of the swarm's events."""
    return f"{tag} of {dataset}{' ' if kind in ('moved', 'rolled-back', 'aborted') else ': '}{words}"


def _steered(before: Stage | None, after: Stage | None) -> tuple[EventKind, str] | None:
    if after is None or (before is not None and (before.stage, before.state) == (after.stage, after.state)):
        return None
    by, why = who_words(after.author), f": {tidy(after.reason)}" if after.reason else ""
    if after.state == "paused":
        return "paused", f"paused by {by}{why}"
    if before is not None and before.stage == after.stage and before.state == "paused" and after.state == "running":
        return "resumed", f"resumed by {by}{why}"
    stage = f"stage {after.stage + 1} of {len(after.plan.stages)} begins"
    return "promoted", f"{'everybody is let in' if after.state == 'done' else stage}, promoted by {by}{why}"
