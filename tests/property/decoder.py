"""Something that reads what others send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from swarm.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Decoder:
    """``read`` takes ``good``, and answers anything else with a value or with one of ``refusals``."""

    good: bytes
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (RemoteProtocolError,)
