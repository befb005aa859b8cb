"""A made-up swarm in the structures of ``swarm.figure_messages``, to look at pages with and to test them by.

Names are hostile where a stranger chooses them. ``answers`` gives what a tracker would answer, by path.
"""

from __future__ import annotations

import base64
import math
import random
from typing import Any, Final

from swarm.figure_messages import (
    BlockRange,
    Blocks,
    DhtFigures,
    DhtNode,
    FileBlocks,
    Flow,
    FlowEdge,
    FlowFrame,
    FlowNode,
    Link,
    Money,
    Origin,
    OriginItem,
    Peer,
    PeerBlocks,
    PeerFollowing,
    PeerHolding,
    PeerItem,
    Peers,
    Requests,
    SeedFigures,
    Series,
    Sources,
    Storage,
    Survival,
)

MIB: Final = 1 << 20
SITES: Final = ("paris", "oslo", "lyon", "rome", "edge-<b>7</b>", "")
HOSTILE: Final = "<img src=x onerror=alert(1)>\u202egnp.txt"
VERSION: Final = "8c" * 32
FIGURES: Final = "/api/v1/figures"
BLOCKS: Final = 4096
FRAMES: Final = 300


def peer_id(number: int) -> str:
    """An id as the command line shows one."""
    return base64.b32encode(random.Random(number).randbytes(32)).decode().lower().rstrip("=")


def item(number: int, now: float) -> PeerItem:
    """A peer of the list; every eleventh is behind, every nineteenth is gone."""
    site = SITES[number % len(SITES)]
    is_gone, is_behind = number % 19 == 7, number % 11 == 4
    is_seed = number < 2
    return PeerItem(
        id=peer_id(number),
        role="seed" if is_seed else "peer",
        site=site,
        labels=("rack=a", HOSTILE) if number % 7 == 3 else ("rack=b",),
        health="gone" if is_gone else "doubtful" if number % 13 == 5 else "alive",
        heard=now - (140 if is_gone else 1 + number % 4),
        state="" if is_seed else "lost" if is_gone else "fetching" if is_behind else "current",
        cause="not-heard" if is_gone else "slow-link" if is_behind else "",
        reason="not heard for 140 s" if is_gone else "slow link: 120 kB/s from 3 neighbours" if is_behind else "",
        version="0.9.1",
        sent_bytes=number * 37 * MIB,
        received_bytes=512 * MIB - number * MIB,
        rate_in_bytes_per_s=120_000.0 if is_behind else 0.0,
        rate_out_bytes_per_s=float((number * 97) % 40) * 90_000,
        clock_offset_s=None if is_gone else ((number % 5) - 2) / 50 if number != 16 else 4.2,
        following=0 if is_seed else 1 + number % 2,
        neighbours=4 + number % 6,
    )


def peers(now: float, most: int = 62) -> Peers:
    """The list."""
    return Peers(now, tuple(sorted((item(n, now) for n in range(most)), key=lambda one: one.id)), "", most, most)


