"""``aetherfs.toml``: what it may hold, and how it says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.errors import UsageError
from swarm.subscription import Wanted
from swarm.wants import parse_wants

WHOLE = b"""
[[subscription]]
ref = "maps/roads:stable"
directory = "roads"
keep = 2
validate = "test -s index.csv"
hook = "reload"
include = ["eu/*"]

[[subscription]]
ref = "maps/rail"
directory = "/srv/rail"
"""


def test_what_is_listed_is_wanted(tmp_path: Path) -> None:
    assert parse_wants(WHOLE, tmp_path / "aetherfs.toml") == [
        Wanted(
            ref="maps/roads:stable",
            directory=str(tmp_path / "roads"),
            keep=2,
            validate="test -s index.csv",
            hook="reload",
            include=("eu/*",),
        ),
        Wanted(ref="maps/rail", directory="/srv/rail"),
    ]
    assert parse_wants(b"", tmp_path / "aetherfs.toml") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[subscription]]\nref = "x"\n', "missing required field `directory`"),
        ('[[subscription]]\nref = "x"\ndirectory = "d"\nkeeep = 1\n', "unknown field `keeep`"),
        ('[[subscription]]\nref = "x"\ndirectory = "d"\nkeep = -1\n', "keep"),
        ('[[subscription]]\nref = "x y"\ndirectory = "d"\n', "name"),
        ('[[subscription]]\nref = "x:1/a"\ndirectory = "d"\n', "whole versions"),
        ('[[subscription]]\nref = "x"\ndirectory = ""\n', "no directory"),
        ('[[subscription]]\nref = "x"\ndirectory = "d"\n' * 2, "one directory"),
        ('[[subscriptions]]\nref = "x"\n', "unknown field `subscriptions`"),
        ('[[subscription]]\nref = "x"\ndirectory = "d"\nrequire_signer = "me"\n', "signer is not known"),
        ("ref = ", "Invalid value"),
        ("\udcff", "invalid start byte"),
        ("#" * (1024 * 1024 + 1), "longer than"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        parse_wants(text.encode("utf-8", "surrogateescape"), tmp_path / "aetherfs.toml")
    assert str(refused.value).startswith(str(tmp_path / "aetherfs.toml"))
    assert "\n" not in str(refused.value)
