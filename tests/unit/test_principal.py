"""Who asks, and the subjects that mean it."""

import pytest

from swarm.errors import UsageError
from swarm.identity import PeerKey
from swarm.principal import ANONYMOUS, Principal, check_subject

PEER = PeerKey(bytes(32)).peer_id


def test_what_means_a_user_a_service_a_peer_and_nobody_known() -> None:
    assert Principal("user", "alice", ("ops", "data")).subjects() == ("user:alice", "group:ops", "group:data", "anyone")
    assert Principal("service", "ci").subjects() == ("service:ci", "anyone")
    labels = ("site=paris",)
    assert Principal("peer", PEER, labels=labels).subjects() == (
        f"peer:{PEER}", "label:site=paris", "members", "anyone",
    )  # fmt: skip
    assert ANONYMOUS.subjects() == ("anyone",)


@pytest.mark.parametrize(
    "text",
    [f"peer:{PEER}", "user:alice@example.com", "group:/ops/night shift", "label:site=paris", "members", "anyone"],
)
def test_subjects_that_rules_may_name(text: str) -> None:
    assert check_subject(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "alice", "user:", "user: alice", "user:a\nb", "peer:alice", "label:site", "label:=x", "role:seed", "Members",
     "user:" + "a" * 129, "anonymous:"],
)  # fmt: skip
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        check_subject(text)
