"""Sealing with a local key: what is read back, what is noticed, what a disk tells; homes that are one or the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import resealing
from swarm.at_rest import MAGIC, OVERHEAD_BYTES, SALT_BYTES, SealKey, parse_seal_key
from swarm.cli.seal import seal_key_of
from swarm.encoding import encode_block, encode_raw
from swarm.errors import (
    ConflictError,
    LocalProtocolError,
    NotAllowedError,
    NotFoundError,
    RemoteProtocolError,
    UsageError,
)
from swarm.home import Home, SwarmState
from swarm.resealing import reseal
from swarm.signature import signature_of
from swarm.store.disk import DiskStore

ONE: Final = SealKey(bytes(range(32)))
TWO: Final = SealKey(bytes(range(1, 33)))
GOLDEN_SEALED: Final = "41465301" + "07" * SALT_BYTES + "7a7e53ffa6e58ee57454b0a2dd451b044181c24b8c71"
GOLDEN_NAMES: Final = ("3fb55cd64ca7c299", "e8abf167e63d18f2")


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_was_sealed_is_opened_as_what_it_was_sealed(plain: bytes, what: bytes) -> None:
    sealed = ONE.seal(what, plain)
    assert ONE.open(what, sealed) == plain
    assert len(sealed) == len(plain) + OVERHEAD_BYTES
    for key, other in ((TWO, what), (ONE, what + b"x")):
        with pytest.raises(RemoteProtocolError):
            key.open(other, sealed)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_one_bit_or_a_cut_anywhere_is_noticed(plain: bytes, data: st.DataObject) -> None:
    sealed = ONE.seal(b"a", plain)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    for wrong in (bytes(changed), sealed[:at], sealed + b"\0", plain):
        with pytest.raises(RemoteProtocolError):
            ONE.open(b"a", wrong)


def test_no_two_sealings_are_alike_and_none_shows_its_bytes() -> None:
    plain = bytes(1000)
    sealings = {ONE.seal(b"a", plain) for _ in range(100)}
    assert len({sealed[len(MAGIC) : len(MAGIC) + SALT_BYTES] for sealed in sealings}) == 100
    assert len({sealed[-900:] for sealed in sealings}) == 100
    assert not any(bytes(16) in sealed for sealed in sealings)


def test_the_format_does_not_change() -> None:
    assert ONE.seal(b"swarm", b"golden", bytes([7]) * SALT_BYTES).hex() == GOLDEN_SEALED
    assert (ONE.id, ONE.name_of(bytes(32))[:16]) == GOLDEN_NAMES


def test_names_of_blocks_tell_nothing_and_lead_back() -> None:
    signature = os.urandom(32)
    name = ONE.name_of(signature)
    assert ONE.signature_of(name) == signature
    assert signature.hex()[:8] not in name
    assert name != TWO.name_of(signature)
    for other in ("", "x", name[:-2], name + "00", signature.hex(), TWO.name_of(signature)):
        assert ONE.signature_of(other) is None


@pytest.mark.parametrize("text", ["", "00", "0" * 63, "0" * 65, "g" * 64, "0x" + "0" * 62, "\u0660" * 64])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        parse_seal_key(text)


def test_where_a_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = bytes(range(32)).hex()
    (tmp_path / "key").write_text(text + "\n")
    monkeypatch.setenv("SEAL", text)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert seal_key_of("") is None
    for place in (str(tmp_path / "key"), "env:SEAL"):
        assert getattr(seal_key_of(place), "id", "") == ONE.id
    for place in ("credential:key", str(tmp_path / "none"), "env:NONE"):
        with pytest.raises(NotFoundError):
            seal_key_of(place)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert getattr(seal_key_of("credential:key"), "id", "") == ONE.id
    with pytest.raises(NotFoundError):
        seal_key_of("credential:../key")


def test_a_sealed_store_shows_neither_blocks_nor_names(tmp_path: Path) -> None:
    plain = b"nobody may read this " * 50
    signature = signature_of(plain)
    store = DiskStore(tmp_path, 100_000, ONE)
    store.put(signature, encode_raw(plain))
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert b"nobody" not in file.read_bytes()
    assert signature.hex()[:8] not in str(file)
    assert list(DiskStore(tmp_path, 100_000, ONE).held()) == [signature]


def test_a_block_in_another_s_place_is_not_given(tmp_path: Path) -> None:
    plains = [os.urandom(500), os.urandom(500)]
    store = DiskStore(tmp_path, 100_000, ONE)
    for plain in plains:
        store.put(signature_of(plain), encode_raw(plain))
    first, second = (store._file(signature_of(plain)) for plain in plains)
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert [store.get(signature_of(plain)) for plain in plains] == [None, None]
    assert not first.exists()


# ---- homes ----------------------------------------------------------------------------------------------------------

STATE: Final = SwarmState(1, b"the DHT's secret", (), (), b"the store's key")


def home_of(path: Path, key: SealKey | None) -> Home:
    return Home(path, lambda: key)


def made(path: Path, key: SealKey | None) -> tuple[Home, bytes, bytes]:
    """A home with a key, secrets and a block: itself, its public key, and the block's signature."""
    home = home_of(path, key)
    public = home.key().public
    home.remember(STATE)
    (path / "certificate.pem").touch()
    plain = b"kept " * 100
    DiskStore(home.blocks, 100_000, home.seal).put(signature_of(plain), encode_block(plain))
    return home, public, signature_of(plain)


