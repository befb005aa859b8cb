"""``aetherfs.toml``: what a machine wants to follow, and what a project's versions are held to before they are
published; as text that is kept with its other configuration.

[[subscription]]
ref = "maps/roads:stable"
directory = "/srv/roads"            # or relative to the file
keep = 2                            # old versions beside the current one; 1 if not given
validate = "test -s index.csv"      # commands for the shell: see `aetherfs subscribe --help`
hook = "systemctl reload maps"
include = ["eu/*"]

[publish]
validate = ["test -s index.csv"]    # each must succeed in the directory that is published

[budget]
size = "20GB"                       # of the whole version
files = 100_000
delta = "5%"                        # what a consumer of the version before fetches, of the whole version
delta_floor = "20MB"                # which is never too much; 1MB if not given
time = "10m"                        # in which such a consumer has it
link = "50mbit"                     # over a link of this rate; 100mbit if not given
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

from swarm.amounts import bytes_of, rate_of, share_of, span_of
from swarm.errors import UsageError
from swarm.publish_budget import PEERS_MAX, Budget
from swarm.subscription import SUBSCRIPTIONS_MAX, Wanted, plan

FILE_MAX_BYTES: Final = 1024 * 1024
VALIDATORS_MAX: Final = 16
COMMAND_MAX_CHARS: Final = 4096

Command = Annotated[str, msgspec.Meta(min_length=1, max_length=COMMAND_MAX_CHARS)]
Commands = Annotated[tuple[Command, ...], msgspec.Meta(max_length=VALIDATORS_MAX)]
T = TypeVar("T")


class _Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    validate: Commands = ()


class _Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: str | int | None = None
    files: Annotated[int, msgspec.Meta(ge=0)] | None = None
    delta: str | None = None
    delta_floor: str | int | None = None
    time: str | None = None
    link: str | None = None
    peers: Annotated[int, msgspec.Meta(ge=1, le=PEERS_MAX)] | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subscription: Annotated[tuple[Wanted, ...], msgspec.Meta(max_length=SUBSCRIPTIONS_MAX)] = ()
    publish: _Publish = _Publish()
    budget: _Budget | None = None


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """All that a file says."""

    wants: list[Wanted]
    validate: tuple[str, ...]
    budget: Budget | None


def parse_wants(data: bytes, path: Path) -> list[Wanted]:
    """What a file wants to follow; see ``parse_file``."""
    return parse_file(data, path).wants


def parse_file(data: bytes, path: Path) -> ProjectFile:
    """What a file says; ``path`` is where it lies, for relative directories and messages. UsageError otherwise."""
    if len(data) > FILE_MAX_BYTES:
        raise UsageError(f"{path} is longer than {FILE_MAX_BYTES} bytes: it is no {path.name}")
    try:
        file = msgspec.convert(tomllib.loads(data.decode()), _File)
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(
            f"{path}: {error}; see `aetherfs sync --help` and `aetherfs publish --help` for what it holds"
        ) from error
    wants = [_placed(wanted, path) for wanted in file.subscription]
    try:
        for wanted in wants:
            _ = wanted.reference, wanted.required
        plan(wants, [])
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return ProjectFile(wants, file.publish.validate, _budget(file.budget, path) if file.budget is not None else None)


def _placed(wanted: Wanted, path: Path) -> Wanted:
    if not wanted.directory or "\0" in wanted.directory:
        raise UsageError(f"{path}: {wanted.directory!r} is no directory: give each subscription a path")
    directory = os.path.join(os.path.dirname(os.path.abspath(path)), os.path.expanduser(wanted.directory))
    return msgspec.structs.replace(wanted, directory=os.path.realpath(directory))


def _budget(told: _Budget, path: Path) -> Budget:
    def read(name: str, value: object, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(str(value)) if value is not None else None
        except UsageError as error:
            raise UsageError(f"{path}: [budget] {name}: {error}") from error

    if told.delta_floor is not None and told.delta is None:
        raise UsageError(f"{path}: [budget] delta_floor says what is never too much: say with delta what else is")
    if told.link is not None and told.time is None:
        raise UsageError(f"{path}: [budget] link says how fast a consumer is: say with time how long it may take")
    if told.peers is not None and told.time is None:
        raise UsageError(f"{path}: [budget] peers says how many fetch at once: say with time how long it may take")
    plain = Budget()
    floor, link = read("delta_floor", told.delta_floor, bytes_of), read("link", told.link, rate_of)
    return Budget(
        size_bytes=read("size", told.size, bytes_of),
        files=told.files,
        delta_share=read("delta", told.delta, share_of),
        delta_floor_bytes=plain.delta_floor_bytes if floor is None else floor,
        time_s=read("time", told.time, span_of),
        link_bytes_per_s=plain.link_bytes_per_s if link is None else link,
        peers=plain.peers if told.peers is None else told.peers,
    )
