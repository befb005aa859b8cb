"""The command that finds out what keeps a home from doing well: with the process that runs on it, or without one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, Final

import click

from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import AetherError

# All checks of a process run side by side; a process that has just begun needs some seconds besides.
DEADLINE_S: Final = 30.0
EXIT_FAILURE: Final = 1


@click.command()
@setting_option("port_base", "N")
@setting_option("listen", "HOST")
@options
@pass_program
def doctor(program: Program) -> int:
    """Check clock, ports both ways, DHT, tracker, store, disk and certificates; each with its remedy.

    Exit code 1 if something fails. Without a process on this home a peer is started for it, on free ports.
    """
    result = findings(program)
    program.output.result(result, shown(result))
    return 0 if result["ok"] else EXIT_FAILURE


def findings(program: Program) -> dict[str, Any]:
    """What was found, as ``--json`` tells it."""
    has_agent = program.agent() is not None
    found = _asked(program) if has_agent else _without_process(program)
    return {"ok": all(each["state"] != "fail" for each in found), "agent": has_agent, "findings": found}


def _without_process(program: Program) -> list[dict[str, Any]]:
    """What a short-lived peer finds, and what it cannot know: that a tracker should run here, and over which store."""
    found = _ports_free(program)
    if not program.home.is_enrolled():
        return found + _asked(program)
    is_tracker = bool(program.home.swarm().store_key)
    if not is_tracker:
        found.append(_finding("running", "skip", "no process runs on this home: a peer was started for these checks"))
        return found + _asked(program)
    remedy = "start it: aetherfs up -d, or aetherfs tracker; if another home does that now, this one is not needed"
    found.append(_finding("running", "warn", "no process runs on this home, which is a tracker's", remedy))
    return found + [each for each in _asked(program) if each["check"] != "store"] + [_store(program)]


def _store(program: Program) -> dict[str, Any]:
    """That of the settings, which the tracker of this home would run over."""
    from swarm.peer.doctor import STORE_REMEDY

    place, told = program.settings.store, list[str]()

    def look() -> None:
        from swarm.cli.swarm_store import swarm_store

        try:
            with swarm_store(program):
                told.append("")
        except (AetherError, OSError) as error:
            told.append(str(error))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(DEADLINE_S)
    if told == [""]:
        return _finding("store", "ok", f"{place} answers")
    why = told[0] if told else f"{place} has not answered within {DEADLINE_S:.0f} s"
    return _finding("store", "fail", why, STORE_REMEDY)


def _asked(program: Program) -> list[dict[str, Any]]:
    """What the process finds, or a short-lived peer, or why there is neither."""
    told: list[dict[str, Any]] = []

    def ask() -> None:
        from swarm.cli.perform import perform

        try:
            told.extend(perform(program, "doctor", {})["findings"])
        except (AetherError, OSError) as error:
            told.append(_finding("peer", "fail", str(error), "see what the message says, then run the doctor again"))

    if program.agent() is None:
        # A peer of our own is ended in order, which a thread cannot promise; each of its checks has its deadline.
        ask()
        return told
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(DEADLINE_S)
    if asking.is_alive():
        why = f"the process on this home has not answered within {DEADLINE_S:.0f} s"
        return [_finding("peer", "fail", why, "see its log; end it with its pid and start it again")]
    return told


def _ports_free(program: Program) -> list[dict[str, Any]]:
    """Whether what a process of this home would listen on is free."""
    settings = program.settings
    if not settings.port_base:
        return []
    taken = [port for port in range(settings.port_base, settings.port_base + 3) if not _is_free(settings.listen, port)]
    if taken:
        ports = ", ".join(map(str, taken))
        remedy = "end what listens there, or take another --port-base"
        return [_finding("listen", "warn", f"taken on {settings.listen}: {ports}", remedy)]
    return [_finding("listen", "ok", f"ports {settings.port_base} to {settings.port_base + 2} are free")]


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True


def _finding(check: str, state: str, found: str, remedy: str = "") -> dict[str, Any]:
    return {"check": check, "state": state, "found": found, "remedy": remedy}


def shown(result: Mapping[str, Any]) -> Iterable[str]:
    """A line a check, and under it what to do."""
    for each in result["findings"]:
        yield f"{each['state']:4}  {each['check']:12}  {each['found']}"
        if each["remedy"]:
            yield f"{'':20}-> {each['remedy']}"
