"""The root's file, its passphrase, and the files that go between a tracker and who holds the root."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from swarm.cli.enrol import seconds_of
from swarm.cli.secret import read_file
from swarm.errors import AetherError, UsageError
from swarm.limits import PASSPHRASE_MAX_BYTES, SECRET_MAX_CHARS

if TYPE_CHECKING:
    from swarm.identity import PeerKey

DEFAULT_FOR: Final = "365d"
FILE_MAX_BYTES: Final = 64 * 1024
# A roster tells all keys of that time, a quarter of a year each.
FOR_MAX_S: Final = 3 * 365 * 86_400

passphrase_option = click.option(
    "--passphrase-file", "root_passphrase", metavar="FILE|-", help="The passphrase of the root's file; - reads stdin."
)
since_option = click.option(
    "--since", default="1d", show_default=True, metavar="TIME", help="Of a theft: list the entries of that time."
)
for_option = click.option("--for", "for_", default=DEFAULT_FOR, show_default=True, metavar="TIME", help="How long.")


def key_in(file: str, passphrase_file: str | None) -> PeerKey:
    """The root in its file. NotFoundError, UsageError when mutilated, NotAllowedError for the passphrase."""
    from swarm.identity import PeerKey
    from swarm.secret_text import ROOT, open_secret, parse_secret

    text = read_file(Path(file), SECRET_MAX_CHARS + 2, "the swarm's root").decode("utf-8", "replace")
    return PeerKey(open_secret(parse_secret(text, ROOT), passphrase_of_root(passphrase_file), ROOT))


def write_file(path: Path, data: bytes) -> None:
    """Write what is no secret."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise AetherError(f"cannot write {path}: {error.strerror}; check the path and the disk") from error


def passphrase_of_root(file: str | None) -> bytes:
    """From a file, from stdin (``-``), else from the environment; empty for none."""
    from swarm.secret_text import ROOT, check_passphrase

    if file == "-":
        data = sys.stdin.buffer.readline(PASSPHRASE_MAX_BYTES + 2)
    elif file is not None:
        data = read_file(Path(file), PASSPHRASE_MAX_BYTES + 2, "the passphrase")
    else:
        data = os.environb.get(ROOT.variable.encode(), b"")
    if file is not None and not data.rstrip(b"\r\n"):
        raise UsageError(f"{'standard input' if file == '-' else file} is empty: write the passphrase into it")
    return check_passphrase(data.rstrip(b"\r\n"))


def for_s_of(text: str) -> int:
    """For how long keys are to be appointed: as lifetimes are written, and in years. UsageError."""
    units = {"y": 365 * 86_400}
    seconds = int(text[:-1]) * units["y"] if text[:-1].isdigit() and text.endswith("y") else seconds_of(text)
    if not 0 < seconds <= FOR_MAX_S:
        raise UsageError(f"--for {text}: at most {FOR_MAX_S // 86_400}d, since a roster tells all keys of that time")
    return seconds
