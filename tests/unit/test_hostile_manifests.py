"""The list of hostile manifests. Each is forged whole, its sums, counts and signatures made to fit, so that it is
refused for the one thing that is wrong with it and for nothing else. The control, forged in the same way with nothing
wrong, passes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped, unused-ignore]
import pytest
from blake3 import blake3

from swarm import limits
from swarm.errors import RemoteProtocolError
from swarm.manifest import assemble, parse_root
from swarm.signature import signature_of

Entry = list[Any]
LARGE, SMALL = 70_000, 10
EMPTY = signature_of(b"")


def pack(value: object) -> bytes:
    return bytes(msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass"))


def file(path: str, size: int = 0, **changes: Any) -> Entry:
    digest = b"b" * 32 if size else EMPTY
    return entry(path, {"kind": 0, "size": size, "blake3": digest, "sha": b"s" * 32} | changes)


def link(path: str, target: str, **changes: Any) -> Entry:
    return entry(path, {"kind": 2, "target": target} | changes)


def directory(path: str, **changes: Any) -> Entry:
    return entry(path, {"kind": 1} | changes)


def entry(path: str, fields: dict[str, Any]) -> Entry:
    plain = {"path": path, "kind": 0, "size": 0, "mode": 0o644, "mtime": 5, "blake3": b"", "sha": b"", "target": ""}
    return list((plain | fields).values())


def block(name: str, size: int) -> Entry:
    return [signature_of(name.encode()), size]


@dataclass
class Forgery:
    """What a manifest is made of, as plain lists. Change any of it, then ``make``."""

    files: list[list[Entry]] = field(
        default_factory=lambda: [[file("d/a", SMALL), file("d/b", LARGE), directory("e"), link("l", "d/a")]]
    )
    blocks: list[list[Entry]] = field(default_factory=lambda: [[block("small", SMALL), block("large", LARGE)]])
    change_root: Callable[[list[Any]], object] = lambda root: None
    change_refs: Callable[[list[Any], list[Any]], object] = lambda files, blocks: None
    change_segment: Callable[[list[Any]], object] = lambda segment: None
    change_bytes: Callable[[bytes], bytes] = lambda data: data
    change_segments: Callable[[dict[bytes, bytes]], object] = lambda segments: None

    def make(self) -> tuple[bytes, dict[bytes, bytes]]:
        segments: dict[bytes, bytes] = {}
        file_refs = [self._ref(segments, "files", part, part[0][0]) for part in self.files]
        block_refs = [self._ref(segments, "blocks", part) for part in self.blocks]
        self.change_refs(file_refs, block_refs)
        files = [entry for part in self.files for entry in part]
        content = blake3()
        for path, kind, _size, mode, _mtime, digest, _sha, target, *_ in files:
            content.update(pack([path, kind, kind == 0 and bool(mode & 0o111), digest, target]))
        root = [
            1,
            limits.BLOCK_MIN_BYTES,
            limits.BLOCK_TARGET_BYTES,
            limits.BLOCK_MAX_BYTES,
            limits.LARGE_FILE_BYTES,
            sum(ref[2] for ref in file_refs),
            sum(ref[2] for ref in block_refs),
            sum(ref[3] for ref in file_refs),
            content.digest(),
            file_refs,
            block_refs,
        ]
        self.change_root(root)
        self.change_segments(segments)
        return self.change_bytes(pack(root)), segments

    def _ref(self, segments: dict[bytes, bytes], table: str, part: list[Entry], *first_path: str) -> list[Any]:
        segment = [1, table, part]
        self.change_segment(segment)
        data = pack(segment)
        size_at = 2 if table == "files" else 1
        segments[signature_of(data)] = data
        return [signature_of(data), len(data), len(part), sum(entry[size_at] for entry in part), *first_path]


def files(*entries: Entry) -> Forgery:
    """A manifest of these entries in path order, with blocks to fit."""
    ordered = sorted(entries, key=lambda entry: entry[0])
    total = sum(entry[2] for entry in ordered)
    return Forgery(files=[ordered] if ordered else [], blocks=[[block("all", total)]] if total else [])


def root_field(at: int, value: object) -> Forgery:
    return Forgery(change_root=lambda root: root.__setitem__(at, value))


def blocks(*parts: list[Entry], of: int = SMALL + LARGE) -> Forgery:
    return Forgery(blocks=list(parts), change_root=lambda root: root.__setitem__(7, of))


def counts(change: Callable[[int], int]) -> Forgery:
    """A root whose counts are consistent, and not those of its segments."""

    def change_refs(file_refs: list[Any], block_refs: list[Any]) -> None:
        for ref in file_refs + block_refs:
            ref[2] = change(ref[2])

    return Forgery(change_refs=change_refs)


def swapped(table: int) -> Forgery:
    """Two segments of a table (0 files, 1 blocks), the bytes of each claimed for the other."""

    def change_refs(*refs: list[Any]) -> None:
        first, second = refs[table]
        first[3], second[3] = second[3], first[3]

    return Forgery(
        files=[[file("a", SMALL)], [file("b", LARGE)]],
        blocks=[[block("s", SMALL)], [block("l", LARGE)]],
        change_refs=change_refs,
    )


def many_segments() -> Forgery:
    def change(file_refs: list[Any], block_refs: list[Any]) -> None:
        block_refs *= limits.MANIFEST_MAX_SEGMENTS + 1

    return Forgery(change_refs=change, change_root=lambda root: root.__setitem__(7, root[7]))


def heavy_segments() -> Forgery:
    def change(file_refs: list[Any], block_refs: list[Any]) -> None:
        for _ in range(limits.MANIFEST_MAX_BYTES // limits.SEGMENT_MAX_BYTES + 1):
            block_refs.append([signature_of(b"x"), limits.SEGMENT_MAX_BYTES, 1, 0])

    return Forgery(change_refs=change)


def test_the_control_passes() -> None:
    manifest = assemble(*Forgery().make())
    assert [entry.path for entry in manifest.files] == ["d/a", "d/b", "e", "l"]
    assert assemble(*files(file("a", LARGE), link("b", "a"), directory("c")).make()).total_bytes == LARGE
    split = Forgery(files=[[file("a", SMALL)], [file("b", LARGE)]], blocks=[[block("s", SMALL)], [block("l", LARGE)]])
    assert len(assemble(*split.make()).root.segment_refs) == 4


HOSTILE: list[tuple[str, Forgery, str]] = [
    # Paths.
    ("absolute", files(file("/etc/passwd")), "not relative"),
    ("climbing", files(file("../up")), "holds an empty part"),
    ("climbing inside", files(file("a/../../up")), "holds an empty part"),
    ("dot", files(file("./a")), "holds an empty part"),
    ("only dot dot", files(directory("..")), "holds an empty part"),
    ("empty path", files(file("")), "malformed"),
    ("empty part", files(file("a//b")), "holds an empty part"),
    ("trailing slash", files(directory("a/")), "holds an empty part"),
    ("NUL", files(file("a\0b")), "NUL"),
    ("not NFC", files(file(unicodedata.normalize("NFD", "\u00e9"))), "normal form C"),
    ("surrogate", files(file("\ud800")), "malformed"),
    ("part too long", files(file("x" * 256)), "part of more than"),
    ("path too long", files(file("/".join(["x" * 200] * 21))), "longer than|malformed"),
    ("path too deep", files(file("/".join(["x"] * 129))), "more than 128 parts"),
    # Links.
    ("absolute link", files(link("l", "/etc/passwd")), "outside the tree"),
    ("link up", files(link("l", "..")), "outside the tree"),
    ("link up from below", files(link("a/b/l", "../../../x")), "outside the tree"),
    ("link up and back", files(link("d/l", "../../here/d/x")), "outside the tree"),
    ("link without target", files(link("l", "")), "outside the tree"),
    ("link by way of a link", files(link("d/up", ".."), link("d/x", "up/../y")), "by way of another link"),
    (
        "link by way of a link in other case",
        files(link("d/up", ".."), link("d/x", "Up/../y")),
        "by way of another link",
    ),
    ("endless links", files(*(link(f"{n:03}", f"{n + 1:03}/" * 99 + "x") for n in range(99))), "too far round"),
    ("NUL in a target", files(link("l", "a\0b")), "NUL"),
    ("target not NFC", files(link("l", "e\u0301")), "normal form C"),
    ("target too long", files(link("l", "x" * 4097)), "malformed|longer than"),
    ("target of a file", files(file("a", target="b")), "not a link"),
    ("target of a directory", files(directory("a", target="b")), "not a link"),
    # Clashes and order.
    ("same path twice", files(file("a"), file("a")), "out of order or there twice"),
    ("out of order", Forgery(files=[[file("b"), file("a")]], blocks=[]), "out of order"),
    ("segments out of order", Forgery(files=[[file("b")], [file("a")]], blocks=[]), "out of order"),
    ("segments overlap", Forgery(files=[[file("a"), file("d")], [file("c")]], blocks=[]), "out of order"),
    ("case clash", files(file("Readme"), file("README")), "differ only in case"),
    ("case clash of directories", files(file("A/x"), file("a/y")), "differ only in case"),
    ("case clash of a file and a directory", files(file("A"), file("a/y")), "differ only in case"),
    ("case clash beyond ASCII", files(file("\u00c4"), file("\u00e4")), "differ only in case"),
    ("case clash of sharp s", files(file("stra\u00dfe"), file("STRASSE")), "differ only in case"),
    ("file below a file", files(file("a"), file("a/b")), "others below it"),
    ("file below a file, not adjacent", files(file("a"), file("a-b"), file("a/b")), "others below it"),
    ("file below a link", files(link("a", "b"), file("a/b")), "others below it"),
    ("file below an empty directory", files(directory("a"), file("a/b/c")), "others below it"),
    # Fields.
    ("unknown kind", files(file("a", kind=3)), "malformed"),
    (
        "negative size",
        Forgery(files=[[file("a", -1), file("b", LARGE)]], blocks=[[block("l", LARGE - 1)]]),
        "malformed",
    ),
    ("time that is no integer", files(file("a", SMALL, mtime=5.0)), "malformed|canonical"),
    ("mode beyond 0o777", files(file("a", mode=0o4755)), "malformed"),
    ("negative mode", files(file("a", mode=-1)), "malformed"),
    ("mtime beyond 64 bits", files(file("a", mtime=1 << 63)), "malformed"),
    ("short hash", files(file("a", SMALL, blake3=b"b" * 31)), "wrong length"),
    ("no hash", files(file("a", SMALL, blake3=b"")), "wrong length"),
    ("short SHA-256", files(file("a", SMALL, sha=b"s" * 31)), "wrong length"),
    ("long hash", files(file("a", SMALL, blake3=b"b" * 33)), "malformed"),
    ("hash of a directory", files(directory("a", blake3=b"b" * 32)), "wrong length"),
    ("hash of a link", files(link("a", "b", sha=b"s" * 32)), "wrong length"),
    ("wrong hash of nothing", files(file("a", blake3=b"b" * 32)), "hash of something"),
    ("directory with a size", files(directory("a", size=LARGE)), "not a file and has a size"),
    ("link with a size", files(link("a", "b", size=LARGE)), "not a file and has a size"),
    ("entry with a field too many", files([*file("a"), 0]), "too many|malformed|longer"),
    # Blocks.
    ("one signature, two sizes", blocks([block("x", SMALL), block("x", LARGE)]), "two sizes"),
    ("empty block", blocks([block("s", SMALL), block("e", 0), block("l", LARGE)]), "malformed"),
    ("negative block", blocks([block("s", SMALL), block("n", -1), block("l", LARGE + 1)]), "malformed"),
    ("block too large", files(file("a", limits.BLOCK_MAX_BYTES + 1)), "malformed"),
    ("block over the edge of a large file", blocks([block("s", SMALL + LARGE)]), "over the edge"),
    ("block into a large file", blocks([block("s", LARGE), block("l", SMALL)]), "over the edge"),
    ("many tiny blocks", blocks([block("s", SMALL)] + [block(str(n), 10) for n in range(LARGE // 10)]), "shorter"),
    ("short signature", blocks([[b"s" * 31, SMALL], block("l", LARGE)]), "malformed"),
    ("too few bytes of blocks", blocks([block("s", SMALL), block("l", LARGE - 1)]), "bytes of blocks"),
    ("too many bytes of blocks", blocks([block("s", SMALL), block("l", LARGE), block("m", 1)]), "bytes of blocks"),
    # The root's claims.
    ("unknown format", root_field(0, 2), "malformed"),
    ("other cut parameters", root_field(2, 128 * 1024), "cut parameters"),
    ("other large file bound", root_field(4, 1), "large files"),
    ("too many files claimed", root_field(5, 5), "4 files where its root says 5"),
    ("billions of files claimed", root_field(5, 1 << 40), "malformed"),
    ("too few blocks claimed", root_field(6, 1), "2 blocks where its root says 1"),
    ("billions of blocks claimed", root_field(6, 1 << 40), "malformed"),
    ("too many bytes claimed", root_field(7, SMALL + LARGE + 1), "bytes of files"),
    ("endless bytes claimed", root_field(7, 1 << 60), "malformed"),
    ("negative bytes claimed", root_field(7, -1), "malformed"),
    ("wrong content signature", root_field(8, b"c" * 32), "content signature"),
    ("short content signature", root_field(8, b"c" * 31), "malformed"),
    ("counts that segments cannot hold", counts(lambda count: count * 1000), "cannot hold"),
    ("counts that segments do not hold", counts(lambda count: count - 1), "where the root says"),
    ("bytes of one file segment claimed for another", swapped(0), "where the root says"),
    ("bytes of one block segment claimed for another", swapped(1), "where the root says"),
    ("too many segments", many_segments(), "malformed|the limit is"),
    ("too many bytes of segments", heavy_segments(), "a manifest has more than"),
    ("segment of nothing", Forgery(change_refs=lambda f, b: b.append([signature_of(b"x"), 50, 0, 0])), "malformed"),
    ("segment of no size", Forgery(change_refs=lambda f, b: b[0].__setitem__(1, 0)), "malformed"),
    (
        "segment of another size",
        Forgery(change_refs=lambda f, b: b[0].__setitem__(1, b[0][1] + 1)),
        "missing or not what",
    ),
    ("segment too large", Forgery(change_refs=lambda f, b: b[0].__setitem__(1, 1 << 30)), "malformed"),
    ("other first path", Forgery(change_refs=lambda f, b: f[0].__setitem__(4, "a")), "begin with the path"),
    ("file segment twice", Forgery(files=[[file("a")], [file("a")]], blocks=[]), "out of order or there twice"),
    # Segments.
    ("segment missing", Forgery(change_segments=lambda s: s.popitem()), "missing or not what"),
    (
        "segment altered",
        Forgery(change_segments=lambda s: s.update((k, v[:-1] + b"x") for k, v in s.items())),
        "missing or",
    ),
    ("segment of another format", Forgery(change_segment=lambda s: s.__setitem__(0, 2)), "malformed"),
    ("segment of another table", Forgery(change_segment=lambda s: s.__setitem__(1, "other")), "malformed"),
    ("segment with something more", Forgery(change_segment=lambda s: s.append(0)), "malformed|canonical"),
    # Bytes.
    ("something behind the root", Forgery(change_bytes=lambda data: data + b"\0"), "malformed"),
    ("root cut short", Forgery(change_bytes=lambda data: data[:-1]), "malformed"),
    ("root too long", Forgery(change_bytes=lambda data: bytes(limits.ROOT_MAX_BYTES + 1)), "the limit is"),
    (
        "number written long",
        Forgery(change_bytes=lambda data: data.replace(b"\xce\x00\x04", b"\xd2\x00\x04", 1)),
        "canonical",
    ),
    ("array written long", Forgery(change_bytes=lambda data: b"\xdc\x00\x0b" + data[1:]), "canonical"),
    ("a map", Forgery(change_bytes=lambda data: pack({"format": 1})), "malformed"),
    ("nothing", Forgery(change_bytes=lambda data: b""), "malformed"),
    (
        "a claim of four billion segments",
        Forgery(change_bytes=lambda data: data[:-50] + b"\xdd\xff\xff\xff\xff"),
        "malformed",
    ),
]


@pytest.mark.parametrize(("forgery", "why"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_forged_manifest_is_refused(forgery: Forgery, why: str) -> None:
    root_bytes, segments = forgery.make()
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        assemble(root_bytes, segments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "too many files claimed",
        "too few blocks claimed",
        "too many bytes claimed",
        "counts that segments cannot hold",
        "too many segments",
        "too many bytes of segments",
        "segment too large",
        "segments out of order",
    ],
)
def test_refused_by_its_root_before_anything_is_fetched(name: str) -> None:
    forgery = next(case[1] for case in HOSTILE if case[0] == name)
    with pytest.raises(RemoteProtocolError):
        parse_root(forgery.make()[0])


def test_a_bomb_of_repeated_segments_is_held_once() -> None:
    """Half a megabyte that claims a million blocks: refused or held small, never a million objects."""
    stretch = [block(str(number), limits.BLOCK_MAX_BYTES) for number in range(6000)]
    repeats = 160
    total = repeats * len(stretch) * limits.BLOCK_MAX_BYTES
    forgery = Forgery(files=[[file("a", total)]], blocks=[stretch] * repeats)
    manifest = assemble(*forgery.make())
    assert len(manifest.blocks) == repeats * len(stretch)
    assert len(manifest.unique) == len({id(entry) for entry in manifest.blocks}) == len(stretch)
