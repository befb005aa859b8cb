"""The grammar of references, in one place.

    [host[:port]/][scope/]name[:tag][@signature][/path]       a path needs an explicit :tag or @signature before it

The first part is a host only if it holds a ``.`` or ``:`` or is ``localhost``, as Docker does. Scope defaults to
``library``, tag to ``latest``; ``@scope/name`` is accepted for ``scope/name``; a signature wins over the tag and both
are echoed. A signature is 64 hex digits, or the first of them, as they are shown, if these mean one version. In URLs
the scope is always written: ``aetherfs://scope/name:tag/path``. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from swarm.errors import UsageError
from swarm.limits import NAME_CHARS, PATH_BYTES, TAG_CHARS
from swarm.signature import from_hex

DEFAULT_SCOPE: Final = "library"
DEFAULT_TAG: Final = "latest"
URL_SCHEME: Final = "aetherfs://"

# As many as tell versions of a dataset apart: of a million, two begin alike with 1 in 8,000.
PREFIX_MIN_CHARS: Final = 8
_PREFIX = re.compile(rf"[0-9a-f]{{{PREFIX_MIN_CHARS},63}}")
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{NAME_CHARS - 1}}}")
_TAG = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{TAG_CHARS - 1}}}")
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::[0-9]{1,5})?")
# name[:tag][@signature], then an optional path.
_REST = re.compile(r"(?P<name>[^/:@]*)(?::(?P<tag>[^/@]*))?(?:@(?P<signature>[^/]*))?(?:/(?P<path>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference. ``tag`` is None only when a signature was given without one; ``signature`` is 32 bytes, or
    ``prefix`` its first hex digits.
    """

    scope: str
    name: str
    tag: str | None = DEFAULT_TAG
    signature: bytes | None = None
    path: str | None = None
    host: str | None = None
    prefix: str | None = None

    @property
    def names_version(self) -> bool:
        """Whether it names a version by its signature."""
        return self.signature is not None or self.prefix is not None

    @property
    def dataset(self) -> str:
        return f"{self.scope}/{self.name}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digits = self.signature.hex() if self.signature is not None else self.prefix
        signature = f"@{digits}" if digits is not None else ""
        path = f"/{self.path}" if self.path is not None else ""
        host = f"{self.host}/" if self.host is not None else ""
        return f"{host}{self.scope}/{self.name}{tag}{signature}{path}"


def parse(text: str, *, default_tag: str | None = DEFAULT_TAG) -> Reference:
    """Parse a reference, or raise UsageError with the part that does not fit.

    ``default_tag`` is meant where neither tag nor signature is written.
    """
    rest = text.removeprefix(URL_SCHEME)
    is_url = rest != text
    host, rest = _split_host(rest)
    scope, rest = _split_scope(rest.removeprefix("@"), text)
    if is_url and scope is None:
        raise UsageError(f"{text!r} lacks its scope: write {URL_SCHEME}{DEFAULT_SCOPE}/{rest}")
    match = _REST.fullmatch(rest)
    if match is None:
        raise UsageError(f"{text!r} is not a reference: expected [scope/]name[:tag][@signature][/path]")
    tag, signature, path = match["tag"], match["signature"], match["path"]
    if path is not None and tag is None and signature is None:
        raise UsageError(f"{text!r} has a path but no tag: write name:{DEFAULT_TAG}/{path}")
    if path is not None and len(path.encode("utf-8", "surrogatepass")) > PATH_BYTES:
        raise UsageError(f"the path of {text[:60]!r}... is longer than {PATH_BYTES} bytes")
    if tag is None and signature is None:
        tag = default_tag
    is_prefix = signature is not None and _PREFIX.fullmatch(signature) is not None
    return Reference(
        scope=DEFAULT_SCOPE if scope is None else check_name(scope, "scope"),
        name=check_name(match["name"], "name"),
        tag=None if tag is None else check_tag(tag),
        signature=None if signature is None or is_prefix else _signature_of(signature),
        path=path or None,
        host=host,
        prefix=signature if is_prefix else None,
    )


