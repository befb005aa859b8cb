"""The swarm secret as a file: whole or not at all, once, and for its owner alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swarm import config
from swarm.at_rest import parse_seal_key
from swarm.cli.main import main
from swarm.cli.secret import made_store_key, passphrase_of, store_key_in, write_secret
from swarm.errors import AetherError, NotFoundError, UsageError
from swarm.secret_text import PASSPHRASE_VARIABLE, format_secret


def test_a_file_is_written_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    assert write_secret(path, format_secret(bytes(32)))
    assert path.stat().st_mode & 0o777 == 0o600
    assert not write_secret(path, format_secret(bytes(range(32))))
    assert store_key_in(path, b"") == bytes(32)
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_all_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: made_store_key(tmp_path / "secret", b""), range(16)))) == 1
    assert made_store_key(tmp_path / "sealed", b"p") == store_key_in(tmp_path / "sealed", b"p")


def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not there"):
        store_key_in(tmp_path / "none", b"")
    with pytest.raises(AetherError, match="cannot read"):
        store_key_in(tmp_path, b"")
    (tmp_path / "cut").write_text(format_secret(bytes(32))[:-5])
    with pytest.raises(UsageError, match="mutilated"):
        store_key_in(tmp_path / "cut", b"")
    (tmp_path / "cut").write_bytes(b"\xff\xfe garbage")
    with pytest.raises(UsageError, match="not a swarm secret"):
        store_key_in(tmp_path / "cut", b"")


def test_an_open_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, text in (("open", format_secret(bytes(32))), ("sealed", format_secret(bytes(32), b"p"))):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
        assert store_key_in(tmp_path / name, b"p") == bytes(32)
    assert [record.args for record in caplog.records] == [(tmp_path / "open",)]


def test_the_passphrase_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = config.load({"home": str(tmp_path)}, {})
    assert passphrase_of(plain) == b""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "of the environment")
    assert passphrase_of(plain) == b"of the environment"
    (tmp_path / "words").write_bytes(b"of the file\r\n")
    named = config.load({"home": str(tmp_path), "passphrase_file": str(tmp_path / "words")}, {})
    assert passphrase_of(named) == b"of the file"
    (tmp_path / "words").write_bytes(b"\n")
    with pytest.raises(UsageError, match="is empty"):
        passphrase_of(named)


def test_a_seal_key_is_printed_where_no_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["seal", "new", "-"]) == 0
    printed = capsys.readouterr().out
    assert parse_seal_key(printed).id and printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