def check(path: Path, key: SealKey | None, public: bytes, signature: bytes) -> None:
    """All of it is there, in the one form or the other."""
    home = home_of(path, key)
    assert home.key().public == public
    assert home.swarm() == STATE
    assert DiskStore(home.blocks, 100_000, home.seal).get(signature) is not None
    texts = b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    for secret in (b"the store's key", b"BEGIN PRIVATE KEY", signature.hex().encode()):
        assert (secret in texts) == (key is None and secret != signature.hex().encode())
    assert not list(path.rglob(".*sealing*"))


@pytest.mark.parametrize("key", [None, ONE])
def test_a_home_is_made_in_either_form(key: SealKey | None, tmp_path: Path) -> None:
    _, public, signature = made(tmp_path / "home", key)
    check(tmp_path / "home", key, public, signature)


@pytest.mark.parametrize(("key", "other"), [(None, ONE), (ONE, None), (ONE, TWO)])
def test_a_home_opens_with_its_own_key_only(key: SealKey | None, other: SealKey | None, tmp_path: Path) -> None:
    home, _, _ = made(tmp_path, key)
    wrong = home_of(home.path, other)
    for use in (wrong.key, wrong.swarm, lambda: wrong.tls_files, lambda: wrong.remember(STATE)):
        with pytest.raises(NotAllowedError, match="seal"):
            use()
    assert home_of(home.path, key).swarm() == STATE


@pytest.mark.parametrize(("old", "new"), [(None, ONE), (ONE, None), (ONE, TWO)])
def test_a_seal_is_put_on_off_and_changed_whenever_it_breaks_off(
    old: SealKey | None, new: SealKey | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each file, told so, and repeated: everything is there in the new form."""
    steps, replace = 0, resealing._replace
    while True:
        path = tmp_path / str(steps)
        _, public, signature = made(path, old)
        written = iter(range(steps))

        def write(*given: Any, written: Iterator[int] = written, **named: Any) -> None:
            if next(written, None) is None:
                raise InterruptedError
            replace(*given, **named)

        with monkeypatch.context() as patched:
            patched.setattr(resealing, "_replace", write)
            try:
                reseal(path, old, new)
                break
            except InterruptedError:
                steps += 1
        for key in (old, new):
            with pytest.raises(NotAllowedError, match="broke off"):
                home_of(path, key).key()
        assert reseal(path, old, new) <= 1
        check(path, new, public, signature)
    assert steps == 3
    check(path, new, public, signature)


def test_a_seal_is_changed_by_who_knows_it_and_while_nothing_runs(tmp_path: Path) -> None:
    home, public, signature = made(tmp_path, ONE)
    with pytest.raises(NotAllowedError, match="is sealed with"):
        reseal(tmp_path, TWO, None)
    with pytest.raises(NotAllowedError, match="is sealed with"):
        reseal(tmp_path, None, TWO)
    # Most commands have no --seal-key.
    with pytest.raises(NotAllowedError, match="name its key by AETHERFS_SEAL_KEY"):
        home_of(tmp_path, None).key()
    home.open()
    try:
        with pytest.raises(ConflictError):
            reseal(tmp_path, ONE, TWO)
    finally:
        home.close()
    check(tmp_path, ONE, public, signature)


def test_an_altered_secret_is_noticed(tmp_path: Path) -> None:
    home, _, _ = made(tmp_path, ONE)
    path = tmp_path / "swarm"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RemoteProtocolError, match="altered"):
        home_of(tmp_path, ONE).swarm()
    with pytest.raises(LocalProtocolError, match="SECRETS"):
        home.write_secret("something", b"")
