"""The support bundle: every part or why not, nothing secret, and one page that opens by itself."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path
from typing import Any

import pytest

from swarm.cli import support
from swarm.cli.main import main
from swarm.cli.program import Program
from swarm.cli.support import cleaned, settings_shown
from swarm.cli.support_page import ROWS_MAX, drawn, page


class Elements(html.parser.HTMLParser):
    """The names of elements, and the text in scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.script = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert not any(name in ("src", "href") or name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        if self.names[-1:] == ["script"]:
            self.script += data


HOSTILE: dict[str, Any] = {
    "made": "<b>",
    "status": {"name": "</script><script>alert(1)</script>"},
    "log": "<img src=x>",
}


def test_the_page_holds_what_others_named_as_text_and_the_data_whole() -> None:
    read = Elements()
    read.feed(page("<b>", HOSTILE, json.dumps(HOSTILE)))
    assert read.names.count("script") == 1
    assert "img" not in read.names and "b" not in read.names
    assert json.loads(read.script) == HOSTILE


def test_people_are_shown_tables_and_not_json() -> None:
    assert drawn({"peers": 1200, "away": [], "is_live": True}) == (
        "<table><tr><th scope=row>peers</th><td>1,200</td></tr><tr><th scope=row>away</th><td>–</td></tr>"
        "<tr><th scope=row>is_live</th><td>yes</td></tr></table>"
    )
    assert drawn([{"tag": "<b>"}, {"serial": 2}]) == (
        "<table><tr><th scope=col>tag</th><th scope=col>serial</th></tr><tr><td>&lt;b&gt;</td><td>–</td></tr>"
        "<tr><td>–</td><td>2</td></tr></table>"
    )
    assert (drawn(["a", "b"]), drawn([[1, 2], []])) == (
        "a, b",
        "<table><tr><td>1, 2</td></tr><tr><td>–</td></tr></table>",
    )
    assert (drawn(1_800_000_000.25), drawn(0.04)) == ("2027-01-15T08:00:00+00:00", "0.040")
    assert "and 2 more, in the data" in drawn([{"n": n} for n in range(ROWS_MAX + 2)])
    assert drawn({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}).count("<table>") == 7


def test_secrets_are_in_no_text_of_it() -> None:
    found = cleaned({"log": "join aetherfs1.AbCdEfGhIjKlMn", "deep": [{"x": ("Bearer abcdef123",)}], "n": 1})
    assert found == {"log": "join aetherfs1.[removed]", "deep": [{"x": ["Bearer [removed]"]}], "n": 1}
    program = Program()
    program.flags = {"home": "/nowhere", "alert_webhook": "https://chat.example/T0/s3cret"}
    assert settings_shown(program)["alert_webhook"] == {"value": "(set)", "origin": "flag --alert-webhook"}


def test_without_a_process_it_says_what_it_has_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bundle.json"
    home = tmp_path / "home"
    assert main(["support-bundle", str(file), "--json", "--home", str(home)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["missing"] == ["log"]
    assert file.stat().st_mode & 0o777 == 0o600
    bundle = json.loads(file.read_text())
    assert bundle["agent"] is False
    assert any("not enrolled" in each["found"] for each in bundle["doctor"]["findings"])
    assert main(["support-bundle", str(file), "--json", "--home", str(home)]) == 5
    capsys.readouterr()


def test_a_part_that_hangs_or_fails_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from swarm.errors import NotAllowedError

    held = threading.Event()

    def refused() -> None:
        raise NotAllowedError("not for you")

    assert support._within("no", refused) == {"not_collected": "not for you"}
    monkeypatch.setattr(support, "PART_DEADLINE_S", 0.05)
    assert "within" in support._within("slow", held.wait)["not_collected"]
    held.set()
