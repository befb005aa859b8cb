"""Compressed files that change as a whole when one byte does, and the same compressed so that they do not.

``gzip --rsyncable`` and ``zstd --rsyncable`` begin anew at places that the content chooses, so what is before and
behind an edit stays as it was. Where there is no such program, our own boundaries are taken: a full flush of zlib, or
a frame of zstd, wherever our cutter ends a block of about 64 KiB.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Final

import pyfastcdc
import zstandard

from swarm.analysis.curing import Files, Unfit, below
from swarm.analysis.edited import without_a_record

GZIP_MAGIC: Final = b"\x1f\x8b\x08"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
READ_BYTES: Final = 1 << 20
# A deflate stream that is aligned to a byte, as a flush leaves it.
FLUSH: Final = b"\x00\x00\xff\xff"
# GNU gzip begins anew about every 4 KiB of content or more, pigz -R about every 8; others after so many fixed bytes.
FLUSHES_EACH_BYTES: Final = 128 * 1024
SMALL_BYTES: Final = 256 * 1024
OWN_CUTTER: Final = pyfastcdc.FastCDC(avg_size=64 * 1024, min_size=16 * 1024, max_size=256 * 1024)
TIMEOUT_S: Final = 600
# Those of zstd that people choose; the slow ones would take minutes to try.
USUAL_LEVELS: Final = (3, 1, 6, 9)
HEADER_MAX_BYTES: Final = 18
PLAIN_MAX_BYTES: Final = 4 << 30
TAIL_BYTES: Final = 64 * 1024


@functools.cache
def program(name: str) -> str | None:
    """The program with --rsyncable, if this machine has it."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        tried = subprocess.run([path, "--rsyncable", "-c"], input=b"x", capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if tried.returncode == 0 else None


