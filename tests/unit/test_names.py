"""The grammar of references, as written in swarm.names: what is taken, what is refused, and what a host is."""

from __future__ import annotations

import pytest

from swarm import names
from swarm.errors import UsageError
from swarm.names import Reference, check_dataset, check_name, check_pattern, check_tag, matches, parse

HEX = "ab" * 32
SIGNATURE = bytes.fromhex(HEX)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roads", Reference("library", "roads", "latest")),
        ("osm/roads", Reference("osm", "roads", "latest")),
        ("@osm/roads", Reference("osm", "roads", "latest")),
        ("roads:v1", Reference("library", "roads", "v1")),
        ("osm/roads:2024.1", Reference("osm", "roads", "2024.1")),
        (f"roads@{HEX}", Reference("library", "roads", None, SIGNATURE)),
        (f"roads@{HEX[:8]}/a", Reference("library", "roads", None, path="a", prefix=HEX[:8])),
        (f"osm/roads:v1@{HEX}", Reference("osm", "roads", "v1", SIGNATURE)),
        (f"@osm/roads@{HEX}/a", Reference("osm", "roads", None, SIGNATURE, "a")),
        ("osm/roads:v1/a/b.csv", Reference("osm", "roads", "v1", path="a/b.csv")),
        ("roads:v1.2/a b", Reference("library", "roads", "v1.2", path="a b")),
        ("roads:2024/data/x.csv", Reference("library", "roads", "2024", path="data/x.csv")),
        ("roads.v2:latest/file", Reference("library", "roads.v2", "latest", path="file")),
        (f"roads@{HEX}/a/b", Reference("library", "roads", None, SIGNATURE, "a/b")),
        ("roads:v1/", Reference("library", "roads", "v1")),
        ("roads:v1/line\nbreak", Reference("library", "roads", "v1", path="line\nbreak")),
        ("data.example/roads", Reference("library", "roads", host="data.example")),
        ("data.example:7070/osm/roads:v1", Reference("osm", "roads", "v1", host="data.example:7070")),
        ("tracker:7070/roads:v1", Reference("library", "roads", "v1", host="tracker:7070")),
        ("localhost/roads", Reference("library", "roads", host="localhost")),
        ("localhost:7070/roads", Reference("library", "roads", host="localhost:7070")),
        ("127.0.0.1:7070/osm/roads", Reference("osm", "roads", host="127.0.0.1:7070")),
        ("[::1]:7070/osm/roads:v1/a", Reference("osm", "roads", "v1", path="a", host="[::1]:7070")),
        ("aetherfs://osm/roads:v1/a", Reference("osm", "roads", "v1", path="a")),
        ("aetherfs://data.example/osm/roads:v1", Reference("osm", "roads", "v1", host="data.example")),
    ],
)
def test_what_a_reference_means(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is not a name"),
        ("Roads", "is not a name"),
        ("-roads", "is not a name"),
        (".roads", "is not a name"),
        ("ro ads", "is not a name"),
        ("roads\n", "is not a name"),
        ("r" * 65, "is not a name"),
        ("../roads", "is not a host"),
        ("./roads", "is not a host"),
        ("OSM/roads", "is not a scope"),
        ("a/b/c", "no tag"),
        ("osm/", "a name is missing"),
        ("roads:", "is not a tag"),
        ("roads:.v1", "is not a tag"),
        ("roads:-v1", "is not a tag"),
        ("roads:v 1", "is not a tag"),
        ("roads:" + "t" * 129, "is not a tag"),
        ("roads@", "is not a signature"),
        (f"roads@{HEX.upper()}", "is not a signature"),
        (f"roads@{HEX}0", "is not a signature"),
        (f"roads@{HEX[:7]}", "or the first 8 or more of them"),
        ("roads:v1:v2", "is not a tag"),
        (f"roads@{HEX}:v1", "is not a signature"),
        ("osm/roads/path", "has a path but no tag"),
        ("roads:v1/" + "p" * 4097, "longer than"),
        ("roads:v1/" + "\ud800" * 2000, "longer than"),
        ("aetherfs://roads", "lacks its scope"),
        ("aetherfs://roads:v1/a", "lacks its scope"),
        ("under_score.example/roads", "is not a host"),
    ],
)
def test_what_is_no_reference_is_refused(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_bounds_are_inclusive() -> None:
    assert parse("r" * 64 + ":" + "t" * 128).dataset == "library/" + "r" * 64


def test_text_of_a_reference_is_whole() -> None:
    assert str(parse("roads")) == "library/roads:latest"
    assert str(parse(f"localhost:1/osm/roads:v1@{HEX}/a/b")) == f"localhost:1/osm/roads:v1@{HEX}/a/b"
    assert str(parse(f"roads@{HEX}")) == f"library/roads@{HEX}"


def test_single_parts() -> None:
    assert check_name("a.b_c-9") == "a.b_c-9"
    assert check_tag("_A.b-9") == "_A.b-9"
    assert check_dataset("osm/roads") == "osm/roads"
    for text in ("roads", "osm/", "/roads", "osm/roads/x", "osm/ROADS"):
        with pytest.raises(UsageError):
            check_dataset(text)


@pytest.mark.parametrize("pattern", ["*", "osm/*", "osm/roads", "osm/ro*", "*/roads", "o*/*"])
def test_patterns_taken(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["", "osm", "osm/", "/roads", "osm/**", "osm/*s", "OSM/*", "osm/roads/*", "a*b/*", "osm/[a]"]
)
def test_patterns_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "dataset", "expected"),
    [
        ("*", "osm/roads", True),
        ("osm/*", "osm/roads", True),
        ("osm/*", "osmium/roads", False),
        ("osm*/*", "osmium/roads", True),
        ("osm/ro*", "osm/roads", True),
        ("osm/ro*", "osm/rivers", False),
        ("osm/roads", "osm/roads", True),
        ("osm/roads", "osm/roads2", False),
        ("o*", "osm/roads", False),
        ("*/roads", "osm/roads", True),
        ("*/roads", "osm/a/roads", False),
        ("osm/*", "osm/a/b", False),
    ],
)
def test_patterns_match_part_by_part(pattern: str, dataset: str, expected: bool) -> None:
    assert matches(pattern, dataset) is expected


def test_defaults_are_the_documented_ones() -> None:
    assert (names.DEFAULT_SCOPE, names.DEFAULT_TAG, names.URL_SCHEME) == ("library", "latest", "aetherfs://")
