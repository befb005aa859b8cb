"""Flow, DHT and origin, as they are told, made of the picture. Pure: see ``swarm.figure_messages``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Final, Literal

from swarm.figure_messages import (
    DhtFigures,
    DhtNode,
    Flow,
    FlowEdge,
    FlowFrame,
    FlowNode,
    Money,
    Origin,
    OriginItem,
    Requests,
    SeedFigures,
)
from swarm.lookup_times import added, percentile_s
from swarm.objects.bill import Prices, bill_of
from swarm.objects.meter import Spent
from swarm.reports import Asked
from swarm.tracker.figures.flow import Frame, names_in
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.views import sources_of

NODES_TOLD_MAX: Final = 100
ITEMS_TOLD_MAX: Final = 100
FRAMES_TOLD_MAX: Final = 660


def flow_view(picture: Picture, frames: list[Frame], now: float) -> Flow:
    """These frames, with everybody who gives or takes in them."""
    frames = frames[-FRAMES_TOLD_MAX:]
    by_site = picture.flow.by_site
    frames = [frame for frame in frames if frame.by_site == by_site]
    names = names_in(frames)
    places = {name: place for place, name in enumerate(names)}
    return Flow(
        at=picture.wall(now),
        by_site=by_site,
        nodes=tuple(_nodes(picture, names, by_site=by_site)),
        frames=tuple(_frame(picture, frame, places) for frame in frames),
    )


def _nodes(picture: Picture, names: Iterable[str], *, by_site: bool) -> list[FlowNode]:
    if by_site:
        count, origins = picture.sums.by_site, picture.sums.origin_sites
        return [FlowNode(site, site, "site", count.get(site, 0), site in origins) for site in names]
    by_id = {peer.who.peer_id: peer for peer in picture.peers.values()}
    return [_node(name, by_id.get(name)) for name in names]


def _node(name: str, peer: KnownPeer | None) -> FlowNode:
    if peer is None:
        return FlowNode(name, "", "peer", 1, is_origin=False)
    return FlowNode(name, peer.who.site, peer.who.role, 1, peer.is_origin)


def _frame(picture: Picture, frame: Frame, places: dict[str, int]) -> FlowFrame:
    seconds = max(0.001, frame.seconds)
    edges = tuple(
        FlowEdge(places[giver], places[taker], size, round(size / seconds)) for (giver, taker), size in frame.edges
    )
    return FlowFrame(picture.wall(frame.at), round(frame.seconds, 2), edges, frame.others_bytes)


def dht_view(picture: Picture, now: float) -> DhtFigures:
    """The DHT by what its nodes tell."""
    told = [(peer, peer.dht) for peer in picture.peers.values() if peer.dht is not None and peer.health != "gone"]
    nodes = [(peer, dht) for peer, dht in told if not dht.is_client]
    times = added(dht.by_step for _, dht in told)
    worst = sorted(nodes, key=lambda item: (item[1].nodes, item[0].who.peer_id))[:NODES_TOLD_MAX]
    return DhtFigures(
        at=picture.wall(now),
        nodes=len(nodes),
        clients=len(told) - len(nodes),
        known_mean=round(statistics.fmean(dht.nodes for _, dht in nodes), 1) if nodes else 0.0,
        known_fewest=min((dht.nodes for _, dht in nodes), default=0),
        records=sum(dht.records for _, dht in nodes),
        lookups=sum(times),
        failed_lookups=sum(dht.failed for _, dht in told),
        lookup_p50_s=percentile_s(times, 0.5),
        lookup_p95_s=percentile_s(times, 0.95),
        rows=tuple(
            DhtNode(
                peer.who.peer_id,
                peer.who.site,
                dht.nodes,
                dht.records,
                dht.lookups,
                dht.failed,
                percentile_s(dht.by_step, 0.5),
            )
            for peer, dht in worst
        ),
    )


def origin_view(picture: Picture, prices: Prices, now: float) -> Origin:
    """What the origin carried, and what its store was asked for."""
    seeds = [peer for peer in picture.peers.values() if peer.keeps]
    sums = (0, 0, 0, 0, 0)
    for rollout in picture.rollouts.values():
        sums = _sum(sums, rollout.sources())
    spent = sum((_spent(peer.store.asked) for peer in seeds if peer.store is not None), Spent())
    return Origin(
        at=picture.wall(now),
        sources=sources_of(sums),
        offload=_offload(sums),
        given_bytes=sum(peer.totals.sent for peer in picture.peers.values() if peer.is_origin),
        rate_bytes_per_s=round(picture.sums.origin_rate_bytes_per_s),
        requests=_requests(spent),
        cost=_cost(spent, prices),
        prices=f"{prices.name}{', ' + prices.date if prices.date else ''}",
        items=tuple(_items(picture, seeds, prices)),
        seeds=tuple(_seed(peer, prices) for peer in seeds),
        copies=_copies(picture.rollouts.values()),
    )


def _copies(rollouts: Iterable[RolloutFigures]) -> float | None:
    """What the origin gave, in units of the most that one consumer has fetched; None before any has."""
    given = whole = 0
    for rollout in rollouts:
        told = [member.sources for member in rollout.members.values()]
        given += sum(origin for _, origin, *_ in told)
        whole += max((peers + origin for peers, origin, *_ in told), default=0)
    return round(given / whole, 2) if whole else None


def _items(picture: Picture, seeds: Iterable[KnownPeer], prices: Prices) -> list[OriginItem]:
    spent: dict[tuple[str, bytes, bool], Spent] = {}
    for peer in seeds:
        for told in peer.store.versions if peer.store is not None else ():
            key = (told.dataset, told.version, told.is_publish)
            spent[key] = spent.get(key, Spent()) + _spent(told.asked)
    found: list[OriginItem] = []
    for rollout in reversed(picture.rollouts.values()):
        asked = spent.pop((rollout.dataset, rollout.version, False), Spent())
        sources = rollout.sources()
        found.append(
            OriginItem(
                rollout.dataset,
                rollout.tag,
                rollout.version.hex(),
                rollout.serial,
                "rollout",
                _requests(asked),
                _cost(asked, prices),
                sources_of(sources),
                _offload(sources),
                _copies([rollout]),
            )
        )
    for (dataset, version, is_publish), asked in spent.items():
        kind: Literal["publish", "rollout"] = "publish" if is_publish else "rollout"
        nothing = sources_of((0, 0, 0, 0, 0))
        found.append(
            OriginItem(dataset, "", version.hex(), 0, kind, _requests(asked), _cost(asked, prices), nothing, None)
        )
    return found[:ITEMS_TOLD_MAX]


def _seed(peer: KnownPeer, prices: Prices) -> SeedFigures:
    spent = _spent(peer.store.asked) if peer.store is not None else Spent()
    store = peer.store.away if peer.store is not None else "it tells nothing"
    return SeedFigures(
        peer.who.peer_id,
        peer.who.site,
        peer.totals.sent,
        round(peer.rate_out),
        _requests(spent),
        _cost(spent, prices),
        store or "answers",
    )


def _spent(asked: Asked) -> Spent:
    return Spent(
        asked.put,
        asked.list,
        asked.get,
        asked.head,
        asked.delete,
        asked.retries,
        asked.sent_bytes,
        asked.received_bytes,
    )


def _requests(spent: Spent) -> Requests:
    return Requests(**{name: getattr(spent, name) for name in Requests.__struct_fields__})


def _cost(spent: Spent, prices: Prices) -> Money:
    return Money(round(bill_of(spent, prices).spent, 9), prices.currency)


def _offload(sums: tuple[int, int, int, int, int]) -> float | None:
    peers, origin, *_ = sums
    return round(1 - origin / (peers + origin), 5) if peers + origin else None


def _sum(a: tuple[int, int, int, int, int], b: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4])
