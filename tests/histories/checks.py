"""What a recorded history and the log that it left have to keep. Each check gives what it found wrong, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarm import log
from swarm.errors import RemoteProtocolError
from tests.histories.history import Operation
from tests.histories.log_model import Answer, Append, Call, Committed, Entries, LogModel, Tags
from tests.histories.search import by_object, order_of

History = Sequence[Operation[Call, Answer]]


def settled(history: History, dataset: str, entries: Sequence[bytes]) -> list[Operation[Call, Answer]]:
    """The history as it is after the log was read to its end: an unknown entry that stands there came to be, at some
    moment, and one that does not never did.
    """
    serials = {log.parse_entry(data)[1].message: serial for serial, data in enumerate(entries, 1)}
    known = []
    for each in history:
        if not isinstance(each.call, Append) or each.call.dataset != dataset or each.answer is not None:
            known.append(each)
        elif each.call.mark in serials:
            known.append(replace(each, answer=Committed(serials[each.call.mark])))
    return known


def not_linear(history: History) -> list[str]:
    """Datasets for which no order of single steps explains the answers."""
    wrong = []
    for dataset, operations in by_object(history, lambda call: call.dataset).items():
        order = order_of(operations, LogModel())
        if not order.is_linearizable:
            stuck = "; ".join(map(repr, order.stuck[:6]))
            wrong.append(f"{dataset}: after {len(order.steps)} steps, up to {order.steps[-1:]}, none fits of: {stuck}")
    return wrong


def not_monotonic(history: History) -> list[str]:
    """Reads in which a client saw less of a dataset than it had seen, or than it had been told that it wrote."""
    wrong = []
    seen: dict[tuple[str, str], int] = {}
    for each in sorted((one for one in history if one.returned is not None), key=lambda one: one.returned or 0):
        serial = _seen_by(each)
        if serial is None:
            continue
        who = (each.client, each.call.dataset)
        if serial < seen.get(who, 0):
            wrong.append(f"{each.client} saw entry {serial} of {each.call.dataset} after entry {seen[who]}")
        seen[who] = max(serial, seen.get(who, 0))
    return wrong


def _seen_by(each: Operation[Call, Answer]) -> int | None:
    answer = each.answer
    if isinstance(answer, Committed | Tags):
        return answer.serial
    if isinstance(answer, Entries) and not isinstance(each.call, Append):
        after = getattr(each.call, "after", 0)
        # What is cut off at the page's limit says nothing of the head.
        return after + len(answer.marks) if len(answer.marks) < getattr(each.call, "limit", 0) else None
    return None


def not_dense(entries: Sequence[bytes]) -> list[str]:
    """Where a log, as signed entries in order, has a gap or a broken chain."""
    serial, previous = 0, b""
    for data in entries:
        try:
            _, entry = log.parse_entry(data)
            log.check_follows(entry, serial, previous)
        except RemoteProtocolError as error:
            return [str(error)]
        serial, previous = entry.serial, log.entry_hash(data)
    return []


def not_kept(history: History, dataset: str, entries: Sequence[bytes]) -> list[str]:
    """Acknowledged entries that are not where they were said to be, entries that nobody made, refused ones that are
    there after all, and any that are there twice. Marks stand in the entries' messages.
    """
    made = {call.mark: (call, each) for each in history if isinstance(call := each.call, Append)}
    found: dict[str, int] = {}
    wrong = []
    for data in entries:
        _, entry = log.parse_entry(data)
        problem = _problem_with(entry, dataset, made.get(entry.message))
        if entry.message in found:
            problem = "stands there a second time"
        if problem:
            wrong.append(f"entry {entry.serial} {problem}: {made.get(entry.message, entry.message)}")
        found.setdefault(entry.message, entry.serial)
    for mark, (call, each) in made.items():
        answer = each.answer
        if isinstance(answer, Committed) and call.dataset == dataset and found.get(mark) != answer.serial:
            wrong.append(f"acknowledged and not kept: {each}")
    return wrong


def _problem_with(entry: log.Entry, dataset: str, made: tuple[Append, Operation[Call, Answer]] | None) -> str:
    if made is None:
        return "was made by nobody"
    call, each = made
    moves = tuple((move.tag, move.version) for move in entry.moves)
    if (call.dataset, call.kind, call.moves) != (dataset, entry.kind, moves):
        return "is not what was asked for"
    return "was refused" if each.answer is not None and not isinstance(each.answer, Committed) else ""
