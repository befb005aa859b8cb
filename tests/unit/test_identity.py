"""Keys, ids, and signatures that are worth something in one context only."""

from __future__ import annotations

import pytest

from swarm.errors import RemoteProtocolError, UsageError
from swarm.identity import (
    PeerKey,
    check_signed,
    is_signed,
    peer_id_from_server_name,
    peer_id_of,
    public_of,
    server_name_of,
)

KEY = PeerKey(bytes(range(32)))
OTHER = PeerKey(bytes(32))


def test_a_key_is_its_seed() -> None:
    assert PeerKey(KEY.seed).public == KEY.public
    assert KEY.seed == bytes(range(32))
    assert len(KEY.public) == 32


def test_an_id_gives_the_key_back() -> None:
    assert len(KEY.peer_id) == 52
    assert KEY.peer_id == peer_id_of(KEY.public)
    assert public_of(KEY.peer_id) == KEY.public
    assert KEY.seed.hex() not in repr(KEY)


@pytest.mark.parametrize(
    "text", ["", KEY.peer_id[:-1], KEY.peer_id + "a", KEY.peer_id.upper(), "1" + KEY.peer_id[1:], KEY.peer_id + "\n"]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(UsageError, match="is not a peer id"):
        public_of(text)


def test_one_key_has_one_id() -> None:
    assert peer_id_of(bytes(32)) == "a" * 52
    with pytest.raises(UsageError, match="stray bits"):
        public_of("a" * 51 + "b")


def test_a_server_name_gives_the_id_back() -> None:
    name = server_name_of(KEY.peer_id)
    assert name == KEY.peer_id + ".peer.aetherfs"
    assert peer_id_from_server_name(name) == KEY.peer_id
    for other in (KEY.peer_id, "data.example", "x." + name, name + ".", name.upper(), ".peer.aetherfs"):
        assert peer_id_from_server_name(other) is None


def test_a_signature_is_for_one_key_context_and_message() -> None:
    seal = KEY.sign("grant", b"data")
    assert is_signed(KEY.public, "grant", b"data", seal)
    check_signed(KEY.public, "grant", b"data", seal)
    assert not is_signed(OTHER.public, "grant", b"data", seal)
    assert not is_signed(KEY.public, "credential", b"data", seal)
    assert not is_signed(KEY.public, "grant", b"datb", seal)
    with pytest.raises(RemoteProtocolError, match=f"not signed by {OTHER.peer_id[:8]}"):
        check_signed(OTHER.public, "grant", b"data", seal)


def test_context_and_message_cannot_be_shifted() -> None:
    assert not is_signed(KEY.public, "a", b"bc", KEY.sign("ab", b"c"))


def test_every_byte_of_a_signature_counts() -> None:
    seal = KEY.sign("grant", b"data")
    for at in range(len(seal)):
        damaged = bytearray(seal)
        damaged[at] ^= 1
        assert not is_signed(KEY.public, "grant", b"data", bytes(damaged))


@pytest.mark.parametrize(("public", "seal"), [(b"", b""), (KEY.public, b""), (b"", bytes(64)), (bytes(32), bytes(64))])
def test_malformed_keys_and_signatures_are_just_wrong(public: bytes, seal: bytes) -> None:
    assert not is_signed(public, "grant", b"data", seal)
