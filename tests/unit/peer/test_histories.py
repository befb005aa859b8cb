"""What a log says of moves: which went back, what each cost; and how much of it is read."""

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
from swarm.peer import histories, look_verbs, tag_verbs
from swarm.peer.histories import TAGS_COMPARED, add_figures, compared, moves_in
from swarm.peer.log_tail import PAGE
from swarm.peer.look_verbs import HistoryArguments
from swarm.peer.tag_verbs import RollbackArguments
from swarm.rollout import Action
from swarm.snapshot import Snapshot, TagState
from swarm.told_log import told
from tests.unit.log_samples import OTHER, PUBLISHER, V1, V2, changed
from tests.unit.rollout_samples import STAGED, begin, gone_on, planned

V3 = bytes(32)


def test_only_a_move_to_where_the_tag_was_before_is_one_back() -> None:
    entries = [moved(1, "publish", V1), moved(2, "publish", V2), moved(4, "tag", V1), moved(5, "tag", V1)]
    entries += [moved(6, "rm", None), moved(8, "publish", V2), moved(9, "publish", V3)]
    assert [move.back_to for move in moves_in(entries, "latest")] == [None, None, 1, None, None, 2, None]
    assert [move.before for move in moves_in(entries, None)] == [None, V1, V2, V1, V1, None, V2]
    assert moves_in(entries, "other") == [] == moves_in([], None)
    late = moves_in([moved(7, "rollback", V1)], "latest")
    assert [(move.back_to, move.is_back) for move in late] == [(None, True)], "to what it was before the first of these"


def test_tags_that_one_entry_moves_are_told_apart() -> None:
    """One tag may be new where another goes back, or comes from another version."""
    both = changed(moved(3, "tag", V1), moves=(Move("latest", V1), Move("new", V1)))
    entries = [moved(1, "publish", V1), moved(2, "publish", V2), both]
    found = [(move.tag, move.before, move.back_to) for move in moves_in(entries, None)][2:]
    assert found == [("latest", V2, 1), ("new", None, None)]
    many = changed(both, moves=tuple(Move(f"t{at:02}", V1) for at in range(TAGS_COMPARED + 1)))
    late = compared(moves_in([*entries, changed(many, serial=4)], None), [3, 4])
    assert [move.serial for move in late] == [3] * 2 + [4] * TAGS_COMPARED


def knowing(*serials: int, fetched: int = 300, tag: str = "latest") -> Any:
    """A node whose tracker knows how the moves of one tag went: 95% had each after as many seconds."""

    async def order(method: str, path: str, kind: Any) -> Any:
        serial = int(path.rpartition("=")[2])
        if serial not in serials or f"/{tag}?" not in path:
            raise NotFoundError("there is no object")
        sources = SimpleNamespace(peers=fetched, origin=100, reused=7)
        completion = SimpleNamespace(p95_s=float(serial))
        return SimpleNamespace(serial=serial, completion=completion, sources=sources, wanted=3, away=1)

    return SimpleNamespace(tracker=SimpleNamespace(order=order))


def comparing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions whose blocks are not looked at: what one fetches says which two were compared."""
    order = [V1, V2, V3]

    async def manifest(node: Any, reference: Any, version: bytes, progress: Any) -> Any:
        return SimpleNamespace(version=version, file_count=1, total_bytes=9)

    def fetch_of(new: Manifest, old: Manifest) -> Any:
        return SimpleNamespace(bytes=100 * order.index(new.version) + order.index(old.version))

    monkeypatch.setattr(histories, "_manifest", manifest)
    monkeypatch.setattr(histories, "fetch_of", fetch_of)


def figured(node: Any, ref: str, entries: list[Entry], last: int = 99) -> list[dict[str, Any]]:
    """What is told of the last entries."""
    shown = [msgspec.to_builtins(told(entry)) for entry in entries[-last:]]
    asyncio.run(add_figures(node, parse(ref, default_tag=None), entries, shown, lambda _: None))
    return shown


def test_what_a_tracker_does_not_know_of_one_entry_hides_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    comparing(monkeypatch)
    entries = [moved(1, "publish", V1), moved(2, "publish", V2), moved(3, "tag", V1)]
    shown = figured(knowing(1, 3), "library/roads:latest", entries)
    assert [each["p95_s"] for each in shown] == [1.0, None, 3.0]
    assert [each["fetch_bytes"] for each in shown] == [None, 100, 100], "of who goes back it is what was measured"
    assert [each["back_to"] for each in shown] == [None, None, 1]


def test_what_a_move_fetches_is_told_where_it_brings_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout's entry that lets more peers in brings none; what is published over it comes to who stayed behind."""
    comparing(monkeypatch)
    entries = [moved(1, "publish", V1), STAGED, changed(gone_on(STAGED, "promote"), serial=3)]
    over = msgspec.structs.replace(begin(version=V3), begun=4)
    entries += [changed(STAGED, serial=4, moves=(Move("latest", V3),), rollouts=(over,)), moved(5, "rollback", V1)]
    shown = figured(knowing(), "library/roads:latest", entries)
    assert [each["fetch_bytes"] for each in shown] == [None, 100, None, 200, None]


