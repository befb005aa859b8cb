"""AetherFS with many small files: ``aetherfs publish`` at a standing node, ``aetherfs pull`` at a standing peer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Step
from bench.contenders.ours import PROGRAM, PROGRAM_SETTINGS, REFERENCE, Ours, pull_command, standing_node, standing_peer
from bench.processes import Standing


class OursSmall:
    """Tracker, seed and producer in one process; the consumer in another."""

    name = "ours"
    settings: Mapping[str, str] = {
        **PROGRAM_SETTINGS,
        "publish": "aetherfs publish, at a standing `aetherfs up`: also keeps every block in its object store",
        "pull": "aetherfs pull, at a standing `aetherfs peer`, enrolled with a token",
    }

    def missing(self) -> str | None:
        return Ours().missing()

    @contextmanager
    def pair(self, folder: Path) -> Iterator[OurPair]:
        folder.mkdir()
        with (
            standing_node(folder / "node") as (node, producing),
            standing_peer(folder / "peer", producing) as (peer, consuming),
        ):
            yield OurPair(folder, node, peer, producing, consuming)


@dataclass(frozen=True, slots=True)
class OurPair:
    """A node that has nothing published, and a peer that holds nothing."""

    folder: Path
    node: Standing
    peer: Standing
    producing: Mapping[str, str]
    consuming: Mapping[str, str]
    marks = frozenset[str]()

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def received(self) -> Path:
        return self.folder / "received"

    def pids(self) -> list[int]:
        return [*self.node.pids(), *self.peer.pids()]

    def publish(self) -> Step:
        return Step([str(PROGRAM), "publish", str(self.source), REFERENCE, "--json", "--quiet"], self.producing)

    def pull(self) -> Step:
        return Step(pull_command(self.received), self.consuming)
