"""The roster: which online keys stand under the swarm's root, and for which time. The root seals it, and nothing else.

The root is an Ed25519 key that can be taken offline: it lies in a file until keys are signed for another term, or a
stolen one is replaced. Members pin it. Trackers seal everything (papers, entries, snapshots, listings, orders, tokens)
with the *online key*, which is the CA's key of the moment. One roster lists all online keys; that with the highest
version counts, and a member never goes back to a lower one.

A thief of the online key can, until its term ends or the root replaces it: freeze (hide what is new, hand out old tags
as fresh), show different logs to different members, make papers for keys of its own with any role and right, publish
under such a key what nobody published, order purges, pretend to be a tracker or a peer on the network, read what its
papers let it read. It cannot sign in the name of any publisher, so whoever requires a signer gets nothing else;
change a version that was signed for; lower a serial, a snapshot or a roster that a member has seen; prolong the key's
term, appoint another, or outlive its replacement. From then on its seals count for nothing, whatever date they bear:
what it had sealed before counts by the new key's seal beside it, which only what lies in the object store is given.

In a swarm that was made before there were roots, the key in force vouches for the first roster (``by_key``). Nothing
here does I/O or reads a clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.identity import PeerKey, check_signed
from swarm.limits import CERTIFICATE_LIFETIME_S, ONLINE_KEYS_MAX, ROOT_PEM_MAX_BYTES, ROSTER_MAX_BYTES

CONTEXT: Final = "roster"
# For so long after its end a key's certificate is told on, for members who were away.
CERTIFICATES_KEPT_S: Final = 365 * 86_400
# A sealed roster is an array of four, a sealed succession one of three.
_FIRST_BYTE: Final = b"\x94"

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Seal = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
MaybeSeal = Annotated[bytes, msgspec.Meta(max_length=64)]
Root = Annotated[bytes, msgspec.Meta(max_length=ROOT_PEM_MAX_BYTES)]
WallTime = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
Version = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class OnlineKey(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A key with its certificate (PEM), which seals from ``in_force`` to ``until``; its papers count to ``retired``.

    Of one that is ``stolen`` nothing counts any more. The certificate is left away where nobody needs it.
    """

    public: Key
    root: Root
    in_force: WallTime
    until: WallTime
    retired: WallTime
    stolen: bool


