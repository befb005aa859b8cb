"""Paths and links that a manifest may hold, and those that it may not."""

from __future__ import annotations

import pytest

from swarm.errors import RemoteProtocolError
from swarm.limits import LINK_HOPS_MAX, LINK_TARGET_BYTES, PATH_BYTES, PATH_PARTS_MAX
from swarm.paths import check_link, check_links, check_path, fold, is_staging, leaving_links, shown

ODD_NAMES = [
    "a b",
    " leading and trailing ",
    "new\nline",
    "tab\tand\rreturn",
    "'single' and \"double\"",
    "-rf",
    "--help",
    "back\\slash",
    "*?[a]{b}$HOME`id`;&|<>",
    "#!~%00",
    "...",
    ".hidden",
    "..dots",
    "C:",
    "con",
    "emoji \U0001f30d\u200d\U0001f680",
    "\u00e9\u00df\u0130",
    "\u65e5\u672c\u8a9e",
    "\u202eright to left",
    "\x01\x7f",
    "\u00e9" * 127,
    "x" * 255,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(name: str) -> None:
    assert check_path(name) == name
    assert check_path(f"a/{name}/b") == f"a/{name}/b"
    assert "\n" not in shown(name)


def test_bounds_are_inclusive() -> None:
    check_path("/".join(["a"] * PATH_PARTS_MAX))
    check_path("/".join(["a" * 127] * 32))
    assert PATH_BYTES == 4096


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "empty part"),
        ("/", "not relative"),
        ("/etc/passwd", "not relative"),
        ("//etc", "not relative"),
        ("a/", "empty part"),
        ("a//b", "empty part"),
        (".", "empty part"),
        ("..", "empty part"),
        ("./a", "empty part"),
        ("a/.", "empty part"),
        ("a/./b", "empty part"),
        ("../a", "empty part"),
        ("a/..", "empty part"),
        ("a/../../b", "empty part"),
        ("a\0b", "NUL"),
        ("e\u0301", "normal form C"),
        ("a/\u212b", "normal form C"),
        ("\ud800", "not UTF-8"),
        ("a/b\udcff", "not UTF-8"),
        ("x" * 256, "part of more than"),
        ("\u00e9" * 128, "part of more than"),
        ("/".join(["a"] * (PATH_PARTS_MAX + 1)), "more than"),
        ("/".join(["a" * 127] * 33), "longer than"),
        ("/".join(["\u00e9" * 100] * 21), "longer than"),
    ],
)
def test_hostile_paths(path: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        check_path(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "b"),
        ("a/b", "../c"),
        ("a/b/c", "../../d"),
        ("a", "."),
        ("a/b", ".."),
        ("a/b", ".//../x/../y"),
        ("a", "b\\c\n"),
    ],
)
def test_links_that_stay(path: str, target: str) -> None:
    assert check_link(path, target) == target


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", ""),
        ("a", "/"),
        ("a", "/a"),
        ("a", ".."),
        ("a", "../a"),
        ("a/b", "../.."),
        ("a/b", "../../a/c"),
        ("a/b", "x/../../../a"),
        ("a/b", "./.././../x"),
        ("a", "b\0"),
        ("a", "e\u0301"),
        ("a", "\udcff"),
        ("a", "x" * (LINK_TARGET_BYTES + 1)),
    ],
)
def test_links_that_leave_or_are_no_text(path: str, target: str) -> None:
    with pytest.raises(RemoteProtocolError):
        check_link(path, target)


@pytest.mark.parametrize(
    "links",
    [
        {"a": "b", "b": "c"},
        {"a": "d/e", "d/e": "f", "x": "a/../f"},
        {"a": "b", "b": "a"},
        {"a": "a"},
        {"a": "a/b/c"},
        {"top": ".", "d/x": "../top/d"},
        {f"l{n}": f"l{n + 1}" for n in range(LINK_HOPS_MAX - 1)},
    ],
)
def test_links_that_stay_together(links: dict[str, str]) -> None:
    check_links(links)
    assert leaving_links(links) == set()


@pytest.mark.parametrize(
    ("links", "leaving"),
    [
        # The text of d/x stays, but d/up is the root already.
        ({"d/up": "..", "d/x": "up/../y"}, {"d/x"}),
        ({"deep": "a/b/c", "a/b/c/x": "../../../../y"}, {"a/b/c/x"}),
        ({"s": "d", "d/e/x": "../../s/../.."}, {"d/e/x"}),
        ({"d/one": "two", "d/two": "..", "x": "d/one/.."}, {"x"}),
        # On a system that ignores case, UP is d/up.
        ({"d/up": "..", "d/x": "UP/../y"}, {"d/x"}),
        ({"d/\u00e9": "..", "d/x": "\u00c9/../y"}, {"d/x"}),
    ],
)
def test_links_that_leave_by_way_of_others(links: dict[str, str], leaving: set[str]) -> None:
    with pytest.raises(RemoteProtocolError, match="outside the tree"):
        check_links(links)
    assert leaving_links(links) == leaving


def test_links_too_long_to_follow_are_refused() -> None:
    """A resolver of user space has no limit of 40: what we cannot follow to its end may leave."""
    chain = {f"l{n}": f"l{n + 1}" for n in range(LINK_HOPS_MAX + 1)}
    around = {"s": "d", "x": "s/../" * (LINK_HOPS_MAX + 1) + "y"}
    for links in (chain, around):
        with pytest.raises(RemoteProtocolError, match="too far round"):
            check_links(links)


def test_links_that_multiply_each_other_are_refused() -> None:
    """800 times 800 times 800 ... parts: without the bounds this does not end."""
    links = {f"{n:03}": f"{n + 1:03}/" * 800 + "x" for n in range(300)}
    assert len(leaving_links(links)) == 299


def test_names_that_some_systems_take_for_one_fold_alike() -> None:
    assert fold("README/Stra\u00dfe") == fold("readme/STRASSE")
    assert fold("\u00c5") == fold("\u00e5") == fold("A\u030a")
    assert fold("a") != fold("b")


def test_names_of_directories_that_pulls_build_in() -> None:
    for name in (".data.aetherfs-0123456789ab", ".aetherfs-0123456789ab", ".a\nb.aetherfs-0123456789ab"):
        assert is_staging(name)
    for name in ("data.aetherfs-0123456789ab", ".data.aetherfs-0123456789a", ".data.aetherfs-0123456789AB", "aetherfs"):
        assert not is_staging(name)
