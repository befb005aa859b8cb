"""The dashboard's files: what is vendored is what the registry gave, and what is sent says what it is."""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import swarm
from swarm.alert_messages import RULES, RUNBOOKS
from swarm.errors import NotFoundError
from swarm.tracker.runbook_pages import INDEX, runbook_page
from swarm.tracker.web_files import STYLES, site

WEB = files("swarm.tracker").joinpath("web")


def test_what_is_vendored_is_what_was_published() -> None:
    vendor = WEB.joinpath("vendor")
    rows = [line.split() for line in vendor.joinpath("VENDORED.txt").read_text().splitlines()[2:]]
    assert {row[3] for row in rows} == {
        each.name for each in vendor.iterdir() if each.name.endswith((".js", ".css"))
    }, "each vendored file has a line"
    for package, _, _, name, digest in rows:
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest
        assert vendor.joinpath(f"LICENSE-{package}").is_file()


def test_every_module_finds_what_it_imports_and_nothing_from_outside() -> None:
    found = site().files
    for path, file in found.items():
        text = file.body.decode()
        if not path.endswith(".js"):
            continue
        for name in re.findall(r"""(?m)(?:^|\bfrom|\bimport\()\s*["']([^"']+\.js)["']""", text):
            assert name.startswith("."), f"{path} imports {name}"
            steps = [*path.split("/")[:-1], *name.split("/")]
            while ".." in steps:
                at = steps.index("..")
                del steps[at - 1 : at + 1]
            assert "/".join(step for step in steps if step != ".") in found, f"{path} imports {name}"
        if not path.startswith("vendor/"):
            assert "innerHTML" not in text, path
            assert "eval(" not in text, path


def test_an_installed_program_has_every_file_that_is_served() -> None:
    """What setuptools puts into a package: by its patterns, of which ``*`` ends at a slash."""
    root = Path(swarm.__file__).parent.parent
    data = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("swarm.tracker", "swarm.http"):
        folder = root.joinpath(*package.split("."))
        taken = {path for pattern in data[package] for path in folder.glob(pattern)}
        served = {path for path in folder.rglob("*") if path.suffix in (".js", ".css", ".svg", ".html", ".md", ".txt")}
        assert served and served <= taken


def test_each_alert_has_a_page_that_its_link_opens_and_nothing_else_is_there() -> None:
    listed = re.findall(r'href="(\w+)"', runbook_page(INDEX).decode())
    assert set(RULES) < set(listed)
    for name in listed:
        text = runbook_page(name).decode()
        assert f"<h1>{name}</h1>" in text and f'href="{RUNBOOKS}"' in text
        assert set(re.findall(r'href="(\w+)"', text)) <= set(listed), name
    # Runbooks are no pages of the dashboard: its router leaves a link alone that opens elsewhere.
    link = re.search(r"<a ([^>]*)href=.{0,4}/ui/runbooks/", site().files["pages/alerts/list.js"].body.decode())
    assert link is not None and 'target="_blank"' in link[1]
    for name in ("../README", "AetherfsNothing", "README.md", ""):
        with pytest.raises(NotFoundError):
            runbook_page(name)


def test_every_file_is_compressed_to_what_it_is() -> None:
    assert set(STYLES) <= set(site().files)
    for path, file in site().files.items():
        assert gzip.decompress(file.packed) == file.body, path
    assert b"{digest}" not in site().shell
