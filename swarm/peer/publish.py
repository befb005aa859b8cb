"""Publishing a directory: scan it, bring what is new to a seed, commit the log entry, serve it as an origin.

The commit is the tracker's put-if-absent of one signed entry, so several tags move together or not at all, and a reader
sees the version only when a seed has said that it keeps every block.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from swarm import clock
from swarm.access_messages import ExplainAnswer
from swarm.beginning import BY_PLAN, Staging
from swarm.encoding import encode_raw
from swarm.errors import AetherError, NotAllowedError, NotFoundError, UnreachableError
from swarm.log import Entry, Move, Totals
from swarm.manifest import Manifest
from swarm.objects.meter import Account, charged
from swarm.peer.access import no_grant
from swarm.peer.extension import Keeping
from swarm.peer.gates import OPEN, Gates, befores_of, told_lines
from swarm.peer.holdings import Holding, StoreSource
from swarm.peer.lacking import mend
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.sending import Sending
from swarm.peer.stages import BYTES_LEAST, MeasuredClient, Stages, stages_now
from swarm.peer.stages import keep as keep_stages
from swarm.peer.trees import TreeRecord
from swarm.peer.unchanged import standing
from swarm.peer.upload import ChangedWhileUploaded, SeedClient, encoded, made_blocks, upload
from swarm.peer.wire import PRODUCER, SEED, Origin
from swarm.scan import Scan, scan
from swarm.scan_cache import ScanCache
from swarm.segments import BlockEntry
from swarm.signature import signature_of
from swarm.store import Store
from swarm.store.tiers import Tiers
from swarm.tree import TreeStore
from swarm.walk import Links

ROUNDS: Final = 3
# How long, and how often, it is looked for a seed where no tracker knows one: trackers and seeds that have started side
# by side hear of one another within seconds.
SEED_PATIENCE_S: Final = 10.0
SEED_LOOK_S: Final = 0.5

log = logging.getLogger("aetherfs.publish")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the entry is to say. ``if_serial``, ``since``, ``staging``: see ``TrackerClient.commit``."""

    dataset: str
    tags: list[str]
    message: str
    if_serial: int | None = None
    since: int | None = None
    staging: Staging = BY_PLAN


async def publish(
    node: PeerNode, path: Path, wanted: Wanted, links: Links, progress: Progress, gates: Gates = OPEN
) -> dict[str, Any]:
    """Publish ``path`` under every tag, if it passes the gates. The result is INTERFACE's for ``publish --json``."""
    started = time.monotonic()
    dataset, root = wanted.dataset, Path(path).absolute()
    await check_may(node, wanted)
    await gates.check_early(root, links)
    befores = await befores_of(node, dataset, wanted.tags, progress) if gates.holds_back else []
    own, stages = Account(), Stages()
    stages_now.set(stages)
    for _ in range(ROUNDS):
        async with _charged(own, _receiver(node, dataset)) as receiver:
            ahead = None if gates.holds_back else receiver
            with stages.at_work("read") as reading:
                scanned, saving = await _scan(node, dataset, root, links, progress, ahead)
            reading.bytes += scanned.read_bytes
            limits = await gates.check(node, scanned.manifest, befores)
            tree = TreeStore(scanned.root, scanned.manifest, follow_links=scanned.follow_links, hashed=scanned.hashed)
            try:
                source = _source(node, tree)
                with stages.at_work("store") as storing:
                    kept = await _upload(node, dataset, scanned.manifest, source, progress, receiver)
                receipt, new_blocks, sent, asked = kept
                storing.bytes += sent
                break
            except ChangedWhileUploaded as error:
                changed = error
                tree.close()
    else:
        raise changed
    if not isinstance(receiver, Sending):
        asked = own.spent.told()
    manifest = scanned.manifest
    if gates.validate:
        await saving
        told = {"AETHERFS_HOME": str(node.home.path), "AETHERFS_TAGS": " ".join(wanted.tags)}
        told |= {"AETHERFS_DATASET": dataset, "AETHERFS_PATH": str(root)}
        await gates.run_validators(scanned, root, links, _cache_path(node, root, links), told, progress)
    with stages.at_work("commit"):
        raw, entry, is_new = await _enter(node, wanted, manifest, receipt)
    node.ledger.record(entry, raw)
    await asyncio.gather(_serve(node, dataset, raw, tree), _done(receiver))
    if scanned.read_bytes >= BYTES_LEAST:
        ended = stages.ended(dataset, manifest.total_bytes, clock.wall_now())
        await asyncio.to_thread(keep_stages, node.home.path, ended)
    await saving
    return {
        **_described(manifest),
        "serial": entry.serial,
        "new_blocks": new_blocks,
        "uploaded": sent,
        "read": scanned.read_bytes,
        "seconds": round(time.monotonic() - started, 3),
        "tags": wanted.tags,
        "unchanged": not is_new,
        **({"budget": told_lines(limits)} if gates.budget is not None else {}),
        "staged": [rollout.tag for rollout in entry.rollouts if is_new],
        **({"store": asked} if asked else {}),
    }


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": manifest.version.hex(),
        "files": manifest.file_count,
        "bytes": manifest.total_bytes,
        "blocks": len(manifest.unique),
    }


