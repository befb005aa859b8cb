"""The rules about the whole project fire, and are silent on a project as it should be."""

from __future__ import annotations

from tests.house.__main__ import ROOT, house, project_files
from tests.house.project import TOP_LEVEL, codemap, commands_told, make_targets, top_level

EXISTING = {("make", "test"), ("aetherfs", "pull"), ("python -m bench", "pair")}


def test_the_project_offends_no_rule() -> None:
    assert house() == []


def test_ignored_files_are_not_looked_at() -> None:
    names = project_files()
    assert "pyproject.toml" in names
    assert not any(name.startswith((".venv/", ".mypy_cache/")) for name in names)


def test_a_stray_file_at_the_top_is_told() -> None:
    assert any("notes.txt" in line for line in top_level([*TOP_LEVEL, "notes.txt"]))


def test_a_missing_file_at_the_top_is_told() -> None:
    assert any("LICENSE" in line for line in top_level(TOP_LEVEL - {"LICENSE"}))


def test_hidden_files_are_free() -> None:
    assert list(top_level([*TOP_LEVEL, ".ci/run"])) == []


def test_a_command_that_does_not_exist_is_told() -> None:
    for text in ("    make tests\n", "use `aetherfs fetch`", "run `python -m bench race`\n", "aetherfs pulls x\n"):
        assert len(list(commands_told("README.md", text, EXISTING))) == 1, text


def test_commands_that_exist_pass() -> None:
    text = "`make test`, then\n\n    aetherfs pull maps/roads ./x\n\nor `python -m bench pair`; we make them.\n"
    assert list(commands_told("README.md", text, EXISTING)) == []


def test_the_targets_of_the_makefile_are_found() -> None:
    assert {("make", "test"), ("make", "demo"), ("make", "check")} <= make_targets((ROOT / "Makefile").read_text())


def test_a_room_that_is_gone_and_a_module_in_no_room_are_told() -> None:
    table = "\n## Codemap\n\n| room | holds |\n|---|---|\n| `swarm/a.py b_*.py`, `seed/sub/` | what |\n\n## Words\n"
    there = ["swarm/a.py", "swarm/b_1.py", "seed/sub/c.py", "swarm/__init__.py", "README.md"]
    assert list(codemap(table, there)) == []
    assert [line.split(" ")[1] for line in codemap(table, there[1:])] == ["swarm/a.py"]
    assert [line.split(":")[0] for line in codemap(table, [*there, "swarm/d.py"])] == ["swarm/d.py"]
    assert "blank line" in next(codemap(table.replace("|\n| `", "|\n\n| `"), there))