def _signature_of(text: str) -> bytes:
    try:
        return from_hex(text)
    except UsageError as error:
        raise UsageError(f"{error}, or the first {PREFIX_MIN_CHARS} or more of them") from None


def _split_host(text: str) -> tuple[str | None, str]:
    first, slash, rest = text.partition("/")
    if not slash or first.startswith("@") or not _is_host(first, rest):
        return None, text
    if not _HOST.fullmatch(first):
        raise UsageError(f"{first!r} is not a host: expected name, v4 address or [v6 address], with an optional :port")
    return first, rest


def _is_host(first: str, rest: str) -> bool:
    """Whether the first part is a host. ``roads:v1.2/path`` and ``roads:2024/path`` are names with a tag.

    A number may be a port or a tag: behind a name without a dot it is a port only if what follows has a tag of its own.
    """
    if first == "localhost" or first.startswith(("[", "localhost:")):
        return True
    if "@" in first:
        return False
    name, colon, tag = first.partition(":")
    if colon:
        return tag.isdigit() and int(tag) <= 65535 and ("." in name or _looks_like_reference(rest))
    return "." in name


def _looks_like_reference(rest: str) -> bool:
    return ":" in rest or "@" in rest


def _split_scope(text: str, whole: str) -> tuple[str | None, str]:
    first, slash, rest = text.partition("/")
    if not slash or ":" in first or "@" in first:
        return None, text
    if not rest:
        raise UsageError(f"{whole!r} ends in a slash: a name is missing")
    return first, rest


def check_name(text: str, what: str = "name") -> str:
    """A scope or a name, unchanged, or UsageError."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text[:80]!r} is not a {what}: 1 to {NAME_CHARS} of a-z, 0-9, '.', '_', '-', first a letter or digit"
        )
    return text


def check_tag(text: str) -> str:
    """A tag, unchanged, or UsageError."""
    if not _TAG.fullmatch(text):
        raise UsageError(
            f"{text[:80]!r} is not a tag: 1 to {TAG_CHARS} of letters, digits, '.', '_', '-', not '.' or '-' first"
        )
    return text


def check_dataset(text: str) -> str:
    """``scope/name``, unchanged, or UsageError."""
    scope, slash, name = text.partition("/")
    if not slash:
        raise UsageError(f"{text[:80]!r} is not a dataset: expected scope/name")
    check_name(scope, "scope")
    check_name(name)
    return text


def check_pattern(text: str) -> str:
    """A dataset pattern: ``scope/name`` where either part may end in ``*``, or ``*`` for everything."""
    if text == "*":
        return text
    scope, slash, name = text.partition("/")
    for part in (scope, name):
        if not slash or not (part == "*" or _NAME.fullmatch(part.removesuffix("*"))):
            raise UsageError(
                f"{text[:80]!r} is not a dataset pattern: write 'scope/*', 'scope/name', 'scope/pre*' or '*'"
            )
    return text


def matches(pattern: str, dataset: str) -> bool:
    """Whether ``scope/name`` falls under a pattern. Parts are compared one by one: ``a*`` never reaches over the
    slash.
    """
    if pattern == "*":
        return True
    parts = zip(pattern.split("/"), dataset.split("/"), strict=False)
    if pattern.count("/") != 1 or dataset.count("/") != 1:
        return False
    return all(_part_matches(part, name) for part, name in parts)


def _part_matches(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def covers(outer: str, inner: str) -> bool:
    """Whether every dataset that falls under the pattern ``inner`` falls under ``outer``. A dataset is a pattern."""
    if outer in ("*", "*/*"):
        return True
    if inner == "*":
        return False
    parts = zip(outer.split("/"), inner.split("/"), strict=True)
    return all(_part_covers(one, other) for one, other in parts)


def _part_covers(outer: str, inner: str) -> bool:
    if outer.endswith("*"):
        return inner.removesuffix("*").startswith(outer[:-1])
    return inner == outer
