"""WebDAV with clients that people have: litmus, cadaver, rclone, davfs2, NFS. What may not be is refused."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import random
import re
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bench.debian import missing_program, program_path
from tests.integration.client_packages import missing_clients
from tests.integration.dav_mounts import davfs_mount, nfs_of
from tests.integration.mount_rig import why_no_mounts
from tests.integration.swarm_thread import SwarmThread, swarm_thread

HOSTILE = 'q"uote <b>&#%41?;x'
LARGE = random.Random(3).randbytes(3_000_000)
# What litmus writes, and compares with what it reads.
LITMUS_FILE = b"This is\na test file.\nfor litmus\ntesting.\n"
# Its tests that read. All others need to write: PROPPATCH, COPY, MOVE, locks, and what PUT, MKCOL and DELETE refuse.
READING = {
    "basic": {"options", "put_get", "put_get_utf8_segment"},
    "props": {"propfind_invalid", "propfind_invalid2", "propfind_d0", "propextended", "propwformed"},
    "locks": {"options"},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("webdav")) as running:
        source = running.folder / "source"
        (source / "sub" / "deep").mkdir(parents=True)
        (source / "empty").mkdir()
        (source / HOSTILE).write_bytes(b"hostile")
        (source / "large.bin").write_bytes(LARGE)
        (source / "sub" / "deep" / "f").write_text("deep")
        for name, target in (("link", "sub"), ("sub/up", ".."), ("sub/out", "../large.bin"), ("sub/round", "../link")):
            os.symlink(target, source / name)
        running.publish(source, "maps/roads:v1", "maps/roads:latest")
        yield running


def ask(
    running: SwarmThread, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(running.agent.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, f"/webdav{path}", body, {name.replace("_", "-"): v for name, v in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def listed(running: SwarmThread, path: str, depth: str = "1") -> dict[str, dict[str, str]]:
    """The properties that are there, by href."""
    status, _, body = ask(running, "PROPFIND", path, Depth=depth)
    assert status == 207, body
    found = {}
    for response in ET.fromstring(body):
        there = response.find("{DAV:}propstat/{DAV:}prop")
        assert there is not None
        properties = {one.tag: one.text or "" for one in there}
        properties["collection"] = "yes" * (there.find("{DAV:}resourcetype/{DAV:}collection") is not None)
        found[unquote(response.findtext("{DAV:}href", ""))] = properties
    return found


def test_names_tags_and_what_lies_in_a_version(running: SwarmThread) -> None:
    assert list(listed(running, "/")) == ["/webdav/", "/webdav/maps/"]
    assert list(listed(running, "/maps")) == ["/webdav/maps/", "/webdav/maps/roads/"]
    top = "/webdav/maps/roads/"
    assert list(listed(running, "/maps/roads/")) == [top, f"{top}latest/", f"{top}v1/"]
    found = listed(running, "/maps/roads/v1/")
    assert {path.removeprefix(f"{top}v1/") for path in found} == {"", "empty/", HOSTILE, "large.bin", "link/", "sub/"}
    large = found[f"{top}v1/large.bin"]
    _, headers, body = ask(running, "GET", "/maps/roads/v1/large.bin")
    assert body == LARGE
    assert headers["ETag"] == large["{DAV:}getetag"]
    assert headers["Last-Modified"] == large["{DAV:}getlastmodified"]
    assert headers["Content-Length"] == large["{DAV:}getcontentlength"] == str(len(LARGE))
    # A client shows a directory without a time as of 1970.
    assert {found[path].get("{DAV:}getlastmodified", "")[-4:] for path in (f"{top}v1/sub/", f"{top}v1/")} == {" GMT"}
    assert "{DAV:}getlastmodified" in listed(running, "/maps/roads/")[f"{top}v1/"]
    fixed = found[f"{top}v1/"]["{urn:aetherfs}version"]
    assert len(listed(running, f"/maps/roads/@{fixed}/")) == len(found)
    part = ask(running, "GET", "/maps/roads/v1/sub/out", Range="bytes=5-8", If_Range=headers["ETag"])
    assert (part[0], part[2]) == (206, LARGE[5:9])
    assert ask(running, "GET", "/maps/roads/v1/large.bin", If_None_Match=headers["ETag"])[0] == 304


def test_a_walk_through_links_ends(running: SwarmThread) -> None:
    seen, ahead = set[str](), ["/maps/roads/v1/"]
    while ahead:
        assert len(seen) < 100
        found = listed(running, ahead.pop())
        new = set(found) - seen
        seen |= new
        ahead += [path.removeprefix("/webdav") for path in sorted(new) if path.endswith("/")]
    below = {path.removeprefix("/webdav/maps/roads/v1/") for path in seen}
    assert {"link/deep/f", "link/out", "sub/out", "sub/deep/f"} <= below
    assert not any(name in path for path in below for name in ("up", "link/round"))


@pytest.mark.parametrize(
    ("method", "status"),
    [*((m, 403) for m in ("PUT", "DELETE", "MKCOL", "COPY", "MOVE", "PROPPATCH")), ("LOCK", 405), ("POST", 405)],
)
def test_nothing_is_written(running: SwarmThread, method: str, status: int) -> None:
    answered = ask(running, method, "/maps/roads/v1/large.bin", b"x", Destination="/webdav/maps/roads/v1/new")
    assert answered[0] == status
    assert answered[1]["Allow"] == "OPTIONS, GET, HEAD, PROPFIND"


def test_what_is_asked_wrongly_is_refused(running: SwarmThread) -> None:
    status, _, body = ask(running, "PROPFIND", "/maps/")
    assert (status, b"<D:propfind-finite-depth/>" in body) == (403, True)
    assert ask(running, "PROPFIND", "/maps/", Depth="2")[0] == 400
    assert ask(running, "PROPFIND", "/maps/", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", Depth="0")[0] == 400
    assert ask(running, "PROPFIND", "/maps/", b" " * 100_000, Depth="0")[0] == 400
    for path in ("/nobody/", "/maps/nothing/", "/maps/roads/v9/", "/maps/roads/v1/none", "/maps/roads/v1/large.bin/x"):
        assert ask(running, "PROPFIND", path, Depth="1")[0] == 404, path
    assert ask(running, "GET", "/maps/roads/v1/sub")[1]["Location"] == "/fs/maps/roads/v1/sub/"


def client(program: str, *arguments: str, told: str = "", folder: Path | None = None) -> str:
    why = missing_program(program, program, is_root=os.geteuid() == 0)
    if why is not None:
        pytest.skip(why)
    done = subprocess.run(
        [program_path(program), *arguments],
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
    )
    return done.stdout + done.stderr


@pytest.mark.root
def test_rclone_copies_a_version(running: SwarmThread, tmp_path: Path) -> None:
    url = f"{running.agent}/webdav/maps/roads/v1"
    printed = client(
        "rclone", "copy", "--config", str(tmp_path / "none"), "--webdav-url", url, ":webdav:", str(tmp_path / "to")
    )
    assert "ERROR" not in printed, printed
    found = {str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*") if path.is_file()}
    assert found == {HOSTILE, "large.bin", "link/deep/f", "link/out", "sub/deep/f", "sub/out"}
    assert (tmp_path / "to" / "link" / "out").read_bytes() == LARGE


@pytest.mark.root
def test_cadaver_lists_and_gets(running: SwarmThread, tmp_path: Path) -> None:
    to = tmp_path / "got"
    told = f"ls\ncd sub\nls\nget out {to}\nput {__file__}\nquit\n"
    printed = client("cadaver", f"{running.agent}/webdav/maps/roads/v1/", told=told)
    assert to.read_bytes() == LARGE
    assert HOSTILE in printed
    assert "403 Forbidden" in printed.partition("Uploading")[2]


@pytest.mark.root
def test_davfs2_mounts_a_version(running: SwarmThread, tmp_path: Path) -> None:
    for why in (why_no_mounts(), missing_program("mount.davfs", "davfs2", is_root=os.geteuid() == 0)):
        if why is not None:
            pytest.skip(why)
    with davfs_mount(f"{running.agent}/webdav/maps/roads/v1", tmp_path) as place:
        # Directories of davfs2's own (lost+found) lie at the top.
        assert {HOSTILE, "empty", "large.bin", "link", "sub"} <= set(os.listdir(place))
        assert (place / "large.bin").read_bytes() == LARGE
        assert (place / HOSTILE).read_bytes() == b"hostile"
        assert (place / "link" / "deep" / "f").read_text() == "deep"
        with pytest.raises(OSError, match="Read-only"):
            (place / "sub" / "new").touch()


@pytest.mark.root
def test_nfs_by_rclone_reads_a_version(running: SwarmThread, tmp_path: Path) -> None:
    """With a client that needs no kernel's: ``nfs-ls`` and ``nfs-cat`` of libnfs."""
    why = missing_clients() or missing_program("nfs-cat", "libnfs-utils", is_root=os.geteuid() == 0)
    if why is not None:
        pytest.skip(why)
    with nfs_of(f"{running.agent}/webdav/maps/roads/v1", tmp_path) as address:
        for path, names in (("", {HOSTILE, "empty", "large.bin", "link", "sub"}), ("link", {"deep", "out"})):
            listed = subprocess.run(["nfs-ls", address(path)], capture_output=True, text=True, timeout=60, check=True)
            assert {re.split(r" +", line, maxsplit=5)[5] for line in listed.stdout.splitlines()} == names
        for path, data in (("large.bin", LARGE), ("sub/out", LARGE), ("sub/deep/f", b"deep")):
            read = subprocess.run(["nfs-cat", address(path)], capture_output=True, timeout=60, check=True)
            assert read.stdout == data


