"""Commands that carry a version in a file: export, import."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import click

from swarm.cli.output import duration, short, size
from swarm.cli.program import Program, options, pass_program, signer_options
from swarm.errors import AetherError, ConflictError, FullError, UsageError
from swarm.units import counted

STANDARD = "-"


@click.command()
@click.argument("ref")
@click.argument("file", metavar="FILE|-")
@click.option("--since", metavar="REF", help="Leave out what this older version of the dataset holds.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@signer_options
@options
@pass_program
def export(program: Program, ref: str, file: str, since: str | None, force: bool) -> None:
    """Write a version into one file, for a site without a network."""
    from swarm.cli.data import whole_path
    from swarm.cli.perform import perform_stream
    from swarm.cli.references import whole

    arguments = {"ref": whole(program, ref), "since": None if since is None else whole(program, since)}
    if file == STANDARD:
        if program.json:
            raise UsageError("the bytes of an export are no JSON: leave --json away, or name a file")
        perform_stream(program, "export", arguments, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    path = whole_path(file)
    if not force and os.path.lexists(path):
        raise ConflictError(f"{path} is there already: choose another name, or replace it with --force")
    with _replacing(path) as sink:
        perform_stream(program, "export", arguments, sink)
        written = sink.tell()
    program.output.result({"ref": arguments["ref"], "file": path, "bytes": written}, [f"{path}: {size(written)}"])


@contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its place, whole or not at all."""
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        import errno

        kind = FullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else AetherError
        raise kind(f"cannot write {path}: {error.strerror}; choose another place, then repeat") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


@click.command("import")
@click.argument("file", metavar="FILE|-")
@click.argument("name", metavar="[NAME:TAG]", required=False)
@click.option("--into", metavar="DIR", help="Keep the files here; default a folder of the home.")
@options
@pass_program
def import_(program: Program, file: str, name: str | None, into: str | None) -> None:
    """Keep and serve the version in a file, or publish it under a name."""
    from swarm.cli.data import absolute, existing
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name
    from swarm.names import parse

    # Whoever carries it out is on this machine, and of this user: it opens our standard input by that path.
    path = f"/proc/{os.getpid()}/fd/0" if file == STANDARD else existing(file)
    arguments = {
        "file": path,
        "name": None if name is None else new_name(name),
        "directory": None if into is None else absolute(into),
    }
    result = perform(program, "import", arguments)
    program.output.result(
        result, _imported(result, "" if arguments["name"] is None else parse(arguments["name"]).dataset)
    )


def _imported(result: Mapping[str, Any], dataset: str) -> Iterable[str]:
    yield (
        f"{result['dataset']}@{short(result['version'])} is in {result['directory']}: "
        f"{counted(result['files'], 'file')}, {size(result['bytes'])}, verified in {duration(result['seconds'])}"
    )
    whose = "this swarm" if result["own_swarm"] else f"another swarm ({short(result['sealed_by'])})"
    yield f"entry {result['serial']} of its log was signed by {short(result['publisher'])} and sealed by {whose}"
    published = result["published"]
    if published is not None:
        named = ", ".join(f"{dataset}:{tag}" for tag in published["tags"])
        yield f"published as {named} (serial {published['serial']})"
