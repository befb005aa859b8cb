"""The XML of WebDAV (RFC 4918) that reading takes: what a PROPFIND asks for, and the answer. Pure: no I/O, no clock.

A body is a stranger's: it is bounded, has no document type (so no entity is ever expanded), and nothing in it is kept
but the names of properties. A body that is not well-formed is refused, one that asks in words unknown here answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from swarm.errors import UsageError

NAMESPACE: Final = "DAV:"
BODY_MAX_BYTES: Final = 64 * 1024
DEPTH_MAX: Final = 16
ELEMENTS_MAX: Final = 1000
# What XML 1.0 cannot say, not even as a reference.
_UNSAID: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
HEAD: Final = b'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">'
TAIL: Final = b"</D:multistatus>\n"
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a PROPFIND wants: ``names`` of properties, None for all that there are; ``is_names_only``: no values."""

    names: tuple[Name, ...] | None = None
    is_names_only: bool = False


@dataclass(slots=True)
class _Reading:
    """Where the parser is in a body: the way down to it, and what it has seen."""

    way: list[Name] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    names: list[Name] = field(default_factory=list)
    elements: int = 0

    def start(self, tag: str, _attributes: Mapping[str, str]) -> None:
        namespace, _, local = tag.rpartition(" ")
        self.elements += 1
        if len(self.way) == DEPTH_MAX or self.elements > ELEMENTS_MAX:
            raise UsageError(f"a PROPFIND has at most {ELEMENTS_MAX} elements, {DEPTH_MAX} deep")
        above = [name for _, name in self.way if _ == NAMESPACE]
        if len(self.way) == 1 and namespace == NAMESPACE:
            self.forms.append(local)
        elif len(self.way) == 2 and above == ["propfind", "prop"]:
            self.names.append((namespace, local))
        elif not self.way and (namespace, local) != (NAMESPACE, "propfind"):
            raise UsageError("the body of a PROPFIND is a propfind element of DAV:")
        self.way.append((namespace, local))

    def end(self, _tag: str) -> None:
        self.way.pop()


def parse_propfind(body: bytes) -> Asked:
    """What a body asks for; an empty one for all. UsageError for what is not well-formed or too much."""
    if len(body) > BODY_MAX_BYTES:
        raise UsageError(f"the body of a PROPFIND has at most {BODY_MAX_BYTES} bytes")
    if not body:
        return Asked()
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise UsageError(f"the body is not well-formed XML: {error}") from error
    except (ValueError, LookupError) as error:
        raise UsageError("the body is in no encoding that is read here: use UTF-8") from error
    forms = [form for form in reading.forms if form in ("allprop", "propname", "prop")]
    if len(forms) != 1:
        raise UsageError("a PROPFIND asks for one of allprop, propname and prop")
    names = tuple(dict.fromkeys(reading.names)) if forms == ["prop"] else None
    return Asked(names, is_names_only=forms == ["propname"])


def _refuse_doctype(*_: object) -> None:
    raise UsageError("a body with a document type is not read")


def response(href: str, properties: Mapping[Name, str], asked: Asked) -> bytes:
    """What is told of one resource. ``properties`` have values in XML; ``href`` is a URL, percent-encoded."""
    if asked.names is None:
        present: Iterable[Name] = properties
        absent: list[Name] = []
    else:
        present = [name for name in asked.names if name in properties]
        absent = [name for name in asked.names if name not in properties]
    there = "".join(_element(name, "" if asked.is_names_only else properties[name]) for name in present)
    lacking = "".join(_element(name, "") for name in absent)
    stated = _propstat(there, "200 OK") if there or not lacking else ""
    stated += _propstat(lacking, "404 Not Found") if lacking else ""
    return f"<D:response><D:href>{escape(href)}</D:href>{stated}</D:response>\n".encode()


def _propstat(properties: str, status: str) -> str:
    return f"<D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>"


def _element(name: Name, value: str) -> str:
    """A property; its name is one that a parser has read, or ours."""
    namespace, local = name
    tag, declared = (f"D:{local}", "") if namespace == NAMESPACE else (local, f" xmlns={quoteattr(namespace)}")
    return f"<{tag}{declared}>{value}</{tag}>" if value else f"<{tag}{declared}/>"


def text(value: str) -> str:
    """A value as XML; what XML cannot say is left out."""
    return escape(_UNSAID.sub("", value))


def error(condition: str) -> bytes:
    """The body of a refusal that names a precondition (RFC 4918, 16)."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:error xmlns:D="DAV:"><D:{condition}/></D:error>\n'.encode()
