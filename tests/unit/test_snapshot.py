"""Snapshots: sealed by the CA, short-lived, sorted."""

from __future__ import annotations

import pytest

from swarm import canonical, snapshot
from swarm.errors import RemoteProtocolError
from swarm.limits import DATASET_MAX_TAGS, SNAPSHOT_MAX_BYTES
from swarm.snapshot import SealedSnapshot, Snapshot, TagState, open_snapshot, seal_snapshot
from swarm.trust import Trust
from tests.unit.log_samples import CA_KEY, OTHER, SNAPSHOT, V1, V2, WALL


def test_a_snapshot_in_force_is_read_back() -> None:
    data = seal_snapshot(CA_KEY, SNAPSHOT)
    assert open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL) == SNAPSHOT
    assert SNAPSHOT.find("v1") == TagState("v1", 3, V2)
    assert SNAPSHOT.find("v2") is None


def test_time_is_looked_at_unless_told_otherwise() -> None:
    data = seal_snapshot(CA_KEY, SNAPSHOT)
    with pytest.raises(RemoteProtocolError, match="has expired"):
        open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL + 3600)
    with pytest.raises(RemoteProtocolError, match="in the future"):
        open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL - 301)
    assert open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL - 299) == SNAPSHOT
    assert open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=None) == SNAPSHOT


def test_only_the_ca_makes_snapshots() -> None:
    with pytest.raises(RemoteProtocolError, match="not signed"):
        open_snapshot(seal_snapshot(OTHER, SNAPSHOT), authority=Trust(CA_KEY.public), wall_now=None)
    body = canonical.encode(SNAPSHOT)
    other_context = SealedSnapshot(body, CA_KEY.sign("grant", body))
    with pytest.raises(RemoteProtocolError, match="not signed"):
        open_snapshot(canonical.encode(other_context), authority=Trust(CA_KEY.public), wall_now=None)


@pytest.mark.parametrize(
    "tags",
    [
        (TagState("b", 1, V1), TagState("a", 1, V1)),
        (TagState("a", 1, V1), TagState("a", 1, V1)),
        (TagState("a", 4, V1),),
    ],
)
def test_disorder_is_refused_even_with_a_seal(tags: tuple[TagState, ...]) -> None:
    data = seal_snapshot(CA_KEY, Snapshot(1, "library/roads", 3, tags, WALL, WALL + 60))
    with pytest.raises(RemoteProtocolError):
        open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=None)


def test_the_largest_snapshot_fits() -> None:
    tags = tuple(TagState(f"{number:0128}", 1 << 62, V1) for number in range(DATASET_MAX_TAGS))
    largest = Snapshot(1, "s" * 64 + "/" + "n" * 64, (1 << 63) - 1, tags, WALL, WALL + 60)
    data = seal_snapshot(CA_KEY, largest)
    assert len(data) < SNAPSHOT_MAX_BYTES
    assert open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL) == largest
    assert snapshot.CONTEXT == "snapshot"
