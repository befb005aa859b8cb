"""What a verb is: arguments (a msgspec struct, JSON outside), what carries it out, and INTERFACE's JSON object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress

Result = dict[str, Any]
Names = Annotated[list[str], msgspec.Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb's arguments and what carries it out; its docstring says what it does. ``result`` is what it tells."""

    arguments: type[msgspec.Struct]
    work: Callable[[PeerNode, Any, Progress], Awaitable[Result]]
    result: type[msgspec.Struct] | None = None

    @property
    def summary(self) -> str:
        return _summary(self.work)


@dataclass(frozen=True, slots=True)
class Stream:
    """The same of a verb that answers with bytes."""

    arguments: type[msgspec.Struct]
    parts: Callable[[PeerNode, Any], AsyncIterator[bytes]]

    @property
    def summary(self) -> str:
        return _summary(self.parts)


def _summary(work: Callable[..., object]) -> str:
    return (work.__doc__ or "").strip().partition("\n")[0].rstrip(".")


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""
