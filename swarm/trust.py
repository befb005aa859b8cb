"""Whose seal counts as the swarm's: the keys that the CA has had, one after another.

A key is followed by another through a *succession*, which both seal: so whoever knows either key comes to know the
other. From ``in_force`` on the new key seals; what the former one sealed until then keeps its worth for good, which is
what a log needs, and papers (credential, grant) under it count until ``retired``. Times are wall seconds. A succession
retires a key; it does not undo what a thief of the former key dates back. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.identity import PeerKey, check_signed, is_signed, peer_id_of
from swarm.limits import ROOT_PEM_MAX_BYTES, SUCCESSION_MAX_BYTES, SUCCESSION_SLACK_S, SUCCESSIONS_MAX

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

    It seals from ``in_force`` to ``until``, and papers under it count to ``retired``; None: no end is known.
    """

    public: bytes
    root: bytes
    in_force: int = 0
    until: int | None = None
    retired: int | None = None

    def check_sealed_at(self, wall: float, what: str) -> None:
        """RemoteProtocolError for what this key sealed at a time when it was no longer the CA's."""
        if self.until is not None and wall > self.until + SUCCESSION_SLACK_S:
            raise RemoteProtocolError(f"a {what} is sealed by a key that was not the swarm's any more")

    def check_counts(self, wall_now: float, what: str) -> None:
        """RemoteProtocolError for papers under a key that is retired."""
        if self.is_retired(wall_now):
            raise RemoteProtocolError(f"a {what} is under a retired key: it is renewed as soon as a tracker answers")

    def is_retired(self, wall_now: float) -> bool:
        return self.retired is not None and wall_now >= self.retired


class Trust:
    """The CA's keys as one member knows them, oldest first, from any one of them on. It grows while it is in use, by
    replacing what it holds: threads may verify meanwhile.
    """

    def __init__(self, public: bytes, root: bytes = b"", links: Sequence[bytes] = ()) -> None:
        """``links`` are sealed successions: see ``learn``."""
        self.anchors: tuple[Anchor, ...] = (Anchor(public, root),)
        self.links: tuple[bytes, ...] = ()
        # Keys of members that were removed, as far as this one has heard: see ``swarm.tracker.recalls``. What they
        # signed while they were members keeps its worth.
        self.removed: frozenset[bytes] = frozenset()
        self.learn(links)

    def __repr__(self) -> str:
        return f"<Trust {', '.join(peer_id_of(anchor.public)[:8] for anchor in self.anchors)}>"

    @property
    def newest(self) -> Anchor:
        return self.anchors[-1]

    def in_force(self, wall_now: float) -> Anchor:
        """The key that seals now."""
        return next((a for a in reversed(self.anchors) if a.in_force <= wall_now), self.anchors[0])

    def counting(self, wall_now: float) -> tuple[Anchor, ...]:
        """The keys whose papers count, the one in force first."""
        first = self.in_force(wall_now)
        others = [a for a in self.anchors if a is not first and not a.is_retired(wall_now)]
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
        if len(links) > SUCCESSIONS_MAX:
            raise RemoteProtocolError(f"{len(links)} successions of the CA are told, the limit is {SUCCESSIONS_MAX}")
        known = set(self.links)
        opened = {data: open_succession(data) for data in links if data not in known}
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
