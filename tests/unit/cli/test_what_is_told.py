"""What messages, pages and documents tell a user to type is there: commands, their parts, and their flags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from swarm.cli.main import program_commands

ROOT: Final = Path(__file__).parents[3]
# Not the changelog: what a version could once do may be gone.
DOCUMENTS: Final = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "docker/README.md")
TOLD: Final = re.compile(r"\baetherfs ((?:[a-z][a-z-]*|-{1,2}[a-z])[^`<\n#\"]*)")
# What a shell, or a sentence, ends a command with.
ENDS: Final = frozenset({"|", "&&", ";", "--"})


def test_every_command_that_a_user_is_told_to_type_exists() -> None:
    places = [*(ROOT / name for name in DOCUMENTS)]
    for folder in ("swarm", "seed"):
        places += (path for ending in ("py", "js", "md") for path in (ROOT / folder).rglob(f"*.{ending}"))
    wrong = [f"{path.relative_to(ROOT)}: {each}" for path in places for each in mistaken(path.read_text())]
    assert not wrong, "\n".join(wrong)
    assert len(places) > 100


def test_what_does_not_exist_is_found() -> None:
    text = "`aetherfs store restore`, <code>aetherfs agent</code>, `aetherfs sync --prunes`, `aetherfs root sign --no`"
    assert list(mistaken(text)) == ["store restore", "agent", "sync --prunes", "root sign --no"]
    well = "`aetherfs root sign, root install`, `aetherfs pull REF DIR --include x | head -3`, `aetherfs --json ls`"
    assert list(mistaken(well)) == []


def mistaken(text: str) -> Iterator[str]:
    """The commands of a text that the program does not have, as far as that can be seen."""
    for told in TOLD.findall(text):
        # Of words that may stand for each other the first.
        words = [word.strip("[](){}'.,;:").partition("|")[0] or word for word in re.split(r"[\s=]+", told)]
        yield from _mistaken(program_commands, [word for word in words if word])


def _mistaken(command: click.Command, words: Sequence[str]) -> Iterator[str]:
    path: list[str] = []
    context = click.Context(command)
    for word in words:
        if word in ENDS:
            return
        if word.startswith("-"):
            if word.startswith("--") and word not in _flags(command):
                yield " ".join([*path, word])
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                if re.fullmatch("[a-z-]+", word):
                    yield " ".join([*path, word])
                return
            command, path = found, [*path, word]


def _flags(command: click.Command) -> set[str]:
    return {"--help"} | {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
