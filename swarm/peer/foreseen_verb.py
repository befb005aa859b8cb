"""The verb ``foreseen``: leaves a forecast of a version's rollout with the trackers, to be shown beside what comes."""

from __future__ import annotations

import msgspec

from swarm.figure_performance import Foreseen
from swarm.names import check_dataset
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.verb import Result
from swarm.signature import from_hex


class ForeseenArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``version`` need not be published yet."""

    dataset: str
    version: str
    forecast: Foreseen


async def foreseen(node: PeerNode, arguments: ForeseenArguments, progress: Progress) -> Result:
    """Leave a forecast of a version's rollout with the trackers. It takes the right to publish."""
    dataset, version = check_dataset(arguments.dataset), from_hex(arguments.version).hex()
    kept = await node.tracker.order("POST", f"datasets/{dataset}/forecasts/{version}", Foreseen, arguments.forecast)
    built: Result = msgspec.to_builtins(kept)
    return built
