"""Lines of the log: one object each, with what they are about, and never with a secret."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from swarm.log_lines import JsonLines, TextLines, about, request_id, request_id_of, without_secrets


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("aetherfs.test", logging.WARNING, __file__, 1, message, arguments, info)


def test_a_line_is_one_object_whatever_a_message_holds() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as caught:
        line = JsonLines().format(record('a "name"\n\x1b[31m %s', "\u2028", error=caught))
    assert "\n" not in line
    read = json.loads(line)
    assert read["message"] == 'a "name"\n\x1b[31m \u2028'
    assert (read["level"], read["logger"]) == ("warning", "aetherfs.test")
    assert read["at"].endswith("Z")
    assert "ValueError: two\nlines" in read["error"]


def test_what_it_is_about_is_said_once_and_goes_on_in_tasks_and_ends() -> None:
    async def main() -> None:
        with about(request_id="r1", dataset="maps/roads", peer=""):
            line = await asyncio.create_task(later())
            assert request_id() == "r1"
        assert json.loads(line)["dataset"] == "maps/roads"
        assert "peer" not in json.loads(line)
        assert "request_id" not in json.loads(await later())

    async def later() -> str:
        return JsonLines().format(record("within"))

    asyncio.run(main())


def test_people_read_it_at_the_end_of_the_line() -> None:
    with about(dataset="maps/roads"):
        assert TextLines().format(record("moved")).endswith("WARNING aetherfs.test: moved dataset=maps/roads")


def test_what_a_stranger_put_into_a_message_neither_begins_a_line_nor_drives_a_terminal() -> None:
    came = "x\n2026-11-26 WARNING aetherfs.audit: forged\r\x1b[2J\u202e\u2028"
    try:
        raise ValueError("why")
    except ValueError as caught:
        shown = TextLines().format(record("it sent %s", came, error=caught))
    line, *traceback = shown.splitlines()
    assert line.endswith(r"it sent x\n2026-11-26 WARNING aetherfs.audit: forged\r\x1b[2J\u202e\u2028")
    assert traceback[0].startswith("Traceback")
    assert len(TextLines().format(record("a" * 100_000))) < 9_000


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ("join aetherfs1.AbCdEfGhIjKlMn now", "AbCdEfGhIjKlMn"),
        ("it was given:\naetherfs1.AbCdEfGhIjKlMn\n", "AbCdEfGhIjKlMn"),
        ("Authorization:\tBearer\tabc.def-ghi", "abc.def-ghi"),
        ("it holds aetherfs-secret1.AbCdEfGhIjKl", "AbCdEfGhIjKl"),
        ("https://user:hunter2hunter2@host/x", "hunter2"),
    ],
)
def test_what_looks_like_a_secret_is_in_no_line(text: str, secret: str) -> None:
    for line in (without_secrets(text), JsonLines().format(record(text)), TextLines().format(record(text))):
        assert secret not in line
        assert "[removed]" in line


def test_what_is_no_secret_stays() -> None:
    for text in ("a bearer of news", "maps/roads:v1", "https://host:7070/x@y", "basic idea"):
        assert without_secrets(text) == text


@pytest.mark.parametrize("given", ["a", "4bf92f3577b34da6", "A.b_c-9", "x" * 64])
def test_a_good_id_is_taken(given: str) -> None:
    assert request_id_of(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\r\nSet-Cookie: x", "-x", "ä", 'a"', "\x00"])
def test_another_is_replaced(given: str | None) -> None:
    made = request_id_of(given)
    assert made != given
    assert len(made) == 16
