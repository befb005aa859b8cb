"""The directories that a peer serves, each with its holding: what happens when one holds another version, or goes."""

from __future__ import annotations

from pathlib import Path

from swarm.peer.holdings import Holding, Holdings, Source
from swarm.store.tiers import Tiers
from swarm.tree import TreeStore


class Directories:
    """``store`` has the blocks of all of them for other versions; ``holdings`` are what is served."""

    def __init__(self, store: Tiers, holdings: Holdings) -> None:
        self._store = store
        self._holdings = holdings
        self._served: dict[str, tuple[Holding, TreeStore]] = {}

    def serve(self, holding: Holding, tree: TreeStore, behind: Source, *, keeps: bool) -> None:
        """A directory holds this version from now on. Of what it held before others here have, ``behind``, what they
        have; all of it if this peer ``keeps`` versions in an object store.
        """
        directory = str(tree.tree.root)
        old = self._end(directory)
        self._served[directory] = (holding, tree)
        if old is not None and self._holdings.get(old.dataset, old.version) is old:
            old.source = behind
            if not keeps:
                blocks = enumerate(old.manifest.unique)
                old.held = {index for index, block in blocks if self._store.has(block.signature)}

    def release(self, directory: Path) -> None:
        """A directory is about to go: it is no source of blocks, and its version is held here no longer."""
        old = self._end(str(directory))
        if old is not None and self._holdings.get(old.dataset, old.version) is old:
            self._holdings.remove(old)

    def forget(self, directory: str) -> None:
        """A directory stays, and is no source of blocks any more."""
        self._end(directory)

    def _end(self, directory: str) -> Holding | None:
        """Close the open files of a directory: what was served from it."""
        holding, tree = self._served.pop(directory, (None, None))
        if tree is not None:
            self._store.remove(tree)
            tree.close()
        return holding
