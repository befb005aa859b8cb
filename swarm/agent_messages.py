"""What an agent tells, as types: INTERFACE's JSON objects, for the OpenAPI document and for ``swarm.Client``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from swarm.subscription import Subscription


class Published(msgspec.Struct, frozen=True):
    """A version that a seed keeps and the log names. ``store``: what it asked of an object store, if that was told.

    ``budget``: each limit that was set, and what was found. ``copies``: how many other peers held it in the end, of
    those that were wanted. Of a dry run serial and ``uploaded`` are 0 and ``consumers`` says what those fetch who have
    the version before.
    """

    version: str
    serial: int
    files: int
    bytes: int
    blocks: int
    new_blocks: int
    uploaded: int
    read: int
    seconds: float
    tags: tuple[str, ...]
    store: dict[str, Any] = {}
    budget: tuple[dict[str, Any], ...] = ()
    copies: int | None = None
    copies_wanted: int | None = None
    dry_run: bool = False
    over_budget: bool = False
    new_bytes: int | None = None
    consumers: tuple[dict[str, Any], ...] = ()
    validate: tuple[str, ...] = ()
    staged: tuple[str, ...] = ()


class Sources(msgspec.Struct, frozen=True):
    """Plain bytes by where they came from."""

    peers: int
    origin: int
    reused: int


class Pulled(msgspec.Struct, frozen=True, rename={"sources": "from"}):
    """A version that a directory holds. ``wire`` are encoded bytes received; ``held``: a rollout lets others have a
    newer one.
    """

    ref: str
    version: str
    serial: int
    stale: bool
    files: int
    bytes: int
    seconds: float
    sources: Sources
    wasted: int
    wire: int
    manifest_wire: int
    held: bool = False


class Committed(msgspec.Struct, frozen=True):
    """One entry of a log: where its tags point now; None for one that was removed. ``staged`` go out in stages.
    ``unchanged``: they pointed there before, and the entry is the last that moved one of them.
    """

    dataset: str
    serial: int
    tags: dict[str, str | None]
    staged: tuple[str, ...] = ()
    unchanged: bool = False


class DatasetTags(msgspec.Struct, frozen=True):
    dataset: str
    tags: tuple[str, ...]


class DatasetList(msgspec.Struct, frozen=True):
    """The datasets that this member may read. ``stale``: no tracker said so now."""

    datasets: tuple[DatasetTags, ...]
    stale: bool


class FileItem(msgspec.Struct, frozen=True):
    """A file, an empty directory or a link of a version. ``mode`` is octal."""

    path: str
    kind: Literal["file", "directory", "symlink"]
    size: int
    mode: str
    mtime_ns: int
    target: str = ""


class FileList(msgspec.Struct, frozen=True):
    ref: str
    version: str
    entries: tuple[FileItem, ...]


class KeepRule(msgspec.Struct, frozen=True):
    """Which versions of a dataset are kept besides those that tags point to: the last so many, those to which a tag
    pointed within ``age_s`` (neither: all), and those that are pinned. ``serial`` counts the changes.
    """

    dataset: str
    serial: int
    last: int | None
    age_s: int | None
    pinned: tuple[str, ...]


class Inspected(msgspec.Struct, frozen=True):
    """What is known of one version. ``keep`` is its dataset's keep rule, if a tracker told it."""

    ref: str
    dataset: str
    tag: str | None
    version: str
    content: str
    serial: int
    stale: bool
    files: int
    bytes: int
    blocks: int
    segments: int
    message: str
    publisher: str
    time: int
    keep: KeepRule | None = None
    held: bool = False


class Moved(msgspec.Struct, frozen=True):
    """Where an entry lets a tag point; None: it removes it."""

    tag: str
    version: str | None


class StagedMove(msgspec.Struct, frozen=True):
    """How a tag's rollout stood from an entry on. ``stage`` counts from 0, of ``stages``; others had ``settled``."""

    tag: str
    state: str
    stage: int
    stages: int
    version: str
    settled: str
    author: str
    reason: str


class HistoryEntry(msgspec.Struct, frozen=True):
    """``fetch_bytes``: what a consumer of the version before fetches, or, of a move back, what each fetched as it was
    measured; ``p95_s``: until 95% of them had it; ``back_to``: the serial at which the tag pointed there before. None
    where that is not known, not asked for, or not so; of an entry that moves several tags it is the most of these.

    ``author`` (``user:alice``, ``peer:ID``, or "its plan") asked a tracker for it, which is the publisher, for the
    ``reason``; both are empty for what its publisher did itself. ``planned``: tags that it gives another plan.
    """

    serial: int
    kind: str
    moves: tuple[Moved, ...]
    message: str
    publisher: str
    time: int
    files: int | None
    bytes: int | None
    fetch_bytes: int | None = None
    p95_s: float | None = None
    back_to: int | None = None
    rollouts: tuple[StagedMove, ...] = ()
    author: str = ""
    reason: str = ""
    planned: tuple[str, ...] = ()


class History(msgspec.Struct, frozen=True):
    """``has_earlier``: there are older entries than these, of which so many were asked for, or are read at most."""

    ref: str
    entries: tuple[HistoryEntry, ...]
    has_earlier: bool = False


class Verified(msgspec.Struct, frozen=True):
    """What differs between a directory and a version, a line each. ``left_out``: entries that a pull with --include did
    not bring there, and that are no difference.
    """

    ref: str
    version: str
    differences: tuple[str, ...]
    left_out: int = 0


class TagMoved(msgspec.Struct, frozen=True):
    """An event of a watch: a tag points elsewhere, or (version None) nowhere any more. ``held``: a rollout does not let
    this peer have it yet.
    """

    dataset: str
    tag: str
    version: str | None
    serial: int
    kind: str
    message: str
    publisher: str
    time: int
    held: bool = False


class SubscriptionChanged(msgspec.Struct, frozen=True):
    """An event of a watch: a subscription does something else, or (removed) is none any more."""

    subscription: Subscription
    removed: bool


class SubscriptionList(msgspec.Struct, frozen=True):
    """``following``: this process stays, and follows them. ``next`` is the cursor of the next page, or empty."""

    subscriptions: tuple[Subscription, ...]
    following: bool
    next: str = ""


class Synced(msgspec.Struct, frozen=True):
    """Directories, by what was, or is to be, done. ``unlisted`` are followed though nobody listed them; ``same`` are
    listed and were followed before, as they stand.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unlisted: tuple[str, ...]
    failed: dict[str, str]
    following: bool
    same: tuple[Subscription, ...] = ()


class Stopping(msgspec.Struct, frozen=True):
    """The process ends. ``finished``: what was under way was finished first."""

    stopping: bool
    finished: bool
