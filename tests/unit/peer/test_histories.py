"""Moves of a tag that went back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from swarm.errors import NotFoundError
from swarm.names import parse
from swarm.peer.histories import _add_rollouts, went_back


def test_only_a_move_to_where_the_tag_was_before_is_one_back() -> None:
    versions = [b"a", b"b", b"a", b"a", None, b"b", b"c"]
    assert went_back(versions, [1, 2, 4, 5, 6, 8, 9]) == [None, None, 1, None, None, 2, None]
    assert went_back([], []) == []


def test_what_a_tracker_does_not_know_of_one_entry_hides_no_others() -> None:
    async def order(method: str, path: str, kind: Any) -> Any:
        serial = int(path.rpartition("=")[2])
        if serial == 2:
            raise NotFoundError("there is no object")
        return SimpleNamespace(serial=serial, completion=SimpleNamespace(p95_s=float(serial)))

    node: Any = SimpleNamespace(tracker=SimpleNamespace(order=order))
    shown: list[dict[str, Any]] = [{"serial": serial, "p95_s": None} for serial in (1, 2, 3)]
    asyncio.run(_add_rollouts(node, parse("maps/roads:stable"), shown))
    assert [each["p95_s"] for each in shown] == [1.0, None, 3.0]
