"""Where a token comes from, and how long it may live."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from swarm.cli.enrol import read_token, read_token_file, seconds_of
from swarm.errors import NotFoundError, UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800), ("365d", 31_536_000)]
)
def test_lifetimes_are_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0h", "-1h", "1.5h", "1w", "h", "366d", "9999999999", "1h ", "١h"])
def test_odd_lifetimes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a lifetime"):
        seconds_of(text)


def test_a_token_is_taken_from_wherever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("aetherfs1.FILE\n", encoding="ascii")
    empty = io.StringIO()
    assert read_token("aetherfs1.ARG", "aetherfs1.VAR", empty) == "aetherfs1.ARG"
    assert read_token("-", None, io.StringIO(" aetherfs1.STDIN\n")) == "aetherfs1.STDIN"
    assert read_token(str(file), None, empty) == "aetherfs1.FILE"
    assert read_token(None, "aetherfs1.VAR\n", empty) == "aetherfs1.VAR"
    assert read_token("nonsense", None, empty) == "nonsense"


def test_no_token_at_all_is_a_slip() -> None:
    with pytest.raises(UsageError, match="no token was given"):
        read_token(None, None, io.StringIO())


def test_an_empty_source_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input holds no token"):
        read_token("-", None, io.StringIO("\n"))
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match="empty holds no token"):
        read_token_file(str(tmp_path / "empty"))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not there"):
        read_token(str(tmp_path / "none"), None, io.StringIO())


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    file.write_bytes(b"x" * 1_000_000)
    assert len(read_token_file(str(file))) < 10_000
