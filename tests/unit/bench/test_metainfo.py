"""The metainfo file, against bytes written by hand from BEP 3."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.contenders.metainfo import HASHES_KEY, LENGTH_KEY, bencode, make_metainfo
from bench.payload import make_payload


def test_keys_are_in_order_and_lengths_are_of_bytes() -> None:
    assert bencode({b"b": 3, b"a": b"\xff\x00", b"c": {}}) == b"d1:a2:\xff\x001:bi3e1:cdee"


def test_the_hash_of_the_info_names_the_swarm(tmp_path: Path) -> None:
    payload = make_payload(tmp_path / "payload", 5, seed=1)
    data = payload.file.read_bytes()
    hashes = b"".join(hashlib.sha1(part).digest() for part in (data[:4], data[4:]))
    info = b"d6:lengthi5e4:name11:payload.bin12:" + LENGTH_KEY + b"i4e6:" + HASHES_KEY + b"40:" + hashes + b"e"
    made = make_metainfo(payload, "http://tracker", 4)
    assert made.infohash == hashlib.sha1(info).hexdigest()
    assert made.content == b"d8:announce14:http://tracker4:info" + info + b"e"
