"""Archives: times in them that every build changes, and many files in one that would better be files.

A zip, a tar or a gzip header holds when something was made. Who builds the same content again makes other bytes, at
each member: hardly a block stays. With the times set to one constant the bytes are the same again.
"""

from __future__ import annotations

import collections
import os
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Final

from swarm.analysis.compressed import GZIP_MAGIC, ZSTD_MAGIC, Gzip, Zstd
from swarm.analysis.curing import Files, Unfit, below
from swarm.analysis.edited import without_a_record
from swarm.analysis.findings import SAVED_SHARE_MIN
from swarm.scan import scan

TAR_BLOCK: Final = 512
ZIP_MAGIC: Final = b"PK\x03\x04"
DAY_S: Final = 86_400
# What is this much older than its archive was not made by the build that made the archive.
OF_THE_BUILD_S: Final = 2 * DAY_S
GIANT_BYTES: Final = 4 * 1024 * 1024
MEMBERS_MIN: Final = 8
# 1980-01-01, the first date that a zip can hold.
ZIP_EPOCH: Final = 0x0021_0000
READ_BYTES: Final = 1 << 20

Retime = Callable[[int], int]


def is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def is_packed_tar(path: str, head: bytes) -> bool:
    name = path.lower()
    if head.startswith(GZIP_MAGIC):
        return name.endswith((".tar.gz", ".tgz"))
    return head.startswith(ZSTD_MAGIC) and name.endswith((".tar.zst", ".tzst"))


class Times:
    """Times of the build in archives and gzip headers."""

    kind = "embedded-times"
    title = "times of the build inside of files"

    def fits(self, path: str, head: bytes, size: int) -> bool:
        if head.startswith(GZIP_MAGIC):
            return head[4:8] != b"\0\0\0\0" or is_packed_tar(path, head)
        return head.startswith(ZIP_MAGIC) or is_tar(head)

    def missing(self) -> str:
        return ""

    def change(self) -> str:
        return (
            "write a constant time: `gzip -n`, `tar --mtime=@0 --sort=name`, SOURCE_DATE_EPOCH for wheels and zips "
            "(`zip -X` after `touch -d @315532800`)"
        )

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """Those that it helps, file by file: an archive whose content changed as well would hide one beside it."""
        found: list[str] = []
        for path in new:
            cured = below(to_old, path), below(to_new, path)
            for source, target in zip((old[path], new[path]), cured, strict=True):
                _retimed(source, target, lambda at: 0)
            if _new_bytes(*cured) <= (1 - SAVED_SHARE_MIN) * _new_bytes(old[path], new[path]):
                found.append(path)
                continue
            for target in cured:
                target.unlink()
        return found

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """The same, built a day before; unless its times are no build's."""
        found: list[str] = []
        for path, source in files.items():
            built = source.stat().st_mtime
            times = _times(source)
            recent = sum(1 for at in times if built - OF_THE_BUILD_S <= at <= built + DAY_S)
            if times and 2 * recent >= len(times):
                found.append(path)
                _retimed(source, below(to_new, path), lambda at: at)
                _retimed(source, below(to_old, path), lambda at: max(0, at - DAY_S - 2))
        return found

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        return False


def _new_bytes(old: Path, new: Path) -> int:
    """How much of a file lies in blocks that an older one has not."""
    before, after = (scan(Path(os.path.realpath(path))).manifest for path in (old, new))
    return sum(block.size for block in after.unique if block.signature not in before.index_of)


def _retimed(source: Path, target: Path, retime: Retime) -> None:
    """A copy with other times in it."""
    head = _head(source)
    if head.startswith(ZIP_MAGIC):
        _retimed_zip(source, target, retime)
    elif is_tar(head):
        with source.open("rb") as file, target.open("wb") as sink:
            for data in _retimed_tar(file, retime):
                sink.write(data)
    elif head.startswith(GZIP_MAGIC) and is_packed_tar(source.name, head):
        _retimed_packed(source, target, retime)
    else:
        _retimed_gzip(source, target, retime)


def _head(source: Path) -> bytes:
    with source.open("rb") as file:
        return file.read(TAR_BLOCK)


