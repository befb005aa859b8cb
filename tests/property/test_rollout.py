"""Who is let in by which stage, and what follows upon what, for any plan and any order of acts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import log
from swarm.errors import ConflictError, RemoteProtocolError, UsageError
from swarm.rollout import (
    ACTIONS,
    WHOLE,
    Action,
    Health,
    Plan,
    Rollout,
    Stage,
    Who,
    acted,
    begun,
    check_plan,
    follows,
    number_of,
)
from swarm.rollout_health import Heard, counted, judged, says
from swarm.rollout_messages import Counts, item_of, plan_of
from tests.unit.log_samples import V1, V2, WALL
from tests.unit.rollout_samples import PLAN, begin

DATASET = "maps/roads"
PEERS = [Who(f"peer{number}", ("ring=canary",) if number % 50 == 0 else ()) for number in range(1000)]
LABELS = st.lists(st.sampled_from(["ring=canary", "site=paris", "site=rome"]), max_size=2, unique=True).map(tuple)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    shares = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=1, max_size=6)))
    stages = tuple(Stage(draw(LABELS), share) for share in [*shares, WHOLE])
    health = draw(st.none() | st.builds(Health, st.integers(0, WHOLE), st.integers(1, 50), st.none() | st.just(60)))
    return check_plan(Plan(stages, draw(st.none() | st.just(60)), health))


def walked(rollout: Rollout, steps: Iterable[tuple[Action, bool]]) -> list[Rollout]:
    """The states that these acts lead to; those that cannot be done are passed over."""
    found = [rollout]
    for action, full in steps:
        try:
            found.append(acted(found[-1], action, full=full, wall_time=WALL + len(found), author="user:a", reason="r"))
        except ConflictError:
            assert action not in found[-1].allowed
    return found


STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.booleans()), max_size=8)


@given(plan=plans(), serial=st.integers(2, 1000))
def test_whoever_is_let_in_stays_in_and_the_last_stage_is_everybody(plan: Plan, serial: int) -> None:
    rollout, inside = begun("stable", V2, V1, serial, plan, WALL, ""), set[str]()
    states = walked(rollout, [("promote", False)] * plan.last)
    assert [each.stage for each in states] == list(range(len(plan.stages)))
    for state in states:
        let = {who.peer_id for who in PEERS if state.admits(DATASET, who)}
        assert inside <= let
        inside = let
    assert len(inside) == len(PEERS)
    assert states[-1].state == "done"


def test_a_share_is_as_large_as_it_says_and_other_peers_each_time() -> None:
    chosen = [
        {who.peer_id for who in PEERS if number_of(who.peer_id, DATASET, "stable", serial) < 1000} for serial in (1, 2)
    ]
    assert all(70 < len(let) < 130 for let in chosen), "a tenth of a thousand, four deviations around"
    assert len(chosen[0] & chosen[1]) < 30
    assert number_of("p", DATASET, "stable", 1) == number_of("p", DATASET, "stable", 1)


@given(plan=plans(), steps=STEPS)
def test_a_walk_through_states(plan: Plan, steps: list[tuple[Action, bool]]) -> None:
    states = walked(begun("stable", V2, V1, 2, plan, WALL, ""), steps)
    for before, after in pairwise(states):
        assert follows(before, after)
        assert not before.is_taken_back, "nothing follows once it was taken back"
        is_pause = {before.state, after.state} == {"running", "paused"} and before.stage == after.stage
        assert is_pause or not follows(after, before), "and nothing goes back"
    for state in states:
        for who in PEERS[:60]:
            has = {has_it: state.version_for(DATASET, who, has_it=has_it) for has_it in (False, True)}
            is_in = state.admits(DATASET, who)
            if state.state == "running":
                assert has[False] == has[True] == (V2 if is_in else V1)
            elif state.state == "paused":
                assert has[False] == V1, "nobody goes ahead any more"
                assert has[True] == (V2 if is_in else V1)
            else:
                assert has[False] == has[True] == (V2 if state.state == "done" else V1)


@given(plan=plans(), action=st.sampled_from(ACTIONS))
def test_another_rollout_does_not_follow(plan: Plan, action: Action) -> None:
    first = begun("stable", V2, V1, 2, plan, WALL, "")
    if action not in first.allowed:
        return
    after = acted(first, action, full=False, wall_time=WALL, author="", reason="")
    for other in (
        begun("next", V2, V1, 2, plan, WALL, ""),
        begun("stable", V1, V2, 2, plan, WALL, ""),
        begun("stable", V2, V1, 3, plan, WALL, ""),
        begun("stable", V2, V1, 2, Plan((Stage((), 1), Stage((), WHOLE)), 7, None), WALL, ""),
    ):
        assert not follows(other, after)


@given(plan=plans())
def test_plans_are_told_as_they_are(plan: Plan) -> None:
    assert plan_of(item_of(plan)) == plan


@pytest.mark.parametrize(
    "stages",
    [
        (Stage((), WHOLE),),
        (Stage((), 500), Stage((), 400), Stage((), WHOLE)),
        (Stage((), 500), Stage((), 600)),
        (Stage(("nolabel",), 500), Stage((), WHOLE)),
    ],
)
def test_what_is_no_plan(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(UsageError):
        check_plan(Plan(stages, None, None))


def heard(switched: int, failed: int, others: int = 0) -> list[Heard]:
    canary = [Who(f"c{number}", ("ring=canary",)) for number in range(switched + failed)]
    return [
        *(Heard(who, frozenset({V2})) for who in canary[:switched]),
        *(Heard(who, frozenset({V1}), frozenset({V2})) for who in canary[switched:]),
        *(Heard(who, frozenset({V1})) for who in PEERS[1 : others + 1]),
    ]


@pytest.mark.parametrize(
    ("switched", "failed", "age_s", "verdict"),
    [
        (0, 0, 10, ""),
        (2, 0, 700, ""),  # not enough have it to pass
        (3, 0, 500, ""),  # not for long enough
        (3, 0, 700, "promote"),
        (0, 2, 10, ""),  # too few have tried to judge
        (2, 1, 10, "abort"),
        (98, 2, 700, "promote"),  # two of a hundred may fail
        (97, 3, 700, "abort"),
        (2, 0, 3601, "abort"),  # the deadline
        (2, 0, 4200, "abort"),
        (2, 0, 4201, ""),  # who had it by then may go home
        (3, 0, 3601, "promote"),
    ],
)
def test_what_health_says(switched: int, failed: int, age_s: int, verdict: str) -> None:
    rollout = begin("stable")
    counts = counted(DATASET, rollout, heard(switched, failed, 20))
    assert (counts.switched, counts.failed) == (switched, failed)
    assert counts.peers == switched + failed + 20 == counts.switched + counts.failed + counts.held + counts.behind
    assert judged(rollout, counts, WALL + age_s)[0] == verdict
    paused = acted(rollout, "pause", full=False, wall_time=WALL, author="", reason="")
    assert judged(paused, counts, WALL + age_s)[0] == "", "a paused one goes nowhere by itself"


def test_peers_of_what_was_taken_back_are_counted_as_they_come_back() -> None:
    rollout = acted(begin("stable"), "rollback", full=False, wall_time=WALL, author="peer:" + 52 * "a", reason="no")
    failed = Heard(Who("f"), frozenset({V2}), frozenset({V1}))
    counts = counted(DATASET, rollout, [*heard(2, 0, 3), failed])
    assert counts == Counts(peers=6, admitted=6, switched=3, failed=1, held=0, behind=2)
    said = "rolled back by peer:aaaaaaaaaaaa: no; 3 of 6 peers are back at the version before, 1 could not go back"
    assert says(rollout, counts, WALL) == said


def test_what_is_said_of_a_stage_tells_when_it_goes_on() -> None:
    rollout = begin("stable")
    counts = counted(DATASET, rollout, heard(1, 0, 20))
    said = "stage 1 of 3 (ring=canary and 5%); 1 of 21 peers have it, 19 held back, 1 on their way; goes on in "
    for wall_now, then in (
        (WALL, "10 min at the earliest, once 3 peers have it"),
        (WALL + 590, "10 s at the earliest, once 3 peers have it"),
    ):
        assert says(rollout, counts, wall_now) == said + then
    paused = acted(rollout, "pause", full=False, wall_time=WALL, author="user:bo", reason="")
    assert says(paused, counts, WALL).startswith("paused by user:bo, in stage 1 of 3")
    promoted = acted(paused, "promote", full=False, wall_time=WALL + 5, author="user:bo", reason="")
    assert (promoted.state, promoted.stage, promoted.since) == ("running", 1, WALL + 5), "it goes on"


def test_an_entry_states_what_can_be() -> None:
    """Each of these is refused at parse, whoever sealed it."""
    from tests.unit.log_samples import changed
    from tests.unit.rollout_samples import STAGED, gone_on, planned

    log.check_entry(STAGED)
    log.check_entry(planned(None))
    promoted = gone_on(STAGED, "promote")
    log.check_entry(promoted)
    [rollout] = STAGED.rollouts
    other = begun("other", V2, V1, 2, PLAN, WALL, "")
    wrong = [
        changed(STAGED, format=1),
        changed(STAGED, rollouts=()),
        changed(STAGED, kind="rollback", totals=None),
        changed(STAGED, rollouts=(other,)),
        changed(STAGED, rollouts=(rollout, rollout)),
        changed(STAGED, rollouts=(begin(version=V1, settled=V2),)),
        changed(STAGED, rollouts=(begin(settled=V2),)),
        changed(STAGED, rollouts=(begin(plan=Plan((Stage((), WHOLE),), None, None)),)),
        changed(STAGED, kind="rollout", totals=None),
        changed(promoted, kind="tag"),
        changed(promoted, moves=(*promoted.moves, log.Move("v9", V1))),
        changed(promoted, rollouts=(*promoted.rollouts, other)),
        changed(planned(), moves=STAGED.moves),
        changed(planned(), kind="tag"),
        changed(planned(), plans=()),
    ]
    for entry in wrong:
        with pytest.raises(RemoteProtocolError):
            log.check_entry(entry)
