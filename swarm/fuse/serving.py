"""Answering the kernel: threads that read its questions and ask the agent.

A mount shows one version. One that follows shows, from the moment it hears of it, another: what is looked up and opened
then is of that, and what was open before stays what it was.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from swarm.fuse import wire
from swarm.fuse.ahead import OpenFile, Windows
from swarm.fuse.nodes import DIRECTORY, Node, Nodes, inode_of, key_of
from swarm.fuse.source import Interrupted, Source

THREADS: Final = 8
FETCHING: Final = 6
# A version does not change; what follows looks at names again so often.
FOR_GOOD_S: Final = 365 * 86_400
FOLLOWING_S: Final = 1
# Listings come in pages of so many (``swarm.limits.PAGE_MAX``): "." and ".." come before them.
DOTS: Final = 2

log = logging.getLogger("aetherfs.mount")
Answer = list[bytes | memoryview]


@dataclass(slots=True)
class OpenDirectory:
    """A listing under way, of one version. ``pages`` is where each begins: its first name's number, and cursor."""

    node: Node
    version: str
    pages: list[tuple[int, str]] = field(default_factory=lambda: [(0, "")])
    page: int = -1
    entries: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Server:
    """One mount. ``descriptor`` is the kernel's; ``close`` ends it."""

    def __init__(self, descriptor: int, source: Source, version: str, *, follows: bool = False) -> None:
        self._descriptor = descriptor
        self._source = source
        self.version = version
        self._opened_ns = time.time_ns()
        self._kept_s = FOLLOWING_S if follows else FOR_GOOD_S
        self._directory_flags = 0 if follows else wire.KEEP_CACHE | wire.CACHE_DIRECTORY
        self._owner = wire.Owner(os.getuid(), os.getgid())
        self._nodes = Nodes(version)
        self._lock = threading.Lock()
        self._handles: dict[int, OpenFile | OpenDirectory] = {}
        self._last_handle = 0
        self._waiting: set[int] = set()
        self._interrupted: set[int] = set()
        self._pool = ThreadPoolExecutor(FETCHING, "fetching")
        self._windows = Windows(self._pool)
        self.ended = threading.Event()
        self._answers: dict[int, Callable[[wire.Request], Answer]] = {
            wire.LOOKUP: self._look_up,
            wire.GETATTR: self._attributes,
            wire.READLINK: self._read_link,
            wire.OPEN: self._open,
            wire.READ: self._read,
            wire.STATFS: lambda request: [wire.room_answer()],
            wire.RELEASE: self._release,
            wire.OPENDIR: self._open_directory,
            wire.READDIR: self._read_directory,
            wire.READDIRPLUS: self._read_directory,
            wire.RELEASEDIR: self._release,
            wire.DESTROY: lambda request: [],
        }

    # ---- threads ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Agree with the kernel, then answer in threads. OSError when it is too old."""
        request = self._next(bytearray(wire.REQUEST_MAX_BYTES))
        if request is None:
            return
        major, minor, readahead_bytes, flags = wire.parse_init(request.body)
        if major != wire.MAJOR or minor < wire.MINOR_MIN:
            self._send(request.unique, [], errno.EPROTO)
            raise OSError(errno.EPROTO, f"the kernel speaks FUSE {major}.{minor}, and 7.{wire.MINOR_MIN} is needed")
        self._send(request.unique, [wire.init_answer(minor, max(readahead_bytes, wire.READ_MAX_BYTES), flags)])
        for _ in range(THREADS):
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        buffer = bytearray(wire.REQUEST_MAX_BYTES)
        while (request := self._next(buffer)) is not None:
            if request.operation in wire.UNANSWERED:
                self._take(request)
            else:
                self._answer(request)

    def _next(self, buffer: bytearray) -> wire.Request | None:
        """What the kernel asks next; None when the mount is gone."""
        while not self.ended.is_set():
            try:
                size = os.readv(self._descriptor, [buffer])
                return wire.parse_request(memoryview(buffer)[:size])
            except OSError as error:
                if error.errno not in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    break  # ENODEV: it was unmounted
        self.ended.set()
        return None

    def _answer(self, request: wire.Request) -> None:
        known = self._answers.get(request.operation)
        if known is None:
            self._send(request.unique, [], errno.ENOSYS)
            return
        with self._lock:
            self._waiting.add(request.unique)
        try:
            answer, number = known(request), 0
        except (OSError, KeyError, ValueError) as error:
            answer, number = [], _number_of(error, request)
        except Exception:
            log.exception("a defect answered operation %d", request.operation)
            answer, number = [], errno.EIO
        with self._lock:
            self._waiting.discard(request.unique)
            self._interrupted.discard(request.unique)
        self._send(request.unique, answer, number)

    def _send(self, unique: int, answer: Answer, number: int = 0) -> None:
        # ENOENT: whoever asked was killed meanwhile. ENODEV: it was unmounted.
        with suppress(OSError):
            os.writev(self._descriptor, [wire.answer_head(unique, sum(map(len, answer)), number), *answer])

    def _take(self, request: wire.Request) -> None:
        """What has no answer."""
        with self._lock:
            if request.operation == wire.FORGET:
                self._nodes.forget(request.node, wire.parse_number(request.body))
            elif request.operation == wire.BATCH_FORGET:
                for node, lookups in wire.parse_forgets(request.body):
                    self._nodes.forget(node, lookups)
            elif (unique := wire.parse_number(request.body)) in self._waiting:
                self._interrupted.add(unique)

    def _interruption(self, request: wire.Request) -> Interrupted:
        return lambda: request.unique in self._interrupted or self.ended.is_set()

    def close(self) -> None:
        """No more answers: who still has something open is told that the mount is gone."""
        self.ended.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        os.close(self._descriptor)

    # ---- names ------------------------------------------------------------------------------------------------------

    def _node(self, number: int) -> Node:
        with self._lock:
            return self._nodes.get(number)

    def _packed(self, node: Node) -> bytes:
        return wire.attributes(node.inode, node.entry, self._owner, self._opened_ns)

    def _look_up(self, request: wire.Request) -> Answer:
        parent, version = self._node(request.node), self.version
        try:
            path = _below(parent.path, wire.parse_name(request.body).decode())
            entry = self._source.entry(version, path, self._interruption(request))
        except (FileNotFoundError, UnicodeDecodeError):
            return [wire.entry_answer(0, b"", self._kept_s)]
        return [self._entry(path, entry, version)]

    def _entry(self, path: str, entry: dict[str, Any], version: str) -> bytes:
        """A name of the version, which the kernel then knows."""
        with self._lock:
            node = self._nodes.look_up(path, entry, version)
        return wire.entry_answer(node.number, self._packed(node), self._kept_s)

    def _attributes(self, request: wire.Request) -> Answer:
        return [wire.attributes_answer(self._packed(self._node(request.node)), self._kept_s)]

    def _read_link(self, request: wire.Request) -> Answer:
        return [str(self._node(request.node).entry["target"]).encode()]

    # ---- files ------------------------------------------------------------------------------------------------------

    def _handle(self, opened: OpenFile | OpenDirectory) -> int:
        with self._lock:
            self._last_handle += 1
            self._handles[self._last_handle] = opened
            return self._last_handle

    def _release(self, request: wire.Request) -> Answer:
        with self._lock:
            self._handles.pop(wire.parse_number(request.body), None)
        return []

    def _open(self, request: wire.Request) -> Answer:
        node = self._node(request.node)

        def fetch(begin: int, end: int) -> bytes:
            return self._source.data(node.version, node.path, begin, end, self.ended.is_set)

        opened = OpenFile(self._windows, node.key, int(node.entry["size"]), fetch)
        return [wire.opened_answer(self._handle(opened), wire.KEEP_CACHE)]

    def _read(self, request: wire.Request) -> Answer:
        asked = wire.parse_read(request.body)
        opened = self._handles[asked.handle]
        assert isinstance(opened, OpenFile)
        return list(opened.read(asked.offset, asked.size, self._interruption(request)))

    # ---- directories ------------------------------------------------------------------------------------------------

    def _open_directory(self, request: wire.Request) -> Answer:
        opened = OpenDirectory(self._node(request.node), self.version)
        return [wire.opened_answer(self._handle(opened), self._directory_flags)]

    def _read_directory(self, request: wire.Request) -> Answer:
        asked = wire.parse_read(request.body)
        opened = self._handles[asked.handle]
        assert isinstance(opened, OpenDirectory)
        is_plus = request.operation == wire.READDIRPLUS
        answer: Answer = []
        room = asked.size
        with opened.lock:
            at = asked.offset
            while (line := self._line(opened, at, is_plus, room, self._interruption(request))) is not None:
                answer.append(line)
                room -= len(line)
                at += 1
        return answer

    def _line(self, opened: OpenDirectory, at: int, is_plus: bool, room: int, interrupted: Interrupted) -> bytes | None:
        """The line of this number in a listing; None at its end, or when there is no room for it."""
        if at < DOTS:
            name, path, entry = ("." * (at + 1)), opened.node.path, dict(DIRECTORY)
            head = wire.entry_answer(0, b"", 0)
        else:
            found = self._listed(opened, at - DOTS, interrupted)
            if found is None:
                return None
            name, entry = found["name"], found
            path = _below(opened.node.path, name)
            head = b""
        inode, kind, encoded = inode_of(key_of(path, entry)), str(entry["kind"]), name.encode()
        if len(wire.name_answer(inode, at + 1, kind, encoded, bytes(wire.ENTRY_BYTES) if is_plus else b"")) > room:
            return None
        if is_plus and not head:
            # Only what is sent counts as looked up.
            head = self._entry(path, entry, opened.version)
        return wire.name_answer(inode, at + 1, kind, encoded, head if is_plus else b"")

    def _listed(self, opened: OpenDirectory, at: int, interrupted: Interrupted) -> dict[str, Any] | None:
        """What has this number in a directory."""
        page = next(page for page in reversed(range(len(opened.pages))) if opened.pages[page][0] <= at)
        while True:
            begin, cursor = opened.pages[page]
            if opened.page != page:
                found, following = self._source.page(opened.version, opened.node.path, cursor, interrupted)
                opened.page, opened.entries = page, found
                if following and page + 1 == len(opened.pages):
                    opened.pages.append((begin + len(found), following))
            if at < begin + len(opened.entries):
                return opened.entries[at - begin]
            if page + 1 == len(opened.pages):
                return None
            page += 1


def _below(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _number_of(error: Exception, request: wire.Request) -> int:
    """The errno that a program is told, which for what should not happen is EIO and a line in the log."""
    if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.EACCES, errno.EINTR):
        return error.errno
    log.error("operation %d on node %d failed: %s", request.operation, request.node, error)
    return errno.EIO
