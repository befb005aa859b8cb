"""Event logs of rollouts that are over, in the object store: written once, read when somebody replays one.

    rollouts/{scope}/{name}/{tag}/{serial:020}      a ``KeptLog``, compressed

Whichever tracker comes first writes it, with put-if-absent; of each tag the last ``KEPT_MAX`` are kept. What it tells
when it is replayed is what the rollout told while it went on, but for what peers said on the way. A backup takes them
along, ``gc`` and ``store check`` leave them alone: no block hangs on them. With a version that is purged its logs go,
as they tell who had it and the message that it was published with.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

import zstandard

from swarm import canonical
from swarm.claims import keys_below
from swarm.errors import NotFoundError
from swarm.figure_messages import STATES, LoggedPeer, RolloutItem, RolloutLog, RolloutStep, Trend
from swarm.identity import peer_id_of
from swarm.objects import ObjectStore
from swarm.tracker.figures.members import CURRENT, FAILED, LOST
from swarm.tracker.figures.peers import Tag
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.steering import Back
from swarm.tracker.figures.steps import LOG_MAX_BYTES, KeptLog, Logged, LoggedStep, decode_log
from swarm.tracker.orders import is_purged

PREFIX: Final = "rollouts/"
KEPT_MAX: Final = 32
LISTED_MAX: Final = 256
# Of so many tags the rows are told: of each one log is read at least, once.
TAGS_MAX: Final = 512
# Keys that are listed for that.
KEYS_MAX: Final = 50_000
ROWS_MAX: Final = 4096
READ_THREADS: Final = 8
# Replays that are at hand. One of many steps takes tens of megabytes.
REPLAYED_MAX: Final = 4
# By so much the wall clock may have been set meanwhile.
OFFSET_MAX_S: Final = 0.5

# What an entry of a dataset's log takes back.
BackBy = Callable[[Tag, int], Back | None]


def key_of(dataset: str, tag: str, serial: int) -> str:
    return f"{PREFIX}{dataset}/{tag}/{serial:020}"


def kept_of(picture: Picture, rollout: RolloutFigures) -> KeptLog:
    """A rollout as it is kept. For threads: steps that come meanwhile are not in it."""
    steps = tuple(rollout.steps)  # Before the peers, so that all that they are of are named.
    started, ended = picture.wall(rollout.started), picture.wall(rollout.ended or rollout.moved_at)
    return KeptLog(
        1,
        rollout.dataset,
        rollout.tag,
        rollout.serial,
        rollout.version,
        rollout.previous,
        rollout.message,
        round(1000 * started),
        round(1000 * max(started, ended)),
        rollout.total_bytes,
        rollout.sources(),
        STATES,
        tuple(rollout.steps.logged),
        steps,
        rollout.steps.dropped,
    )


def write(objects: ObjectStore, kept: KeptLog) -> bool:
    """Keep it, unless another tracker has, and let the oldest of its tag go. Whether it was written here."""
    data = zstandard.ZstdCompressor(level=3).compress(canonical.encode(kept))
    own = key_of(kept.dataset, kept.tag, kept.serial)
    if not objects.put_if_absent(own, data):
        return False
    # An order is written before the logs are looked for: whoever it did not find sees it now.
    if is_purged(objects, (kept.dataset, kept.version)):
        objects.delete(own)
        return False
    keys = objects.list(f"{PREFIX}{kept.dataset}/{kept.tag}/", limit=LISTED_MAX)
    for key in sorted(keys)[:-KEPT_MAX]:
        objects.delete(key)
    return True


def purge(objects: ObjectStore, dataset: str, version: bytes) -> int:
    """Remove the logs of the rollouts of a version, once it is ordered that it goes: how many these were.

    What is damaged goes too: nobody can tell whose it was.
    """
    count = 0
    for key in list(keys_below(objects, f"{PREFIX}{dataset}/")):
        tag, _, serial = key.removeprefix(f"{PREFIX}{dataset}/").partition("/")
        try:
            is_of_it = serial.isdigit() and read(objects, dataset, tag, int(serial)).version == version
        except NotFoundError:
            is_of_it = True
        if is_of_it:
            objects.delete(key)
            count += 1
    return count


def read(objects: ObjectStore, dataset: str, tag: str, serial: int) -> KeptLog:
    """One that was kept; the last of the tag for serial 0. NotFoundError if there is none, or it is damaged."""
    return _opened(*_found(objects, dataset, tag, serial))


def before(objects: ObjectStore, dataset: str, tag: str, serial: int) -> RolloutFigures | None:
    """A rollout of which a tracker that saw it kept the log, times in wall seconds. None for one of which none did, or
    whose log is damaged.
    """
    try:
        return replayed(read(objects, dataset, tag, serial), 0.0)
    except NotFoundError:
        return None


def _found(objects: ObjectStore, dataset: str, tag: str, serial: int) -> tuple[str, bytes]:
    """Its key and its bytes. NotFoundError."""
    if not serial:
        keys = sorted(objects.list(f"{PREFIX}{dataset}/{tag}/", limit=LISTED_MAX))
        if not keys:
            raise NotFoundError(f"of {tag} of {dataset} no rollout is known: see `aetherfs history {dataset}`")
        serial = int(keys[-1].rpartition("/")[2])
    key = key_of(dataset, tag, serial)
    return key, objects.get(key)


def _opened(key: str, data: bytes) -> KeptLog:
    """NotFoundError for what is damaged."""
    try:
        is_bounded = zstandard.get_frame_parameters(data).content_size <= LOG_MAX_BYTES
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=LOG_MAX_BYTES) if is_bounded else b""
        kept = decode_log(plain)
    except zstandard.ZstdError:
        kept = None
    if kept is None:
        raise NotFoundError(f"the log {key} is damaged")
    return kept


def listed(objects: ObjectStore, may_read: Callable[[str], bool]) -> dict[Tag, list[int]]:
    """The serials of those that are kept of datasets that may be read, the last first, by tag: of ``TAGS_MAX`` tags."""
    found: dict[Tag, list[int]] = {}
    for key in islice(keys_below(objects, PREFIX), KEYS_MAX):
        scope, name, tag, serial = (*key.removeprefix(PREFIX).split("/"), "", "", "")[:4]
        if not serial.isdigit() or not may_read(f"{scope}/{name}"):
            continue
        if (f"{scope}/{name}", tag) not in found and len(found) >= TAGS_MAX:
            break
        found.setdefault((f"{scope}/{name}", tag), []).insert(0, int(serial))
    return found


def log_of(kept: KeptLog, after: int, limit: int, last: int = 0) -> RolloutLog:
    """A page of an event log: from ``after`` on, or the ``last`` ones that come after it."""
    first = _first(len(kept.steps), after, last)
    return _page(kept, kept.steps[first : first + (last or limit)], kept.peers, first, len(kept.steps))


def living_log(picture: Picture, rollout: RolloutFigures, after: int, limit: int, last: int = 0) -> RolloutLog:
    """The same of a rollout that is in memory, at the cost of the page, for it is asked for by everybody who looks."""
    steps, wall = rollout.steps, picture.wall
    first = _first(len(steps), after, last)
    head = KeptLog(
        1,
        rollout.dataset,
        rollout.tag,
        rollout.serial,
        rollout.version,
        b"",
        "",
        round(1000 * wall(rollout.started)),
        round(1000 * wall(rollout.ended)) if rollout.ended is not None else 0,
        0,
        (0, 0, 0, 0, 0),
        STATES,
        (),
        (),
        steps.dropped,
    )
    return _page(head, steps.part(first, last or limit), steps.logged, first, len(steps))


def _first(total: int, after: int, last: int) -> int:
    return max(after, total - last) if last else min(after, total)


def _page(head: KeptLog, steps: Sequence[LoggedStep], peers: Sequence[Logged], first: int, total: int) -> RolloutLog:
    """Steps with the peers that they speak of alone: all ten thousand would be a megabyte a page."""
    numbers: dict[int, int] = {}
    told = tuple(
        RolloutStep(step.t_ms / 1000, numbers.setdefault(step.peer, len(numbers)), step.state, step.words)
        for step in steps
    )
    named = (peers[number] for number in numbers)
    following = first + len(told)
    return RolloutLog(
        dataset=head.dataset,
        tag=head.tag,
        serial=head.serial,
        version=head.version.hex(),
        started=head.started_ms / 1000,
        ended=head.ended_ms / 1000 if head.ended_ms else None,
        states=head.states,
        peers=tuple(LoggedPeer(peer_id_of(each.public), each.site) for each in named),
        steps=told,
        next=following if following < total else None,
        dropped=head.dropped,
        first=first,
        total=total,
    )


def replayed(kept: KeptLog, offset: float, back: Back | None = None) -> RolloutFigures:
    """The rollout that its log tells of, played to the end. ``offset``: wall clock minus that of the picture; ``back``:
    what the log of the dataset says of it.
    """
    started = kept.started_ms / 1000 - offset
    rollout = RolloutFigures(kept.dataset, kept.tag, kept.serial, kept.version, kept.previous, kept.message, started)
    places = [STATES.index(state) if state in STATES else FAILED for state in kept.states]
    for step in kept.steps:
        at, peer = started + step.t_ms / 1000, kept.peers[step.peer]
        rollout.replay(peer.public, peer.site, places[step.state], at, step.words)
    rollout.fetched, rollout.total_bytes = kept.sources, kept.total_bytes
    rollout.back = back
    rollout.ended, rollout.is_kept, rollout.is_overtaken = kept.ended_ms / 1000 - offset, True, True
    return rollout


def item_of(kept: KeptLog, back: Back | None = None) -> RolloutItem:
    """A row of the list. ``back`` as ``replayed`` has it."""
    states: dict[int, int] = {}
    for step in kept.steps:
        states[step.peer] = step.state
    last = [kept.states[state] for state in states.values()]
    current, failed = last.count(STATES[CURRENT]), last.count(STATES[FAILED])
    left = len(last) - current
    lost = last.count(STATES[LOST])
    ending: Trend = "failed" if left and failed + lost == left else "overtaken" if left else "well"
    return RolloutItem(
        kept.dataset,
        kept.tag,
        kept.serial,
        kept.version.hex(),
        kept.started_ms / 1000,
        kept.ended_ms / 1000,
        len(last),
        current,
        failed,
        round((kept.ended_ms - kept.started_ms) / 1000, 1),
        is_kept=True,
        trend=back.word if back is not None and not left else ending if last else "idle",
        back=back.word if back is not None else "",
        by=back.by if back is not None else "",
        why=back.why if back is not None else "",
    )


class Kept:
    """The rows of those that are kept, read once each, and the last that were replayed. For threads."""

    def __init__(self, back_by: BackBy) -> None:
        self._back_by = back_by
        self._rows: dict[str, RolloutItem | None] = {}
        self._replayed: OrderedDict[str, tuple[bytes, float, RolloutFigures]] = OrderedDict()

    def items(self, objects: ObjectStore, may_read: Callable[[str], bool]) -> list[RolloutItem]:
        """The rows that ended last of those that may be read, ``KEPT_MAX`` of them."""
        tags = listed(objects, may_read)
        with ThreadPoolExecutor(READ_THREADS) as pool:
            # Of one tag they end one after another, so the last of each tag says where to look on.
            ends = list(pool.map(lambda tag: self._next(objects, tag, tags[tag]), tags))
        heap = [(-row.ended, row.dataset, row.tag, row) for row in ends if row is not None and row.ended is not None]
        heapq.heapify(heap)
        found: list[RolloutItem] = []
        while heap and len(found) < KEPT_MAX:
            _, dataset, tag, row = heapq.heappop(heap)
            found.append(row)
            after = self._next(objects, (dataset, tag), tags[dataset, tag])
            if after is not None and after.ended is not None:
                heapq.heappush(heap, (-after.ended, dataset, tag, after))
        return found

    def _next(self, objects: ObjectStore, tag: Tag, serials: list[int]) -> RolloutItem | None:
        """Take the last of these serials, or of those before it, whose log can be read."""
        while serials:
            row = self._row(objects, *tag, serials.pop(0))
            if row is not None:
                return row
        return None

    def _row(self, objects: ObjectStore, dataset: str, tag: str, serial: int) -> RolloutItem | None:
        key = key_of(dataset, tag, serial)
        if key not in self._rows:
            try:
                row = item_of(read(objects, dataset, tag, serial), self._back_by((dataset, tag), serial))
            except NotFoundError:
                row = None
            if len(self._rows) >= ROWS_MAX:
                self._rows.clear()
            self._rows[key] = row
        return self._rows.get(key)

    def replayed(self, objects: ObjectStore, tag: Tag, serial: int, offset: float) -> RolloutFigures:
        """One that is kept, replayed unless it was lately. NotFoundError."""
        key, data = _found(objects, *tag, serial)
        known = self._replayed.get(key)
        if known is not None and known[0] == data and abs(known[1] - offset) < OFFSET_MAX_S:
            return known[2]
        kept = _opened(key, data)
        rollout = replayed(kept, offset, self._back_by(tag, kept.serial))
        self._replayed[key] = (data, offset, rollout)
        while len(self._replayed) > REPLAYED_MAX:
            self._replayed.popitem(last=False)
        return rollout
