"""The console entry: finds the command, runs it, and turns whatever happened into an exit code and at most one line.

Commands are imported by name when they are run; the list of all of them stands here, so that ``--help`` imports none.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn

import click

from swarm.cli.program import Program, options
from swarm.errors import AetherError, FullError, NotAllowedError, NotFoundError, UsageError

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
# These stay in the foreground: what they have to warn of belongs on their terminal.
ROLES: Final = frozenset({"up", "tracker", "seed", "peer"})


class Listed(NamedTuple):
    """Where a command is, and its line in the list."""

    section: str
    module: str
    line: str


COMMANDS: Final = {
    "up": Listed("Running", "running", "Run tracker, seed and peer in one process."),
    "down": Listed("Running", "running", "Stop the process that runs on this home, once what it publishes is stored."),
    "tracker": Listed("Running", "running", "Run a tracker."),
    "seed": Listed("Running", "running", "Run a seed."),
    "peer": Listed("Running", "running", "Run a peer."),
    "token": Listed("Running", "enrol", "Make tokens that let a home join."),
    "rotate": Listed("Running", "rotate", "Give the swarm a new CA key or a new secret, with no peer lost."),
    "key": Listed("Running", "key", "Show this home's key, and name producers' keys to require them as signers."),
    "root": Listed("Running", "root", "Take the swarm's root offline, and use it from its file."),
    "secret": Listed("Running", "secret", "Write the secret from which trackers and seeds start."),
    "seal": Listed("Running", "seal", "Seal keys and kept blocks on this disk with a local key."),
    "join": Listed("Running", "enrol", "Make this home a member of a swarm."),
    "access": Listed("Running", "access", "Say who may do what; what no rule allows is refused."),
    "member": Listed("Running", "member", "Look after the members of the swarm."),
    "audit": Listed(
        "Running", "audit", "Show who published, moved, removed, granted, joined or was refused; newest last."
    ),
    "login": Listed("People", "login", "Sign in at the swarm's trackers, as a person or a service."),
    "logout": Listed("People", "login", "Sign out, here and where it was signed in."),
    "certificate": Listed("People", "certificate", "Write the certificates that the swarm's trackers show people."),
    "whoami": Listed("People", "login", "Show whom the tracker takes this home for."),
    "user": Listed("People", "people", "Say who may sign in with a password."),
    "service": Listed("People", "people", "Make API tokens for programs, and revoke them."),
    "issuer": Listed("People", "people", "Say which OIDC issuers' people are known."),
    "doctor": Listed(
        "Running",
        "doctor",
        "Check clock, ports both ways, DHT, tracker, store, disk and certificates; each with its remedy.",
    ),
    "top": Listed(
        "Running",
        "watching",
        "Show the rollouts of the swarm as they go on: who is behind, why, and what the origin gives.",
    ),
    "events": Listed(
        "Running",
        "watching",
        "Show what has happened in the swarm: joins, deaths, moves of tags, rollouts, alerts; newest last.",
    ),
    "support-bundle": Listed(
        "Running",
        "support",
        "Write what somebody needs to help into one file, without secrets: open it in a browser, or send it.",
    ),
    "alerts": Listed(
        "Running", "alerts", "Show what is wrong with the swarm, what to do about it, and what is silenced."
    ),
    "status": Listed("Running", "status", "Show what this peer does, holds and waits for."),
    "demo": Listed(
        "Running", "demo.command", "Show a swarm of processes at work on this machine, and where its dashboard is."
    ),
    "publish": Listed("Data", "data", "Publish a directory or file under one or more tags: all of them move, or none."),
    "pull": Listed("Data", "data", "Bring a version into a directory; what is there already is reused."),
    "cat": Listed("Data", "data", "Write one file of a version to standard output."),
    "ls": Listed("Data", "data", "List the datasets, or the files of a version."),
    "inspect": Listed("Data", "tags", "Show what is known of one version."),
    "explain": Listed("Data", "explain", "Tell who has a version's blocks, and where the time of its last pull went."),
    "history": Listed("Data", "tags", "Show the log of a dataset, newest last."),
    "bisect": Listed("Data", "bisect", "Find the first version of a tag for which CMD fails, halving those between."),
    "tag": Listed("Data", "tags", "Give a version other names: all of them, or none."),
    "rollback": Listed("Data", "tags", "Let a tag point to the version that it had before."),
    "rollout": Listed("Data", "rolling", "Let a version out in stages: see how that goes, and steer it."),
    "wait": Listed("Data", "rolling", "Wait until a share of the peers has what NAME:TAG means now."),
    "rm": Listed("Data", "tags", "Remove tags, all or none; their versions stay in the history."),
    "keep": Listed("Data", "retention", "Say which versions of a dataset are kept; without options, show it."),
    "pin": Listed("Data", "retention", "Keep a version, whatever the keep rule of its dataset says."),
    "unpin": Listed("Data", "retention", "Leave a version that was pinned to the keep rule."),
    "quota": Listed(
        "Store", "retention", "Limit what a scope's datasets take in the object store; without a limit, show it."
    ),
    "gc": Listed("Store", "retention", "Remove from the object store what no version needs that is kept."),
    "purge": Listed("Store", "retention", "Remove a version everywhere, for good; on a tracker's home."),
    "subscribe": Listed("Data", "following", "Keep DIR/current at the version that REF means, switched atomically."),
    "unsubscribe": Listed("Data", "following", "Follow a reference no longer; DIR stays as it is."),
    "subscriptions": Listed("Data", "following", "List what this home follows, and how that stands."),
    "sync": Listed("Data", "syncing", "Make this home follow what FILE lists."),
    "mount": Listed("Data", "mounting", "Show the version that REF means at DIR, read-only, until it is unmounted."),
    "unmount": Listed("Data", "mounting", "End a mount; also one whose process has died."),
    "verify": Listed("Data", "data", "Compare a directory with a version, byte for byte."),
    "analyze": Listed("Data", "analyze", "Show what PATH would cost each consumer of REF, and what would cost less."),
    "stats": Listed("Data", "stats", "Show how a dataset performs: rollouts, who runs what, what of it is read."),
    "simulate": Listed(
        "Data", "simulate", "Forecast a rollout of REF or PATH: when peers have it, and what the origin gives."
    ),
    "diff": Listed("Data", "diff", "Compare two versions: files, bytes to fetch, where in its files it is new."),
    "export": Listed("Data", "carry", "Write a version into one file, for a site without a network."),
    "import": Listed("Data", "carry", "Keep and serve the version in a file, or publish it under a name."),
    "bench": Listed("About", "bench", "Measure what this machine can do, beside what its last publish reached."),
    "store": Listed("Store", "store", "Look after the object store."),
    "version": Listed("About", "about", "Show the version of the program and of its protocol."),
    "config": Listed("About", "about", "Show the settings."),
    "completion": Listed("About", "about", "Print the completion script of a shell."),
}


EXIT_CODES: Final = (
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 integrity, 7 unreachable, "
    "8 timed out or partial, 9 disk or quota, 130 interrupted."
)
# What an agent carries out has nothing to log here; ``perform`` starts logging when there is none.
UNLOGGED: Final = frozenset(name for name, listed in COMMANDS.items() if listed.section == "Data")


class OutputClosed(Exception):
    """Whoever read our standard output does not any more."""


class Interrupted(Exception):
    """Ctrl-C, or SIGTERM."""


class Commands(click.Group):
    """The commands, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        listed = COMMANDS.get(cmd_name)
        if listed is None:
            return None
        module = importlib.import_module(f"swarm.cli.{listed.module}")
        # ``import`` is a word of the language.
        command = getattr(module, cmd_name.replace("-", "_"), None) or getattr(module, f"{cmd_name}_", None)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, which would have to import all commands to name those that are written alike."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            alike = " or ".join(repr(name) for name in get_close_matches(args[0], COMMANDS))
            if not alike:
                raise
            raise click.UsageError(f"{error.message} Did you mean {alike}?", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. How a closed pipe and Ctrl-C end it is ours to say, not click's."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosed from error
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(listed.section for listed in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name, listed.line) for name, listed in COMMANDS.items() if listed.section == section]
                )


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.option("--version", "show_version", is_flag=True, help="Show the version.")
@options
@click.pass_context
def program_commands(context: click.Context, show_version: bool) -> None:
    """AetherFS: versioned directories, spread by the machines that use them."""
    if show_version:
        context.invoke(program_commands.get_command(context, "version"))  # type: ignore[arg-type]
        context.exit(0)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    program = context.ensure_object(Program)
    if program.debug or context.invoked_subcommand not in UNLOGGED:
        program.start_logging(warns=context.invoked_subcommand in ROLES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the result is its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown escaped rather than ending the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(given)
    finally:
        signal.signal(signal.SIGTERM, previous)


def run() -> NoReturn:
    """The console entry: ends the process with the exit code.

    A process that ran no event loop, as a command that an agent carries out, leaves nothing to end here, and is spared
    the interpreter's own clearing up; so is a tracker that has ended while a call of its waits for its object store.
    """
    exit_code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # That it cannot be written has been told. The interpreter would try once more, and end with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if "asyncio" not in sys.modules or _waits_for_store():
        os._exit(exit_code)
    sys.exit(exit_code)


def _waits_for_store() -> bool:
    """Whether a thread of a tracker is left. The interpreter would wait for it."""
    return any(thread.name.startswith("tracker-store") for thread in threading.enumerate())


def _run(given: Sequence[str]) -> int:
    program = Program()
    try:
        result = program_commands.main(given, prog_name="aetherfs", standalone_mode=False, obj=program)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (OutputClosed, BrokenPipeError):
        return _end_as_pipe_broken()
    except (Interrupted, KeyboardInterrupt, click.Abort):
        return _told(
            program,
            given,
            KeyboardInterrupt(": ".join(filter(None, ["interrupted", program.when_interrupted]))),
            EXIT_INTERRUPTED,
        )
    except click.UsageError as error:
        return _told(program, given, UsageError(_usage_line(error)), EXIT_USAGE)
    except click.ClickException as error:
        return _told(program, given, error, EXIT_FAILURE)
    except AetherError as error:
        return _told(program, given, error, error.exit_code)
    except OSError as error:
        known = _known(error)
        return _told(program, given, known, known.exit_code)
    except Exception as error:
        line = (
            f"a defect in the program ({type(error).__name__}: {error}): repeat with --debug and report what it prints"
        )
        return _told(program, given, AetherError(line), EXIT_FAILURE, cause=error)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _told(
    program: Program, given: Sequence[str], error: BaseException, exit_code: int, *, cause: BaseException | None = None
) -> int:
    """Print the one line; the traceback before it with --debug."""
    program.json = program.json or "--json" in given
    if program.debug or "--debug" in given:
        import traceback

        traceback.print_exception(cause or error)
    program.output.error(error, exit_code)
    return exit_code


def _usage_line(error: click.UsageError) -> str:
    """click's complaint as one line, and where help is."""
    path = error.ctx.command_path if error.ctx is not None else "aetherfs"
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and isinstance(error.ctx.command, click.Group):
        commands = error.ctx.command.list_commands(error.ctx)
        return f"what of {path}? Name one: {', '.join(commands)}; see `{path} --help`"
    return f"{error.format_message().rstrip('.')}; see `{path} --help`"


def _known(error: OSError) -> AetherError:
    """An error of the operating system that nothing closer to it has mapped."""
    what = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror or error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullError(f"{what}; free some space, then repeat the command")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(f"{what}; check the path")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return NotAllowedError(f"{what}; check the permissions of that path")
    return AetherError(f"{what}; see --debug for where it happened")


def _end_as_pipe_broken() -> int:
    """The reader of our output went away, as ``head`` does: end as any Unix program does, by SIGPIPE, in silence."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return 128 + signal.SIGPIPE


if __name__ == "__main__":
    run()
