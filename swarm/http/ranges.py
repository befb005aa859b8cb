"""Ranges and preconditions of a request (RFC 9110, 13 and 14), decided on text. Pure: no I/O, no clock.

A range set that asks for more than it is worth (too many ranges, or more bytes than the whole) is ignored, as the RFC
lets a server do: the whole is sent. Overlapping and neighbouring ranges become one.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from swarm.limits import RANGE_HEADER_MAX_CHARS, RANGES_MAX

_SPEC: Final = re.compile(r"[ \t]*(?:(\d{1,19})-(\d{1,19})?|-(\d{1,19}))[ \t]*")
_TAG: Final = re.compile(r'[ \t]*(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)')


class Range(NamedTuple):
    """Bytes from ``begin`` up to ``end``, which is not among them."""

    begin: int
    end: int


class UnsatisfiableError(Exception):
    """None of the ranges begins inside what is there."""


def parse_ranges(header: str | None, size: int) -> list[Range]:
    """The ranges that are sent, in the order asked for; empty for the whole. UnsatisfiableError for 416."""
    if header is None or len(header) > RANGE_HEADER_MAX_CHARS or not header.startswith("bytes="):
        return []
    asked: list[Range] = []
    specs = [spec for spec in header.removeprefix("bytes=").split(",") if spec.strip()]
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or (match[2] is not None and int(match[1]) > int(match[2])):
            return []
        first = int(match[1]) if match[1] is not None else max(0, size - int(match[3]))
        last = int(match[2]) + 1 if match[2] is not None else size
        if first < min(last, size):
            asked.append(Range(first, min(last, size)))
    if not specs:
        return []
    if not asked:
        raise UnsatisfiableError
    ranges = _joined(asked)
    is_worth_it = len(ranges) <= RANGES_MAX and sum(end - begin for begin, end in asked) <= size
    return ranges if is_worth_it or len(ranges) == 1 else []


def _joined(asked: Sequence[Range]) -> list[Range]:
    """Ranges that overlap or touch made one, at the place of the first of them."""
    joined: list[Range] = []
    for one in asked:
        others = []
        for other in joined:
            if one.begin <= other.end and other.begin <= one.end:
                one = Range(min(one.begin, other.begin), max(one.end, other.end))
            else:
                others.append(other)
        joined = [*others, one]
    return joined


@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies the bytes that would be sent. ``etag`` is strong, with its quotes; ``modified`` in whole wall
    seconds. ``is_dated``: no other bytes were ever sent under this URL with this date.
    """

    etag: str
    modified: int | None = None
    is_dated: bool = False


def is_unmodified(validators: Validators, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Whether the answer is 304: the caller has these bytes."""
    if if_none_match is not None:
        return if_none_match.strip() == "*" or validators.etag in _tags(if_none_match, weak=True)
    return _is_date(validators, if_modified_since)


def is_failed(validators: Validators, if_match: str | None) -> bool:
    """Whether the answer is 412: the caller wants other bytes than there are."""
    return if_match is not None and if_match.strip() != "*" and validators.etag not in _tags(if_match, weak=False)


def may_resume(validators: Validators, if_range: str | None) -> bool:
    """Whether ranges are sent: the caller names no bytes that it has a part of, or just these."""
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == validators.etag
    return _is_date(validators, if_range)


def _is_date(validators: Validators, header: str | None) -> bool:
    """Whether a date names these bytes and no others. An earlier or later one proves nothing: a tag may go back."""
    return header is not None and validators.is_dated and parse_date(header) == validators.modified is not None


def _tags(header: str, *, weak: bool) -> list[str]:
    """The entity tags of a list, up to the first that is none."""
    found: list[str] = []
    at = 0
    while at < len(header) and (match := _TAG.match(header, at)):
        if weak or not match[1]:
            found.append(match[2])
        at = match.end()
    return found


def parse_date(text: str) -> int | None:
    """An HTTP date in wall seconds."""
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def http_date(wall_s: int) -> str:
    """Wall seconds as an HTTP date."""
    return email.utils.formatdate(wall_s, usegmt=True)
