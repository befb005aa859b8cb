"""Contenders: one small adapter each, all alike to the scenarios, which hold the clock.

An adapter starts what must stand before the clock starts, and names the one command that brings the payload over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.network import Host
from bench.payload import Payload


@dataclass(frozen=True, slots=True)
class Pull:
    """The measured command; ``received`` is where the payload is afterwards. ``environment`` None: the bench's own."""

    command: Sequence[str]
    received: Path
    environment: Mapping[str, str] | None = None


class Origin(Protocol):
    """Something that offers the payload."""

    def pids(self) -> list[int]:
        """The processes that serve."""

    def consumer(self, folder: Path) -> AbstractContextManager[Consumer]:
        """A consumer that has nothing yet and has joined; ended with the context."""

    def sent_bytes(self) -> int | None:
        """Payload that it has sent so far, where the contender counts it itself."""


class Consumer(Protocol):
    """Something that can bring the payload over."""

    def pids(self) -> list[int]:
        """The processes that stand by for it, besides the command."""

    def pull(self, directory: Path) -> Pull:
        """How to bring the payload into a directory that is not there yet, or is empty."""


class Contender(Protocol):
    """One system that is measured."""

    @property
    def name(self) -> str:
        """What it is called, on the command line too."""

    @property
    def settings(self) -> Mapping[str, str]:
        """How it is set up: its best settings, for the report; "version" and "encryption" among them. Asked for once
        it is there.
        """

    def missing(self) -> str | None:
        """Why it cannot run here; None when it can. May install Debian packages as root."""

    def origin(self, payload: Payload, folder: Path) -> AbstractContextManager[Origin]:
        """Offer the payload from processes whose files lie in that folder."""


class Swarm(Protocol):
    """An origin that offers the payload, and peers that have joined and know nothing of the payload yet."""

    def pids(self) -> list[int]:
        """Every process that was started, the origin's first. Their children are found when they are measured."""

    def fetch(self, peer: int) -> Fetched:
        """Release the payload to that peer (from 0); return when it has verified all. Called in its namespace."""

    def received(self, peer: int) -> Path:
        """Where the payload is at that peer afterwards."""

    def kill(self, peer: int) -> None:
        """Kill that peer's processes, as a machine that loses its power."""

    def origin_sent_bytes(self) -> int | None:
        """Payload that the origin has sent, where the contender counts it itself."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a peer says of its own download; None where it does not say."""

    from_origin_bytes: int | None = None
    wasted_bytes: int | None = None


class SwarmContender(Protocol):
    """One system that can bring the payload to many."""

    @property
    def name(self) -> str:
        """What it is called, on the command line too."""

    @property
    def settings(self) -> Mapping[str, str]:
        """How it is set up: its best settings, for the report."""

    def missing(self) -> str | None:
        """Why it cannot run here; None when it can."""

    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> AbstractContextManager[Swarm]:
        """Start one process on each host (the first is the origin) and return when all have joined."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command that is timed. ``environment`` None: the bench's own."""

    command: Sequence[str]
    environment: Mapping[str, str] | None = None


class SmallPair(Protocol):
    """Two ends that stand and have joined; nothing is published yet."""

    @property
    def source(self) -> Path:
        """Where the files have to lie; it may be there already, with marks of the contender's own."""

    @property
    def received(self) -> Path:
        """Where the files are at the consumer afterwards."""

    @property
    def marks(self) -> frozenset[str]:
        """Names at the top of either directory that are the contender's own."""

    def pids(self) -> list[int]:
        """The processes of both ends."""

    def publish(self) -> Step:
        """Offer what lies in ``source``."""

    def pull(self) -> Step:
        """Bring it to ``received``; ends when the contender itself says that all is there and verified."""


class SmallContender(Protocol):
    """One system that can bring over a directory."""

    @property
    def name(self) -> str:
        """What it is called, on the command line too."""

    @property
    def settings(self) -> Mapping[str, str]:
        """How it is set up: its best settings, for the report."""

    def missing(self) -> str | None:
        """Why it cannot run here; None when it can."""

    def pair(self, folder: Path) -> AbstractContextManager[SmallPair]:
        """Start both ends in that folder, which is not there yet, and return when they have joined."""
