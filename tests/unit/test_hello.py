"""What a TLS hello offers, read from hellos of OpenSSL's own and from garbage."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.http.hello import HELLO_MAX_BYTES, Unfinished, offered

HEAD = 5


def hello(*protocols: str, name: str = "a.peer.aetherfs") -> bytes:
    """A client's first flight."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake in records of so many bytes."""
    body = data[HEAD:]
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(data[:3] + len(part).to_bytes(2, "big") + part for part in parts)


ONE = hello("aetherfs-run/1")


@pytest.mark.parametrize("protocols", [(), ("aetherfs-run/1",), ("h2", "http/1.1", "aetherfs-run/1")])
def test_what_openssl_offers_is_read(protocols: tuple[str, ...]) -> None:
    assert offered(hello(*protocols)) == tuple(name.encode() for name in protocols)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_hello_may_lie_in_several_records(size: int) -> None:
    assert offered(in_records(ONE, size)) == (b"aetherfs-run/1",)


def test_every_beginning_of_a_hello_waits_for_more() -> None:
    for end in range(len(ONE)):
        with pytest.raises(Unfinished):
            offered(ONE[:end])


def test_what_follows_a_hello_does_not_matter() -> None:
    assert offered(ONE + b"\0" * 9) == (b"aetherfs-run/1",)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x17" + ONE[1:],  # another kind of record
        ONE[:HEAD] + b"\x02" + ONE[HEAD + 1 :],  # another handshake message
        b"\x16\x03\x01\x00\x00" * 2000,  # records without end and without content
        (b"\x16\x03\x01\xff\xff\x01\xff\xff\xff" + bytes(HELLO_MAX_BYTES)),  # a hello of 16 MiB
        b"\x16" * HELLO_MAX_BYTES,
    ],
)
def test_what_is_no_hello_offers_nothing(data: bytes) -> None:
    assert offered(data) == ()


@given(st.binary(max_size=200))
def test_garbage_offers_nothing_or_goes_on(data: bytes) -> None:
    try:
        assert offered(data) == ()
    except Unfinished:
        assert not data or data[0] == 0x16


@given(st.integers(0, len(ONE) - 1), st.integers(0, 255))
def test_one_other_byte_never_breaks_it(at: int, value: int) -> None:
    try:
        names = offered(ONE[:at] + bytes([value]) + ONE[at + 1 :])
    except Unfinished:
        return
    assert all(isinstance(name, bytes) for name in names)


@given(st.binary(max_size=300))
def test_garbage_in_the_place_of_a_hello_is_nothing(body: bytes) -> None:
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    names = offered(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
    assert b"aetherfs-run/1" not in names
