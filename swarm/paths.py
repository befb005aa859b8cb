"""Which paths a manifest may hold: relative, NFC, inside the tree. Both sides check with these functions.

Refused at parse, so that no reader ever meets a path that it must not write: absolute, ``..``, ``.``, empty parts, NUL,
not NFC, not UTF-8, too long or too deep, and symbolic links that leave the tree, by themselves or by way of other
links. Everything else is a name: newlines, quotes, spaces, backslashes and leading dashes are as good as letters.
Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Mapping

from swarm.errors import RemoteProtocolError
from swarm.limits import (
    LINK_HOPS_MAX,
    LINK_STEPS_MAX,
    LINK_TARGET_BYTES,
    PATH_BYTES,
    PATH_PART_BYTES,
    PATH_PARTS_MAX,
)

# What a pull calls the directory that it builds in, beside its target or in it.
_STAGING = re.compile(r"\.(?:.*\.)?aetherfs-[0-9a-f]{12}", re.DOTALL)
# An empty part (also at either end), ".", or "..".
_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")
_BAD_PART = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)")


def check_path(path: str) -> str:
    """The path, unchanged, or RemoteProtocolError that says what is wrong with it."""
    if path.startswith("/"):
        raise RemoteProtocolError(f"path {shown(path)} is not relative")
    # Nearly all are short and ASCII, and cheaply seen to be right.
    size = len(path)
    if size > PATH_PART_BYTES or not path.isascii() or "\0" in path:
        size = _check_text(path, PATH_BYTES, "path")
    # Few paths have a dot or a slash in such a place, and looking for one is cheaper than the pattern.
    if ("." in path[:1] or "/." in path or "//" in path or path[-1:] in ("", "/")) and _BAD_PART.search(path):
        raise RemoteProtocolError(f"path {shown(path)} holds an empty part, '.' or '..'")
    if path.count("/") >= PATH_PARTS_MAX:
        raise RemoteProtocolError(f"path {shown(path)} has more than {PATH_PARTS_MAX} parts")
    if size > PATH_PART_BYTES and any(len(part.encode()) > PATH_PART_BYTES for part in path.split("/")):
        raise RemoteProtocolError(f"path {shown(path)} has a part of more than {PATH_PART_BYTES} bytes")
    return path


def check_link(path: str, target: str) -> str:
    """The target of a link at ``path``, unchanged, if it is relative and its text stays inside the tree, or
    RemoteProtocolError.

    Whether it leaves by way of another link is ``check_links``'s to say.
    """
    if not target or target.startswith("/"):
        raise RemoteProtocolError(f"link {shown(path)} leads to {shown(target)}, outside the tree")
    _check_text(target, LINK_TARGET_BYTES, "link target")
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            raise RemoteProtocolError(f"link {shown(path)} leads to {shown(target)}, outside the tree")
    return target


def check_links(links: Mapping[str, str]) -> None:
    """RemoteProtocolError if one of these links (path: target) leaves the tree by way of the others.

    Names are compared without case: a system that does not tell ``A`` from ``a`` would follow the one for the other.
    """
    folded = _folded(links)
    for path in links:
        _follow(path, folded)


def leaving_links(links: Mapping[str, str]) -> set[str]:
    """Those of the links (path: target) that leave by way of others."""
    folded = _folded(links)
    leaving: set[str] = set()
    for path in links:
        try:
            _follow(path, folded)
        except RemoteProtocolError:
            leaving.add(path)
    return leaving


def _folded(links: Mapping[str, str]) -> dict[str, str]:
    return {fold(path): fold(target) for path, target in links.items()}


def _follow(path: str, links: Mapping[str, str]) -> None:
    """Follow a link as a kernel would. A circle is left alone: it leads nowhere, so not outside."""
    at = fold(path).split("/")
    ahead = deque([at.pop()])
    under_way: set[str] = set()
    hops = steps = 0
    while ahead:
        part = ahead.popleft()
        steps += 1
        if part.startswith("\0"):  # our mark that a link's target ends here
            under_way.discard(part)
        elif part == "..":
            if not at:
                raise RemoteProtocolError(f"link {shown(path)} leads outside the tree, by way of another link")
            at.pop()
        elif part not in ("", "."):
            at.append(part)
            here = "/".join(at)
            target = links.get(here)
            if target is not None:
                mark = "\0" + here
                if mark in under_way:
                    return
                under_way.add(mark)
                hops += 1
                at.pop()
                ahead.extendleft((mark, *reversed(target.split("/"))))
            # The bounds keep a hostile manifest from costing more than it is long.
            if hops > LINK_HOPS_MAX or steps > LINK_STEPS_MAX or len(here) > PATH_BYTES:
                raise RemoteProtocolError(f"link {shown(path)} leads too far round through other links")


def fold(path: str) -> str:
    """What a system that ignores case, or keeps another normal form, takes a path for."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def is_staging(name: str) -> bool:
    """Whether a file name is that of a directory that a pull builds in: never a part of a dataset."""
    return "aetherfs-" in name and _STAGING.fullmatch(name) is not None


def shown(text: str) -> str:
    """A path for a message of one line: as it is if that can be printed, else escaped; cut when long."""
    text = text if len(text) <= 80 else text[:77] + "..."
    if text.isprintable():
        return repr(text)
    # Bytes that are no UTF-8 stand in a name as halves of surrogate pairs: shown as the bytes that they are.
    return _BYTE.sub(lambda found: f"\\x{found[1]}", ascii(text))


def _check_text(text: str, limit_bytes: int, what: str) -> int:
    """The text's length in bytes."""
    if len(text) > limit_bytes:
        raise RemoteProtocolError(f"{what} {shown(text)} is longer than {limit_bytes} bytes")
    if "\0" in text:
        raise RemoteProtocolError(f"{what} {shown(text)} holds a NUL")
    if text.isascii():
        return len(text)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise RemoteProtocolError(f"{what} {shown(text)} is not UTF-8: rename it") from error
    if size > limit_bytes:
        raise RemoteProtocolError(f"{what} {shown(text)} is longer than {limit_bytes} bytes")
    if not unicodedata.is_normalized("NFC", text):
        raise RemoteProtocolError(f"{what} {text[:80]!a} is not in Unicode normal form C: rename it")
    return size
