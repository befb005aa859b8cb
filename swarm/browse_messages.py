"""What the dashboard asks a tracker that no program needs: JSON. No I/O.

GET /api/v1/datasets/{scope}/{name}/history?before=&limit=                     DatasetHistory
GET /api/v1/datasets/{scope}/{name}/files/{version}?path=&after=&limit=        FilesAnswer
GET /api/v1/datasets/{scope}/{name}/diff?from=&to=                             DiffAnswer
GET /api/v1/access/mine?dataset=                                               MineAnswer
"""

from __future__ import annotations

from typing import Literal

import msgspec

from swarm.agent_messages import HistoryEntry
from swarm.analysis.changes import Change
from swarm.analysis.report import Counts
from swarm.principal import Right


class DatasetHistory(msgspec.Struct, frozen=True):
    """Entries, the newest first; ``next`` is the next page's ``before``, 0 at the end. ``head``: the last serial."""

    dataset: str
    head: int
    entries: tuple[HistoryEntry, ...]
    next: int


class FileItem(msgspec.Struct, frozen=True):
    """What lies in a directory, which has neither size nor time. ``target`` is a link's; ``mtime`` wall seconds."""

    name: str
    kind: Literal["file", "directory", "link"]
    size: int = 0
    mtime: int = 0
    mode: str = ""
    target: str = ""


class ReadmeNode(msgspec.Struct, frozen=True):
    """A README as a tree of what may be shown: ``tag`` is an element's, or "text". ``href`` is of a scheme that opens
    nothing by itself (https, http, mailto)."""

    tag: str
    text: str = ""
    href: str = ""
    children: tuple[ReadmeNode, ...] = ()


class FilesAnswer(msgspec.Struct, frozen=True):
    """A page of a directory of one version; ``next`` is the ``after`` of the next page, empty at the end.

    ``readme`` is that of the directory, on its first page; ``readme_name`` empty where there is none.
    """

    dataset: str
    version: str
    path: str
    items: tuple[FileItem, ...]
    next: str
    files: int
    bytes: int
    readme_name: str = ""
    readme: tuple[ReadmeNode, ...] = ()


class DiffAnswer(msgspec.Struct, frozen=True):
    """What changed from version ``old`` to ``new``, as ``aetherfs diff`` tells it. ``same``: but for times. What a
    consumer of the old one fetches, of ``bytes``. ``changes``: those first of which most is fetched; ``others`` are not
    told.
    """

    dataset: str
    old: str
    new: str
    same: bool
    bytes: int
    fetch_bytes: int
    fetch_blocks: int
    manifest_bytes: int
    counts: Counts
    changes: tuple[Change, ...]
    others: int


class MineAnswer(msgspec.Struct, frozen=True):
    """What the policy gives whoever asks: by right the patterns, and the rights on one dataset, if one was named."""

    patterns: dict[Right, tuple[str, ...]]
    dataset: str = ""
    rights: tuple[Right, ...] = ()
