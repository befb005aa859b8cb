"""Whose seal counts as the swarm's: the keys that the CA has had, one after another.

A key is followed by another through a *succession*, which both seal: so whoever knows either key comes to know the
other. From ``in_force`` on the new key seals; what the former one sealed until then keeps its worth for good, which is
what a log needs, and papers (credential, grant) under it count until ``retired``. Times are wall seconds. A succession
retires a key; it does not undo what a thief of the former key dates back.

In a swarm with a root (``swarm.roster``) the root says which keys count, and no key says who follows it: successions
lead to the key that vouches for the first roster, and end there. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.identity import PeerKey, check_signed, is_signed, peer_id_of
from swarm.limits import LINKS_MAX, ROOT_PEM_MAX_BYTES, SUCCESSION_MAX_BYTES, SUCCESSION_SLACK_S, SUCCESSIONS_MAX
from swarm.roster import CONTEXT as ROSTER_CONTEXT
from swarm.roster import OnlineKey, Opened, Roster, is_roster, open_roster

CONTEXT: Final = "succession"

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Seal = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Root = Annotated[bytes, msgspec.Meta(max_length=ROOT_PEM_MAX_BYTES)]
WallTime = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class Succession(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One CA key after another, each with its root certificate (PEM)."""

    format: Literal[1]
    former: Key
    former_root: Root
    public: Key
    root: Root
    in_force: WallTime
    retired: WallTime


