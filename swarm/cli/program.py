"""One invocation of the program: the flags given, the settings that follow, and where output goes.

``options`` puts the habits that every command shares on a command; ``setting_option`` makes the flag of one setting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from swarm.cli.output import Output
from swarm.config import Settings, load
from swarm.known_settings import SETTINGS
from swarm.standing import AgentInfo, agent_of

if TYPE_CHECKING:
    from swarm.home import Home

F = TypeVar("F", bound=Callable[..., Any])


class Program:
    """What the commands are given as ``click.Context.obj``."""

    def __init__(self) -> None:
        self.flags: dict[str, str] = {}
        self.config_file: str | None = None
        self.json = False
        self.quiet = False
        self.debug = False
        # What is said beside "interrupted", by who knows what an interruption leaves.
        self.when_interrupted = "repeat the command to go on where it was"

    @cached_property
    def settings(self) -> Settings:
        """Settings as they stand once all flags are read. Raises UsageError."""
        return load(self.flags, os.environ, self.config_file)

    @cached_property
    def output(self) -> Output:
        return Output(json=self.json, quiet=self.quiet, stdout=sys.stdout, stderr=sys.stderr)

    @property
    def home(self) -> Home:
        from swarm.cli.seal import seal_key_of
        from swarm.home import Home

        return Home(self.settings.home, lambda: seal_key_of(self.settings.seal_key))

    def start_logging(self, *, warns: bool = False) -> None:
        """Log errors to stderr; warnings too for who ``warns``, unless quiet; everything with --debug."""
        import logging

        from swarm.log_lines import formatter_of

        level = logging.DEBUG if self.debug else logging.WARNING if warns and not self.quiet else logging.ERROR
        if not logging.getLogger().handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(formatter_of("text"))
            logging.basicConfig(level=level, handlers=[handler])
        if self.debug:
            logging.getLogger().setLevel(level)

    def log_as_set(self) -> None:
        """Log as the settings say, once all of them are read: for processes that stay."""
        import logging

        from swarm.log_lines import formatter_of

        for handler in logging.getLogger().handlers:
            handler.setFormatter(formatter_of(self.settings.log_format))
        if self.settings.log_level and not self.debug:
            logging.getLogger().setLevel(self.settings.log_level.upper())

    def agent(self) -> AgentInfo | None:
        """The process that runs on the home, if one does."""
        return agent_of(self.settings.home)


pass_program = click.make_pass_decorator(Program)

# For every command that moves tags.
if_serial_option = click.option(
    "--if-serial",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only if no entry after N has moved these tags (`inspect` and `history` show N; 0: they never were).",
)


def options(function: F) -> F:
    """--json, --quiet, --debug, --config and --home, which every command takes."""
    for option in reversed(
        (
            click.option(
                "--json", "json", is_flag=True, expose_value=False, callback=_switch, help="Print one JSON object."
            ),
            click.option(
                "--quiet", "-q", "quiet", is_flag=True, expose_value=False, callback=_switch, help="No progress."
            ),
            click.option(
                "--debug", "debug", is_flag=True, expose_value=False, callback=_switch, help="Logs, tracebacks."
            ),
            click.option(
                "--config", metavar="FILE", expose_value=False, callback=_config, help="Read settings from FILE."
            ),
            click.option(
                "--home", metavar="DIR", expose_value=False, callback=_flag, help="State folder (AETHERFS_HOME)."
            ),
        )
    ):
        function = option(function)
    return function


def setting_option(name: str, metavar: str) -> Callable[[F], F]:
    """The flag of a setting; whether its value is well-formed is judged with all others."""
    meaning = next(setting.meaning for setting in SETTINGS if setting.name == name)
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        metavar=metavar,
        expose_value=False,
        callback=_flag,
        help=f"{meaning[0].upper()}{meaning[1:]}.",
    )


def signer_options(function: F) -> F:
    """For every command that reads a version."""
    return setting_option("require_signer", "KEY")(setting_option("signer_moves", "WHO")(function))


def _program(context: click.Context) -> Program:
    return context.ensure_object(Program)


def _switch(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and parameter.name is not None:
        program = _program(context)
        setattr(program, parameter.name, True)
        if parameter.name == "debug":
            # Behind the command's name it is read when logging has begun without it.
            program.start_logging()


def _config(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        _program(context).config_file = value


def _flag(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and parameter.name is not None:
        _program(context).flags[parameter.name] = value
