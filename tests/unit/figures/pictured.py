"""A tracker's picture for tests: what peers tell in it, and a tag that moves."""

from __future__ import annotations

from typing import Any

from swarm.reports import Step
from swarm.tracker.figures.picture import Picture
from tests.reported import ROADS, V1, entry, followed, report, who

WALL = 1_700_000_000.0
TAG = (ROADS, "stable")


def everything(dataset: str) -> bool:
    return True


def a_picture() -> Picture:
    return Picture(0.0, WALL)


def fetched(serial: int = 1, version: bytes = V1, **more: Any) -> Any:
    told: dict[str, Any] = {"phase": "fetching", "total_bytes": 1000, "neighbours": 3, "heard": serial}
    return followed(target=serial, target_version=version, **{**told, **more})


def current(serial: int = 1, version: bytes = V1, *ages: int, **more: Any) -> Any:
    steps = tuple(
        Step(number, phase, age)  # type: ignore[arg-type]
        for number, (phase, age) in enumerate(zip(("waiting", "fetching", "current"), ages, strict=False), 1)
    )
    return followed(serial=serial, version=version, heard=serial, phase="current", steps=steps, **more)


def begun(picture: Picture, peers: int) -> None:
    """So many peers follow a tag, which is moved after a second."""
    for number in range(1, peers + 1):
        picture.report(who(number), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