def _times(source: Path) -> list[int]:
    """The times that a file holds."""
    seen: list[int] = []

    def see(at: int) -> int:
        seen.append(at)
        return at

    head = _head(source)
    if head.startswith(ZIP_MAGIC):
        with zipfile.ZipFile(source) as archive:
            return [_wall(info) for info in archive.infolist()]
    if is_tar(head):
        with source.open("rb") as file:
            collections.deque(_retimed_tar(file, see), maxlen=0)
        return seen
    if is_packed_tar(source.name, head):
        with tarfile.open(source) as tar:
            return [int(member.mtime) for member in tar]
    return [at for at in struct.unpack("<I", head[4:8]) if at]


def _wall(info: zipfile.ZipInfo) -> int:
    try:
        return int(time.mktime((*info.date_time, 0, 0, -1)))
    except (ValueError, OverflowError):
        return 0


def _retimed_gzip(source: Path, target: Path, retime: Retime) -> None:
    with source.open("rb") as file, target.open("wb") as sink:
        head = file.read(10)
        at = retime(*struct.unpack("<I", head[4:8]))
        sink.write(head[:4] + struct.pack("<I", at & 0xFFFFFFFF) + head[8:])
        for data in iter(lambda: file.read(READ_BYTES), b""):
            sink.write(data)


def _retimed_packed(source: Path, target: Path, retime: Retime) -> None:
    """A compressed tar: the tar in it, compressed as it was."""
    gzip = Gzip()
    deflate = zlib.compressobj(gzip.level_of(source), wbits=31)
    plain = target.with_name(target.name + ".tar")
    gzip.unpack(source, plain)
    try:
        with plain.open("rb") as file, target.open("wb") as sink:
            for data in _retimed_tar(file, retime):
                sink.write(deflate.compress(data))
            sink.write(deflate.flush())
    finally:
        plain.unlink()