async def _enter(node: PeerNode, wanted: Wanted, manifest: Manifest, receipt: bytes) -> tuple[bytes, Entry, bool]:
    """The entry, and whether it is new: where all tags point to the version already, there is one."""
    await mend(node.tracker, node.ledger, wanted.dataset)
    found = await standing(
        node.tracker, wanted.dataset, wanted.tags, manifest.version, wanted.message, wanted.if_serial
    )
    if found is not None:
        return found.data, found.entry, False
    return *await _commit(node, wanted, manifest, receipt), True


async def _commit(node: PeerNode, wanted: Wanted, manifest: Manifest, receipt: bytes) -> tuple[bytes, Entry]:
    return await node.tracker.commit(
        wanted.dataset,
        "publish",
        [Move(tag, manifest.version) for tag in wanted.tags],
        grant=node.papers.grant,
        message=wanted.message,
        totals=_totals_of(manifest),
        receipt=receipt,
        if_serial=wanted.if_serial,
        since=wanted.since,
        staging=wanted.staging,
    )


async def check_may(node: PeerNode, wanted: Wanted) -> None:
    """NotAllowedError, or ConflictError, for what would be refused in the end, as far as it shows already."""
    await _check_right(node, wanted.dataset)
    await _check_person(node, wanted.dataset)
    if wanted.if_serial is not None and wanted.since is None:
        # A race that is lost already costs no upload. The commit decides.
        await node.tracker.check_unmoved(wanted.dataset, wanted.tags, wanted.if_serial)


async def _check_right(node: PeerNode, dataset: str) -> None:
    """NotAllowedError unless our grant lets us publish: the one of now, if a right was given since the last one."""
    if node.home.grant(clock.wall_now()).allows("publish", dataset):
        return
    with contextlib.suppress(UnreachableError):
        await node.announcer.rotation.renew()
    if not node.home.grant(clock.wall_now()).allows("publish", dataset):
        raise NotAllowedError(no_grant(node.key.peer_id, dataset))


async def _check_person(node: PeerNode, dataset: str) -> None:
    """NotAllowedError if somebody is signed in here who may not publish: trackers go by him, seeds by our grant."""
    if node.tracker.authorization is None or await node.tracker.authorization() is None:
        return
    query = urlencode({"who": "me", "right": "publish", "dataset": dataset})
    # An upload that is in vain is saved where that shows already. The commit decides.
    with contextlib.suppress(UnreachableError):
        found = await node.tracker.order("GET", f"access/explain?{query}", ExplainAnswer)
        if not found.allowed:
            raise NotAllowedError(
                f"{found.who}, who is signed in here, may not publish to {dataset}: "
                f"`aetherfs access explain me publish {dataset}` says why"
            )


def _totals_of(manifest: Manifest) -> Totals:
    return Totals(
        files=manifest.file_count,
        bytes=manifest.total_bytes,
        blocks=len(manifest.unique),
        root_size=len(manifest.root_bytes),
    )


