"""The command that puts what somebody needs to help into one file: status, figures, doctor, log, events and settings.

A part that is not to be had says why. What looks like a secret is taken out of every text; keys and papers are not read
at all. The file is one HTML page that opens without a network; with a name that ends in ``.json`` the data alone.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

import swarm
from swarm.cli.output import size
from swarm.cli.program import Program, options, pass_program
from swarm.cli.support_page import page
from swarm.errors import AetherError, ConflictError, FullError
from swarm.log_lines import without_secrets

PART_DEADLINE_S: Final = 20.0
LOG_TAIL_BYTES: Final = 256 * 1024
TEXT_MAX_CHARS: Final = 2 * 1024 * 1024
EVENTS_S: Final = 6 * 3600
BUNDLE_MAX_BYTES: Final = 32 * 1024 * 1024
FIGURES: Final = ("overview", "rollouts", "origin", "flow", "dht", "peers")
# Settings whose value may itself be a secret: of a chat's address the path is one.
SECRET_SETTINGS: Final = frozenset({"alert_webhook", "seal_key"})

Part = Callable[[], Any]


@click.command(name="support-bundle")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options
@pass_program
def support_bundle(program: Program, file: Path) -> None:
    """Write what somebody needs to help into one file, without secrets: open it in a browser, or send it."""
    if file.exists():
        raise ConflictError(f"{file} is there already: name another file")
    parts = collected(program)
    shown = cleaned(parts)
    data = json.dumps(shown, ensure_ascii=True, indent=1, default=str)
    text = data if file.suffix == ".json" else page(parts["made"], shown, data)
    if len(text) > BUNDLE_MAX_BYTES:
        raise FullError(f"what was collected is longer than {size(BUNDLE_MAX_BYTES)}: look at the parts one by one")
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    missing = [name for name, part in parts.items() if isinstance(part, Mapping) and set(part) == {"not_collected"}]
    result = {"file": str(file), "bytes": len(text), "parts": sorted(parts), "missing": missing}
    told = f"; without {', '.join(missing)}, and it says why" if missing else ""
    program.output.result(result, [f"{file} holds {size(len(text))}{told}"])


def collected(program: Program) -> dict[str, Any]:
    """Every part, or why it is not there."""
    has_agent = program.agent() is not None
    parts: dict[str, Part] = {"settings": lambda: settings_shown(program), "log": lambda: log_tail(program)}
    if has_agent:
        parts |= asked_parts(program)
    found: dict[str, Any] = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": swarm.__version__,
        "machine": {"platform": platform.platform(), "python": sys.version.split()[0], "cpus": os.cpu_count()},
        "agent": has_agent,
        "doctor": _doctor(program),
    }
    return found | {name: _within(name, part) for name, part in parts.items()}


def asked_parts(program: Program) -> dict[str, Part]:
    """What the process on this home tells."""
    from swarm.cli.perform import perform
    from swarm.cli.watching import EVENTS_PAGE, figures

    def events() -> Any:
        return figures(program, "events", since=f"{time.time() - EVENTS_S:.0f}", limit=str(EVENTS_PAGE))

    parts: dict[str, Part] = {
        "status": lambda: perform(program, "status", {}),
        "subscriptions": lambda: perform(program, "subscriptions", {}),
        "alerts": lambda: perform(program, "alerts", {}),
        "events": events,
        "metrics": lambda: _text_of(program, "/metrics"),
        "readiness": lambda: _text_of(program, "/readyz?verbose"),
    }
    return parts | {f"figures/{name}": (lambda name=name: figures(program, name)) for name in FIGURES}


def _doctor(program: Program) -> Any:
    from swarm.cli.doctor import findings

    return findings(program)


def _within(name: str, part: Part) -> Any:
    """The part, or why not; a process that hangs holds nothing up."""
    told: list[Any] = []

    def collect() -> None:
        try:
            told.append(part())
        except (AetherError, OSError) as error:
            told.append({"not_collected": str(error) or type(error).__name__})

    thread = threading.Thread(target=collect, daemon=True, name=f"support {name}")
    thread.start()
    thread.join(PART_DEADLINE_S)
    return told[0] if told else {"not_collected": f"it did not come within {PART_DEADLINE_S:.0f} s"}


def settings_shown(program: Program) -> dict[str, Any]:
    """Every setting and where it comes from; of what may be a secret only that it is set."""
    return {
        name: {"value": "(set)" if name in SECRET_SETTINGS and value else value, "origin": origin}
        for name, value, origin in program.settings.items()
    }


def log_tail(program: Program) -> str:
    """The end of the log of a process in the background."""
    from swarm.cli.running import LOG_NAME

    with (program.settings.home / LOG_NAME).open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - LOG_TAIL_BYTES))
        return file.read(LOG_TAIL_BYTES).decode("utf-8", "replace")


def _text_of(program: Program, path: str) -> str:
    from swarm.loopback import answer, ask, connect

    info = program.agent()
    if info is None:
        raise AetherError("the process has ended meanwhile")
    with connect(info.port, PART_DEADLINE_S) as connection:
        ask(connection, "GET", path, {})
        return answer(connection).body.read(TEXT_MAX_CHARS).decode("utf-8", "replace")


def cleaned(value: Any) -> Any:
    """The same without what looks like a secret."""
    if isinstance(value, str):
        return without_secrets(value[:TEXT_MAX_CHARS])
    if isinstance(value, Mapping):
        return {str(name): cleaned(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(part) for part in value]
    return value
