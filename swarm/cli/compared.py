"""Versions for ``analyze`` and ``diff``: their manifests and files, asked of an agent."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from swarm.cli.perform import signers_of
from swarm.cli.program import Program
from swarm.errors import AetherError
from swarm.export import read_tables
from swarm.local_agent import AgentClient
from swarm.manifest import Manifest

# Of many tags those that moved last are compared.
TAGS_MAX: Final = 8


class Version:
    """One version of a dataset, read through an agent. ``ref`` is as it was typed."""

    def __init__(self, program: Program, agent: AgentClient, ref: str) -> None:
        self.ref = ref
        self._agent = agent
        self._signers: dict[str, Any] = dict(signers_of(program))
        self.dataset, self.manifest = self._tables(ref)

    def _tables(self, ref: str) -> tuple[str, Manifest]:
        """A version's manifest, by way of a file, since it may be long."""
        with tempfile.TemporaryFile(prefix="aetherfs-tables-") as file:
            for part in self._agent.parts("tables", {"ref": ref, **self._signers}):
                file.write(part)
            file.seek(0)
            head, manifest = read_tables(file.read)
        return head.dataset, manifest

    def tags(self) -> Mapping[str, Manifest]:
        """The manifests that the dataset's tags point to now, those that moved last first."""
        entries = self._agent.call("history", {"ref": self.dataset}, lambda report: None)["entries"]
        now: dict[str, str] = {}
        for entry in entries:
            for move in entry["moves"]:
                now.pop(move["tag"], None)
                if move["version"]:
                    now[move["tag"]] = move["version"]
        known = {self.manifest.version.hex(): self.manifest}
        found: dict[str, Manifest] = {}
        for tag, version in list(reversed(now.items()))[:TAGS_MAX]:
            if version not in known:
                try:
                    known[version] = self._tables(f"{self.dataset}@{version}")[1]
                except AetherError:
                    continue  # a version that nobody has any more is shared with nobody
            found[tag] = known[version]
        return found

    def copy(self, path: str, target: Path, limit: int) -> None:
        """Write the beginning of a file of the version, at most so many bytes."""
        ref = f"{self.dataset}@{self.manifest.version.hex()}/{path}"
        left = limit
        with target.open("wb") as file:
            for part in self._agent.parts("cat", {"ref": ref, **self._signers}):
                file.write(part[:left])
                left -= len(part)
                if left <= 0:
                    break
