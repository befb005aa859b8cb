"""The file of one version: what it must hold, in which order, and nothing else."""

from __future__ import annotations

import io

import msgspec
import pytest

from swarm import canonical
from swarm.encoding import encode_block, open_block
from swarm.errors import RemoteProtocolError
from swarm.export import MAGIC, Export, frame, opening, order, read_export
from swarm.limits import ENCODED_MAX_BYTES
from tests.exports import BLOCKS, GOOD_EXPORT, GOOD_EXPORT_SINCE, MANIFEST, export_of, head_of


def read(data: bytes) -> Export:
    return read_export(io.BytesIO(data).read)


def test_what_was_written_is_read_back() -> None:
    found = read(GOOD_EXPORT)
    assert found.head == head_of(MANIFEST)
    assert (found.manifest.version, found.manifest.unique) == (MANIFEST.version, MANIFEST.unique)
    assert list(found.left_out) == []
    for index, block in enumerate(MANIFEST.unique):
        begin = found.offsets[index]
        assert open_block(GOOD_EXPORT[begin : begin + found.lengths[index]], block.signature) == BLOCKS[block.signature]


def test_blocks_are_left_out_only_of_an_export_since_something() -> None:
    first = MANIFEST.unique[0].signature
    assert list(read(GOOD_EXPORT_SINCE).left_out) == [first]
    with pytest.raises(RemoteProtocolError, match="left out"):
        read(export_of(MANIFEST, BLOCKS, left_out=[first]))


@pytest.mark.parametrize("cut", [0, 5, len(MAGIC), len(MAGIC) + 3, 400, len(GOOD_EXPORT) - 1])
def test_one_that_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(RemoteProtocolError):
        read(GOOD_EXPORT[:cut])


def test_nothing_may_follow() -> None:
    with pytest.raises(RemoteProtocolError, match="follows"):
        read(GOOD_EXPORT + b"x")


def test_every_block_is_the_one_that_is_due() -> None:
    swapped = {**BLOCKS, MANIFEST.unique[0].signature: b"another block"}
    with pytest.raises(RemoteProtocolError, match="copy it again"):
        read(export_of(MANIFEST, swapped))


def test_an_entry_of_something_else_is_refused() -> None:
    for changes in ({"dataset": "library/other"}, {"since": b"short"}):
        with pytest.raises(RemoteProtocolError):
            read(export_of(MANIFEST, BLOCKS, head=msgspec.structs.replace(head_of(MANIFEST), **changes)))
    with pytest.raises(RemoteProtocolError):
        read(export_of(MANIFEST, BLOCKS, head=msgspec.structs.replace(head_of(MANIFEST), version=bytes(32))))


def test_a_frame_is_refused_before_it_is_read() -> None:
    asked: list[int] = []
    stream = io.BytesIO(opening(head_of(MANIFEST)) + (ENCODED_MAX_BYTES + 1).to_bytes(4) + bytes(100))

    def read_some(size: int) -> bytes:
        asked.append(size)
        return stream.read(size)

    with pytest.raises(RemoteProtocolError, match="the most"):
        read_export(read_some)
    assert max(asked) <= ENCODED_MAX_BYTES


def test_the_format_as_it_is_documented() -> None:
    """Read without any of our code but for the encoding of blocks."""
    assert GOOD_EXPORT.startswith(b"AetherFS export\n")
    at, frames = 16, []
    while at < len(GOOD_EXPORT):
        length = int.from_bytes(GOOD_EXPORT[at : at + 4], "big")
        frames.append(GOOD_EXPORT[at + 4 : at + 4 + length])
        at += 4 + length
    assert msgspec.msgpack.decode(frames[0])[:4] == [1, "library/roads", MANIFEST.version, b""]
    assert frames[1] == encode_block(MANIFEST.root_bytes)
    assert len(frames) == 1 + len(order(MANIFEST))
    assert frame(canonical.encode(head_of(MANIFEST))) == opening(head_of(MANIFEST))[len(MAGIC) :]
