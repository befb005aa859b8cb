"""The topics of a stream of figures: what each says, first and from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import msgspec

from swarm import names
from swarm.errors import NotAllowedError, NotFoundError, UsageError
from swarm.figure_messages import Event, Events, Refused, Series
from swarm.identity import public_of
from swarm.tracker.figures.peer_views import changed_view, peer_view
from swarm.tracker.figures.picture import SERIES, Picture
from swarm.tracker.figures.swarm_views import dht_view, flow_view, origin_view
from swarm.tracker.figures.views import overview, rollout_view, rollouts

if TYPE_CHECKING:
    from swarm.tracker.figures.service import Figures

EVENTS_FIRST: Final = 50
EVENTS_PER_MESSAGE: Final = 100
# Who comes back is told so many of what it missed, in one message: well below what may wait for a stream.
EVENTS_RESUMED_MAX: Final = 500
SERIES_FIRST_S: Final = 300.0
TOPICS_MAX: Final = 16
# Topics that tell of the whole swarm: they take the right to read everything.
OF_ALL: Final = frozenset({"flow", "peers", "peer", "dht", "origin", "series"})
EVERYTHING: Final = "*"


@dataclass(slots=True)
class View:
    """What one group of listeners may see, and what it was told last of topics that tell what is new alone."""

    patterns: tuple[str, ...]
    event: int = -1
    frame: int = -1
    point: float = -1.0
    seen: dict[bytes, int] = field(default_factory=dict)
    _known: dict[str, bool] = field(default_factory=dict)

    @property
    def sees_all(self) -> bool:
        return EVERYTHING in self.patterns

    def may_read(self, dataset: str) -> bool:
        """Whether a dataset is covered; looked at once each."""
        if dataset not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            self._known[dataset] = any(names.covers(pattern, dataset) for pattern in self.patterns)
        return self._known[dataset]


Make = Callable[["Figures", View, float], msgspec.Struct | None]


@dataclass(frozen=True, slots=True)
class Topic:
    """``make`` tells all of it, or what is new since the last time if ``is_news``; ``first`` is for newcomers, told
    right after it. ``peer``: the one that it is about.
    """

    text: str
    name: str
    make: Make
    is_news: bool = False
    first: Make = lambda figures, view, now: None
    peer: bytes = b""

    def refused(self, why: str) -> Refused:
        return Refused(self.text, why)


def resumed(after: int) -> Make:
    """What has come after an event until where all others are, for who was cut off: the latest of it, if it is much."""

    def make(figures: Figures, view: View, now: float) -> msgspec.Struct:
        told = events_view(figures.picture, view, now, after, max(0, view.event - after))
        events = [event for event in told.events if event.number <= view.event]
        is_missed = told.missed or len(events) > EVENTS_RESUMED_MAX
        return Events(told.at, tuple(events[-EVENTS_RESUMED_MAX:]), view.event, missed=is_missed, since=told.since)

    return make


def topics_of(texts: list[str]) -> list[Topic]:
    """The topics of a stream, each once. UsageError for too many, and for what is none."""
    if not 0 < len(texts) <= TOPICS_MAX:
        raise UsageError(f"topics names {len(texts)} topics: name 1 to {TOPICS_MAX}, with commas between")
    return [topic_of(text) for text in dict.fromkeys(texts)]


def topic_of(text: str) -> Topic:
    """The topic of a text, or UsageError."""
    name, _, rest = text.partition(":")
    if name in _PLAIN and not rest:
        make, is_news, first = _PLAIN[name]
        return Topic(text, name, _guarded(name, make), is_news=is_news, first=_guarded(name, first))
    if name == "rollout":
        return Topic(text, name, _rollout(text, rest))
    if name == "peer":
        public = public_of(rest)
        return Topic(text, name, _guarded(name, lambda f, v, now: _peer(f, v, now, public)), peer=public)
    if name == "blocks":
        dataset = names.check_dataset(rest)
        return Topic(text, name, lambda f, v, now: f.blocks_lately(dataset, v, now))
    if name == "series" and rest in SERIES:
        first = _guarded(name, lambda f, v, now: _series(f.picture, v, now, rest, f.picture.wall(now) - SERIES_FIRST_S))
        return Topic(
            text,
            name,
            _guarded(name, lambda f, v, now: _series(f.picture, v, now, rest, None)),
            is_news=True,
            first=first,
        )
    raise UsageError(
        f"{text[:80]!r} is no topic: known are overview, rollouts, rollout:SCOPE/NAME:TAG, blocks:SCOPE/NAME, flow, "
        "peers, peer:ID, dht, origin, series:NAME and events"
    )


def _guarded(name: str, make: Make) -> Make:
    """Only for who sees all, where a topic tells of everybody."""
    if name not in OF_ALL:
        return make

    def guarded(figures: Figures, view: View, now: float) -> msgspec.Struct | None:
        check_sees_all(view)
        return make(figures, view, now)

    return guarded


def check_sees_all(view: View) -> None:
    """NotAllowedError for who may not read everything."""
    if not view.sees_all:
        raise NotAllowedError("figures of the whole swarm take the right to read everything: `aetherfs access allow`")


def _rollout(text: str, rest: str) -> Make:
    dataset, _, tag = rest.partition(":")
    key = (names.check_dataset(dataset), names.check_tag(tag))

    def make(figures: Figures, view: View, now: float) -> msgspec.Struct:
        known = figures.picture.tags.get(key) if view.may_read(key[0]) else None
        if known is None or known.rollout is None:
            raise NotFoundError(f"nobody follows {tag} of {dataset}, or there is no such tag")
        return rollout_view(figures.picture, known.rollout, now)

    return make


def _peer(figures: Figures, view: View, now: float, public: bytes) -> msgspec.Struct:
    peer = figures.picture.peers.get(public)
    if peer is None:
        raise NotFoundError("this peer was not heard of lately")
    return peer_view(figures.picture, peer, view.may_read, figures.tracker_id, now)


def _flow(figures: Figures, view: View, now: float) -> msgspec.Struct | None:
    flow = figures.picture.flow
    if flow.number == view.frame or flow.last is None:
        return None
    view.frame = flow.number
    return flow_view(figures.picture, flow.since(now - 2.5)[-1:], now)


def _flow_first(figures: Figures, view: View, now: float) -> msgspec.Struct | None:
    return flow_view(figures.picture, figures.picture.flow.since(now - 2.5)[-1:], now)


def _series(picture: Picture, view: View, now: float, name: str, since: float | None) -> msgspec.Struct | None:
    after = since if since is not None else view.point
    step_s, points = picture.rings.read(name, after if after >= 0 else picture.wall(now) - 2, picture.wall(now))
    points = [point for point in points if point[0] > after]
    if since is None and points:
        view.point = points[-1][0]
    return Series(name, step_s, tuple(points)) if points or since is not None else None


def _events(figures: Figures, view: View, now: float) -> msgspec.Struct | None:
    happenings = figures.picture.happenings
    if view.event < 0:
        view.event = happenings.number
        return None
    if happenings.number == view.event:
        return None
    told = events_view(figures.picture, view, now, view.event, EVENTS_PER_MESSAGE)
    view.event = told.next
    return told if told.events else None


def _events_first(figures: Figures, view: View, now: float) -> msgspec.Struct | None:
    return events_view(figures.picture, view, now, max(0, view.event - EVENTS_FIRST), min(view.event, EVENTS_FIRST))


def events_view(picture: Picture, view: View, now: float, after: int, limit: int, since: float = 0.0) -> Events:
    """Events that the view may see: those of datasets that it may read, and for who sees all those of peers. ``since``:
    none that is older.
    """

    def may_see(event: Event) -> bool:
        is_readable = view.may_read(event.dataset) if event.dataset else view.sees_all
        return event.at >= since and is_readable

    happenings = picture.happenings
    found, missed = happenings.after(after, limit)
    told = tuple(filter(may_see, found))
    following = found[-1].number if found else max(after, 0)
    return Events(picture.wall(now), told, following, missed=missed, since=happenings.since_ms / 1000)


_NOTHING: Final = cast(Make, lambda figures, view, now: None)
_PLAIN: Final[dict[str, tuple[Make, bool, Make]]] = {
    "overview": (lambda f, v, now: overview(f.picture, v.may_read, now), False, _NOTHING),
    "rollouts": (lambda f, v, now: rollouts(f.picture, v.may_read, now), False, _NOTHING),
    "dht": (lambda f, v, now: dht_view(f.picture, now), False, _NOTHING),
    "origin": (lambda f, v, now: origin_view(f.picture, f.prices, now), False, _NOTHING),
    "flow": (_flow, True, _flow_first),
    "peers": (lambda f, v, now: changed_view(f.picture, v.seen, now), True, _NOTHING),
    "events": (_events, True, _events_first),
}