class Pretending(http.server.BaseHTTPRequestHandler):
    """Between litmus and the agent: says that what litmus writes was written, as the version holds it, and passes on
    all that reads.
    """

    protocol_version = "HTTP/1.1"
    agent = ""

    def do_it(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.command in ("DELETE", "MKCOL", "PUT"):
            self.answer(204 if self.command == "DELETE" else 201, [], b"")
            return
        connection = http.client.HTTPConnection(self.agent, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("te", "connection")}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        # What is sent as it is found has no length before it: it is gathered here.
        self.answer(response.status, response.getheaders(), response.read())
        connection.close()

    do_OPTIONS = do_GET = do_HEAD = do_PUT = do_DELETE = do_MKCOL = do_PROPFIND = do_PROPPATCH = do_it
    do_COPY = do_MOVE = do_LOCK = do_UNLOCK = do_it

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # litmus may have left
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def pretending(agent: str) -> Iterator[str]:
    handler = type("Handler", (Pretending,), {"agent": urlsplit(agent).netloc})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.root
def test_litmus_passes_in_what_reads(running: SwarmThread, tmp_path: Path) -> None:
    client("litmus", "--version")
    (tmp_path / "source" / "litmus").mkdir(parents=True)
    for name in ("res", "res-€", "prop"):
        (tmp_path / "source" / "litmus" / name).write_bytes(LITMUS_FILE)
    running.publish(tmp_path / "source", "tests/litmus:v1")
    with pretending(running.agent) as address:
        printed = client("litmus", "-k", f"{address}/webdav/tests/litmus/v1/", folder=tmp_path)
    for suite, reading in READING.items():
        told = printed.partition(f"-> running `{suite}'")[2].partition("<- summary")[0]
        assert {name for name in reading if not _passed(told, name)} == set(), told


def _passed(told: str, name: str) -> bool:
    """Whether a test passed: the last word of the lines that begin with it."""
    match = re.search(rf"\d+\. {name}\.+ (.*?)(?=\n *\d+\. (?!{name}\.)|\Z)", told.replace("\r", "\n"), re.DOTALL)
    return match is not None and " pass" in f" {match[1]}" and "FAIL" not in match[1] and "SKIPPED" not in match[1]
