"""The ledger: the highest serial of each tag, what is saved when, and what others lack."""

from __future__ import annotations

import pytest

from swarm.log import Entry, Move, parse_entry
from swarm.peer import ledger as ledger_module
from swarm.peer.ledger import Ledger
from tests.unit.log_samples import FIRST, V1, V2, after, changed, signed

FIRST_RAW = signed(FIRST)
SECOND = after(FIRST_RAW, moves=(Move("latest", V2),))
SECOND_RAW = signed(SECOND)
THIRD = after(SECOND_RAW, moves=(Move("old", V1),))
THIRD_RAW = signed(THIRD)
ROADS = FIRST.dataset


def test_news_are_saved_at_the_next_flush_and_what_is_acted_upon_at_once() -> None:
    saved: list[bytes] = []
    ledger = Ledger(None, saved.append)
    assert ledger.record(FIRST, FIRST_RAW, is_news=True)
    assert saved == []
    assert not ledger.record(FIRST, FIRST_RAW)
    assert len(saved) == 1, "a tag that was only heard of is pulled now"
    ledger.record(SECOND, SECOND_RAW, is_news=True)
    ledger.flush()
    ledger.flush()
    assert len(saved) == 2
    assert Ledger(saved[-1], saved.append).serial_of_tag(ROADS, "latest") == 2


def test_heads_and_what_is_above() -> None:
    ledger = Ledger(None, lambda data: None)
    assert (ledger.heads(), ledger.head(ROADS), ledger.above(ROADS, 0)) == ({}, 0, [])
    for entry, raw in ((THIRD, THIRD_RAW), (FIRST, FIRST_RAW), (SECOND, SECOND_RAW)):
        ledger.record(entry, raw)
    assert ledger.heads() == {ROADS: 3}
    assert ledger.head(ROADS) == 3
    assert ledger.above(ROADS, 1) == [SECOND_RAW, THIRD_RAW]
    assert ledger.above(ROADS, 3) == []


def test_what_tags_rest_on_is_kept_when_old_entries_are_forgotten() -> None:
    ledger = Ledger(None, lambda data: None)
    ledger.record(FIRST, FIRST_RAW)
    raw = FIRST_RAW
    for _ in range(ledger_module.VERSIONS_PER_DATASET + 10):
        entry: Entry = after(raw, moves=(Move("latest", V2),))
        raw = signed(entry)
        ledger.record(entry, raw, is_news=True)
    assert len(ledger.above(ROADS, 0)) == ledger_module.VERSIONS_PER_DATASET
    assert ledger.entry_of_tag(ROADS, "v1") == FIRST_RAW
    assert ledger.entry_of_tag(ROADS, "latest") == raw
    assert parse_entry(ledger.above(ROADS, 0)[-1])[1].serial == ledger.head(ROADS)


def test_datasets_are_bounded() -> None:
    ledger = Ledger(None, lambda data: None)
    for number in range(ledger_module.DATASETS_MAX + 5):
        ledger.record(changed(FIRST, dataset=f"library/d{number}"), b"%d" % number, is_news=True)
    assert len(ledger.heads()) == ledger_module.DATASETS_MAX
    assert ledger.head("library/d0") == 0


def test_signers_that_were_required_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SIGNERS_KEPT_MAX", 2)
    for asked_later, is_kept in ((1, True), (2, False)):
        ledger = Ledger(None, lambda data: None)
        ledger.require([FIRST.publisher])
        for number in range(asked_later):
            ledger.require([bytes([number]) * 32])
        ledger.record(FIRST, FIRST_RAW)
        raw = FIRST_RAW
        for _ in range(ledger_module.VERSIONS_PER_DATASET + 10):
            entry = changed(after(raw, moves=FIRST.moves), publisher=bytes(32))
            raw = signed(entry)
            ledger.record(entry, raw, is_news=True)
        known = ledger.entry_of_tag(ROADS, "v1", lambda entry: entry.publisher == FIRST.publisher)
        assert (known == FIRST_RAW) is is_kept