def test_of_a_whole_dataset_the_most_that_an_entry_cost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tags pointed to before is known from entries that are not shown."""
    comparing(monkeypatch)
    other = (Move("other", V2),)
    entries = [moved(1, "publish", V1), changed(moved(2, "publish", V2), moves=other)]
    entries += [changed(moved(3, "publish", V3), moves=(Move("latest", V3), Move("other", V3), Move("v3", V3)))]
    entries += [moved(4, "rollback", V1)]
    shown = figured(knowing(3, 4, fetched=500), "library/roads", entries, last=2)
    assert [(each["fetch_bytes"], each["p95_s"]) for each in shown] == [(201, 3.0), (150, 4.0)]
    assert [each["back_to"] for each in shown] == [None, 1] and [each["files"] for each in shown] == [1, 1]


class Ending:
    """A node at a log of so many entries: every tenth moves ``rare``, the others ``latest``. ``read``: its calls."""

    def __init__(self, length: int) -> None:
        self.tracker = self
        self.read: list[int] = []
        tags = ["rare" if serial % 10 == 0 else "latest" for serial in range(1, length + 1)]
        self.entries = [changed(moved(at, "publish", V1), moves=(Move(tag, V1),)) for at, tag in enumerate(tags, 1)]
        last = {tag: serial for serial, tag in enumerate(tags, 1)}
        self.tags = Snapshot(1, "library/roads", length, tuple(TagState(t, s, V1) for t, s in last.items()), 0, 1)

    async def snapshot(self, dataset: str) -> tuple[bytes, Snapshot]:
        return b"", self.tags

    async def log(self, dataset: str, *, after: int, limit: int) -> list[tuple[bytes, Entry]]:
        self.read.append(after)
        return [(b"", entry) for entry in self.entries[after : after + limit]]

    def history(self, ref: str, **given: Any) -> tuple[list[int], bool]:
        self.read.clear()
        node: Any = self
        found = asyncio.run(look_verbs.history(node, HistoryArguments(ref, **given), lambda _: None))
        return [entry["serial"] for entry in found["entries"]], found["has_earlier"]


def test_a_log_is_read_from_its_end_and_no_further_than_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Ending(1000)
    assert node.history("library/roads", last=3) == ([998, 999, 1000], True)
    assert node.read == [1000 - PAGE]
    assert node.history("library/roads:rare", last=2) == ([990, 1000], True) and len(node.read) == 1
    assert node.history("library/roads:rare", last=8)[0] == list(range(930, 1001, 10)) and len(node.read) == 2
    whole, has_earlier = node.history("library/roads")
    assert (len(whole), has_earlier) == (1000, False)
    monkeypatch.setattr(look_verbs, "HISTORY_MAX", 100)
    assert node.history("library/roads") == (list(range(901, 1001)), True), "of a log that is too long the newest"
    assert node.history("library/roads:latest", last=50)[0][-1] == 999
    with pytest.raises(NotFoundError, match="no history among the last 100 entries"):
        node.history("library/roads:never")


def moved(serial: int, kind: Kind, version: bytes | None) -> Entry:
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
    begun = [moved(1, "publish", V1), STAGED, changed(gone_on(STAGED, then), serial=3)]
    over = changed(moved(4, "publish", V3), moves=(Move("latest", V3),))
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
