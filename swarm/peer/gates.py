"""What a version has to pass before it is announced: a budget, as early as each figure is known, and the user's own
commands, once its blocks are stored.

With a limit on what consumers fetch nothing is uploaded before the directory is cut and that is known. What the
commands looked at is what was stored: the directory is looked at once more behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from swarm.analysis.fetch import fetch_of
from swarm.analysis.recut import sizes_of
from swarm.encoding import encode_block
from swarm.errors import AetherError, NotFoundError
from swarm.manifest import Manifest
from swarm.names import Reference
from swarm.peer.commands import run_command
from swarm.peer.pull import Progress, manifest_of
from swarm.publish_budget import Budget, Figures, Foretell, Line, judged
from swarm.scan import Scan, scan
from swarm.scan_cache import ScanCache
from swarm.segments import FILE
from swarm.subscription import cut
from swarm.walk import Changed, Links, walk

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# Of so many tags the version before is looked up.
TAGS_COMPARED: Final = 8


@dataclass(frozen=True, slots=True)
class Before:
    """A version that consumers have, by the tag that they follow."""

    tag: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Gates:
    """``validate`` are commands for the shell, run in the directory, from the folder ``typed_in``."""

    budget: Budget | None = None
    validate: tuple[str, ...] = ()
    typed_in: str = ""

    @property
    def holds_back(self) -> bool:
        """Whether nothing may be sent before the whole directory is read."""
        return self.budget is not None and self.budget.needs_consumer

    async def check_early(self, root: Path, links: Links) -> None:
        """What a look at the directory tells, before anything of it is read or sent. AetherError."""
        if self.budget is None or (self.budget.size_bytes is None and self.budget.files is None):
            return
        try:
            found = await asyncio.to_thread(walk, root, links)
        except Changed:
            return  # it is looked at again, and then counts
        figures = Figures(sum(item.size for item in found), sum(1 for item in found if item.kind == FILE))
        _refuse(judged(self.budget, figures))

    async def check(self, node: PeerNode, manifest: Manifest, befores: Sequence[Before]) -> list[Line]:
        """Every limit, by the manifest. AetherError where one is not kept."""
        lines = await self.judge(node, manifest, befores)
        _refuse(lines)
        return lines

    async def judge(self, node: PeerNode, manifest: Manifest, befores: Sequence[Before]) -> list[Line]:
        """Every limit, kept or not."""
        if self.budget is None:
            return []
        figures = await asyncio.to_thread(figures_of, manifest, befores, self.budget, node.settings.foretell)
        return judged(self.budget, figures)

    async def run_validators(
        self, scanned: Scan, root: Path, links: Links, cached: Path, told: dict[str, str], progress: Progress
    ) -> None:
        """Each command in turn, in the directory. AetherError for one that fails, or when the directory is not what
        was stored. ``cached`` is where it is noted what was scanned.
        """
        manifest = scanned.manifest
        told = told | {"AETHERFS_VERSION": manifest.version.hex(), "AETHERFS_TYPED_IN": self.typed_in}
        told |= {"AETHERFS_FILES": str(manifest.file_count), "AETHERFS_BYTES": str(manifest.total_bytes)}
        for line in self.validate:
            progress({"event": "progress", "phase": "validate", "waiting_for": f"`{line[:80]}`"})
            ended = await run_command(line, scanned.root, told)
            if ended.exit_code != 0:
                said = cut(ended.said) or f"it ended with {ended.exit_code}"
                raise AetherError(f"the validator {line[:60]!r} refused it: {said}; nothing was announced")
        if await asyncio.to_thread(_version_of, root, links, cached) != manifest.version:
            raise AetherError(
                f"{root} was changed while its validators ran: nothing was announced; publish again when it rests"
            )


OPEN: Final = Gates()


def _version_of(root: Path, links: Links, cached: Path) -> bytes:
    """What the directory is now; what did not change is not read."""
    return scan(root, links=links, cache=ScanCache.load(cached)).manifest.version


def _refuse(lines: Sequence[Line]) -> None:
    broken = [line.words for line in lines if not line.is_kept]
    if broken:
        raise AetherError(
            f"over the budget: {'; '.join(broken)}; nothing was announced: make it smaller, or raise [budget]"
        )


def figures_of(
    manifest: Manifest, befores: Sequence[Before], budget: Budget, foretell: Foretell | None = None
) -> Figures:
    """The figures that limits are about; of several versions before the one that shares least. For a thread."""
    fetches = [fetch_of(manifest, before.manifest) for before in befores]
    if not fetches:
        return Figures(manifest.total_bytes, manifest.file_count)
    most = max(fetches, key=lambda fetch: fetch.bytes)
    seconds = None
    if budget.time_s is not None and foretell is not None:
        # The manifest's parts go through the swarm before the blocks, in the same way.
        seconds = foretell((*(len(encode_block(data)) for data in most.segments), *sizes_of(most)), budget)
    return Figures(manifest.total_bytes, manifest.file_count, most.bytes, seconds)


async def befores_of(node: PeerNode, dataset: str, tags: Sequence[str], progress: Progress) -> list[Before]:
    """The versions that these tags point to; if none of them exists yet, the one that the dataset's log names last."""
    scope, _, name = dataset.partition("/")
    found: dict[bytes, Before] = {}
    for tag in tags[:TAGS_COMPARED]:
        await _add(node, Reference(scope, name, tag), found, progress)
    if not found and (last := await _last_tag(node, dataset)) is not None:
        await _add(node, Reference(scope, name, last), found, progress)
    return list(found.values())


async def _add(node: PeerNode, reference: Reference, found: dict[bytes, Before], progress: Progress) -> None:
    try:
        resolved = await node.finder.resolve(reference)
        if resolved.version not in found:
            manifest, _ = await manifest_of(node, resolved, progress)
            found[resolved.version] = Before(reference.tag or "", manifest)
    except NotFoundError:
        return  # there is no such tag, or what it pointed to is gone


async def _last_tag(node: PeerNode, dataset: str) -> str | None:
    try:
        tags = (await node.tracker.dataset(dataset)).tags
    except NotFoundError:
        return None
    return max(tags, key=lambda tag: tag.serial).tag if tags else None


def told_lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Limits as they are told."""
    return [
        {"what": line.what, "found": line.found, "limit": line.limit, "kept": line.is_kept, "words": line.words}
        for line in lines
    ]
