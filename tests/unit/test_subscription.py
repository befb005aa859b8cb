"""What is decided about subscriptions, and how they are kept."""

from __future__ import annotations

import pytest

from swarm.errors import UsageError
from swarm.subscription import Followed, Wanted, cut, decode_state, encode_state, plan

A, B, C, D = (letter * 32 for letter in (b"a", b"b", b"c", b"d"))
ROADS = Wanted(ref="maps/roads:stable", directory="/srv/roads", keep=1)
RAIL = Wanted(ref="maps/rail", directory="/srv/rail")


def test_what_is_current_and_so_many_before_it_stay() -> None:
    followed = Followed(wanted=ROADS)
    for serial, version in enumerate([A, B, C, A], 1):
        followed = followed.switched(version, serial)
    assert followed.recent == (A, C, B)
    assert followed.doomed([A, B, C, D], A) == [B, D]
    # Killed between the switch and its note: the link says what is current.
    assert followed.doomed([A, B, C, D], B) == [C, D]


def test_nothing_is_kept_with_none_and_the_current_always_is() -> None:
    followed = Followed(wanted=Wanted(ref="x", directory="/d", keep=0)).switched(A, 1).switched(B, 2)
    assert followed.doomed([A, B], B) == [A]
    assert followed.doomed([A], None) == [A]


def test_a_switch_ends_a_refusal() -> None:
    refused = Followed(wanted=ROADS, refused=B, refusal="bad")
    assert (refused.switched(C, 3).refused, refused.switched(C, 3).refusal) == (b"", "")


def test_state_comes_back_as_it_was_and_damage_is_told() -> None:
    followed = [Followed(wanted=ROADS, recent=(A, B), serial=7, hooked=A), Followed(wanted=RAIL, is_paused=True)]
    assert decode_state(encode_state(followed)) == followed
    for damaged in (b"", b"{}", b"[1]", encode_state(followed)[:-9], b'{"format": 2, "subscriptions": []}'):
        with pytest.raises(UsageError, match="holds no subscriptions"):
            decode_state(damaged)


def test_a_plan_goes_by_directory() -> None:
    moved = Wanted(ref="maps/roads:next", directory="/srv/roads")
    new = Wanted(ref="maps/sea", directory="/srv/sea")
    found = plan([moved, new], [ROADS, RAIL])
    assert (found.added, found.changed, found.same, found.unlisted) == ((new,), (moved,), (), (RAIL,))
    assert plan([ROADS], [ROADS]).same == (ROADS,)
    with pytest.raises(UsageError, match="one directory"):
        plan([ROADS, moved], [])


def test_only_whole_versions_are_followed() -> None:
    with pytest.raises(UsageError, match="whole versions"):
        _ = Wanted(ref="maps/roads:stable/eu.csv", directory="/d").reference


def test_what_a_command_said_is_cut_to_a_line() -> None:
    assert cut(" a\n b\t c ") == "a b c"
    assert cut("x" * 1000 + "END").endswith("END")
    assert len(cut("x" * 1000)) == 300
