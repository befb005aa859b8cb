"""Budgets: what is over a limit, and how a file says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.amounts import bytes_of, rate_of, share_of, span_of
from swarm.errors import UsageError
from swarm.publish_budget import Budget, Figures, judged
from swarm.wants import parse_file

FILE = Path("somewhere/aetherfs.toml")


def broken(budget: Budget, figures: Figures) -> list[str]:
    return [line.what for line in judged(budget, figures) if not line.is_kept]


def test_each_limit_holds_at_its_edge_and_breaks_beyond() -> None:
    budget = Budget(size_bytes=1000, files=3, delta_share=0.1, delta_floor_bytes=50, time_s=2, link_bytes_per_s=60.0)
    assert broken(budget, Figures(1000, 3, 100)) == []
    assert broken(budget, Figures(1001, 3, 100)) == ["size"]
    assert broken(budget, Figures(1000, 4, 100)) == ["files"]
    assert broken(budget, Figures(1000, 3, 101)) == ["delta"]
    assert broken(budget, Figures(1000, 3, 121)) == ["delta", "time"]


def words_of_time(budget: Budget, fetch_bytes: int, fetch_s: float | None = None) -> str:
    (line,) = judged(budget, Figures(10**9, 1, fetch_bytes, fetch_s))
    return line.words


def test_a_time_is_told_in_a_unit_that_says_something_and_how_it_is_known() -> None:
    budget = Budget(time_s=600, link_bytes_per_s=6.25e6)
    assert words_of_time(budget, 2_000_000, 1.96) == (
        "a consumer of the version before has it after 2 s at 50 mbit/s, as simulated (at most 10 min)"
    )
    assert "after less than 1 s at 50 mbit/s, by the line alone" in words_of_time(budget, 2000)
    assert "after 13 min 20 s at 50 mbit/s" in words_of_time(budget, 5 * 10**9)
    assert "after 2 h 5 min at" in words_of_time(budget, 1, 7500.0)
    many = Budget(time_s=90, link_bytes_per_s=6.25e6, peers=16)
    assert words_of_time(many, 1, 100.0).startswith(
        "95% of 16 consumers of the version before have it after 1 min 40 s at 50 mbit/s each, as simulated"
    )
    assert broken(many, Figures(1, 1, 1, 90.0)) == [] and broken(many, Figures(1, 1, 1, 90.1)) == ["time"]


def test_the_floor_is_never_too_much() -> None:
    budget = Budget(delta_share=0.01, delta_floor_bytes=500)
    assert broken(budget, Figures(1000, 1, 500)) == []
    assert broken(budget, Figures(1000, 1, 501)) == ["delta"]
    assert broken(Budget(delta_share=0.0, delta_floor_bytes=0), Figures(0, 0, 0)) == []


def test_nothing_is_said_of_consumers_where_there_are_none() -> None:
    assert judged(Budget(delta_share=0.0, time_s=0), Figures(10, 1, None)) == []
    assert judged(Budget(), Figures(10, 1, 10)) == []


def test_a_file_says_all_of_it() -> None:
    text = b"""
[[subscription]]
ref = "maps/roads:stable"
directory = "roads"
[publish]
validate = ["test -s a", "python check.py"]
[budget]
size = "20GB"
files = 100_000
delta = "2.5%"
delta_floor = "20MB"
time = "10m"
link = "50mbit"
peers = 16
"""
    file = parse_file(text, FILE)
    assert [wanted.ref for wanted in file.wants] == ["maps/roads:stable"]
    assert file.validate == ("test -s a", "python check.py")
    assert file.budget == Budget(20_000_000_000, 100_000, 0.025, 20_000_000, 600, 6_250_000.0, 16)
    assert parse_file(b"", FILE).budget is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[budget]\nsize = 'much'", "[budget] size: 'much' is not a number of bytes"),
        (b"[budget]\ndelta = '5'", "[budget] delta: '5' is no share"),
        (b"[budget]\ndelta = '101%'", "no share"),
        (b"[budget]\ntime = '5 minutes'", "[budget] time: '5 minutes' is not a time"),
        (b"[budget]\ntime = '5m'\nlink = 'fast'", "[budget] link: 'fast' is no rate"),
        (b"[budget]\ndelta_floor = '1MB'", "say with delta"),
        (b"[budget]\nlink = '1gbit'", "say with time"),
        (b"[budget]\npeers = 16", "say with time"),
        (b"[budget]\ntime = '5m'\npeers = 0", "peers"),
        (b"[budget]\ntime = '5m'\npeers = 101", "peers"),
        (b"[budget]\nfiles = -1", "files"),
        (b"[budget]\nsizes = 1", "sizes"),
        (b"[publish]\nvalidate = 'one'", "validate"),
        (b"[publish]\nvalidate = ['']", "validate"),
        (b"[other]\na = 1", "other"),
        (b"\xff", "aetherfs.toml"),
    ],
)
def test_what_a_file_may_not_say_is_told_with_its_place(text: bytes, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_file(text, FILE)
    assert said in str(caught.value)
    assert "aetherfs.toml" in str(caught.value)


def test_amounts_are_read_and_odd_ones_refused() -> None:
    assert (span_of("90s"), bytes_of("1.5MB"), rate_of("8mbit"), share_of("0.5%")) == (90, 1_500_000, 1e6, 0.005)
    for parse, text in ((span_of, "1w"), (bytes_of, "-1"), (rate_of, "0mbit"), (share_of, "-1%"), (share_of, "nan%")):
        with pytest.raises(UsageError):
            parse(text)
