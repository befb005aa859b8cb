"""The protocols that a TLS client offers, out of the first bytes of its connection (RFC 8446 4.1.2, RFC 7301).

One port serves HTTP and other streams; which a connection is for is read before anybody takes it up. Nothing is
believed: a wrong answer costs a failed handshake, as OpenSSL reads the same bytes again. Pure.
"""

from __future__ import annotations

from typing import Final

# A hello is looked at up to here; what has not ended by then is no hello of ours.
HELLO_MAX_BYTES: Final = 8 * 1024
_RECORD_HEAD_BYTES: Final = 5
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16


class Unfinished(Exception):
    """The hello goes on after these bytes."""


def offered(data: bytes) -> tuple[bytes, ...]:
    """The protocols that a hello offers, in its order; none for what is not a hello. Unfinished when more is due."""
    try:
        return _offered_in(_client_hello(data))
    except Unfinished:
        if len(data) >= HELLO_MAX_BYTES:
            return ()
        raise
    except (IndexError, ValueError):
        return ()


def _client_hello(data: bytes) -> bytes:
    """The body of the first handshake message, which may lie in several records."""
    message = b""
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4]):
        if data[:1] and data[0] != _HANDSHAKE:
            raise ValueError("not a handshake")
        if message[:1] and message[0] != _CLIENT_HELLO:
            raise ValueError("not a hello")
        end = _RECORD_HEAD_BYTES + int.from_bytes(data[3:_RECORD_HEAD_BYTES])
        if len(data) < _RECORD_HEAD_BYTES or len(data) < end:
            raise Unfinished
        if end == _RECORD_HEAD_BYTES:
            raise ValueError("an empty record")
        message += data[_RECORD_HEAD_BYTES:end]
        data = data[end:]
    if message[0] != _CLIENT_HELLO:
        raise ValueError("not a hello")
    return message[4 : 4 + int.from_bytes(message[1:4])]


def _offered_in(hello: bytes) -> tuple[bytes, ...]:
    rest = hello[2 + 32 :]  # version and random
    for length_bytes in (1, 2, 1):  # session, ciphers, compressions
        _, rest = _split(rest, length_bytes)
    extensions, _ = _split(rest, 2)
    while extensions:
        kind = int.from_bytes(_exactly(extensions[:2], 2))
        body, extensions = _split(extensions[2:], 2)
        if kind == _ALPN:
            return _names(_split(body, 2)[0])
    return ()


def _names(listed: bytes) -> tuple[bytes, ...]:
    names: list[bytes] = []
    while listed:
        name, listed = _split(listed, 1)
        names.append(name)
    return tuple(names)


def _split(data: bytes, length_bytes: int) -> tuple[bytes, bytes]:
    """What a length of so many bytes says, and what follows it."""
    end = length_bytes + int.from_bytes(_exactly(data[:length_bytes], length_bytes))
    return _exactly(data[length_bytes:end], end - length_bytes), data[end:]


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError("a length that is not there")
    return data
