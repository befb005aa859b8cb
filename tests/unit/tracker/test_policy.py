"""What rules decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import FullError, NotFoundError, UsageError
from swarm.names import covers, matches
from swarm.principal import ANONYMOUS, MEMBERS, Principal, Right
from swarm.records import Rule
from swarm.tracker.policy import DEFAULT, TOKEN, Policy, PolicyRule, added, decide, grant_rules, is_narrower, without

ALICE = Principal("user", "alice", groups=("ops",))
PEER = Principal("peer", "p", labels=("site=paris",), role="peer", token=("team/*",))


def policy(*rules: str) -> Policy:
    """A policy of these rules alone, each written as it is shown."""
    parts = [rule.split(" ") for rule in rules]
    listed = tuple(PolicyRule(subject, right, pattern) for subject, right, pattern in parts)  # type: ignore[arg-type]
    return Policy(1, 1, listed, 3600, "", "", 0)


def may(rules: Policy, who: Principal, right: Right, dataset: str) -> bool:
    return decide(rules, who, right, dataset).allowed


def test_what_no_rule_allows_is_refused() -> None:
    for who in (ALICE, PEER, ANONYMOUS):
        assert not may(policy(), who, "read", "team/x")


def test_a_new_swarm_lets_members_do_what_their_tokens_name_and_nobody_else_anything() -> None:
    for right in ("read", "publish", "tag", "delete"):
        assert may(DEFAULT, PEER, right, "team/x")
        assert not may(DEFAULT, PEER, right, "other/x")
        assert not may(DEFAULT, ALICE, right, "team/x")
        assert not may(DEFAULT, ANONYMOUS, right, "team/x")
    assert not may(DEFAULT, PEER, "admin", "team/x")


@pytest.mark.parametrize(
    ("rule", "who", "allowed"),
    [
        ("user:alice read maps/*", ALICE, True),
        ("group:ops read maps/*", ALICE, True),
        ("service:alice read maps/*", ALICE, False),
        ("members read maps/*", ALICE, False),
        ("members read maps/*", PEER, True),
        ("label:site=paris read maps/*", PEER, True),
        ("label:site=rome read maps/*", PEER, False),
        ("anyone read maps/*", ANONYMOUS, True),
        ("members read maps/*", ANONYMOUS, False),
        ("user:alice read maps/ro*", ALICE, True),
        ("user:alice read mapsx/*", ALICE, False),
        ("user:alice read @token", ALICE, False),
        ("user:alice admin maps/*", ALICE, True),
        ("user:alice publish maps/*", ALICE, True),
    ],
)
def test_whom_a_rule_lets_read(rule: str, who: Principal, allowed: bool) -> None:
    assert may(policy(rule), who, "read", "maps/roads") == allowed
    assert decide(policy(rule), who, "read", "maps/roads").why.startswith(f"rule '{rule}'") == allowed


def test_no_right_but_admin_includes_another_but_reading() -> None:
    given_rights: tuple[Right, ...] = ("read", "publish", "tag", "delete")
    for held in given_rights:
        for right in given_rights:
            assert may(policy(f"user:alice {held} a/b"), ALICE, right, "a/b") == (right in (held, "read"))


def test_a_part_of_what_is_asked_for_is_not_enough() -> None:
    assert not may(policy("user:alice admin maps/*"), ALICE, "admin", "*")
    assert may(policy("user:alice admin *"), ALICE, "admin", "*")


def test_trackers_do_everything_and_seeds_read_everything_whatever_the_rules_say() -> None:
    tracker, seed = Principal("peer", "t", role="tracker"), Principal("peer", "s", role="seed")
    assert may(policy(), tracker, "admin", "*")
    assert may(policy(), seed, "read", "*")
    assert not may(policy(), seed, "publish", "a/b")


def test_a_grant_says_what_the_policy_says_without_repeating_itself() -> None:
    rules = policy("members read @token", "members read team/x", "label:site=paris tag maps/*", "group:ops read *")
    assert grant_rules(rules, PEER) == (Rule("read", "team/*"), Rule("read", "maps/*"), Rule("publish", "maps/*"))


def test_more_than_a_grant_holds_is_refused() -> None:
    with pytest.raises(FullError, match="wider patterns"):
        grant_rules(policy(*(f"members read s{n}/x" for n in range(65))), PEER)


def test_what_is_taken_away_is_noticed_and_nothing_else() -> None:
    wide, narrow = (Rule("read", "*"),), (Rule("read", "team/*"), Rule("publish", "team/x"))
    assert is_narrower(narrow, wide)
    assert is_narrower((), narrow)
    assert is_narrower(wide, narrow)
    assert not is_narrower((*wide, Rule("publish", "team/*")), narrow)


def test_rules_are_added_once_and_removed_by_what_they_say() -> None:
    rule = PolicyRule("user:alice", "read", "maps/*")
    more = added(DEFAULT.rules, [rule, rule])
    assert more == (*DEFAULT.rules, rule)
    assert without(more, [rule]) == DEFAULT.rules
    with pytest.raises(NotFoundError, match="no rule 'user:alice"):
        without(DEFAULT.rules, [rule])
    with pytest.raises(UsageError, match="not a subject"):
        added(DEFAULT.rules, [PolicyRule("alice", "read", "*")])
    with pytest.raises(UsageError, match="not a dataset pattern"):
        added(DEFAULT.rules, [PolicyRule(MEMBERS, "read", "@tokens")])
    assert PolicyRule(MEMBERS, "read", TOKEN) in DEFAULT.rules


PART = st.sampled_from(["*", "a", "a*", "ab", "ab*", "b"])
PATTERN = st.one_of(st.just("*"), st.builds("{}/{}".format, PART, PART))
DATASET = st.builds("{}/{}".format, *[st.sampled_from(["a", "ab", "abc", "b", "ba"])] * 2)


@given(PATTERN, PATTERN, DATASET)
def test_what_covers_a_pattern_matches_all_that_it_matches(outer: str, inner: str, dataset: str) -> None:
    if covers(outer, inner) and matches(inner, dataset):
        assert matches(outer, dataset)
    assert covers(outer, dataset) == matches(outer, dataset)