def blocks(now: float, version: str = VERSION, ranges: int = 120, *, thin: bool = True) -> Blocks:
    """A version that some peers have in part: with ``thin`` a stretch of it lies at the origin alone."""
    lots = random.Random(7)
    count = BLOCKS // ranges
    spans = []
    for place in range(ranges):
        is_thin = thin and 0.42 < place / ranges < 0.5
        fewest = 0 if is_thin else 1 if place % 29 == 3 else 2 + int(14 * abs(math.sin(place / 9)))
        spans.append(BlockRange(place * count, count, fewest, round(fewest + lots.random() * 2, 2), 2))
    lost = sum(one.count for one in spans if not one.fewest)
    return Blocks(
        at=now,
        dataset="maps/roads",
        version=version,
        tags=("stable", "latest"),
        blocks=BLOCKS,
        bytes=BLOCKS * 1_100_000,
        complete_peers=0,
        partial_peers=21,
        origins=2,
        fewest=min(one.fewest for one in spans),
        mean=round(sum(one.mean for one in spans) / ranges, 2),
        exact=False,
        ranges=tuple(spans),
        files=tuple(
            FileBlocks(path, 900 * MIB >> (n % 9), n * 90, 90 + n % 40, n // 2, n / 2 + 0.4)
            for n, path in enumerate((HOSTILE, *(f"tiles/zoom-{n}/part-{n:04}.parquet" for n in range(40))))
        ),
        peers=tuple(
            PeerBlocks(
                peer_id(n),
                SITES[n % len(SITES)],
                "seed" if n < 2 else "peer",
                n < 2,
                BLOCKS if n < 2 else int(BLOCKS * n / 24),
                "x" * ranges if n < 2 else "".join(_digit(lots, place / ranges, n) for place in range(ranges)),
            )
            for n in range(24)
        ),
        survival=Survival(
            "no" if lost else "yes",
            f"no: {lost} of {BLOCKS} blocks are held by the origin alone"
            if lost
            else "yes: peers hold every block at least once",
            tuple((one.first, one.count) for one in spans if not one.fewest),
            lost,
            lost * 1_100_000,
        ),
    )


def _digit(lots: random.Random, at: float, number: int) -> str:
    if 0.42 < at < 0.5:
        return "0"
    return "x" if at < number / 24 else "0" if lots.random() < 0.7 else str(lots.randrange(10))


def flow(now: float, many: int = 60, *, by_site: bool = False) -> Flow:
    """Who fed whom: a wave goes out from two seeds."""
    lots = random.Random(3)
    names = [f"site-{n:02}" for n in range(23)] + [HOSTILE] if by_site else [peer_id(n) for n in range(many)]
    nodes = [
        FlowNode(name, name, "site", 7 + 40 * (n % 5), n == 0)
        if by_site
        else FlowNode(name, SITES[n % len(SITES)], "seed" if n < 2 else "peer", 1, n < 2)
        for n, name in enumerate(names)
    ]
    return Flow(now, by_site, tuple(nodes), tuple(_frames(lots, len(nodes), now)))


def _frames(lots: random.Random, many: int, now: float) -> list[FlowFrame]:
    found = []
    for place in range(FRAMES):
        wave = max(0.0, math.sin(place / 24)) ** 2
        edges = []
        for _ in range(int(wave * many * 1.6) + 1):
            giver = lots.randrange(many) if lots.random() > 0.08 else lots.randrange(2)
            taker = 2 + lots.randrange(many - 2)
            size = int(lots.random() ** 3 * 9 * MIB)
            if giver != taker and size:
                edges.append(FlowEdge(giver, taker, size, float(size)))
        edges.sort(key=lambda edge: -edge.bytes)
        found.append(FlowFrame(now - FRAMES + 1 + place, 1.0, tuple(edges[:400]), 3 * MIB if wave > 0.9 else 0))
    return found


def peer(number: int, now: float) -> Peer:
    """All of one."""
    lots = random.Random(number)
    links = [
        Link(
            peer_id(n),
            SITES[n % len(SITES)],
            sent,
            got,
            sent if n % 4 else None,
            got + 9 * MIB * (n == 6),
            n != 6,
            n % 5 > 0,
        )
        for n in range(2, 12)
        for sent, got in [(lots.randrange(80) * MIB, lots.randrange(90) * MIB)]
    ]
    return Peer(
        at=now,
        item=item(number, now),
        addresses=("10.0.4.17:7411", "[fd00::17]:7411"),
        started=now - 86_400 * 3,
        joined=now - 86_400 * 40,
        sent_bytes=1800 * MIB,
        received_bytes=640 * MIB,
        line_sent_bytes=1190 * MIB,
        line_received_bytes=92 * MIB,
        wire_sent_bytes=1100 * MIB,
        wire_received_bytes=402 * MIB,
        uploaded_bytes=96 * MIB,
        bad_blocks=number % 3,
        refused=4,
        redirected=17,
        links=(*links, Link("others", "", 33 * MIB, 12 * MIB, None, None, True, False)),
        following=_following(now),
        holdings=(
            PeerHolding("maps/roads", VERSION, 4096, 1690, 512 * MIB, False),
            PeerHolding("maps/roads", "7b" * 32, 4000, 4000, 500 * MIB, False),
            PeerHolding("maps/rails", "5e" * 32, 700, 700, 90 * MIB, False),
        ),
        waiting_for=("a seed: none answers for maps/ways", HOSTILE),
        storage=Storage(5300, 600 * MIB, 1024 * MIB, 40 * MIB, 64 * MIB, 96 * MIB, 12 << 30, 80 << 30),
        dht_nodes=58,
        dht_records=412,
        tracker=peer_id(900),
    )


def _following(now: float) -> tuple[PeerFollowing, ...]:
    return (
        PeerFollowing(
            "maps/roads",
            "stable",
            41,
            "7b" * 32,
            42,
            VERSION,
            "fetching",
            now - 64,
            "slow-link",
            "slow link: 120 kB/s from 3 neighbours",
            212 * MIB,
            512 * MIB,
            120_000.0,
            2400.0,
            Sources(180 * MIB, 20 * MIB, 12 * MIB, MIB, 120 * MIB, 0.1),
            False,
        ),
        PeerFollowing(
            "maps/rails",
            "latest",
            9,
            "5e" * 32,
            9,
            "5e" * 32,
            "current",
            now - 7200,
            "",
            "",
            90 * MIB,
            90 * MIB,
            0.0,
            None,
            Sources(90 * MIB, 0, 0, 0, 60 * MIB, 0.0),
            True,
        ),
    )


def dht(now: float) -> DhtFigures:
    """Nodes of the DHT, one of which knows hardly anybody."""
    rows = sorted(
        (
            DhtNode(
                peer_id(n),
                SITES[n % len(SITES)],
                3 if n == 9 else 38 + n % 20,
                200 + n * 7,
                90,
                n % 4,
                0.02 + n % 9 / 50,
            )
            for n in range(60)
        ),
        key=lambda row: row.nodes,
    )
    return DhtFigures(now, 60, 12, 45.2, 3, 24_800, 5400, 90, 0.081, 0.31, tuple(rows))


def origin(now: float) -> Origin:
    """What two seeds carried; the store is away from one of them."""
    one = Requests(12, 3, 400, 9, 0, 2, 512 * MIB, 640 * MIB)
    items = tuple(
        OriginItem(
            "maps/roads",
            "stable" if n % 3 else "",
            f"{n:02x}" * 32,
            40 - n,
            "rollout" if n % 3 else "publish",
            Requests(2 * n, n, 30 * n, 1, 0, 0, n * MIB, 3 * n * MIB),
            Money(0.00031 * n, "USD"),
            Sources(n * 700 * MIB, n * 14 * MIB, 90 * MIB, 0, 0, 0.0196) if n % 3 else Sources(),
            0.9804 if n % 3 else None,
            1.0 + n / 50 if n % 3 else None,
        )
        for n in range(1, 14)
    )
    return Origin(
        at=now,
        sources=Sources(60_000 * MIB, 1200 * MIB, 9000 * MIB, 40 * MIB, 30_000 * MIB, 0.0196),
        offload=0.9804,
        given_bytes=1300 * MIB,
        rate_bytes_per_s=4.1 * MIB,
        requests=Requests(210, 41, 4100, 77, 3, 12, 5 << 30, 1280 * MIB),
        cost=Money(0.0417, "USD"),
        prices="aws-s3-standard eu-central-1, 2026-10",
        items=items,
        seeds=(
            SeedFigures(peer_id(0), "paris", 900 * MIB, 4.1 * MIB, one, Money(0.03, "USD"), "answers"),
            SeedFigures(
                peer_id(1), "oslo", 400 * MIB, 0.0, one, Money(0.0117, "USD"), f"away since 08:14:02: {HOSTILE}"
            ),
        ),
        copies=1.04,
    )


def answers(now: float, *, by_site: bool = False, many: int = 60) -> dict[str, Any]:
    """What a tracker would answer to GET, by path; of ``many`` peers, or so many that flow is by site."""
    wave = [(now - 900 + at, 4.0 * MIB * max(0.0, math.sin(at / 60)) ** 2) for at in range(0, 900, 5)]
    return {
        f"{FIGURES}/peers": peers(now, many),
        **{f"{FIGURES}/peers/{peer_id(n)}": peer(n, now) for n in range(many)},
        f"{FIGURES}/blocks/maps/roads": blocks(now),
        f"{FIGURES}/blocks/maps/rails": blocks(now, "5e" * 32, thin=False),
        f"{FIGURES}/flow": flow(now, many, by_site=by_site),
        f"{FIGURES}/dht": dht(now),
        f"{FIGURES}/origin": origin(now),
        f"{FIGURES}/series": Series("rate_bytes_per_s", 5, tuple(wave)),
    }
