"""What a member is told of the swarm's keys besides its papers: the CA's successions, and the secrets that count.

The generation of a keyring grows with every rotation; trackers state theirs with each answer, so that whoever knows an
older one asks. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.limits import KEYRING_MAX_BYTES, LINKS_MAX, SECRETS_MAX, SUCCESSION_MAX_BYTES
from swarm.roster import is_roster, version_in
from swarm.trust import Key, WallTime

# The header of a tracker's answers that states the generation of its keys, when they have ever been rotated.
HEADER: Final = "AetherFS-Keys"
# And the one that states the serial of the list of recalled grants.
RECALLS_HEADER: Final = "AetherFS-Recalls"
NEVER: Final = (1 << 53) - 1

Epoch = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]


class SwarmSecret(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A secret of the DHT: announces go under it from ``in_force`` on, and it is of no use from ``retired`` on."""

    epoch: Epoch
    secret: Key
    in_force: WallTime
    retired: WallTime

    def __repr__(self) -> str:
        return f"<SwarmSecret {self.epoch}>"


class Keyring(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """``links`` are sealed successions and rosters (``swarm.trust``), ``secrets`` in the order of their epochs."""

    format: Literal[1]
    links: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=2 * SUCCESSION_MAX_BYTES)], ...],
        msgspec.Meta(max_length=LINKS_MAX),
    ]
    secrets: Annotated[tuple[SwarmSecret, ...], msgspec.Meta(max_length=SECRETS_MAX)]

    @property
    def generation(self) -> int:
        return generation_of(self.links) + max((secret.epoch for secret in self.secrets), default=0)

    def counting(self, first: bytes, wall_now: float) -> tuple[SwarmSecret, ...]:
        """The secrets that are of use, the one in force first. ``first`` is what a swarm begins with."""
        known = self.secrets or (SwarmSecret(0, first, 0, NEVER),)
        useful = [secret for secret in known if wall_now < secret.retired] or [known[-1]]
        return tuple(sorted(useful, key=lambda s: (s.in_force > wall_now, -s.epoch)))


NO_KEYS: Final = Keyring(1, (), ())


def generation_of(links: Sequence[bytes]) -> int:
    """How often the CA's key was rotated, by what is told of it: the first roster of a new swarm is no rotation."""
    successions = sum(not is_roster(data) for data in links)
    return successions + max(0, version_in(links) - 1)


def decode_keyring(data: bytes) -> Keyring:
    """The keyring; an empty one for no bytes. RemoteProtocolError."""
    return canonical.decode(data, Keyring, limit_bytes=KEYRING_MAX_BYTES) if data else NO_KEYS
