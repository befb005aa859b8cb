"""The signers that a home's settings require: key ids, and the names that ``aetherfs key`` gives to producers' keys.

Imports next to nothing by itself, as commands that require nobody do with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from swarm.config import Settings
    from swarm.home import Home
    from swarm.signers import Required

# One name a line: NAME KEY [KEY...].
FILE: Final = "signers"
NAMES_MAX: Final = 256


def names_of(home: Home) -> Mapping[str, tuple[str, ...]]:
    """The names that this home gives to keys."""
    lines = (home.read_state(FILE) or b"").decode("utf-8", "replace").splitlines()[:NAMES_MAX]
    return {name: tuple(keys) for name, *keys in (line.split() for line in lines if line.strip())}


def required_in(settings: Settings) -> Required | None:
    """The signers that the settings require. UsageError for a name or key that is not known."""
    from swarm.home import Home
    from swarm.signers import parse_required

    return parse_required(settings.require_signer, names_of(Home(settings.home)), settings.signer_moves)