class SealedSuccession(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A succession as it travels: the former key says who follows, the new one whom it follows."""

    body: Annotated[bytes, msgspec.Meta(max_length=SUCCESSION_MAX_BYTES)]
    by_former: Seal
    by_new: Seal


@dataclass(frozen=True, slots=True)
class Anchor:
    """A key that the CA has or had. ``root`` is its certificate (PEM), empty where only the key is known.

    It seals from ``in_force`` to ``until``, and papers under it count to ``retired``; None: no end is known. Of one
    that is stolen nothing counts.
    """

    public: bytes
    root: bytes
    in_force: int = 0
    until: int | None = None
    retired: int | None = None
    is_stolen: bool = False

    def check_sealed_at(self, wall: float, what: str, *, is_vouched: bool = False) -> None:
        """RemoteProtocolError for what this key sealed at a time when it was no longer the CA's, by what it says; of a
        stolen one for everything, unless another key vouches for what was sealed.
        """
        if self.is_stolen and is_vouched:
            return
        if self.is_stolen:
            raise RemoteProtocolError(f"a {what} is sealed by a key that was stolen, and no other vouches for it")
        if self.until is not None and wall > self.until + SUCCESSION_SLACK_S:
            raise RemoteProtocolError(f"a {what} is sealed by a key that was not the swarm's any more")

    def check_counts(self, wall_now: float, what: str, *, is_vouched: bool = False) -> None:
        """RemoteProtocolError for papers under a key that is retired."""
        if self.is_retired(wall_now) and not (is_vouched and self.is_stolen):
            raise RemoteProtocolError(f"a {what} is under a retired key: it is renewed as soon as a tracker answers")

    def is_retired(self, wall_now: float) -> bool:
        return self.is_stolen or (self.retired is not None and wall_now >= self.retired)


class Trust:
    """The CA's keys as one member knows them, oldest first, from any one of them on. It grows while it is in use, by
    replacing what it holds: threads may verify meanwhile.
    """

    def __init__(self, public: bytes, root: bytes = b"", links: Sequence[bytes] = (), pinned: bytes = b"") -> None:
        """``links`` are sealed successions and rosters: see ``learn``. ``pinned``: the swarm's root (32 bytes), where
        it is known beforehand.
        """
        self.anchors: tuple[Anchor, ...] = (Anchor(public, root),)
        self.links: tuple[bytes, ...] = ()
        self.swarm_root = pinned
        self.roster: Roster | None = None
        # Keys of members that were removed, as far as this one has heard: see ``swarm.tracker.recalls``. What they
        # signed while they were members keeps its worth.
        self.removed: frozenset[bytes] = frozenset()
        self.learn(links)

    def copy(self) -> Trust:
        """The same knowledge, to try something on."""
        made = Trust(self.anchors[0].public, self.anchors[0].root, self.links, self.swarm_root)
        made.removed = self.removed
        return made

    def __repr__(self) -> str:
        return f"<Trust {', '.join(peer_id_of(anchor.public)[:8] for anchor in self.anchors)}>"

    @property
    def newest(self) -> Anchor:
        return self.anchors[-1]

    @property
    def stolen(self) -> frozenset[bytes]:
        """The keys whose seals count for nothing."""
        return frozenset(anchor.public for anchor in self.anchors if anchor.is_stolen)

    def in_force(self, wall_now: float) -> Anchor:
        """The key that seals now."""
        usable = [anchor for anchor in self.anchors if not anchor.is_stolen]
        return next((a for a in reversed(usable) if a.in_force <= wall_now), usable[0])

    def counting(self, wall_now: float) -> tuple[Anchor, ...]:
        """The keys whose papers count, the one in force first."""
        first = self.in_force(wall_now)
        others = [a for a in self.anchors if a is not first and not a.is_stolen and not a.is_retired(wall_now)]
        return (first, *others)

    def bundle(self, wall_now: float) -> bytes:
        """The roots under which certificates count, as one PEM file for TLS, the one in force first."""
        return b"".join(anchor.root for anchor in self.counting(wall_now))

    def find(self, public: bytes) -> Anchor | None:
        """The anchor of a key, None for one that is not the CA's."""
        return next((anchor for anchor in self.anchors if anchor.public == public), None)

    def verify(self, context: str, data: bytes, seal: bytes) -> Anchor:
        """The key that sealed the data, or RemoteProtocolError. When it did is for ``Anchor.check_sealed_at``."""
        for anchor in reversed(self.anchors):
            if is_signed(anchor.public, context, data, seal):
                return anchor
        raise RemoteProtocolError(f"a {context} record is not signed by {peer_id_of(self.newest.public)[:8]}")

    def learn(self, links: Sequence[bytes]) -> bool:
        """Come to know keys before and after those that are known. False if nothing was new.

        Links that lead nowhere from here are passed over. RemoteProtocolError for one that its keys did not seal.
        """
        successions = sum(not is_roster(data) for data in links)
        if successions > SUCCESSIONS_MAX or len(links) > LINKS_MAX:
            raise RemoteProtocolError(f"{successions} successions of the CA are told, the limit is {SUCCESSIONS_MAX}")
        new = [data for data in links if data not in set(self.links)]
        grown = self._follow([data for data in new if not is_roster(data)]) if not self.swarm_root else False
        rosters = [open_roster(data) for data in new if is_roster(data)]
        for opened in sorted(rosters, key=lambda opened: opened.roster.version):
            grown = self._obey(opened) or grown
        return grown

    def _obey(self, opened: Opened) -> bool:
        """Take a roster of our root that is newer than ours; or the first, if a key that we know vouches for it."""
        roster, version = opened.roster, self.roster.version if self.roster is not None else 0
        is_adopted = not self.swarm_root and self._is_vouched(opened)
        if not (is_adopted or roster.root == self.swarm_root) or roster.version <= version:
            return False
        kept = [data for data in self.links if not is_roster(data) or open_roster(data).by_key]
        self.swarm_root, self.roster = roster.root, roster
        self.anchors = tuple(map(_anchor_of, roster.keys))
        self.links = (*kept, opened.data)
        return True

    def _is_vouched(self, opened: Opened) -> bool:
        listed = {key.public for key in opened.roster.usable}
        return any(
            anchor.public in listed and is_signed(anchor.public, ROSTER_CONTEXT, opened.body, opened.by_key)
            for anchor in self.anchors
        )

    def _follow(self, links: Sequence[bytes]) -> bool:
        """Walk along successions."""
        opened = {data: open_succession(data) for data in links}
        grown = False
        while (found := next((data for data, link in opened.items() if self._takes(data, link)), None)) is not None:
            del opened[found]
            grown = True
        return grown

    def _takes(self, data: bytes, link: Succession) -> bool:
        """Put a link at either end, if it fits there."""
        first, last = self.anchors[0], self.anchors[-1]
        if len(self.links) >= SUCCESSIONS_MAX or (self.find(link.public) and self.find(link.former)):
            return False
        if link.former == last.public:
            ended = replace(last, root=link.former_root, until=link.in_force, retired=link.retired)
            self.anchors = (*self.anchors[:-1], ended, Anchor(link.public, link.root, link.in_force))
            self.links = (*self.links, data)
            return True
        if link.public == first.public:
            former = Anchor(link.former, link.former_root, 0, link.in_force, link.retired)
            begun = replace(first, root=link.root, in_force=link.in_force)
            self.anchors = (former, begun, *self.anchors[1:])
            self.links = (data, *self.links)
            return True
        return False


def _anchor_of(key: OnlineKey) -> Anchor:
    return Anchor(key.public, key.root, key.in_force, key.until, key.retired, key.stolen)


def seal_succession(former: PeerKey, new: PeerKey, succession: Succession) -> bytes:
    """Sealed bytes that ``open_succession`` reads."""
    if (former.public, new.public) != (succession.former, succession.public):
        raise LocalProtocolError("a succession is sealed by other keys than it names")
    body = canonical.encode(succession)
    return canonical.encode(SealedSuccession(body, former.sign(CONTEXT, body), new.sign(CONTEXT, body)))


def open_succession(data: bytes) -> Succession:
    """The succession, if both keys sealed it. RemoteProtocolError."""
    sealed = canonical.decode(data, SealedSuccession, limit_bytes=2 * SUCCESSION_MAX_BYTES, what="a succession")
    link = canonical.decode(sealed.body, Succession, limit_bytes=SUCCESSION_MAX_BYTES)
    check_signed(link.former, CONTEXT, sealed.body, sealed.by_former)
    check_signed(link.public, CONTEXT, sealed.body, sealed.by_new)
    if link.former == link.public or link.retired < link.in_force:
        raise RemoteProtocolError("a succession contradicts itself")
    return link
