"""The command bisect: which version of a tag was the first for which a command of the user's fails."""

from __future__ import annotations

import contextlib
import hashlib
import json as json_format
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from swarm.cli.halving import Found, Look, Verdict, next_look
from swarm.cli.output import moment, short, size
from swarm.cli.program import Program, options, pass_program, signer_options
from swarm.errors import AetherError, IncompleteError, NotAllowedError, NotFoundError, UsageError
from swarm.limits import HISTORY_MAX

SKIPPED_BY: Final = 125
# From here on a shell tells of a signal: the command was stopped, and says nothing of the version.
SIGNALLED_FROM: Final = 128
KNOWN_KEPT: Final = 20
FOLDER: Final = "bisect"


@click.command()
@click.argument("name", metavar="NAME:TAG")
@click.option(
    "--good",
    required=True,
    metavar="REF",
    help="A version for which CMD succeeds: REF, a tag of the same dataset, or a serial.",
)
@click.option("--bad", metavar="REF", help="A later one for which it fails; the current one, if not given.")
@click.option("--dir", "directory", metavar="DIR", help="Where versions are put; below the home, if not given.")
@click.option("--trust-ends", is_flag=True, help="Do not try CMD on the good and the bad version first.")
@click.option("--again", is_flag=True, help="Forget what an earlier bisect with the same CMD has found.")
@click.argument("command", metavar="-- CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@signer_options
@options
@pass_program
def bisect(
    program: Program,
    name: str,
    good: str,
    bad: str | None,
    directory: str | None,
    trust_ends: bool,
    again: bool,
    command: tuple[str, ...],
) -> None:
    """Find the first version of a tag for which CMD fails, halving those between.

    CMD is tried on the bad and the good version first, since a mistake there would cost the whole search.

    CMD runs where it was typed, with each version's directory in place of {} in its words, and in AETHERFS_PATH;
    AETHERFS_REF, _VERSION and _SERIAL tell more. It ends with 0 for a good version, 125 for one that cannot be judged,
    128 or more to stop, and anything else for a bad one. What it prints goes to stderr. Only what differs from the
    version before is fetched. Versions that were purged are skipped. Repeated after an interruption it goes on where
    it was. Ends with 8 where skipped versions leave several that may be the first bad one.
    """
    from swarm.cli.perform import perform
    from swarm.cli.references import new_name

    tag = new_name(name)
    told = perform(program, "history", {"ref": tag})
    entries, versions = told["entries"], versions_of(told["entries"])
    if told.get("has_earlier"):
        program.output.note(f"bisect: only the last {HISTORY_MAX} entries of this long log are looked at")
    ends = [_at(program, tag, text, entries, versions) for text in (good, bad or tag)]
    chosen = between(versions, *ends, is_now=not bad)
    known = Known(program.settings.home / FOLDER, tag, command)
    if again:
        known.forget()
    target = Path(directory).absolute() if directory is not None else known.directory
    trial = Trial(program, tag, known, target, command)
    if not trust_ends:
        trial.check_ends(chosen[0], chosen[-1])
    result = _halved(trial, chosen)
    if directory is None:
        shutil.rmtree(target, ignore_errors=True)  # whoever removes a directory that was pulled does the same
    program.output.result(result, _lines(result))
    if len(result["suspects"]) > 1:
        raise IncompleteError(
            f"{len(result['suspects'])} versions may be the first bad one: those between were skipped"
        )


def versions_of(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The versions of a tag in the order in which it first pointed to them."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for move in entry["moves"]:
            if move["version"] is not None:
                told = {key: entry[key] for key in ("serial", "time", "publisher", "message", "bytes")}
                found.setdefault(move["version"], {"version": move["version"], **told})
    return list(found.values())


def between(versions: Sequence[dict[str, Any]], good: int, bad: int, *, is_now: bool = False) -> list[dict[str, Any]]:
    """From the good one to the bad one. UsageError where that is not after it. ``is_now``: the bad one was not named,
    but is what the tag points to.
    """
    if bad > good:
        return list(versions[good : bad + 1])
    last = versions[-1]
    if is_now and bad < len(versions) - 1:
        raise UsageError(
            f"the tag is back at {_called(versions[bad])}, which is not after the good version: name a bad one, such "
            f"as the last that was published: --bad {last['serial']}"
        )
    if good == bad:
        raise UsageError(f"the good and the bad version are the same, {_called(versions[bad])}: name another")
    raise UsageError(
        f"the good version, {_called(versions[good])}, came after the bad one, {_called(versions[bad])}: bisect looks "
        "for the first bad one after a good one"
    )


def _called(version: Mapping[str, Any]) -> str:
    return f"{short(version['version'])} (serial {version['serial']})"


def at_serial(
    tag: str, serial: int, entries: Sequence[Mapping[str, Any]], versions: Sequence[Mapping[str, Any]]
) -> int:
    """The version that the tag pointed to from an entry on: one that goes back names an older one. NotFoundError."""
    moved = [
        move["version"]
        for entry in entries
        if entry["serial"] <= serial <= entries[-1]["serial"]
        for move in entry["moves"]
        if move["version"] is not None
    ]
    if not moved:
        raise NotFoundError(f"{tag} has no entry {serial}: see `aetherfs history {tag}`")
    return [version["version"] for version in versions].index(moved[-1])


def _at(
    program: Program,
    tag: str,
    text: str,
    entries: Sequence[Mapping[str, Any]],
    versions: Sequence[Mapping[str, Any]],
) -> int:
    """Which of the versions is meant: by a serial of the tag's history, or a reference."""
    from swarm.cli.perform import perform
    from swarm.cli.references import whole

    if text.isascii() and text.isdigit():
        return at_serial(tag, int(text), entries, versions)
    if not set(text) & set(":@/"):
        text = f"{tag.rpartition(':')[0]}:{text}"  # no other dataset can be meant
    version = perform(program, "inspect", {"ref": whole(program, text)})["version"]
    for at, each in enumerate(versions):
        if each["version"] == version:
            return at
    raise NotFoundError(f"{tag} was never {text} {short(version)}: see `aetherfs history {tag}`")


class Known:
    """What earlier tries found, by version: kept in the home for the same tag and command."""

    def __init__(self, folder: Path, tag: str, command: Sequence[str]) -> None:
        id = hashlib.sha256(json_format.dumps([tag, os.getcwd(), *command]).encode()).hexdigest()[:16]
        self.directory = folder / id
        self._path = folder / f"{id}.json"
        self.verdicts: dict[str, Verdict] = {}
        with contextlib.suppress(OSError, ValueError):
            read = json_format.loads(self._path.read_bytes())
            self.verdicts = {version: said for version, said in read.items() if said in ("good", "bad", "skip")}

    def add(self, version: str, verdict: Verdict) -> None:
        self.verdicts[version] = verdict
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json_format.dumps(self.verdicts))
        os.replace(temporary, self._path)
        others = sorted(self._path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[KNOWN_KEPT:]:
            path.unlink(missing_ok=True)

    def forget(self) -> None:
        self.verdicts = {}
        self._path.unlink(missing_ok=True)


class Trial:
    """Runs the command on versions; ``steps`` are those that it was run on, and what came of it."""

    def __init__(self, program: Program, tag: str, known: Known, target: Path, command: Sequence[str]) -> None:
        self.tag = tag
        self.known = known
        self.steps: list[dict[str, Any]] = []
        self._program = program
        self._target = target
        self._command = command

    def check_ends(self, good: Mapping[str, Any], bad: Mapping[str, Any]) -> None:
        """UsageError where the command does not fail for the bad one, or fails for the good one."""
        for each, said, other in ((bad, "bad", "good"), (good, "good", "bad")):
            before = self.known.verdicts.get(each["version"])
            if before is None:
                self.note(f"bisect: first the {said} one itself: {_named(each)}")
                before = self.judge(each, said)
            if before == other:
                raise UsageError(_wrong_end(each, said, self.steps[-1:]))
            if before == "skip":
                self.note(f"bisect: it is taken to be {said}, as you say")

    def judge(self, each: Mapping[str, Any], expected: str = "") -> Verdict:
        """Bring one version and run the command on it. What is not as it was ``expected`` is not remembered: the
        command may be wrong.
        """
        step = _judged(self._program, self.tag, each, self._target, self._command)
        verdict: Verdict = step["verdict"]
        if expected in ("", verdict):
            self.known.add(each["version"], verdict)
        self.steps.append(step)
        return verdict

    def note(self, text: str) -> None:
        self._program.output.note(text)


def _wrong_end(each: Mapping[str, Any], said: str, last: Sequence[Mapping[str, Any]]) -> str:
    """``last``: the step by which that is known now."""
    if not last or last[0]["version"] != each["version"]:
        return (
            f"{_called(each)} was found to be {'good' if said == 'bad' else 'bad'} before, and is not {said}: name "
            "another, or forget that with --again"
        )
    ended = f"the command ends with {last[0]['exit_code']} for {_called(each)}, so that is not {said}"
    if said == "bad":
        return f"{ended}: name a later one with --bad, or a command that fails for it"
    return f"{ended}: name an earlier one with --good, or see whether the command itself is right"


def _halved(trial: Trial, chosen: list[dict[str, Any]]) -> dict[str, Any]:
    while True:
        verdicts: list[Verdict | None] = [trial.known.verdicts.get(each["version"]) for each in chosen]
        verdicts[0], verdicts[-1] = "good", "bad"
        look = next_look(verdicts)
        if isinstance(look, Found):
            break
        trial.note(_next(look, chosen[look.at]))
        trial.judge(chosen[look.at])
    suspects = [chosen[at] for at in look.suspects]
    return {
        "ref": trial.tag,
        "good": chosen[look.suspects[0] - 1],
        "bad": suspects[-1],
        "first_bad": suspects[0] if len(suspects) == 1 else None,
        "suspects": suspects,
        "versions": len(chosen),
        "steps": trial.steps,
        "skipped": [e["version"] for e, verdict in zip(chosen, verdicts, strict=True) if verdict == "skip"],
    }


def _next(look: Look, each: Mapping[str, Any]) -> str:
    steps = max(1, math.ceil(math.log2(look.left)))
    return f"bisect: {look.left} may be the first bad one, about {steps} more to try: {_named(each)}"


def _judged(
    program: Program, tag: str, each: Mapping[str, Any], target: Path, command: Sequence[str]
) -> dict[str, Any]:
    """Bring one version and run the command on it."""
    from swarm.cli.perform import perform

    version, started = str(each["version"]), time.monotonic()
    told = {"version": version, "serial": each["serial"], "exit_code": None, "fetched": 0}
    ref = f"{tag.partition(':')[0]}@{version}"
    try:
        pulled = perform(program, "pull", {"ref": ref, "directory": str(target), "include": [], "force": True})
    except (NotFoundError, NotAllowedError) as error:
        program.output.note(f"bisect: skipped, as it is not to be had: {error}")
        return {**told, "verdict": "skip", "seconds": round(time.monotonic() - started, 3)}
    code = run_on(command, target, {"AETHERFS_REF": ref, "AETHERFS_VERSION": version}, int(each["serial"]))
    verdict: Verdict = "good" if code == 0 else "skip" if code == SKIPPED_BY else "bad"
    program.output.note(f"bisect: {verdict} (it ended with {code})")
    fetched = pulled["from"]["peers"] + pulled["from"]["origin"]
    seconds = round(time.monotonic() - started, 3)
    return {**told, "verdict": verdict, "exit_code": code, "fetched": fetched, "seconds": seconds}


def run_on(command: Sequence[str], directory: Path, told: Mapping[str, str], serial: int) -> int:
    """The exit code of the command on a version. AetherError if it was stopped, or cannot be run."""
    words = [word.replace("{}", str(directory)) for word in command]
    environment = {**os.environ, **told, "AETHERFS_PATH": str(directory), "AETHERFS_SERIAL": str(serial)}
    sys.stderr.flush()
    try:
        # What it prints is no result of ours.
        code = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        ).returncode
    except OSError as error:
        raise AetherError(f"{words[0]!r} cannot be run: {error.strerror}; nothing is said of the version") from error
    if code in (-signal.SIGINT, SIGNALLED_FROM + signal.SIGINT):
        raise KeyboardInterrupt
    if code < 0 or code >= SIGNALLED_FROM:
        raise AetherError(f"the command was stopped ({code}): repeat bisect to go on where it was")
    return code


def _lines(result: Mapping[str, Any]) -> Iterable[str]:
    first = result["first_bad"]
    if first is not None:
        yield f"the first bad version is {_named(first)}"
    else:
        yield "the first bad version is one of these:"
        yield from (f"  {_named(each)}" for each in result["suspects"])
    yield f"the last good one before is {_named(result['good'])}"
    if first is not None:
        name = result["ref"].partition(":")[0]
        yield f"see `aetherfs diff {name}@{short(result['good']['version'])} {name}@{short(first['version'])}`"


def _named(each: Mapping[str, Any]) -> str:
    weight = f", {size(each['bytes'])}" if each.get("bytes") is not None else ""
    message = f": {each['message']}" if each["message"] else ""
    who = f"{moment(each['time'])}, by {each['publisher'][:8]}"
    return f"{short(each['version'])} (serial {each['serial']}, {who}{weight}){message}"
