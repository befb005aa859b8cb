"""Pictures with the same pixels and other bytes: encoded again, or with other notes in them. Needs the older version.

A PNG is compared by its inflated scan lines, a JPEG without its comments and application data: what a lossless rewrite
or another date changes. Where Pillow is installed, pictures that still differ are compared pixel by pixel, so another
encoding of the same pixels is found too. A JPEG that was decoded and encoded anew has other pixels, and is a new
picture; video and sound are not looked into.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from blake3 import blake3

from swarm.analysis.curing import Files, Unfit, below

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC: Final = b"\xff\xd8\xff"
MEDIA_MIN_BYTES: Final = 1024
PICTURE_MAX_BYTES: Final = 64 * 1024 * 1024
PIXELS_MAX: Final = 64_000_000
# What PNG says of how to show pixels, and what they are.
SHOWN: Final = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP")


class Recompressed:
    """The same pictures in other bytes."""

    kind = "recompressed-media"
    title = "pictures with the same pixels in other bytes"

    def fits(self, path: str, head: bytes, size: int) -> bool:
        return head.startswith((PNG_MAGIC, JPEG_MAGIC)) and MEDIA_MIN_BYTES <= size <= PICTURE_MAX_BYTES

    def missing(self) -> str:
        return ""

    def change(self) -> str:
        return "keep the file of the version before where the pixels are the same: encode, tag and date pictures once"

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        same = [path for path, source in new.items() if path in old and is_same_picture(old[path], source)]
        for path in same:
            for target in (to_old, to_new):
                below(target, path).symlink_to(old[path].resolve())
        return same

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        return ()  # One version does not show what the next build does to it.

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        return False


def is_same_picture(old: Path, new: Path) -> bool:
    """Whether two files show the same pixels, as far as can be told here."""
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return False
    try:
        if picture_of(before) == picture_of(after):
            return True
    except Unfit:
        return False
    return _pixels(old) is not None and _pixels(old) == _pixels(new)


def picture_of(data: bytes) -> bytes:
    """A digest of what is shown. Unfit for what is no whole picture."""
    return _png(data) if data.startswith(PNG_MAGIC) else _jpeg(data)


def _png(data: bytes) -> bytes:
    hasher, inflate, at = blake3(), zlib.decompressobj(), len(PNG_MAGIC)
    try:
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4])
            kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
            if kind == b"IDAT":
                rest = body
                while rest:
                    hasher.update(inflate.decompress(rest, 1 << 22))
                    rest = inflate.unconsumed_tail
            elif kind in SHOWN:
                hasher.update(kind + body)
            at += 12 + length
    except zlib.error as error:
        raise Unfit(f"a PNG is damaged: {error}") from error
    if not inflate.eof:
        raise Unfit("a PNG is cut short")
    return hasher.digest()


def _jpeg(data: bytes) -> bytes:
    hasher, at = blake3(), 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xDA:  # from here on it is the picture
            hasher.update(data[at:])
            return hasher.digest()
        length = int.from_bytes(data[at + 2 : at + 4])
        # APP0 to APP15 and comments say things about it; but APP14 says which colours these are.
        if not (0xE0 <= kind <= 0xEF or kind == 0xFE) or kind == 0xEE:
            hasher.update(data[at : at + 2 + length])
        at += 2 + length
    raise Unfit("a JPEG has no picture in it")


def _pixels(path: Path) -> bytes | None:
    """A digest of decoded pixels, None where Pillow is not installed or cannot read it."""
    if importlib.util.find_spec("PIL") is None:
        return None
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                return None
            return blake3(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).digest()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