class Roster(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """All online keys that there were, are and will be, in the order of their times."""

    format: Literal[1]
    root: Key
    version: Version
    issued: WallTime
    keys: Annotated[tuple[OnlineKey, ...], msgspec.Meta(min_length=1, max_length=ONLINE_KEYS_MAX)]

    @property
    def usable(self) -> tuple[OnlineKey, ...]:
        """Those that were not stolen."""
        return tuple(key for key in self.keys if not key.stolen)


class SealedRoster(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A roster as it travels. ``by_key``: one of its keys says who its root is; empty where none has to."""

    format: Literal[1]
    body: Annotated[bytes, msgspec.Meta(max_length=ROSTER_MAX_BYTES)]
    by_root: Seal
    by_key: MaybeSeal


class ToSign(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Rosters as a tracker would have them, one after the other, in a file for who has the root."""

    format: Literal[1]
    rosters: Annotated[tuple[Roster, ...], msgspec.Meta(min_length=1, max_length=2)]


class SignedRosters(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The same on the way back, each sealed."""

    format: Literal[1]
    rosters: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=2 * ROSTER_MAX_BYTES)], ...],
        msgspec.Meta(min_length=1, max_length=2),
    ]


@dataclass(frozen=True, slots=True)
class Opened:
    """A roster that its root sealed, its bytes, and the key's seal."""

    roster: Roster
    data: bytes
    body: bytes
    by_key: bytes


def is_roster(data: bytes) -> bool:
    """Whether these bytes can be a sealed roster, and no succession."""
    return data[:1] == _FIRST_BYTE


def seal_roster(root: PeerKey, roster: Roster, key: PeerKey | None = None) -> bytes:
    """Sealed bytes that ``open_roster`` reads; ``key`` vouches for the root."""
    if root.public != roster.root:
        raise LocalProtocolError("a roster is sealed by another root than it names")
    check_roster(roster)
    body = canonical.encode(roster)
    return canonical.encode(
        SealedRoster(1, body, root.sign(CONTEXT, body), b"" if key is None else key.sign(CONTEXT, body))
    )


def open_roster(data: bytes) -> Opened:
    """The roster, if the root that it names sealed it; whose root that is, is for the caller. RemoteProtocolError."""
    sealed = canonical.decode(data, SealedRoster, limit_bytes=ROSTER_MAX_BYTES + 256, what="a roster")
    roster = canonical.decode(sealed.body, Roster, limit_bytes=ROSTER_MAX_BYTES)
    check_signed(roster.root, CONTEXT, sealed.body, sealed.by_root)
    check_roster(roster)
    return Opened(roster, data, sealed.body, sealed.by_key)


def check_roster(roster: Roster) -> None:
    """RemoteProtocolError for a roster that contradicts itself."""
    names = {key.public for key in roster.keys} | {roster.root}
    if len(names) != len(roster.keys) + 1:
        raise RemoteProtocolError("a roster names a key twice")
    times = [key.in_force for key in roster.usable]
    if not times or times != sorted(set(times)):
        raise RemoteProtocolError("a roster's keys are not in the order of their times")
    if any(not key.in_force < key.until <= key.retired for key in roster.usable):
        raise RemoteProtocolError("a roster's key has no time")


def appointed(
    roster: Roster | None,
    made: Sequence[OnlineKey],
    root: bytes,
    wall_now: float,
    retire_s: int = CERTIFICATE_LIFETIME_S,
    *,
    ends_former: bool = True,
) -> Roster:
    """The next roster, with keys that follow one another added. Whichever key would seal beyond the first one's
    beginning ends there, and its papers ``retire_s`` later, if that is wanted; keys that would begin later fall away.
    """
    begins, kept = made[0].in_force, []
    for key in roster.keys if roster is not None else ():
        if not key.stolen and key.in_force >= begins:
            continue
        until = min(key.until, begins)
        is_last = ends_former and not key.stolen and until == begins
        shorter = msgspec.structs.replace(key, until=until, retired=until + retire_s) if is_last else key
        kept.append(shorter if key.retired + CERTIFICATES_KEPT_S > wall_now else _bare(shorter))
    version = roster.version + 1 if roster is not None else 1
    return Roster(1, root, version, int(wall_now), (*kept, *made))


def replaced(roster: Roster, stolen: Collection[bytes], wall_now: float) -> Roster:
    """The next roster, in which these keys are stolen."""
    now = int(wall_now)
    keys = tuple(
        msgspec.structs.replace(key, root=b"", stolen=True, until=min(key.until, now), retired=min(key.retired, now))
        if key.public in stolen and not key.stolen
        else key
        for key in roster.keys
    )
    return Roster(1, roster.root, roster.version + 1, now, keys)


def replacing(roster: Roster, made: Sequence[OnlineKey], wall_now: float) -> tuple[Roster, Roster]:
    """The next two rosters: with new keys beside those that are there, and with these stolen."""
    with_new = appointed(roster, made, roster.root, wall_now, ends_former=False)
    return with_new, replaced(with_new, {key.public for key in roster.keys}, wall_now)


def _bare(key: OnlineKey) -> OnlineKey:
    return msgspec.structs.replace(key, root=b"")


def root_in(links: Iterable[bytes]) -> bytes:
    """The root that the first roster among links names, empty for none. For links that this home has checked before."""
    for data in links:
        if is_roster(data):
            return open_roster(data).roster.root
    return b""


def version_in(links: Iterable[bytes]) -> int:
    """The highest version of a roster among links, 0 for none."""
    return max((open_roster(data).roster.version for data in links if is_roster(data)), default=0)


def root_fingerprint(public: bytes) -> bytes:
    """What a join token pins of a swarm with a root (32 bytes)."""
    return hashlib.sha256(b"aetherfs:root\0" + public).digest()
