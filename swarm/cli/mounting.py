"""Commands that make a version a directory of the kernel: mount, unmount."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import Any, Final

import click

from swarm.cli.data import absolute
from swarm.cli.output import short
from swarm.cli.program import Program, options, pass_program
from swarm.errors import AetherError, IncompleteError, NotAllowedError, NotFoundError, UnreachableError

READY_S: Final = 90.0
POLL_S: Final = 0.05
LOG_NAME: Final = "mounts.log"


@click.command()
@click.argument("ref")
@click.argument("directory", metavar="DIR")
@click.option("--background", "-d", is_flag=True, help="Return when it is mounted, and serve it in the background.")
@click.option("--follow", is_flag=True, help="Show where the tag moves; what is open stays what it was.")
@click.option("--allow-other", is_flag=True, help="Let other users of this machine read it too.")
@options
@pass_program
def mount(program: Program, ref: str, directory: str, background: bool, follow: bool, allow_other: bool) -> None:
    """Show the version that REF means at DIR, read-only, until it is unmounted.

    It stays that version wherever the tag moves, unless --follow is given. Bytes are read when they are needed, through
    the agent of this home, which may be restarted meanwhile. Whose word counts (require_signer) is the agent's setting;
    where the settings here require a signer that it does not, nothing is mounted.
    """
    from swarm.cli.references import whole
    from swarm.fuse.source import Source
    from swarm.names import parse

    place = os.path.realpath(absolute(directory))
    reference = parse(whole(program, ref))
    program.home.check_enrolled()
    if background:
        _in_background(program, ref, place, follow, allow_other)
        return
    source = Source(reference, program.settings.home, settings=program.settings)
    _serve(program, source, str(reference), place, follow, allow_other)


def _serve(program: Program, source: Any, name: str, place: str, follow: bool, allow_other: bool) -> None:
    from swarm.fuse.mounting import mounted

    version = _version(source)
    program.when_interrupted = "nothing is mounted"
    attached = mounted(source, version, place, name, follows=follow, allow_other=allow_other)
    # Ctrl-C is how it ends, from when it is mounted on.
    with attached as server, contextlib.suppress(KeyboardInterrupt):
        if program.json:
            program.output.emit({"event": "mounted", "directory": place, "ref": name, "version": version})
        program.output.note(f"{place} shows {name} {short(version)}; Ctrl-C or `aetherfs unmount {place}` ends it")
        server.ended.wait()


def _version(source: Any) -> str:
    """What the reference means; why not, as one of our errors."""
    try:
        return str(source.version())
    except FileNotFoundError as error:
        raise NotFoundError(str(error.strerror or error)) from error
    except PermissionError as error:
        raise NotAllowedError(str(error.strerror or error)) from error
    except ConnectionError as error:
        raise UnreachableError(f"{error}; see `aetherfs status`") from error
    except (OSError, ValueError) as error:
        raise AetherError(f"{error}; see `aetherfs status`") from error


def _in_background(program: Program, ref: str, place: str, follow: bool, allow_other: bool) -> None:
    from swarm.cli import spawn
    from swarm.cli.running import failure_of, log_of
    from swarm.fuse.place import is_dead, mounted_at

    flags = [*(["--follow"] if follow else []), *(["--allow-other"] if allow_other else [])]
    flags += ["--home", str(program.settings.home)]
    flags += ["--config", program.config_file] if program.config_file is not None else []
    before = mounted_at(place)
    log_path = log_of(program.settings.home, LOG_NAME)
    with log_path.open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(
            spawn.command("mount", ref, place, *flags),
            env=spawn.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_S
    while (found := mounted_at(place)) is None or found == before or is_dead(place):
        if process.poll() is not None:
            raise failure_of(process.returncode, log_path, log_start)
        if time.monotonic() > deadline:
            process.terminate()
            raise IncompleteError(f"{place} was not mounted within {READY_S:.0f} s: see {log_path}")
        time.sleep(POLL_S)
    result = {"directory": place, "ref": found.source, "pid": process.pid}
    program.output.result(result, [f"{place} shows {found.source}, served by process {process.pid}"])


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--lazy", is_flag=True, help="Out of the way at once, gone when nobody has anything open there.")
@options
@pass_program
def unmount(program: Program, directory: str, lazy: bool) -> None:
    """End a mount; also one whose process has died."""
    from swarm.fuse.place import detach, is_dead, mounts

    place = os.path.realpath(absolute(directory))
    if os.path.isdir(place) and all(one.place != place for one in mounts()):
        # As when the kernel has cleared away what a killed process left: it is as it was to be.
        program.output.result({"directory": place}, [f"nothing is mounted at {place}"])
        return
    detach(place, lazily=lazy or is_dead(place))
    program.output.result({"directory": place}, [f"{place} is unmounted"])
