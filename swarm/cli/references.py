"""References as a user types them, checked before anything is started: a slip is told at once, with exit code 2.

A host in a reference names the swarm. A home that is not a member of that swarm says so, instead of answering from
its own.
"""

from __future__ import annotations

from pathlib import Path

from swarm.cli.program import Program
from swarm.errors import NotAllowedError, UsageError
from swarm.limits import MESSAGE_MAX_CHARS
from swarm.names import Reference, parse


def whole(program: Program, text: str) -> str:
    """A reference to a version, without a path."""
    reference = _checked(program, text)
    if reference.path is not None:
        raise UsageError(f"{text!r} names a path in a version: leave the path away")
    return text


def names_path(program: Program, text: str) -> bool:
    """Whether a path is meant where a version may be too: it begins like one, or is there and can be no version, as
    references are written otherwise, or as this home is in no swarm.
    """
    if text.startswith((".", "/")):
        return True
    if not Path(text).exists():
        return False
    try:
        parse(text)
        program.home.check_enrolled()
    except (UsageError, NotAllowedError):
        return True
    return False


def within(program: Program, text: str) -> str:
    """A reference to a file in a version."""
    reference = _checked(program, text)
    if reference.path is None:
        raise UsageError(f"{text!r} names no file: write {reference}/path/to/file")
    return text


def anywhere(program: Program, text: str) -> str:
    """A reference with or without a path."""
    _checked(program, text)
    return text


def new_name(text: str) -> str:
    """NAME:TAG to be written: no signature, no path; the tag defaults to latest."""
    reference = parse(text)
    if reference.names_version or reference.path is not None or reference.tag is None:
        raise UsageError(f"{text!r} is not a name to give: write [scope/]name:tag")
    return text


def check_message(text: str) -> str:
    """A message for the history, within its limit."""
    if len(text) > MESSAGE_MAX_CHARS:
        raise UsageError(f"the message has {len(text)} characters: at most {MESSAGE_MAX_CHARS} are kept, shorten it")
    return text


def _checked(program: Program, text: str) -> Reference:
    reference = parse(text)
    if reference.host is not None:
        _check_host(program, reference.host)
    return reference


def _check_host(program: Program, host: str) -> None:
    home = program.home
    home.check_enrolled()
    known = [address for tracker in home.swarm().trackers for address in tracker.addresses]
    if host not in {str(address) for address in known} | {address.host for address in known}:
        raise NotAllowedError(
            f"this home is not enrolled in a swarm with a tracker at {host}: join that swarm with a home of its own"
        )
