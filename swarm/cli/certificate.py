"""The command that tells by which certificates people know the swarm's trackers."""

from __future__ import annotations

from pathlib import Path

import click

from swarm.cli.program import Program, options, pass_program
from swarm.errors import AetherError, UnreachableError

PATH = "/api/v1/certificate"


@click.command()
@click.argument("file", metavar="FILE|-", default="-")
@options
@pass_program
def certificate(program: Program, file: str) -> None:
    """Write the certificates that the swarm's trackers show people.

    To FILE, or `-` prints them. A home that has joined knows its trackers by their keys, so it can tell. What is
    written is what `aetherfs login --ca-file` and `curl --cacert` take elsewhere.
    """
    from swarm.cli.perform import run_interruptible
    from swarm.cli.root_file import write_file

    text = run_interruptible(_shown(program))
    if file == "-":
        program.output.result({"certificates": text}, text.splitlines())
        return
    write_file(Path(file), text.encode())
    count = text.count("-----BEGIN CERTIFICATE-----")
    what = "1 certificate" if count == 1 else f"{count} certificates"
    program.output.result({"file": file, "count": count}, [f"wrote {what} to {file}"])


async def _shown(program: Program) -> str:
    """Of all trackers that answer."""
    from swarm.cli.login import member_client

    found: list[str] = []
    error: AetherError = UnreachableError("no tracker is known that could be asked: see `aetherfs status`")
    async with member_client(program.home) as client:
        for tracker in client.calls.trackers:
            try:
                found.append((await client.calls.call("GET", PATH, only=tracker)).decode("ascii", "replace"))
            except AetherError as refused:
                error = refused
    if not found:
        raise error
    return "".join(dict.fromkeys(found))
