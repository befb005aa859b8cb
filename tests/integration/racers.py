"""Clients that race for the tags of a few datasets, one random operation after another, all of it written down.

A seed decides what they do; how they meet is up to the machine. What each was answered becomes a history for
``tests.histories``.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterable, Sequence
from typing import Final

from swarm import log
from swarm.errors import AetherError, ConflictError, NotFoundError, UnreachableError
from swarm.identity import PeerKey
from swarm.limits import LOG_PAGE_MAX
from swarm.log import Kind, Move
from swarm.names import Reference
from swarm.signature import signature_of
from swarm.trust import Trust
from tests.histories.checks import not_dense, not_kept, not_linear, not_monotonic, settled
from tests.histories.history import Operation, Recorder
from tests.histories.log_model import (
    Answer,
    Append,
    Call,
    Committed,
    Entries,
    GaveUp,
    Missing,
    ReadLog,
    ReadTag,
    ReadTags,
    Refused,
    Tags,
)
from tests.integration.tracker_rig import TOTALS, Enrolled, receipt_for

TAGS: Final = ("latest", "stable", "next", "v1")
_WINNER = re.compile(r"entry (\d+) of ")


class Racer:
    """One client. ``keeper`` is the key of a member of role seed, which says that it keeps every version."""

    def __init__(
        self,
        name: str,
        member: Enrolled,
        keeper: PeerKey,
        recorder: Recorder[Call, Answer],
        rng: random.Random,
        datasets: Sequence[str],
    ) -> None:
        self.name = name
        self.member = member
        self._keeper = keeper
        self._recorder = recorder
        self._rng = rng
        self._datasets = datasets
        self._count = 0
        self._seen: dict[str, list[int]] = {dataset: [0] for dataset in datasets}
        self._versions: dict[str, list[bytes]] = {dataset: [] for dataset in datasets}

    async def produce(self, count: int) -> None:
        """So many moves, and a look before about every second, as who uses ``--if-serial`` has."""
        for _ in range(count):
            dataset = self._rng.choice(self._datasets)
            if self._rng.random() < 0.5:
                await self._do(ReadTags(dataset))
            await self._do(self._append(dataset))

    async def read(self, until: asyncio.Event) -> None:
        """Look, in every way there is, until told that it is enough."""
        while not until.is_set():
            dataset = self._rng.choice(self._datasets)
            kinds: list[Call] = [
                ReadTag(dataset, self._rng.choice(TAGS)),
                ReadTags(dataset),
                ReadLog(dataset, self._rng.choice(self._seen[dataset]), LOG_PAGE_MAX),
            ]
            await self._do(self._rng.choice(kinds))
            await asyncio.sleep(self._rng.random() * 0.01)

    def _append(self, dataset: str) -> Append:
        self._count += 1
        rng, mark = self._rng, f"{self.name}-{self._count}"
        tags = rng.sample(TAGS, rng.choice([1, 1, 2, 3]))
        kinds = ["publish", "publish", "tag", "rollback", "rm"] if self._versions[dataset] else ["publish"]
        kind = rng.choice(kinds)
        version: bytes | None = signature_of(mark.encode() + dataset.encode())
        if kind in ("tag", "rollback"):
            version = rng.choice(self._versions[dataset])
        elif kind == "rm":
            version = None
        seen = rng.choice(
            [None, None, self._seen[dataset][-1], self._seen[dataset][-1], rng.choice(self._seen[dataset])]
        )
        return Append(dataset, mark, kind, tuple((tag, version) for tag in tags), seen)

    async def _do(self, call: Call) -> None:
        """One operation, with what came of it."""
        at = self._recorder.invoke(self.name, call)
        try:
            answer = await self._answer(call)
        except UnreachableError:
            if not isinstance(call, Append):
                self._recorder.forget(at)
            return
        self._recorder.answered(at, answer)
        if isinstance(answer, Committed | Tags):
            self._seen[call.dataset].append(answer.serial)
        if isinstance(call, Append) and isinstance(answer, Committed) and call.kind == "publish":
            self._versions[call.dataset] += [version for _, version in call.moves if version is not None]

    async def _answer(self, call: Call) -> Answer:
        client = self.member.client
        try:
            if isinstance(call, Append):
                return await self._appended(call)
            if isinstance(call, ReadTags):
                head = await client.dataset(call.dataset)
                return Tags(head.serial, tuple((tag.tag, tag.serial, bytes.fromhex(tag.version)) for tag in head.tags))
            if isinstance(call, ReadLog):
                page = await client.log(call.dataset, after=call.after, limit=call.limit)
                return Entries(tuple(entry.message for _, entry in page))
            return await self._looked_up(call)
        except NotFoundError:
            return Missing()

    async def _looked_up(self, call: ReadTag) -> Answer:
        scope, _, name = call.dataset.partition("/")
        found = await self.member.client.lookup(Reference(scope, name, call.tag))
        listed = tuple((state.tag, state.serial, state.version) for state in found.snapshot.tags)
        return Tags(found.snapshot.serial, listed, (found.serial, found.version))

    async def _appended(self, call: Append) -> Answer:
        kind: Kind = call.kind  # type: ignore[assignment]
        version = call.moves[0][1]
        receipt = b""
        if kind == "publish" and version is not None:
            receipt = receipt_for(self._keeper, self.member.key, call.dataset, version)
        try:
            _, entry = await self.member.client.commit(
                call.dataset,
                kind,
                [Move(tag, version) for tag, version in call.moves],
                grant=self.member.papers.grant,
                message=call.mark,
                totals=TOTALS if kind == "publish" else None,
                receipt=receipt,
                if_serial=call.if_serial,
            )
        except ConflictError as error:
            return refusal_of(error)
        return Committed(entry.serial)


def refusal_of(error: ConflictError) -> Answer:
    """What a conflict says: who was first, that nobody was, or that the client gave up."""
    text = str(error)
    if "in a row" in text:
        return GaveUp()
    winner = _WINNER.match(text)
    return Refused(int(winner[1]) if winner else None)


async def whole_log(member: Enrolled, dataset: str) -> list[bytes]:
    """All signed entries, from the first on. None for a dataset that never came to be."""
    entries: list[bytes] = []
    try:
        while page := await member.client.log(dataset, after=len(entries)):
            entries += [data for data, _ in page]
    except NotFoundError:
        return []
    return entries


async def check_history(
    history: Sequence[Operation[Call, Answer]], reader: Enrolled, datasets: Iterable[str]
) -> dict[str, int]:
    """Fail unless all holds that has to. What there was is counted, for who reports it."""
    wrong = not_monotonic(history)
    kept, known = 0, list(history)
    for dataset in datasets:
        entries = await whole_log(reader, dataset)
        kept += len(entries)
        known = settled(known, dataset, entries)
        wrong += not_dense(entries) + not_kept(history, dataset, entries)
        wrong += [f"entry {number} is not well sealed" for number in _badly_sealed(entries, reader.client.authority)]
    wrong += not_linear(known)
    assert not wrong, "\n".join(wrong)
    appends = [each for each in history if isinstance(each.call, Append)]
    return {
        "entries": kept,
        "acknowledged": sum(1 for each in appends if isinstance(each.answer, Committed)),
        "refused": sum(1 for each in appends if isinstance(each.answer, Refused)),
        "given_up": sum(1 for each in appends if isinstance(each.answer, GaveUp)),
        "unknown": sum(1 for each in appends if each.answer is None),
        "reads": len(history) - len(appends),
    }


def _badly_sealed(entries: Sequence[bytes], authority: Trust) -> list[int]:
    wrong = []
    for number, data in enumerate(entries, 1):
        try:
            log.verify_entry(data, authority=authority)
        except AetherError:
            wrong.append(number)
    return wrong
