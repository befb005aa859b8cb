"""Lines of the log: text for people, or one JSON object each; with what they are about, and never with a secret.

What a line is about is said once, where it is known (``about``), and stands in every line that is logged within, also
by tasks that were begun there: the request, the dataset, the peer. JSON lines have ``at`` (RFC 3339, UTC), ``level``,
``logger``, ``message``, then these, and ``error`` with a traceback where there is one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

FORMATS: Final = ("text", "json")
REQUEST_ID_HEADER: Final = "X-Request-Id"
MESSAGE_MAX_CHARS: Final = 8192
VALUE_MAX_CHARS: Final = 400
# What others may choose as an id: nothing that a log or a header could misread.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Tokens and passwords as headers show them, texts that hold secrets of ours, and passwords in addresses.
_SECRETS: Final = re.compile(
    r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}|\b(aetherfs(?:-[a-z]+)?1\.)[A-Za-z0-9_-]{8,}"
    r"|(://[^\s/:@]*:)[^\s/@]+(?=@)"
)
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=NOTHING)


@contextlib.contextmanager
def about(**known: str) -> Iterator[None]:
    """What is logged in here is about this: ``request_id``, ``dataset``, ``peer``. Empty values say nothing."""
    told = {name: value[:VALUE_MAX_CHARS] for name, value in known.items() if value}
    token = _about.set({**_about.get(), **told})
    try:
        yield
    finally:
        _about.reset(token)


def request_id() -> str:
    """The id of the request that is worked on, empty for none."""
    return _about.get().get("request_id", "")


def request_id_of(given: str | None) -> str:
    """The id that was given, if it is one that can be taken; else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def without_secrets(text: str) -> str:
    """The text, with what looks like a secret taken out."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3]}[removed]", text)


def spelled_out(text: str) -> str:
    """The text with whatever would end a line, drive a terminal, or hide or turn what is shown, as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


class TextLines(logging.Formatter):
    """For people: what a line is about stands at its end. A message is one line, whatever a stranger put into it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Secrets first: what is spelled out before one would hide where it begins.
        return spelled_out(without_secrets(super().formatMessage(record))[:MESSAGE_MAX_CHARS])

    def format(self, record: logging.LogRecord) -> str:
        first, newline, traceback = super().format(record).partition("\n")
        told = "".join(f" {name}={value}" for name, value in _about.get().items())
        return without_secrets(f"{first}{told}{newline}{traceback}")


class JsonLines(logging.Formatter):
    """For programs: one object a line, whatever a message holds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage())[:MESSAGE_MAX_CHARS],
            **_about.get(),
        }
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info))[-MESSAGE_MAX_CHARS:]
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def formatter_of(name: str) -> logging.Formatter:
    """The one for a setting of ``log_format``."""
    return JsonLines() if name == "json" else TextLines()
