"""Contenders that a scenario is to have and that have no adapter yet: each run that names one says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench.contenders import Swarm
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError


class Unadapted:
    """A name, reported as missing."""

    settings: Mapping[str, str] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    def missing(self) -> str:
        return f"the bench has no adapter of {self.name} for the swarm yet"

    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> AbstractContextManager[Swarm]:
        raise BenchError(self.missing())
