"""What datasets and tags there are, as the tracker says, or without one as this peer has heard of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.errors import NotFoundError, UnreachableError
from swarm.limits import PAGE_MAX

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode


async def datasets(node: PeerNode, *, after: str, limit: int) -> tuple[list[str], bool]:
    """Datasets in order, at most so many after one, and whether there are more."""
    try:
        page = await node.tracker.datasets(cursor=after, limit=limit)
    except UnreachableError:
        known = sorted({dataset for dataset, _, version in node.ledger.tags() if version is not None})
        later = [dataset for dataset in known if dataset > after]
        return later[:limit], len(later) > limit
    return list(page.datasets), bool(page.next)


async def datasets_of(node: PeerNode, scope: str, *, after: str, limit: int) -> tuple[list[str], bool]:
    """The same of one scope, or of all when none is named."""
    if not scope:
        return await datasets(node, after=after, limit=limit)
    here: list[str] = []
    more, at = True, after
    while more and len(here) < limit and at < f"{scope}0":
        found, more = await datasets(node, after=at, limit=PAGE_MAX)
        here += [dataset for dataset in found if dataset.startswith(f"{scope}/")]
        at = found[-1] if found else ""
        more = more and bool(at)
    return here[:limit], len(here) > limit or (more and at.startswith(f"{scope}/"))


async def tags(node: PeerNode, dataset: str) -> dict[str, bytes]:
    """A dataset's tags in order, with their versions. NotFoundError when there is no such dataset."""
    try:
        answer = await node.tracker.dataset(dataset)
    except UnreachableError:
        known = {tag: version for d, tag, version in node.ledger.tags() if d == dataset and version is not None}
        if not known:
            raise NotFoundError(f"dataset {dataset} is not known here, and no tracker answers") from None
        return dict(sorted(known.items()))
    return {item.tag: bytes.fromhex(item.version) for item in sorted(answer.tags, key=lambda item: item.tag)}
