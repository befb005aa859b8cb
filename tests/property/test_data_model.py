"""Properties of the data model: round trips, and garbage or one flipped byte raises only RemoteProtocolError."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import msgpack  # type: ignore[import-untyped, unused-ignore]
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from swarm import canonical, names, paths
from swarm.cut import cut
from swarm.encoding import decode_block, encode_block, encode_raw, open_block
from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES
from swarm.manifest import Manifest, assemble, build, parse_root
from swarm.records import Credential, Grant, Signed
from swarm.segments import BlockEntry, BlockSegment, FileEntry, FileSegment
from swarm.signature import signature_of
from tests.datasets import directory_entry, link_entry, manifest_of, seeded

FEW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])

parts = (
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
    .map(lambda part: unicodedata.normalize("NFC", part))
    .filter(lambda part: part not in (".", ".."))
)
relative_paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
# Sizes on both sides of every edge of the format.
sizes = st.sampled_from([0, 1, 100, BLOCK_MIN_BYTES - 1, BLOCK_MIN_BYTES, BLOCK_MIN_BYTES + 1, 200_000, 1_500_000])
leaves = st.one_of(
    sizes.map(lambda size: ("file", size)),
    st.just(("directory", 0)),
    st.just(("link", 0)),
)


def entries_of(tree: dict[str, tuple[str, int]]) -> tuple[dict[str, bytes], list[FileEntry]]:
    """Contents and other entries of a random tree, without what clashes."""
    taken: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    others: list[FileEntry] = []
    for path, (kind, size) in tree.items():
        above = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)]
        clashes = any(taken.get(paths.fold(p), p) != p or p in contents or p in {e.path for e in others} for p in above)
        if clashes or paths.fold(path) in taken:
            continue
        taken |= {paths.fold(p): p for p in [*above, path]}
        if kind == "file":
            contents[path] = seeded(path, size)
        else:
            others.append(directory_entry(path) if kind == "directory" else link_entry(path, "target"))
    return contents, others


@FEW
@given(st.dictionaries(relative_paths, leaves, max_size=12))
def test_manifests_round_trip(tree: dict[str, tuple[str, int]]) -> None:
    contents, others = entries_of(tree)
    manifest, blocks = manifest_of(contents, others)
    again = assemble(manifest.root_bytes, manifest.segments)
    assert (again.files, again.blocks, again.version) == (manifest.files, manifest.blocks, manifest.version)
    rebuilt = build(list(again.files), list(again.blocks))
    assert rebuilt.root_bytes == manifest.root_bytes
    for index, entry in enumerate(again.files):
        if entry.path in contents:
            ranges = again.blocks_of(index)
            content = b"".join(blocks[again.unique[i].signature][at : at + size] for i, at, size in ranges)
            assert content == contents[entry.path]


@MANY
@given(st.text(max_size=40))
def test_a_path_is_taken_or_refused(path: str) -> None:
    try:
        assert paths.check_path(path) == path
    except RemoteProtocolError as error:
        assert "\n" not in str(error)
        return
    assert ".." not in path.split("/")
    assert path.encode().decode() == unicodedata.normalize("NFC", path)


@MANY
@given(st.dictionaries(relative_paths, st.text("ab./", min_size=1, max_size=12), max_size=8))
def test_links_never_raise_anything_else(links: dict[str, str]) -> None:
    for path, target in links.items():
        try:
            paths.check_link(path, target)
        except RemoteProtocolError:
            assume(False)
    leaving = paths.leaving_links(links)
    try:
        paths.check_links(links)
    except RemoteProtocolError:
        assert leaving
    else:
        assert not leaving


def sample() -> Manifest:
    return manifest_of({"a/b": b"x" * 50, "c": seeded("c", 300_000)}, [link_entry("l", "c")])[0]


SAMPLE = sample()


@MANY
@given(st.data())
def test_one_flipped_bit_of_a_manifest_is_noticed(data: st.DataObject) -> None:
    which = data.draw(st.sampled_from(["root", *range(len(SAMPLE.root.segment_refs))]))
    root_bytes, segments = bytearray(SAMPLE.root_bytes), dict(SAMPLE.segments)
    if isinstance(which, str):
        at = data.draw(st.integers(0, len(root_bytes) * 8 - 1))
        root_bytes[at // 8] ^= 1 << at % 8
    else:
        signature = SAMPLE.root.segment_refs[which].signature
        segment = bytearray(segments[signature])
        at = data.draw(st.integers(0, len(segment) * 8 - 1))
        segment[at // 8] ^= 1 << at % 8
        segments[signature] = bytes(segment)
    try:
        other = assemble(bytes(root_bytes), segments)
    except RemoteProtocolError:
        return
    # A root may differ and be a valid one; then it is another version, which the caller asked for by signature.
    assert other.version != SAMPLE.version
    raise AssertionError("no bit of this root is free: sums, signatures and parameters tie all of them")


@MANY
@given(st.data())
def test_forged_segments_with_right_signatures_raise_only_the_remote_error(data: st.DataObject) -> None:
    """One changed value anywhere in a segment, the root resealed over it: the deep checks see it, or it is valid."""
    root: list[Any] = msgpack.unpackb(SAMPLE.root_bytes)
    table = data.draw(st.sampled_from([9, 10]))
    ref = root[table][0]
    segment = msgpack.unpackb(SAMPLE.segments[ref[0]])
    entry = data.draw(st.sampled_from(segment[2]))
    at = data.draw(st.integers(0, len(entry) - 1))
    value = st.one_of(
        st.integers(-5, 1 << 64 - 1), st.binary(max_size=40), st.text(max_size=20), st.none(), st.booleans()
    )
    entry[at] = data.draw(value.filter(lambda new: not isinstance(new, int) or new < 1 << 64))
    packed = bytes(msgpack.packb(segment, unicode_errors="surrogatepass"))
    segments = dict(SAMPLE.segments) | {signature_of(packed): packed}
    ref[0], ref[1] = signature_of(packed), len(packed)
    try:
        assemble(bytes(msgpack.packb(root)), segments)
    except RemoteProtocolError:
        return


@MANY
@given(st.binary(max_size=200))
def test_garbage_raises_only_the_remote_error(data: bytes) -> None:
    for kind in (FileEntry, BlockEntry, FileSegment, BlockSegment, Signed, Credential, Grant):
        value = canonical.try_decode(data, kind, limit_bytes=1 << 20)
        assert value is None or canonical.encode(value) == data
    for refuse in (parse_root, lambda d: assemble(d, {}), lambda d: open_block(d, bytes(32), 5)):
        try:
            refuse(data)
        except RemoteProtocolError:
            continue
        raise AssertionError("garbage was taken")


@MANY
@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_payload_decodes_to_its_size_or_is_refused(data: bytes, size: int) -> None:
    for codec in (b"\x00", b"\x01", b"\x01\x28\xb5\x2f\xfd"):
        try:
            assert len(decode_block(codec + data, size)) == size
        except RemoteProtocolError:
            continue


@FEW
@given(st.integers(0, BLOCK_MAX_BYTES), st.integers(0, 1 << 30), st.booleans())
def test_blocks_round_trip(size: int, seed: int, is_text: bool) -> None:
    plain = seeded(str(seed), size) if not is_text else ((b"%d, " % seed) * size)[:size]
    for encoded in (encode_block(plain), encode_raw(plain)):
        assert bytes(open_block(encoded, signature_of(plain), len(plain))) == plain


@FEW
@given(st.integers(0, 3_000_000), st.integers(0, 1 << 30), st.integers(0, 200_000))
def test_cuts_cover_the_stream(size: int, seed: int, zeros: int) -> None:
    data = seeded(str(seed), size // 2) + bytes(zeros) + seeded(str(seed), size - size // 2)
    lengths = list(cut(data))
    assert sum(lengths) == len(data)
    assert all(BLOCK_MIN_BYTES <= length <= BLOCK_MAX_BYTES for length in lengths[:-1])


name_parts = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,10}\Z")
tags = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9._-]{0,10}\Z")


@MANY
@given(name_parts, name_parts, tags, st.none() | st.binary(min_size=32, max_size=32), st.none() | relative_paths)
def test_references_round_trip(scope: str, name: str, tag: str, signature: bytes | None, path: str | None) -> None:
    assume(scope != "localhost")
    reference = names.Reference(scope, name, tag, signature, path)
    assert names.parse(str(reference)) == reference
    assert names.parse(names.URL_SCHEME + str(reference)) == reference


@MANY
@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = names.parse(text)
    except UsageError as error:
        assert "\n" not in str(error)
        return
    assert names.parse(str(reference)) == reference


values = st.recursive(
    st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=20) | st.text(max_size=10) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=10,
)


@MANY
@given(values)
def test_our_bytes_are_what_msgpack_writes(value: object) -> None:
    try:
        ours = canonical.encode(value)
    except RemoteProtocolError:
        return
    assert ours == msgpack.packb(value, use_bin_type=True)
    assert msgpack.unpackb(ours) == value


@FEW
@given(st.integers(0, 1 << 30))
def test_edits_move_only_the_blocks_near_them(seed: int) -> None:
    rng = random.Random(seed)
    data = seeded(str(seed), 6 << 20)
    at = rng.randrange(len(data))
    edited = data[:at] + b"an inserted row\n" + data[at:]
    before, after = blocks_of(data), blocks_of(edited)
    assert sum(size for signature, size in after.items() if signature not in before) <= 4 * BLOCK_MAX_BYTES


def blocks_of(data: bytes) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    at = 0
    for length in cut(data):
        found[signature_of(data[at : at + length])] = length
        at += length
    return found
