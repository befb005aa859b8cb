"""What starts write to a store to see what it honours: its keys, and which are of a start that was killed.

probes/{began:012}-{random}/...
"""

from __future__ import annotations

import secrets
from typing import Final

PROBES: Final = "probes/"
# What lies there for longer is of a start that was killed.
ABANDONED_S: Final = 3600.0


def new_folder(wall_now: float) -> str:
    """A folder of keys for one look."""
    return f"{PROBES}{int(wall_now):012}-{secrets.token_hex(8)}/"


def is_abandoned(key: str, wall_now: float) -> bool:
    began = key.removeprefix(PROBES).partition("-")[0]
    return began.isdigit() and int(began) + ABANDONED_S < wall_now
