"""Two versions of files of every kind that a finding is about."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.datasets import seeded

DAY_S = 86_400
WALL_S = 1_750_000_000


def rows(count: int = 30_000, seed: int = 1) -> list[bytes]:
    """Lines of a table, with little in common."""
    rng = random.Random(seed)
    return [b"%d,%d,name-%d\n" % (n, rng.randrange(10**12), rng.randrange(10**9)) for n in range(count)]


def table(lines: Sequence[bytes]) -> bytes:
    return b"id,number,name\n" + b"".join(lines)


def with_a_row(lines: Sequence[bytes], at: int = 500) -> list[bytes]:
    return [*lines[:at], b"99999999,1,new\n", *lines[at:]]


def members(count: int = 40, size: int = 30_000) -> dict[str, bytes]:
    """Files of an archive, which do not compress much."""
    return {f"member-{n:03}.txt": seeded(f"m{n}", size // 2).hex().encode() for n in range(count)}


def tar_of(files: Mapping[str, bytes], at: int) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), at
            tar.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def zip_of(files: Mapping[str, bytes], when: tuple[int, int, int, int, int, int]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, when), content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def gzipped(content: bytes, at: int = 0) -> bytes:
    return gzip.compress(content, 6, mtime=at)


def png_of(seed: str, level: int, note: bytes) -> bytes:
    """A picture of 200 by 200 grey pixels, with a note in it."""
    lines = b"".join(b"\0" + seeded(f"{seed}{n}", 100) * 2 for n in range(200))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 200, 200, 8, 0, 0, 0, 0)),
        (b"tEXt", b"Comment\0" + note),
        (b"IDAT", zlib.compress(lines, level)),
        (b"IEND", b""),
    ]
    whole = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def jpeg_of(seed: str, note: bytes) -> bytes:
    """What looks like a JPEG from afar: a comment, a table and a scan."""
    comment = b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note
    quantization = b"\xff\xdb" + struct.pack(">H", 67) + b"\0" * 65
    return (
        b"\xff\xd8" + comment + quantization + b"\xff\xda" + struct.pack(">H", 8) + seeded(seed, 90_000) + b"\xff\xd9"
    )


def put(root: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return root
