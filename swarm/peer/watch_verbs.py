"""Verbs of who watches the swarm: alerts and their silences, and figures as a tracker tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from swarm.alert_messages import AlertsAnswer, Silence, SilenceRequest
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.verb import NoArguments, Result, Verb

ALERTS: Final = "alerts"
QUERY_MAX: Final = 8


class SilenceArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``id`` of a silence that is to end."""

    id: Annotated[str, msgspec.Meta(max_length=64)]


class FiguresArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``what``: the path behind ``/api/v1/figures/``, as ``overview`` or ``rollouts/maps/roads/stable``."""

    what: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    query: Annotated[dict[str, str], msgspec.Meta(max_length=QUERY_MAX)] = {}


async def alerts(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """What is wrong with the swarm now."""
    return _built(await node.tracker.order("GET", ALERTS, AlertsAnswer))


async def silence(node: PeerNode, arguments: SilenceRequest, progress: Progress) -> Result:
    """Be told of some alerts no more for a while."""
    return _built(await node.tracker.order("POST", f"{ALERTS}/silences", Silence, arguments))


async def unsilence(node: PeerNode, arguments: SilenceArguments, progress: Progress) -> Result:
    """End a silence."""
    return _built(await node.tracker.order("DELETE", f"{ALERTS}/silences/{quote(arguments.id, safe='')}", Silence))


async def figures(node: PeerNode, arguments: FiguresArguments, progress: Progress) -> Result:
    """Figures of the swarm, as a tracker tells them."""
    query = f"?{urlencode(arguments.query)}" if arguments.query else ""
    return await node.tracker.order("GET", f"figures/{quote(arguments.what)}{query}", dict[str, Any])


def _built(answer: msgspec.Struct) -> Result:
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


VERBS: Final[Mapping[str, Verb]] = {
    "alerts": Verb(NoArguments, alerts, AlertsAnswer),
    "silence": Verb(SilenceRequest, silence, Silence),
    "unsilence": Verb(SilenceArguments, unsilence, Silence),
    "figures": Verb(FiguresArguments, figures),
}
