"""Reports of peers, made up for tests."""

from __future__ import annotations

from typing import Any, Final

from swarm.log import Entry, Move
from swarm.log import Totals as VersionTotals
from swarm.reports import Followed, Held, LinkTotal, Report, Room, Step, Totals
from swarm.tracker.figures.peers import Who
from tests.integration.tracker_rig import TOTALS

ROADS: Final = "maps/roads"
V1, V2 = bytes([1]) * 32, bytes([2]) * 32


def key(number: int) -> bytes:
    """The public key of a peer; none can sign with it."""
    return number.to_bytes(32, "big")


def who(number: int, role: Any = "peer", site: str = "paris") -> Who:
    return Who(key(number), f"peer{number}", role, site, (f"rack=r{number % 4}",), ())


def followed(
    *,
    serial: int = 0,
    heard: int = 1,
    target: int = 0,
    phase: Any = "waiting",
    steps: tuple[Step, ...] = (),
    **more: Any,
) -> Followed:
    told: dict[str, Any] = {
        "dataset": ROADS,
        "tag": "stable",
        "is_pull": False,
        "age_ms": 0,
        "version": b"",
        "target_version": b"",
        "cause": "",
        "words": "",
        "done_bytes": 0,
        "total_bytes": 1000,
        "missing_blocks": 0,
        "peers": 0,
        "origin": 0,
        "reused": 0,
        "wasted": 0,
        "wire": 0,
        "rate_bytes_per_s": 0,
        "neighbours": 3,
    }
    stated = {"serial": serial, "heard": heard, "target": target, "phase": phase, "steps": steps}
    return Followed(**{**told, **stated, **more})


def report(sequence: int, *tags: Followed, epoch: int = 7, **more: Any) -> Report:
    told: dict[str, Any] = {
        "format": 1,
        "epoch": epoch,
        "sequence": sequence,
        "is_full": True,
        "wall_time_ms": 0,
        "uptime_s": 10,
        "program": "0.1.0",
        "totals": Totals(),
        "links": (),
        "others_sent": 0,
        "others_received": 0,
        "followed": tags,
        "holdings": (),
        "waiting_for": (),
        "missed": (),
        "room": None,
        "dht": None,
        "store": None,
    }
    return Report(**{**told, **more})


def link(number: int, sent: int = 0, received: int = 0) -> LinkTotal:
    return LinkTotal(key(number), sent, received, is_open=True)


def held(blocks: int, count: int, bits: bytes = b"", *, is_origin: bool = False) -> Held:
    return Held(ROADS, V1, blocks, count, 1000 * blocks, is_origin, bits)


def entry(serial: int, version: bytes | None, *, wall_time: int = 0, totals: VersionTotals = TOTALS) -> Entry:
    kind: Any = "publish" if version is not None else "rm"
    moves = (Move("stable", version),)
    stated = totals if version is not None else None
    return Entry(1, ROADS, serial, bytes(32), wall_time, kind, moves, "", stated, key(99))


ROOM: Final = Room(10, 1000, 2000, 500, 600, 7000, 1 << 30, 1 << 40)