async def _done(receiver: Keeping | Sending) -> None:
    """Tell who keeps the version that the log names it. Its claim expires by itself otherwise."""
    try:
        await receiver.done()
    except AetherError as error:
        log.info("the seed was not told that the version is in the log: %s", error)


async def _serve(node: PeerNode, dataset: str, entry: bytes, tree: TreeStore) -> None:
    """From now on this peer is an origin of the version, and says so."""
    manifest = tree.manifest
    node.access.learn(entry)
    record = TreeRecord(str(tree.tree.root), dataset, manifest.version, entry, True, ())
    await asyncio.to_thread(node.trees.add, record, manifest)
    origin: Origin = PRODUCER if node.extension is None else SEED
    node.hold(Holding(dataset, manifest, entry, StoreSource(_source(node, tree)), None, origin=origin), tree)
    node.exchange.announce(entry)
    node.announcer.wake()
    node.tasks.start(node.announcer.announce_records())


def _source(node: PeerNode, tree: TreeStore) -> Store:
    """The blocks of a directory that was scanned: those of small files may still be in memory."""
    return Tiers([node.memory, tree], writable=0)


@asynccontextmanager
async def _receiver(node: PeerNode, dataset: str) -> AsyncIterator[Keeping | Sending]:
    """What takes blocks while the directory is still being read: this node itself, if it is a seed, or a seed."""
    if node.extension is not None:
        async with node.extension.keeping(dataset) as keeping:
            yield keeping
        return

    async def first() -> SeedClient | None:
        return next(iter(await _seeds(node)), None)

    sending = Sending(dataset, first)
    try:
        yield sending
    finally:
        await sending.close()


async def _seeds(node: PeerNode) -> list[SeedClient]:
    """The seeds that the tracker knows now."""
    await node.announcer.beat()
    return [
        MeasuredClient(node.session, seed, node.papers.grant, node.paces.upload, node.traffic)
        for seed in node.announcer.seeds
    ]


async def _seeds_to_try(node: PeerNode) -> list[SeedClient]:
    """The seeds that the tracker knows now. One that has just started hears of them with their next announces: until
    then those that were named last, which may have left since, or whoever comes while we wait.
    """
    until = time.monotonic() + SEED_PATIENCE_S
    while not (known := await _seeds(node)) and not node.announcer.last_seeds and time.monotonic() < until:
        await asyncio.sleep(SEED_LOOK_S)
    return known or [
        SeedClient(node.session, seed, node.papers.grant, traffic=node.traffic) for seed in node.announcer.last_seeds
    ]


@asynccontextmanager
async def _charged(
    account: Account, receiver: AbstractAsyncContextManager[Keeping | Sending]
) -> AsyncIterator[Keeping | Sending]:
    """Whatever is asked of this process's object store meanwhile counts for the account."""
    with charged(account):
        async with receiver as entered:
            yield entered


def _cache_path(node: PeerNode, root: Path, links: Links) -> Path:
    """Where it is noted what the files of a directory that is published look like."""
    return node.home.scans / signature_of(f"{links}:{root}".encode()).hex()[:32]


async def scanned_alone(node: PeerNode, dataset: str, root: Path, links: Links, progress: Progress) -> Scan:
    """The scan, with nothing sent to anybody."""
    scanned, saving = await _scan(node, dataset, root, links, progress, None)
    await saving
    return scanned


