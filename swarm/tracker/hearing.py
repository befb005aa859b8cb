"""What a tracker hears of the peers that follow a tag, for rollouts. Pure: the picture and the time are arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from swarm.reports import Followed
from swarm.rollout import Who
from swarm.rollout_health import Heard
from swarm.tracker.figures.peers import KnownPeer, Tag
from swarm.tracker.figures.picture import BEAT_MAX_S, LISTENS_BEATS, Picture

# What somebody's own command has said of the version. Whatever else hinders a peer may pass.
SAID: Final = ("refused", "hook")
# For so long it may: then the version counts as one that could not be taken.
HINDERED_S: Final = 60.0
# By then every peer has told of itself twice.
LISTENS_S: Final = LISTENS_BEATS * BEAT_MAX_S
# A look takes 7 us of each.
KEPT_S_A_FOLLOWER: Final = 280e-6


def heard_of(picture: Picture, tag: Tag, now: float) -> list[Heard]:
    """Everybody who follows a tag and is there: what they have of it, and what they could not take."""
    figures = picture.tags.get(tag)
    found: list[Heard] = []
    sets, labels = _Sets(), _Labels()
    for public in figures.followers if figures is not None else ():
        peer = picture.peers.get(public)
        told = peer.followed.get(tag) if peer is not None and peer.health != "gone" else None
        if peer is not None and told is not None and not told.is_pull:
            has, failed = told.version, told.target_version if _has_failed(peer, told, now) else b""
            found.append(Heard(Who(peer.who.peer_id, labels[peer.who.labels, peer.who.site]), sets[has], sets[failed]))
    return found


class _Sets(dict[bytes, frozenset[bytes]]):
    """One set a version, or none for nothing: thousands have the same."""

    def __missing__(self, version: bytes) -> frozenset[bytes]:
        found = self[version] = frozenset({version} if version else ())
        return found


class _Labels(dict[tuple[tuple[str, ...], str], tuple[str, ...]]):
    """Labels with those of the site."""

    def __missing__(self, key: tuple[tuple[str, ...], str]) -> tuple[str, ...]:
        labels, site = key
        found = self[key] = (*labels, f"site={site}") if site else labels
        return found


def listens_until(picture: Picture, since: int, wall_now: float) -> int | None:
    """Until when a tracker does not know enough of the peers to judge what began at ``since`` (wall seconds), None if
    it does. What is older than itself some have had for long: everybody has to be heard. Of what began after it
    whoever takes it up says so, and how many there are it knows after two beats, or at once in a swarm that is new.
    """
    begun = picture.wall(picture.begun)
    if since < int(begun):
        until = begun + LISTENS_S
    elif picture.is_new_swarm:
        return None
    else:
        # As few as were heard yet let them speak often: it grows with those that are heard, until that is all.
        until = begun + LISTENS_BEATS * picture.beat_s
    return math.ceil(until) if wall_now < until else None


def _has_failed(peer: KnownPeer, told: Followed, now: float) -> bool:
    if told.phase != "failed":
        return False
    silent_s = max(0.0, now - peer.reported) if peer.reported is not None else 0.0
    failing_s = told.steps[-1].age_ms / 1000 + silent_s if told.steps else 0.0
    return told.cause in SAID or failing_s >= HINDERED_S


class HeardLately:
    """What was heard of the followers of a tag, kept for a moment that grows with their number: of ten thousand a look
    takes 70 ms, and every page that shows the rollout asks. So looks take a fortieth of a core, however many ask.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[float, list[Heard]]] = {}

    def of(self, tag: tuple[str, str], now: float, look: Callable[[], Iterable[Heard]]) -> list[Heard]:
        """Those of a tag; ``look`` is called unless that is known."""
        until, found = self._kept.get(tag, (now, []))
        if now < until:
            return found
        found = list(look())
        self._kept = {each: known for each, known in self._kept.items() if now < known[0]}
        self._kept[tag] = now + len(found) * KEPT_S_A_FOLLOWER, found
        return found
