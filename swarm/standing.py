"""Which process runs on a home, if one does: what every command asks first, so this imports next to nothing.

``agent.json`` says how to talk to it, and the lock says whether it is still there.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

AGENT_FILE: Final = "agent.json"
LOCK_FILE: Final = "lock"


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """How to talk to the process that runs on a home: JSON in ``agent.json``, readable by its owner only."""

    pid: int
    port: int
    token: str


def agent_of(home: Path) -> AgentInfo | None:
    """The process that runs on a home, if one does."""
    try:
        data = json.loads((home / AGENT_FILE).read_bytes())
        info = AgentInfo(int(data["pid"]), int(data["port"]), str(data["token"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # none, or none that can be talked to
    return info if _is_locked(home) else None


def _is_locked(home: Path) -> bool:
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
