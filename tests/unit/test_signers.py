"""Whose entries a consumer takes: its required signers', as it named them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from swarm import config
from swarm.errors import IntegrityError, UsageError
from swarm.home import Home
from swarm.log import Entry, Kind, Move
from swarm.named_signers import names_of, required_in
from swarm.rollout import acted, went_at_once
from swarm.signers import SIGNERS_MAX, Required, parse_required
from tests.unit.log_samples import FIRST, OTHER, PUBLISHER, V1, V2, changed
from tests.unit.rollout_samples import STAGED, gone_on

MINE = frozenset({PUBLISHER.public})


def by_other(kind: Kind, version: bytes | None = V1) -> Entry:
    totals = FIRST.totals if kind == "publish" else None
    return changed(FIRST, kind=kind, moves=(Move("v1", version),), totals=totals, publisher=OTHER.public)


def test_a_required_signer_may_do_everything() -> None:
    for kind in ("publish", "tag", "rollback", "rm"):
        for moves in ("own", "published"):
            Required(MINE, moves).check(changed(FIRST, kind=kind), V2, ())


@pytest.mark.parametrize("kind", ["publish", "tag", "rollback", "rm"])
def test_others_may_do_nothing_by_default(kind: Kind) -> None:
    with pytest.raises(IntegrityError, match="no required signer"):
        Required(MINE).check(by_other(kind), V1, [FIRST])


def test_others_may_move_tags_among_what_a_signer_published_if_that_is_chosen() -> None:
    required = Required(MINE, "published")
    moving: tuple[Kind, ...] = ("tag", "rollback")
    for kind in moving:
        required.check(by_other(kind), V1, [FIRST])
        for shown in (None, by_other("publish"), changed(FIRST, dataset="library/rivers")):
            with pytest.raises(IntegrityError, match="no required signer published"):
                required.check(by_other(kind), V1, [shown] if shown is not None else [])
        with pytest.raises(IntegrityError):
            required.check(by_other(kind, V2), V2, [FIRST])
    others: tuple[Kind, ...] = ("publish", "rm")
    for other in others:
        with pytest.raises(IntegrityError):
            required.check(by_other(other), V1, [FIRST])


def test_a_tracker_that_takes_back_what_went_at_once_is_one_of_the_others() -> None:
    back = acted(went_at_once("v1", V2, V1, 2), "rollback", full=False, wall_time=1, author="user:bo", reason="")
    entry = changed(by_other("rollback"), kind="rollout", format=2, rollouts=(back,))
    shown = [FIRST, changed(STAGED, moves=(Move("v1", V2),), rollouts=())]
    Required(MINE, "published").check(entry, V1, shown, tag="v1", last=2)
    with pytest.raises(IntegrityError, match="no required signer published"):
        Required(MINE, "published").check(entry, V1, [], tag="v1", last=2)
    with pytest.raises(IntegrityError, match="no required signer began the rollout"):
        Required(MINE).check(entry, V1, shown, tag="v1", last=2)


def test_signers_are_key_ids_and_names() -> None:
    named = {"team": (PUBLISHER.peer_id, OTHER.peer_id)}
    assert parse_required(" , ", named) is None
    assert parse_required(f"team, {OTHER.peer_id}", named) == Required(MINE | {OTHER.public})
    assert parse_required(PUBLISHER.peer_id, {}, "published") == Required(MINE, "published")
    many = ",".join([PUBLISHER.peer_id] * (SIGNERS_MAX + 1))
    for text, moves in (("nobody", "own"), (PUBLISHER.peer_id, "all"), (many, "own")):
        with pytest.raises(UsageError):
            parse_required(text, named, moves)


def test_names_lie_in_the_home(tmp_path: Path) -> None:
    assert names_of(Home(tmp_path)) == {}
    (tmp_path / "signers").write_text(f"team {PUBLISHER.peer_id} {OTHER.peer_id}\n\nmine {PUBLISHER.peer_id}\n")
    settings = config.load({"home": str(tmp_path), "require_signer": "mine"}, {})
    assert required_in(settings) == Required(MINE)
    assert required_in(config.load({"home": str(tmp_path)}, {})) is None


def test_whose_requirement_holds_all_of_anothers() -> None:
    both = MINE | {OTHER.public}
    assert Required(MINE).holds_all_of(Required(MINE))
    assert Required(MINE).holds_all_of(Required(both, "published"))
    assert not Required(both).holds_all_of(Required(MINE))
    assert not Required(MINE, "published").holds_all_of(Required(MINE))
    told = Required(both, "published").told()
    assert parse_required(told["require_signer"], {}, told["signer_moves"]) == Required(both, "published")


def test_trackers_let_in_whom_a_signer_wants_let_in_and_nothing_else() -> None:
    """The rollout that a required signer began goes on by entries of OTHER; another does not."""
    required, first, begin = Required(MINE), FIRST, STAGED
    shown = [first, begin]
    promoted, aborted = gone_on(STAGED, "promote", full=True), gone_on(STAGED, "abort")
    required.check(STAGED, V2, [])
    required.check(STAGED, V1, shown)
    required.check(promoted, V2, shown, tag="latest", last=2)
    required.check(aborted, V1, shown, tag="latest", last=2)
    foreign = changed(STAGED, publisher=OTHER.public)
    invented = changed(promoted, rollouts=(msgspec.structs.replace(promoted.rollouts[0], begun=9),), serial=10)
    refused: list[tuple[Entry, bytes, list[Entry], int]] = [
        (STAGED, V1, [begin], 2),  # nobody required published what others stay with
        (promoted, V2, [first, foreign], 2),  # the rollout is somebody else's
        (promoted, V2, [], 2),
        (promoted, V2, shown, 3),  # he has moved the tag since: an old rollout is shown again
        (invented, V2, shown, 2),
    ]
    for entry, version, vouching, last in refused:
        with pytest.raises(IntegrityError):
            required.check(entry, version, vouching, tag="latest", last=last)
    assert not required.bars(promoted), "and what others say of it bars no later entry of his"
