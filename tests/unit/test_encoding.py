"""Encoded blocks: what is made, and what is refused before and after decoding."""

from __future__ import annotations

import threading

import pytest
import zstandard

from swarm.encoding import RAW, ZSTD, decode_block, encode_block, encode_raw, open_block
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.limits import BLOCK_MAX_BYTES, ENCODED_MAX_BYTES
from swarm.signature import signature_of
from tests.datasets import seeded

TEXT = b"one line of many\n" * 1000
NOISE = seeded("noise", 100_000)


def frame(plain: bytes, *, stated: bool = True) -> bytes:
    return b"\x01" + zstandard.ZstdCompressor(write_content_size=stated).compress(plain)


def test_text_is_compressed_and_noise_is_not() -> None:
    assert encode_block(TEXT)[0] == ZSTD
    assert len(encode_block(TEXT)) < 200
    assert encode_block(NOISE) == b"\x00" + NOISE == encode_raw(NOISE)


def test_compression_has_to_pay() -> None:
    """Four in a hundred are not worth it, six are."""
    size = 100_000
    for share, codec in ((0.04, RAW), (0.06, ZSTD)):
        zeros = int(size * share)
        assert encode_block(seeded("mixed", size - zeros) + bytes(zeros))[0] == codec


@pytest.mark.parametrize("plain", [b"", b"x", TEXT, NOISE, bytes(BLOCK_MAX_BYTES), seeded("full", BLOCK_MAX_BYTES)])
def test_round_trip(plain: bytes) -> None:
    for encoded in (encode_block(plain), encode_raw(plain)):
        assert len(encoded) <= len(plain) + 1
        for buffer in (encoded, bytearray(encoded), memoryview(encoded)):
            assert bytes(decode_block(buffer, len(plain))) == plain
            assert bytes(decode_block(buffer, None)) == plain
            assert bytes(open_block(buffer, signature_of(plain), len(plain))) == plain


def test_any_holder_may_encode_in_its_way() -> None:
    text = NOISE[:5000] + TEXT
    other = b"\x01" + zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text)
    assert other != encode_block(text)
    assert bytes(open_block(other, signature_of(text))) == text


BOMB = frame(bytes(512 << 20))


@pytest.mark.parametrize(
    ("encoded", "size", "why"),
    [
        (b"", 5, "has 0 bytes"),
        (b"\x02hello", 5, "codec 2"),
        (b"\xffhello", 5, "codec 255"),
        (b"\x00hell", 5, "has 4 bytes where 5"),
        (b"\x00hello!", 5, "has 6 bytes where 5"),
        (b"\x00" + bytes(BLOCK_MAX_BYTES + 1), None, "the limit is"),
        (b"\x01", 5, "malformed"),
        (b"\x01hello", 5, "malformed"),
        (frame(b"hello")[:-1], 5, "malformed"),
        (frame(b"hello") + b"x", 5, "malformed"),
        (frame(b"hello") + frame(b"hello")[1:], 5, "malformed"),
        (frame(b"hello", stated=False), 5, "states -1 bytes where 5"),
        (frame(b"hello", stated=False), None, "states -1 bytes"),
        (frame(b"hell"), 5, "states 4 bytes where 5"),
        (frame(b"hello!"), 5, "states 6 bytes where 5"),
        (BOMB, None, "states 536870912 bytes"),
        (BOMB, BLOCK_MAX_BYTES, "states 536870912 bytes"),
        (frame(bytes(BLOCK_MAX_BYTES + 1)), None, "states 1048577 bytes"),
        # A skippable frame: states nothing, holds nothing.
        (b"\x01\x50\x2a\x4d\x18\x04\x00\x00\x00abcd", 5, "states 0 bytes"),
    ],
)
def test_a_block_that_is_not_well_formed_is_refused(encoded: bytes, size: int | None, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        decode_block(encoded, size)


def test_a_frame_may_not_state_less_than_it_holds() -> None:
    """The stated size is one byte at a known place of a small frame: make it lie."""
    honest = bytearray(frame(b"hello"))
    at = honest.index(5)
    honest[at] = 4
    with pytest.raises(RemoteProtocolError):
        decode_block(bytes(honest), 4)


def test_the_limit_of_an_encoded_block() -> None:
    assert ENCODED_MAX_BYTES == BLOCK_MAX_BYTES + 1
    assert len(encode_block(seeded("full", BLOCK_MAX_BYTES))) == ENCODED_MAX_BYTES
    with pytest.raises(LocalProtocolError, match="1048577 bytes"):
        encode_block(bytes(BLOCK_MAX_BYTES + 1))


@pytest.mark.parametrize("encode", [encode_block, encode_raw])
def test_another_block_is_refused(encode: object) -> None:
    assert callable(encode)
    encoded = encode(TEXT)
    with pytest.raises(RemoteProtocolError, match="another signature"):
        open_block(encoded, signature_of(NOISE))
    with pytest.raises(RemoteProtocolError, match="another signature"):
        open_block(encode(TEXT[:-1] + b"x"), signature_of(TEXT), len(TEXT))


def test_threads_do_not_share_contexts() -> None:
    failures: list[int] = []

    def work(number: int) -> None:
        for turn in range(50):
            plain = f"{number} {turn} ".encode() * 5000
            if bytes(open_block(encode_block(plain), signature_of(plain), len(plain))) != plain:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
