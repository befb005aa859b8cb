"""Moves of a tag that went back."""

from __future__ import annotations

from swarm.peer.histories import went_back


def test_only_a_move_to_where_the_tag_was_before_is_one_back() -> None:
    versions = [b"a", b"b", b"a", b"a", None, b"b", b"c"]
    assert went_back(versions, [1, 2, 4, 5, 6, 8, 9]) == [None, None, 1, None, None, 2, None]
    assert went_back([], []) == []