def _retimed_tar(file: IO[bytes], retime: Retime) -> Iterator[bytes]:
    """A tar's bytes, with other times in its headers."""
    while head := file.read(TAR_BLOCK):
        if len(head) < TAR_BLOCK or not head.strip(b"\0"):
            yield head
            continue
        size, kind = _number(head[124:136]), head[156:157]
        yield _retimed_head(head, retime)
        left = -(-size // TAR_BLOCK) * TAR_BLOCK
        if kind in b"xg" and kind and left <= READ_BYTES:
            yield _retimed_pax(file.read(left), retime)
            continue
        while left:
            data = file.read(min(left, READ_BYTES))
            if not data:
                raise Unfit("a tar is cut short")
            yield data
            left -= len(data)


def _number(field: bytes) -> int:
    """A number of a header: octal, or binary for large ones."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:])
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise Unfit("a tar has a header that is none") from error


def _retimed_head(head: bytes, retime: Retime) -> bytes:
    at = retime(_number(head[136:148]))
    changed = head[:136] + b"%011o\0" % (at & 0o77777777777) + b" " * 8 + head[156:TAR_BLOCK]
    return changed[:148] + b"%06o\0 " % sum(changed) + changed[156:]


def _retimed_pax(data: bytes, retime: Retime) -> bytes:
    """Extended headers: whole seconds changed, in as many digits; fractions of them gone to zero."""
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        for key in (b" mtime=", b" atime=", b" ctime="):
            before, found, value = line.partition(key)
            if found:
                whole, dot, rest = value.partition(b".")
                at = retime(int(whole)) if whole.isdigit() else 0
                lines[number] = before + found + b"%0*d" % (len(whole), at) + dot + b"0" * len(rest)
    return b"\n".join(lines)


def _retimed_zip(source: Path, target: Path, retime: Retime) -> None:
    """A zip: the times of each member, in its own header and in the directory at the end."""
    try:
        with zipfile.ZipFile(source) as archive:
            infos, start = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, OSError) as error:
        raise Unfit(f"a zip cannot be read: {error}") from error
    with source.open("rb") as file, target.open("w+b") as sink:
        for data in iter(lambda: file.read(READ_BYTES), b""):
            sink.write(data)
        at = start
        for info in infos:
            stamp = _stamp(retime(_wall(info)))
            _patch(sink, info.header_offset, 10, stamp, *_lengths(sink, info.header_offset, 26, 30))
            name, extra, extra_at = _lengths(sink, at, 28, 46)
            comment = _short(sink, at + 32)
            _patch(sink, at, 12, stamp, name, extra, extra_at)
            at += 46 + name + extra + comment


def _stamp(at: int) -> int:
    """Date and time as a zip has them."""
    if at < 315_532_800:
        return ZIP_EPOCH
    t = time.localtime(at)
    return ((t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday) << 16 | t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2


def _short(file: IO[bytes], at: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(2), "little")


def _lengths(file: IO[bytes], at: int, field: int, fixed: int) -> tuple[int, int, int]:
    """How long a header's name and extra fields are, and where these begin, from the header's start."""
    name, extra = _short(file, at + field), _short(file, at + field + 2)
    return name, extra, fixed + name


def _patch(file: IO[bytes], at: int, field: int, stamp: int, name: int, extra: int, extra_at: int) -> None:
    file.seek(at + field)
    file.write(struct.pack("<I", stamp))
    file.seek(at + extra_at)
    data = bytearray(file.read(extra))
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, position)
        if kind in (0x5455, 0x000A, 0x5855):  # times of Unix, of NTFS, of older Unix
            data[position + 5 : position + 4 + length] = bytes(max(0, length - 1))
        position += 4 + length
    file.seek(at + extra_at)
    file.write(data)


class OneTar:
    """Many files in one archive, which is most of the version."""

    kind = "one-giant-tar"
    title = "many files in one tar"

    def fits(self, path: str, head: bytes, size: int) -> bool:
        return size >= GIANT_BYTES and (is_tar(head) or is_packed_tar(path, head))

    def missing(self) -> str:
        return ""

    def change(self) -> str:
        return (
            "publish the files themselves: unpack it into the directory; consumers then fetch the files that changed, "
            "and can read one without the others"
        )

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        for files, target in ((old, to_old), (new, to_new)):
            for path, source in files.items():
                if _extracted(source, target / path) < MEMBERS_MIN:
                    raise Unfit("it has few members")
        return new

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """With one member changed. A tar that is not compressed changes there alone, and is right."""
        found: list[str] = []
        for path, source in files.items():
            head = _head(source)
            if is_tar(head):
                continue
            found.append(path)
            packed = Gzip() if head.startswith(GZIP_MAGIC) else Zstd()
            plain, edited = below(to_new, path + ".plain"), below(to_old, path + ".plain")
            packed.unpack(source, plain)
            _with_one_changed(plain, edited)
            for tar, target in ((plain, to_new), (edited, to_old)):
                packed.pack(tar, target / path, packed.level_of(source), rsyncable=packed.is_right(source, plain))
            plain.unlink()
            edited.unlink()
        return found

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        return False


def _with_one_changed(source: Path, target: Path) -> None:
    """A tar whose first large member, past a tenth of it, lacks a record."""
    at = source.stat().st_size // 10
    with tarfile.open(source) as tar, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as changed:
        done = False
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None and not done and member.offset >= at and member.size > 200:
                done = True
                whole, part = target.with_name("whole"), target.with_name("part")
                whole.write_bytes(content.read())
                without_a_record(whole, part)
                member.size = part.stat().st_size
                with part.open("rb") as data:
                    changed.addfile(member, data)
                whole.unlink()
                part.unlink()
            else:
                changed.addfile(member, content)


def _extracted(source: Path, target: Path) -> int:
    """Put a tar's regular files into a folder, whatever it says of anything else; how many there were."""
    count = 0
    head = _head(source)
    target.mkdir(parents=True, exist_ok=True)
    plain = source
    if not is_tar(head):
        plain = target.with_name(target.name + ".plain")
        (Gzip() if head.startswith(GZIP_MAGIC) else Zstd()).unpack(source, plain)
    try:
        with tarfile.open(plain) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    count += 1
                    _written(content, target, member)
    except (tarfile.TarError, EOFError) as error:
        raise Unfit(f"a tar cannot be read: {error}") from error
    finally:
        if plain != source:
            plain.unlink()
    return count


def _written(content: IO[bytes], target: Path, member: tarfile.TarInfo) -> None:
    """A member as a file below ``target``: no name leads elsewhere."""
    parts = [part for part in member.name.split("/") if part not in ("", ".", "..")]
    place = below(target, "/".join(parts))
    with place.open("wb") as file:
        for data in iter(lambda: content.read(READ_BYTES), b""):
            file.write(data)
    os.utime(place, (member.mtime, member.mtime))