class _Compressed:
    """What both formats have in common."""

    magic: bytes
    name: str
    kind: str
    title: str

    def fits(self, path: str, head: bytes, size: int) -> bool:
        return head.startswith(self.magic) and size >= SMALL_BYTES

    def missing(self) -> str:
        return ""

    def change(self) -> str:
        own = (
            "" if program(self.name) else "; estimated with boundaries of our own, as this machine has no such program"
        )
        return f"compress with `{self.name} --rsyncable`, or publish uncompressed: blocks travel compressed anyway{own}"

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        for files, target in ((old, to_old), (new, to_new)):
            for path, source in files.items():
                plain = below(target, path + ".plain")
                self.unpack(source, plain)
                self.pack(plain, target / path, self.level_of(source), rsyncable=True)
                plain.unlink()
        return new

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """Old and new, compressed as if by the same program without the option, if that was not given already."""
        found: list[str] = []
        for path, source in files.items():
            plain, edited = below(to_new, path + ".plain"), below(to_old, path + ".plain")
            self.unpack(source, plain)
            if not self.is_right(source, plain):
                found.append(path)
                level = self.level_of(source)
                without_a_record(plain, edited)
                self.pack(plain, to_new / path, level, rsyncable=False)
                self.pack(edited, to_old / path, level, rsyncable=False)
            for scratch in (plain, edited):
                scratch.unlink(missing_ok=True)
        return found

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        plain = target.with_name(target.name + ".plain")
        self.unpack(source, plain, limit)
        self.pack(plain, target, self.level_of(source), rsyncable=False)
        plain.unlink()
        return True

    def unpack(self, source: Path, target: Path, limit: int | None = None) -> None:
        """Write the content, at most so many bytes. Unfit for what is damaged, but for a beginning cut off, and for
        what unpacks to more than is put on a disk for it.
        """
        left = limit if limit is not None else PLAIN_MAX_BYTES
        with source.open("rb") as packed, target.open("wb") as plain:
            for data in self.parts(packed, is_whole=limit is None):
                plain.write(data[:left])
                left -= len(data)
                if left <= 0 and limit is None:
                    raise Unfit(f"a file unpacks to more than {PLAIN_MAX_BYTES} bytes")
                if left <= 0:
                    return

    def parts(self, packed: IO[bytes], *, is_whole: bool) -> Iterator[bytes]:
        raise NotImplementedError

    def pack(self, plain: Path, target: Path, level: int, *, rsyncable: bool) -> None:
        """Compress a file; with the machine's program if there is one that can."""
        path = program(self.name)
        if path is None:
            with plain.open("rb") as source, target.open("wb") as sink:
                for data in self.own(source, level, rsyncable=rsyncable):
                    sink.write(data)
            return
        options = ["--rsyncable"] if rsyncable else []
        with plain.open("rb") as source, target.open("wb") as sink:
            command = [path, *self.options, *options, f"-{level}", "-c"]
            done = subprocess.run(command, stdin=source, stdout=sink, stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        if done.returncode:
            raise Unfit(f"{self.name} failed: {done.stderr.decode(errors='replace').strip()[:200]}")

    options: tuple[str, ...] = ()

    def own(self, source: IO[bytes], level: int, *, rsyncable: bool) -> Iterator[bytes]:
        raise NotImplementedError

    def level_of(self, source: Path) -> int:
        raise NotImplementedError

    def is_right(self, source: Path, plain: Path) -> bool:
        raise NotImplementedError


class Gzip(_Compressed):
    """gzip without --rsyncable."""

    magic = GZIP_MAGIC
    name = "gzip"
    kind = "gzip-not-rsyncable"
    title = "gzip that changes as a whole"
    options = ("-n",)

    def parts(self, packed: IO[bytes], *, is_whole: bool) -> Iterator[bytes]:
        inflate = zlib.decompressobj(31)
        began = False
        try:
            while data := (inflate.unused_data or packed.read(READ_BYTES)):
                if inflate.eof:
                    if not data.startswith(GZIP_MAGIC[: len(data)]):
                        return  # padding, which gzip ignores too
                    inflate = zlib.decompressobj(31)
                while data and not inflate.eof:
                    yield inflate.decompress(data, READ_BYTES)
                    data = inflate.unconsumed_tail
                began = True
        except zlib.error as error:
            raise Unfit(f"a gzip file is damaged: {error}") from error
        if not began or (is_whole and not inflate.eof):
            raise Unfit("a gzip file is cut short")

    def own(self, source: IO[bytes], level: int, *, rsyncable: bool) -> Iterator[bytes]:
        deflate = zlib.compressobj(level, wbits=31)
        for block in _cut(source) if rsyncable else iter(lambda: source.read(READ_BYTES), b""):
            yield deflate.compress(block)
            if rsyncable:
                yield deflate.flush(zlib.Z_FULL_FLUSH)
        yield deflate.flush()

    def level_of(self, source: Path) -> int:
        """By the header's hint: the slowest, the fastest, or the usual one."""
        with source.open("rb") as file:
            return {2: 9, 4: 1}.get((file.read(9) or b"\0")[-1], 6)

    def is_right(self, source: Path, plain: Path) -> bool:
        """Whether the stream was flushed again and again, at places that are not all a fixed number of bytes apart."""
        places = _flushed_at(source)
        if len(places) * FLUSHES_EACH_BYTES < plain.stat().st_size or len(places) < 2:
            return False
        return any(place % (32 * 1024) for place in places[:64])


def _flushed_at(source: Path, most: int = 4096) -> list[int]:
    """Where in its content a gzip file was flushed, as far as marks of a flush can be told from data."""
    inflate, done = zlib.decompressobj(31), 0
    places: list[int] = []
    before = b""
    with source.open("rb") as file:
        while (data := file.read(READ_BYTES)) and len(places) < most:
            start = 0
            joined = before + data
            while (at := joined.find(FLUSH, start)) >= 0:
                end = at + len(FLUSH) - len(before)
                if end > 0:
                    done += len(inflate.decompress(data[max(0, start - len(before)) : end]))
                    places.append(done)
                start = at + len(FLUSH)
            done += len(inflate.decompress(data[max(0, start - len(before)) :]))
            before = data[-(len(FLUSH) - 1) :]
            if inflate.eof:
                break
    return places


class Zstd(_Compressed):
    """zstd without --rsyncable."""

    magic = ZSTD_MAGIC
    name = "zstd"
    kind = "zstd-not-rsyncable"
    title = "zstd that changes as a whole"
    # It needs its threads for the option.
    options = ("-q", "-T1")

    def parts(self, packed: IO[bytes], *, is_whole: bool) -> Iterator[bytes]:
        reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
        try:
            while data := reader.read(READ_BYTES):
                yield data
        except zstandard.ZstdError as error:
            raise Unfit(f"a zstd file is damaged: {error}") from error

    def own(self, source: IO[bytes], level: int, *, rsyncable: bool) -> Iterator[bytes]:
        compressor = zstandard.ZstdCompressor(level=level)
        if not rsyncable:
            stream = compressor.compressobj()
            for data in iter(lambda: source.read(READ_BYTES), b""):
                yield stream.compress(data)
            yield stream.flush()
            return
        for block in _cut(source):
            yield compressor.compress(block)

    def level_of(self, source: Path) -> int:
        """What a frame does not tell: the usual one."""
        return 3

    def is_right(self, source: Path, plain: Path) -> bool:
        """Whether it has many frames, or is what the program writes with --rsyncable at a usual level."""
        with source.open("rb") as file:
            head = file.read(8 * READ_BYTES)
        if head.count(ZSTD_MAGIC) > 1 and head.count(ZSTD_MAGIC) * READ_BYTES >= len(head):
            return True
        return any(self._is_written_so(source, plain, level) for level in USUAL_LEVELS)

    def _is_written_so(self, source: Path, plain: Path, level: int) -> bool:
        again = plain.with_name(plain.name + ".again")
        self.pack(plain, again, level, rsyncable=True)
        try:
            # How long the header is depends on what the program knew of the size.
            sizes = source.stat().st_size, again.stat().st_size
            return abs(sizes[0] - sizes[1]) <= HEADER_MAX_BYTES and _tail(source) == _tail(again)
        finally:
            again.unlink()


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(HEADER_MAX_BYTES, path.stat().st_size - TAIL_BYTES))
        return file.read()


def _cut(source: IO[bytes]) -> Iterator[bytes]:
    """Content at boundaries that it chooses."""
    window = b""
    while True:
        data = source.read(READ_BYTES)
        window += data
        at = 0
        while len(window) - at > 256 * 1024 or (not data and at < len(window)):
            length = int(next(iter(OWN_CUTTER.cut_buf(window[at : at + 256 * 1024]))).length)
            yield window[at : at + length]
            at += length
        window = window[at:]
        if not data:
            return