async def _scan(
    node: PeerNode, dataset: str, root: Path, links: Links, progress: Progress, receiver: Keeping | Sending | None
) -> tuple[Scan, asyncio.Task[None]]:
    """The scan, and the saving of what it learnt, which goes on beside what follows. ``receiver`` takes blocks while
    others are read.
    """
    cache_path = _cache_path(node, root, links)
    cache = await asyncio.to_thread(ScanCache.load, cache_path)
    loop = asyncio.get_running_loop()
    stages = stages_now.get() or Stages()
    take = stages.waiting(receiver.take) if receiver is not None else None
    stopped = False

    def tell(done: int, total: int) -> None:
        event = {"event": "progress", "phase": "scan", "done_bytes": done, "total_bytes": total}
        loop.call_soon_threadsafe(progress, event)

    def made(block: BlockEntry, plain: memoryview) -> None:
        raw = encode_raw(plain)
        node.memory.put(block.signature, raw)
        if take is not None:
            take(block.signature, raw)

    def cut(block: BlockEntry, plain: memoryview) -> None:
        if take is not None:
            take(block.signature, encode_raw(plain))

    try:
        scanned = await asyncio.to_thread(
            scan,
            root,
            links=links,
            cache=cache,
            progress=_rarely(tell),
            made=made,
            cut=cut,
            all_read=receiver.all_taken if receiver is not None else lambda: None,
            manifest_of=lambda version: _held_manifest(node, dataset, version),
            should_stop=lambda: stopped,
        )
    finally:
        stopped = True
    return scanned, node.tasks.start(asyncio.to_thread(cache.save, cache_path))


def _held_manifest(node: PeerNode, dataset: str, version: bytes) -> Manifest | None:
    holding = node.holdings.get(dataset, version)
    return holding.manifest if holding is not None else None


def _rarely(tell: Any) -> Any:
    """Progress at most every 0.2 s, and at the end."""
    last = 0.0

    def maybe(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.2 or done == total:
            last = now
            tell(done, total)

    return maybe


async def _upload(
    node: PeerNode, dataset: str, manifest: Manifest, blocks: Store, progress: Progress, receiver: Keeping | Sending
) -> tuple[bytes, int, int, dict[str, Any]]:
    """Bring the version to a seed: this node itself, else the first that takes it, which says what it asked of its
    object store.
    """

    def tell(done: int, total: int) -> None:
        progress({"event": "progress", "phase": "upload", "done_bytes": done, "total_bytes": total})

    if not isinstance(receiver, Sending):
        return *await _keep(receiver, manifest, blocks, _rarely(tell)), {}
    await receiver.finish()
    receipt, sent, asked = await _upload_rest(node, dataset, manifest, blocks, _rarely(tell), receiver)
    # What was sent ahead and is not in the version after all was in a directory that changed.
    sent = receiver.sent | sent
    return receipt, sum(1 for signature in sent if signature in manifest.index_of), sum(sent.values()), asked


async def _upload_rest(
    node: PeerNode, dataset: str, manifest: Manifest, blocks: Store, tell: Callable[[int, int], None], ahead: Sending
) -> tuple[bytes, dict[bytes, int], dict[str, Any]]:
    """What was not sent ahead: to the seed that has the rest, to others when that one fails."""
    failure: AetherError = UnreachableError(
        "no seed is known to the tracker: start one (`aetherfs seed`, or `aetherfs up`), then publish again"
    )
    if ahead.client is not None and ahead.is_usable:
        ahead.kept_by = (ahead.client, ahead.session)
        try:
            return *await upload(ahead.client, ahead.session, dataset, manifest, blocks, tell), ahead.client.store
        except (UnreachableError, NotFoundError) as error:  # it does not answer, or has started anew
            failure = error
    tried: set[str] = set()
    # Others may have come while one failed.
    while left := [client for client in await _seeds_to_try(node) if client.seed not in tried]:
        tried.add(left[0].seed)
        try:
            ahead.kept_by = (left[0], await left[0].begin(dataset))
            return *await upload(*ahead.kept_by, dataset, manifest, blocks, tell), left[0].store
        except UnreachableError as error:
            failure = error if left[0].seed in node.announcer.seeds else failure
    raise failure


async def _keep(
    keeping: Keeping, manifest: Manifest, blocks: Store, tell: Callable[[int, int], None]
) -> tuple[bytes, int, int]:
    made = made_blocks(manifest)
    total = len(manifest.unique) + len(made)
    receipt, new, sent = await keeping.finish(
        manifest,
        lambda signature: encoded(signature, made, blocks),
        lambda done: tell(manifest.total_bytes * done // total, manifest.total_bytes),
    )
    return receipt, sum(1 for signature in new if signature not in made), sent
