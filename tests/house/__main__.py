"""``python -m tests.house``: format, lint, types, layers and house rules over every file of the project. Exit 1 on
any offence.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.__main__ import bench
from swarm.cli.main import COMMANDS
from tests.house.project import codemap, commands_told, make_targets, top_level
from tests.house.rules import offences

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
PACKAGES = ("swarm", "seed", "tests", "bench")
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docker/README.md", "bench/README.md")
CHECKS = (
    ("format", (str(BIN / "ruff"), "format", "--check", "--quiet", *PACKAGES)),
    ("lint", (str(BIN / "ruff"), "check", "--quiet", *PACKAGES)),
    ("types", (sys.executable, "-m", "mypy", "--no-error-summary", *PACKAGES)),
    ("layers", (str(BIN / "lint-imports"),)),
)


def project_files() -> list[str]:
    """Tracked files and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in set(listed.stdout.splitlines()) if (ROOT / name).is_file())


def house() -> list[str]:
    """The offences against the house rules."""
    names = project_files()
    existing = existing_commands()
    found = list(top_level(names))
    for page in (*PAGES, *(name for name in names if name.startswith("docs/") and name.endswith(".md"))):
        found += commands_told(page, (ROOT / page).read_text(), existing)
    found += codemap((ROOT / "ARCHITECTURE.md").read_text(), names)
    for name in names:
        try:
            found += offences(name, (ROOT / name).read_text())
        except UnicodeDecodeError:
            continue  # a picture or another binary
    return found


def existing_commands() -> set[tuple[str, str]]:
    """What a reader can type."""
    found = make_targets((ROOT / "Makefile").read_text())
    found |= {("aetherfs", name) for name in COMMANDS}
    return found | {("python -m bench", name) for name in bench.commands}


def main() -> int:
    """Run every check, also after one has failed."""
    failed = []
    for name, command in CHECKS:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{name:8} {'ok' if run.returncode == 0 else 'FAILED'}", flush=True)
        if run.returncode:
            failed.append(name)
            print(run.stdout + run.stderr)
    rules = house()
    print(f"{'house':8} {'FAILED' if rules else 'ok'}")
    print("\n".join(rules), end="\n" if rules else "")
    return 1 if failed or rules else 0


if __name__ == "__main__":
    sys.exit(main())
