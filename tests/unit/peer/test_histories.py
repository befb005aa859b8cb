"""Moves of a tag that went back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from swarm.cli.tags import _logged
from swarm.errors import NotFoundError
from swarm.log import Entry, Kind, Move
from swarm.manifest import Manifest
from swarm.names import parse
from swarm.peer import histories, tag_verbs
from swarm.peer.histories import _add_fetches, _add_rollouts, went_back
from swarm.peer.tag_verbs import RollbackArguments
from swarm.rollout import Action
from swarm.told_log import told
from tests.unit.log_samples import OTHER, PUBLISHER, V1, V2, changed
from tests.unit.rollout_samples import STAGED, begin, gone_on, planned


def test_only_a_move_to_where_the_tag_was_before_is_one_back() -> None:
    versions = [b"a", b"b", b"a", b"a", None, b"b", b"c"]
    assert went_back(versions, [1, 2, 4, 5, 6, 8, 9]) == [None, None, 1, None, None, 2, None]
    assert went_back([], []) == []


def test_what_a_tracker_does_not_know_of_one_entry_hides_no_others() -> None:
    async def order(method: str, path: str, kind: Any) -> Any:
        serial = int(path.rpartition("=")[2])
        if serial == 2:
            raise NotFoundError("there is no object")
        sources = SimpleNamespace(peers=300, origin=100, reused=7)
        completion = SimpleNamespace(p95_s=float(serial))
        return SimpleNamespace(serial=serial, completion=completion, sources=sources, wanted=4)

    node: Any = SimpleNamespace(tracker=SimpleNamespace(order=order))
    shown: list[dict[str, Any]] = [{"serial": serial, "p95_s": None, "back_to": None} for serial in (1, 2, 3)]
    shown[2] |= {"back_to": 1, "fetch_bytes": None}
    asyncio.run(_add_rollouts(node, parse("maps/roads:stable"), shown))
    assert [each["p95_s"] for each in shown] == [1.0, None, 3.0]
    assert [each.get("fetch_bytes") for each in shown] == [None, None, 100], "of who goes back it is what was measured"


def test_what_a_move_fetches_is_told_where_it_brings_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout's entry that lets more peers in brings none; what is published over it comes to who stayed behind."""
    v3 = bytes(32)
    order = [V1, V2, v3]

    async def manifest(node: Any, reference: Any, version: bytes, progress: Any) -> Any:
        return SimpleNamespace(version=version, file_count=1, total_bytes=9)

    def fetch_of(new: Manifest, old: Manifest) -> Any:
        return SimpleNamespace(bytes=100 * order.index(new.version) + order.index(old.version))

    monkeypatch.setattr(histories, "_manifest", manifest)
    monkeypatch.setattr(histories, "fetch_of", fetch_of)
    entries = [moved(1, "publish", V1), STAGED, changed(gone_on(STAGED, "promote"), serial=3)]
    over = msgspec.structs.replace(begin(version=v3), begun=4)
    entries += [changed(STAGED, serial=4, moves=(Move("latest", v3),), rollouts=(over,)), moved(5, "rollback", V1)]
    shown: list[dict[str, Any]] = [{"back_to": None, "fetch_bytes": None} for _ in entries]
    shown[4]["back_to"] = 1
    node: Any = SimpleNamespace()
    asyncio.run(_add_fetches(node, parse("library/roads:latest"), entries, shown, lambda _: None))
    assert [each["fetch_bytes"] for each in shown] == [None, 100, None, 200, None]


def moved(serial: int, kind: Kind, version: bytes) -> Entry:
    return changed(STAGED, serial=serial, kind=kind, moves=(Move("latest", version),), format=1, rollouts=())


def test_who_asked_for_an_entry_is_told_and_nobody_says_so_of_himself() -> None:
    back = told(gone_on(STAGED, "rollback"))
    assert (back.author, back.reason, back.publisher) == ("user:ops", "it was seen", OTHER.peer_id)
    line = _logged(msgspec.to_builtins(back))
    assert (line[3], line[7]) == ("by user:ops", "[latest rolled back] it was seen")
    plan = told(planned())
    assert (plan.author, plan.message, plan.planned) == ("user:ops", "", ("latest",))
    assert _logged(msgspec.to_builtins(plan))[7] == "latest goes out by another plan"
    begun = told(STAGED)
    assert begun.author == "", "a producer may write there what it likes"
    assert _logged(msgspec.to_builtins(begun))[3] == f"by {PUBLISHER.peer_id[:12]}"


@pytest.mark.parametrize("then", ["abort", "pause"])
def test_a_rollback_goes_to_what_was_settled(monkeypatch: pytest.MonkeyPatch, then: Action) -> None:
    """V2 never was: it was aborted, or still held back when V3 came. Once it is published again and stays, it was."""
    v3 = bytes(32)
    begun = [moved(1, "publish", V1), STAGED, changed(gone_on(STAGED, then), serial=3)]
    over = changed(moved(4, "publish", v3), moves=(Move("latest", v3),))
    settled = [changed(moved(5, "publish", V2)), changed(over, serial=6)]
    assert rolled_back(monkeypatch, [*begun, over]) == V1
    assert rolled_back(monkeypatch, [*begun, over, *settled]) == V2


def rolled_back(monkeypatch: pytest.MonkeyPatch, entries: list[Entry]) -> bytes | None:
    """Where a tag with these entries is rolled back to."""
    found: list[Move] = []

    async def commit(node: Any, dataset: str, kind: str, moves: list[Move], *more: Any, **said: Any) -> Any:
        found.extend(moves)
        assert said["message"] == "no good"
        return {}

    async def log(dataset: str, after: int) -> list[tuple[bytes, Entry]]:
        return [(b"", entry) for entry in entries if entry.serial > after]

    monkeypatch.setattr(tag_verbs, "_commit", commit)
    node: Any = SimpleNamespace(tracker=SimpleNamespace(log=log))
    arguments = RollbackArguments("library/roads:latest", reason="no good")
    asyncio.run(tag_verbs.rollback(node, arguments, lambda _: None))
    [move] = found
    return move.version
