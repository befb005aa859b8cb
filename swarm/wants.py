"""``aetherfs.toml``: what a machine wants to follow, as text that is kept with its other configuration.

[[subscription]]
ref = "maps/roads:stable"
directory = "/srv/roads"            # or relative to the file
keep = 2                            # old versions beside the current one; 1 if not given
validate = "test -s index.csv"      # commands for the shell: see `aetherfs subscribe --help`
hook = "systemctl reload maps"
include = ["eu/*"]
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Final

import msgspec

from swarm.errors import UsageError
from swarm.subscription import SUBSCRIPTIONS_MAX, Wanted, plan

FILE_MAX_BYTES: Final = 1024 * 1024


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subscription: Annotated[tuple[Wanted, ...], msgspec.Meta(max_length=SUBSCRIPTIONS_MAX)] = ()


def parse_wants(data: bytes, path: Path) -> list[Wanted]:
    """What a file wants; ``path`` is where it lies, for relative directories and messages. UsageError otherwise."""
    if len(data) > FILE_MAX_BYTES:
        raise UsageError(f"{path} is longer than {FILE_MAX_BYTES} bytes: it is no list of subscriptions")
    try:
        file = msgspec.convert(tomllib.loads(data.decode()), _File)
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"{path}: {error}; see `aetherfs sync --help` for what it holds") from error
    wants = [_placed(wanted, path) for wanted in file.subscription]
    try:
        for wanted in wants:
            _ = wanted.reference, wanted.required
        plan(wants, [])
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return wants


def _placed(wanted: Wanted, path: Path) -> Wanted:
    if not wanted.directory or "\0" in wanted.directory:
        raise UsageError(f"{path}: {wanted.directory!r} is no directory: give each subscription a path")
    directory = os.path.join(os.path.dirname(os.path.abspath(path)), os.path.expanduser(wanted.directory))
    return msgspec.structs.replace(wanted, directory=os.path.realpath(directory))
