"""One structure, one encoding: whatever decodes and is not the canonical form is refused."""

from __future__ import annotations

import threading
import time
from typing import Any, Literal, cast

import msgpack  # type: ignore[import-untyped, unused-ignore]
import msgspec
import pytest

from swarm import canonical
from swarm.errors import LocalProtocolError, RemoteProtocolError


class Sample(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    number: int
    data: bytes
    names: tuple[str, ...]
    table: dict[str, int] = {}


class One(msgspec.Struct, array_like=True, frozen=True, tag="one"):
    number: int


class Other(msgspec.Struct, array_like=True, frozen=True, tag="other"):
    number: int


SAMPLE = Sample(1, 5, b"ab", ("x", "y"), {"a": 1})
GOOD = bytes.fromhex("95 01 05 c4026162 92a178a179 81a16101")


def test_the_bytes_are_plain_msgpack() -> None:
    assert canonical.encode(SAMPLE) == GOOD
    assert canonical.decode(GOOD, Sample, limit_bytes=100) == SAMPLE
    assert msgpack.unpackb(GOOD) == [1, 5, b"ab", ["x", "y"], {"a": 1}]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_taken(kind: type[bytes]) -> None:
    assert canonical.decode(kind(GOOD), Sample, limit_bytes=100) == SAMPLE


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("95 01 cc05 c4026162 92a178a179 81a16101", "an integer longer than needed"),
        ("95 01 d30000000000000005 c4026162 92a178a179 81a16101", "an integer much longer than needed"),
        ("95 01 cb4014000000000000 c4026162 92a178a179 81a16101", "a float for an integer"),
        ("dc0005 01 05 c4026162 92a178a179 81a16101", "an array header longer than needed"),
        ("95 01 05 c500026162 92a178a179 81a16101", "a length longer than needed"),
        ("95 01 05 c4026162 92d90178a179 81a16101", "a string header longer than needed"),
        ("96 01 05 c4026162 92a178a179 81a16101 00", "an item too many"),
        ("94 01 05 c4026162 92a178a179", "an item left to its default"),
        ("95 01 05 c4026162 92a178a179 82a16101a16101", "a key twice"),
        ("95 01 05 c4026162 92a178a179 81a16101 c0", "something behind it"),
        ("95 02 05 c4026162 92a178a179 81a16101", "an unknown format"),
        ("95 01 05 a26162 92a178a179 81a16101", "a string for bytes"),
        ("95 01 05 c4026162 92a1ffa179 81a16101", "not UTF-8"),
        ("95 01 05 c4026162 92a178", "cut short"),
        ("85", "a map"),
        ("c1", "a byte that msgpack does not use"),
        ("", "nothing"),
    ],
)
def test_everything_else_is_refused(data: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical.decode(bytes.fromhex(data), Sample, limit_bytes=100)
    assert canonical.try_decode(bytes.fromhex(data), Sample, limit_bytes=100) is None


@pytest.mark.parametrize("came", ["a\nb\x1b[2J\u202e", "z" * 10_000])
def test_what_came_is_shown_in_a_short_line_that_can_be_printed(came: str) -> None:
    data, kind = msgspec.msgpack.encode([came, 1]), cast(type[One], One | Other)
    with pytest.raises(RemoteProtocolError, match="Invalid value") as caught:
        canonical.decode(data, kind, limit_bytes=100_000, what="a message")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_the_limit_comes_before_the_decoding() -> None:
    assert canonical.decode(GOOD, Sample, limit_bytes=len(GOOD)) == SAMPLE
    with pytest.raises(RemoteProtocolError, match=f"the limit is {len(GOOD) - 1}"):
        canonical.decode(GOOD, Sample, limit_bytes=len(GOOD) - 1)


def test_a_claimed_length_allocates_nothing() -> None:
    for header in ("ddffffffff", "c6ffffffff", "dbffffffff", "dfffffffff"):
        with pytest.raises(RemoteProtocolError):
            canonical.decode(bytes.fromhex(header), Sample, limit_bytes=100)


def test_deep_nesting_is_refused() -> None:
    class Nested(msgspec.Struct, array_like=True):
        inner: list[object]

    with pytest.raises(RemoteProtocolError):
        canonical.decode(b"\x91" * 100_000, Nested, limit_bytes=1 << 20)


def test_what_msgpack_cannot_say_is_our_own_fault() -> None:
    for value in (1 << 70, object(), "\ud800"):
        with pytest.raises(LocalProtocolError):
            canonical.encode(value)


@pytest.mark.parametrize(("theirs", "ours", "agreed"), [((1, 1), (1, 1), 1), ((1, 3), (2, 5), 3), ((2, 2), (1, 9), 2)])
def test_versions_that_meet(theirs: tuple[int, int], ours: tuple[int, int], agreed: int) -> None:
    assert canonical.agree_version(theirs, ours) == agreed


@pytest.mark.parametrize(("theirs", "ours"), [((2, 3), (1, 1)), ((1, 1), (2, 3)), ((3, 1), (1, 3))])
def test_versions_that_do_not_meet(theirs: tuple[int, int], ours: tuple[int, int]) -> None:
    with pytest.raises(RemoteProtocolError, match="no common protocol version"):
        canonical.agree_version(theirs, ours)


def test_threads_that_meet_a_structure_for_the_first_time_make_its_decoder_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """msgspec crashed the process in such a case: a null pointer, 6 of 40 times with 48 threads and two structures."""
    making: list[int] = []
    most = 0

    def slowly(kind: Any) -> Any:
        nonlocal most
        making.append(1)
        most = max(most, len(making))
        time.sleep(0.02)
        making.pop()
        return real(kind)

    real = msgspec.msgpack.Decoder
    monkeypatch.setattr(msgspec.msgpack, "Decoder", slowly)
    kinds = [msgspec.defstruct(f"New{number}", [], bases=(Sample,), array_like=True) for number in range(4)]
    data = canonical.encode(SAMPLE)
    threads = [
        threading.Thread(target=canonical.decode, args=(data, kind), kwargs={"limit_bytes": 1000}) for kind in kinds * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
