"""Commands that run a process on a home, and end it: up, down, tracker, seed, peer."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import AetherError, IncompleteError

if TYPE_CHECKING:
    from swarm.cli.roles import Running

READY_DEADLINE_S: Final = 60.0
DOWN_DEADLINE_S: Final = 30.0
POLL_S: Final = 0.05
LOG_NAME: Final = "log"
LOG_TAIL_BYTES: Final = 8192

F = TypeVar("F", bound=Callable[..., Any])


def role_options(function: F) -> F:
    """The flags of every role."""
    for name, metavar in (
        ("health_listen", "HOST:PORT"),
        ("traces", "on|off"),
        ("log_level", "LEVEL"),
        ("log_format", "text|json"),
        ("lan_discovery", "on|off"),
        ("metered", "on|off"),
        ("download_limit", "RATE"),
        ("upload_limit", "RATE"),
        ("memory_budget", "BYTES"),
        ("profile", "NAME"),
    ):
        function = setting_option(name, metavar)(function)
    function = setting_option("seal_key", "FILE")(function)
    function = setting_option("dial_also", "NETWORKS")(function)
    function = setting_option("join_file", "FILE")(function)
    function = setting_option("port_base", "N")(function)
    function = setting_option("listen", "HOST")(function)
    return setting_option("store", "URL")(function)


def keeper_options(function: F) -> F:
    """More flags, of the roles that can start from the swarm secret."""
    function = setting_option("passphrase_file", "FILE")(function)
    return setting_option("secret_file", "FILE")(function)


def tracker_options(function: F) -> F:
    """More flags, of the roles with a tracker."""
    function = setting_option("offload_target", "PERCENT")(function)
    function = setting_option("alert_webhook_token_file", "FILE")(function)
    function = setting_option("alert_webhook", "URL")(function)
    function = setting_option("tls_key", "FILE")(function)
    return setting_option("tls_cert", "FILE")(function)


@click.command()
@click.option("--detach", "-d", is_flag=True, help="Run in the background; return when it is ready.")
@role_options
@keeper_options
@tracker_options
@options
@pass_program
def up(program: Program, detach: bool) -> None:
    """Run tracker, seed and peer in one process."""
    if detach:
        _detach(program)
    else:
        _run(program, tracker=True, seed=True)


@click.command()
@role_options
@keeper_options
@tracker_options
@options
@pass_program
def tracker(program: Program) -> None:
    """Run a tracker."""
    _run(program, tracker=True, seed=False)


@click.command()
@role_options
@keeper_options
@options
@pass_program
def seed(program: Program) -> None:
    """Run a seed."""
    _run(program, tracker=False, seed=True)


@click.command()
@role_options
@options
@pass_program
def peer(program: Program) -> None:
    """Run a peer."""
    _run(program, tracker=False, seed=False)


@click.command()
@click.option("--now", is_flag=True, help="Do not wait for publishes that are under way.")
@click.option("--within", metavar="TIME", help="Wait for them at most so long: 30s, 5m.")
@options
@pass_program
def down(program: Program, now: bool, within: str | None) -> None:
    """Stop the process that runs on this home, once what it publishes is stored."""
    from swarm.amounts import span_of
    from swarm.cli.progress import showing
    from swarm.local_agent import AgentClient, BrokenOffError, GoneError

    home = program.home
    info = home.agent()
    if info is None:
        program.output.result({"stopped": False}, [f"no process runs on {home.path}"])
        return
    arguments = {"wait": not now, "limit_s": span_of(within) if within is not None else None}
    finished = True
    # It may be ending already; the wait below tells.
    with contextlib.suppress(GoneError, BrokenOffError), showing(program.output, "down") as progress:
        finished = AgentClient(info).call("shutdown", arguments, progress)["finished"]
    deadline = time.monotonic() + DOWN_DEADLINE_S
    while _is_alive(info.pid) and home.agent() is not None:
        if time.monotonic() > deadline:
            raise IncompleteError(
                f"process {info.pid} did not end within {DOWN_DEADLINE_S:.0f} s: look at it, or kill {info.pid}"
            )
        time.sleep(POLL_S)
    told = [f"stopped the process on {home.path}", *([] if finished else ["what it published was broken off"])]
    program.output.result({"stopped": True, "pid": info.pid, "finished": finished}, told)


def _run(program: Program, *, tracker: bool, seed: bool) -> None:
    import asyncio

    from swarm import traces
    from swarm.cli.roles import Role, prepare, serve

    role = Role(tracker=tracker, seed=seed)
    program.when_interrupted = "what ran on this home has ended; the same command starts it again"
    program.log_as_set()
    prepare(program, role)
    if program.settings.traces:
        traces.begin("tracker" if tracker else "seed" if seed else "peer")
    try:
        interrupted = asyncio.run(serve(program, role, lambda parts: _ready(program, parts)))
    finally:
        traces.end()
    if interrupted:
        raise KeyboardInterrupt


def _ready(program: Program, parts: Running) -> None:
    """Tell that it is ready, and where: one JSON line on stdout with --json, a line on stderr otherwise."""
    where = {"peer": [str(address) for address in parts.node.addresses()]}
    if parts.tracker is not None:
        where["tracker"] = [str(address) for address in parts.tracker.contact.addresses]
    if program.json:
        ready = {"event": "ready", "peer": parts.node.key.peer_id, "addresses": where}
        program.output.emit({**ready, "made_swarm": parts.made_swarm})
    told = [f"{_role_of(parts, name)} at {', '.join(addresses)}" for name, addresses in where.items()]
    if parts.made_swarm:
        told.append(f"made a new swarm in {program.settings.store}")
    program.output.note(f"ready on {program.settings.home}: {'; '.join(told)}")


def _role_of(parts: Running, name: str) -> str:
    """What listens at an address, in words: a seed is a peer that keeps all."""
    return "seed" if name == "peer" and parts.node.extension is not None else name


def _detach(program: Program) -> None:
    from swarm.cli.perform import perform
    from swarm.cli.roles import Role, prepare
    from swarm.cli.status import status_lines

    prepare(program, Role(tracker=True, seed=True))
    home = program.home
    log_path = log_of(home.path)
    with log_path.open("ab") as log:
        log_start = log.tell()
        process = _spawn(program, log)
    deadline = time.monotonic() + READY_DEADLINE_S
    while home.agent() is None:
        if process.poll() is not None:
            raise failure_of(process.returncode, log_path, log_start)
        if time.monotonic() > deadline:
            process.terminate()
            raise IncompleteError(f"the process was not ready within {READY_DEADLINE_S:.0f} s: see {log_path}")
        time.sleep(POLL_S)
    result = perform(program, "status", {})
    told = [] if program.quiet else [f"running on {home.path} as process {process.pid}", *status_lines(result)]
    program.output.result(result, told)


def log_of(home: Path, name: str = LOG_NAME) -> Path:
    """The log of a process in the background, which is made with its home."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = home / name
        path.touch(mode=0o600)
    except OSError as error:
        raise AetherError(f"cannot use {home} as AETHERFS_HOME: {error.strerror}; choose another folder") from error
    return path


def _spawn(program: Program, log: Any) -> subprocess.Popen[bytes]:
    """This program once more, in a session of its own, so that it outlives the terminal."""
    from swarm.cli import spawn

    flags = [part for name, value in program.flags.items() for part in (f"--{name.replace('_', '-')}", value)]
    config = ["--config", program.config_file] if program.config_file is not None else []
    debug = ["--debug"] if program.debug else []
    return subprocess.Popen(
        spawn.command("up", *flags, *config, *debug),
        env=spawn.environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def failure_of(exit_code: int, log_path: Path, start: int) -> AetherError:
    """What a process that ended at once has to say for itself: its last line in the log."""
    from swarm.local_agent import kind_of_exit_code

    with log_path.open("rb") as log:
        log.seek(max(start, log_path.stat().st_size - LOG_TAIL_BYTES))
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    said = (
        lines[-1].removeprefix("aetherfs: ")
        if lines
        else f"the process ended with exit code {exit_code}: see {log_path}"
    )
    return kind_of_exit_code(exit_code)(said)


def _is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
