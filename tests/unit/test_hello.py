"""What a TLS hello offers: OpenSSL's own hellos whole, in parts and in several records, and anything else."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.http.hello import HELLO_MAX_BYTES, Unfinished, offered


def hello(*protocols: str) -> bytes:
    """The first flight of a client that offers these."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="peer.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello("aetherfs-run/1", "http/1.1")


def in_records(data: bytes, size: int) -> bytes:
    """The same message in records of at most so many bytes."""
    body = data[5:]
    cut = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(data[:3] + len(one).to_bytes(2, "big") + one for one in cut)


def test_what_openssl_offers_is_read() -> None:
    assert offered(HELLO) == (b"aetherfs-run/1", b"http/1.1")
    assert offered(hello()) == ()
    assert offered(HELLO + b"what follows") == (b"aetherfs-run/1", b"http/1.1")


@pytest.mark.parametrize("size", [1, 3, 50, 200])
def test_a_hello_in_several_records_is_read(size: int) -> None:
    assert offered(in_records(HELLO, size)) == (b"aetherfs-run/1", b"http/1.1")


@pytest.mark.parametrize("data", [HELLO, in_records(HELLO, 40)])
def test_every_beginning_of_a_hello_is_unfinished(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(Unfinished):
            offered(data[:end])


def test_what_never_ends_is_no_hello() -> None:
    endless = b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"
    with pytest.raises(Unfinished):
        offered(endless)
    assert offered(endless.ljust(HELLO_MAX_BYTES, b"\0")) == ()


@given(st.binary(max_size=600))
def test_anything_is_answered(data: bytes) -> None:
    try:
        assert isinstance(offered(data), tuple)
    except Unfinished:
        assert data[:1] in (b"", b"\x16")


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_hello_with_one_byte_changed_is_answered(place: int, value: int) -> None:
    changed = HELLO[:place] + bytes([value]) + HELLO[place + 1 :]
    try:
        offered(changed)
    except Unfinished:
        assert place < 9, "only a length of the record or the message makes it longer"
