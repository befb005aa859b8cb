"""What the dashboard's pages read of figures is in the structures that trackers send."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import pytest

from swarm.analysis.changes import Change
from swarm.analysis.report import Counts
from swarm.browse_messages import DiffAnswer
from swarm.figure_details import (
    BlockRange,
    Blocks,
    DhtFigures,
    DhtNode,
    FileBlocks,
    Flow,
    FlowEdge,
    FlowFrame,
    FlowNode,
    Origin,
    OriginItem,
    PeerBlocks,
    Requests,
    SeedFigures,
    Survival,
)
from swarm.figure_heat import VersionHeat
from swarm.figure_messages import (
    Completion,
    FollowedTag,
    Rollout,
    RolloutItem,
    Rollouts,
    SiteProgress,
    Straggler,
    Totals,
)
from swarm.figure_peers import Link, Peer, PeerFollowing, PeerHolding, PeerItem, Storage
from swarm.figure_performance import Caches, Foreseen, MovePerformance, Performance, VersionHolders
from swarm.peer.own_page import Own, OwnHolding, OwnNeighbour, OwnTag, OwnTracker
from swarm.rollout_messages import Counts as RolloutCounts
from swarm.rollout_messages import PlanAnswer, RolloutAnswer, StageItem
from swarm.tracker.web_files import site
from tests import made_figures

Struct = type[msgspec.Struct]
# By module: what each name in it stands for. A row is of one of several tables.
READ: Final[dict[str, dict[str, tuple[Struct, ...]]]] = {
    "pages/blocks.js": {
        "data": (Blocks,),
        "survival": (Survival,),
        "row": (FileBlocks, PeerBlocks),
        "file": (FileBlocks,),
    },
    "pages/flow.js": {"node": (FlowNode,), "told": (Flow,)},
    "pages/flow/moment.js": {"frame": (FlowFrame,)},
    "pages/flow/graph.js": {"node": (FlowNode,)},
    "pages/flow/layout.js": {"node": (FlowNode,)},
    "pages/datasets/performance.js": {
        "data": (Performance,),
        "caches": (Caches,),
        "move": (MovePerformance,),
        "row": (MovePerformance, VersionHolders),
        "version": (VersionHeat,),
        "completion": (Completion,),
        "foreseen": (Foreseen,),
    },
    "pages/datasets/difference.js": {
        "data": (DiffAnswer,),
        "counts": (Counts,),
        "change": (Change,),
        "row": (Change,),
    },
    "pages/peers.js": {"row": (PeerItem,)},
    "pages/peers/one.js": {
        "data": (Peer,),
        "item": (PeerItem,),
        "storage": (Storage,),
        "row": (Link, PeerFollowing, PeerHolding),
    },
    "pages/rollout.js": {
        "data": (Rollout, Rollouts),
        "row": (RolloutItem, Straggler, SiteProgress),
        "completion": (Completion,),
    },
    "pages/rollout/stages.js": {"data": (RolloutAnswer, PlanAnswer), "counts": (RolloutCounts,), "stage": (StageItem,)},
    "pages/overview.js": {"tag": (FollowedTag,), "totals": (Totals,), "row": (FollowedTag,), "straggler": (Straggler,)},
    "pages/dht.js": {"data": (DhtFigures,), "row": (DhtNode,)},
    "pages/origin.js": {
        "data": (Origin,),
        "row": (SeedFigures, OriginItem),
        "seed": (SeedFigures,),
        "requests": (Requests,),
    },
    "agent.js": {"data": (Own,), "row": (OwnTag, OwnHolding, OwnNeighbour, OwnTracker), "tag": (OwnTag,)},
}
# What is an array in JSON is taken apart in the order of its fields.
TAKEN_APART: Final = {
    "pages/blocks/strips.js": (BlockRange, "[first, length, fewest, mean, origin]"),
    "pages/flow/moment.js": (FlowEdge, "[giver, taker, bytes]"),
}
# What a module has put beside what it was sent, and what every array has.
ITS_OWN: Final = {
    "pages/flow/moment.js": {"others"},
    "pages/datasets/performance.js": {"at", "read"},
    "pages/flow.js": {"giver", "taker", "rate", "at", "all", "origin"},
}
OF_JAVASCRIPT: Final = {"length", "map", "filter"}
SPELLED: Final = {"length": "count"}


def fields_of(structs: tuple[Struct, ...]) -> set[str]:
    return {name for struct in structs for name in struct.__struct_fields__}


@pytest.mark.parametrize("path", READ)
def test_every_field_that_a_page_reads_is_there(path: str) -> None:
    text = site().files[path].body.decode()
    known = ITS_OWN.get(path, set()) | OF_JAVASCRIPT
    for name, structs in READ[path].items():
        read = set(re.findall(rf"(?<![\w.]){name}\??\.(\w+)", text))
        assert read, f"{path} reads nothing of {name}: mend this table"
        assert read <= fields_of(structs) | known, f"{path} reads of {name}"


@pytest.mark.parametrize("path", TAKEN_APART)
def test_arrays_are_taken_apart_in_the_order_of_their_fields(path: str) -> None:
    struct, pattern = TAKEN_APART[path]
    assert pattern in site().files[path].body.decode()
    names = [SPELLED.get(name, name) for name in pattern.strip("[]").split(", ")]
    assert names == list(struct.__struct_fields__)[: len(names)]


def test_what_is_made_up_is_what_a_tracker_would_send() -> None:
    for path, told in made_figures.answers(1_800_000_000.0, many=20).items():
        read: Any = msgspec.json.decode(msgspec.json.encode(told), type=type(told))
        assert msgspec.json.encode(read) == msgspec.json.encode(told), path
