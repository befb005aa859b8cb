"""Files over HTTP, with a client that anybody has: curl. One swarm for each theme, in this process."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path

import pytest

from swarm.http.ranges import http_date
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")
TABLE = b"a,b\n1,2\n3,4\n"
HOSTILE = 'q"uote <b>&\n#%41?;x'


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(url: str, *options: str) -> Answer:
    """What curl shows of an answer."""
    process = await asyncio.create_subprocess_exec(
        CURL or "", "-sS", "-i", "--path-as-is", "--max-time", "60", *options, url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    head, _, body = output.partition(b"\r\n\r\n")
    status, _, lines = head.partition(b"\r\n")
    parsed = BytesParser().parsebytes(lines)
    return Answer(int(status.split()[1]), {k.lower(): v for k, v in parsed.items()}, body)


def make_files(folder: Path) -> Path:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "t.csv").write_bytes(TABLE)
    (folder / "README.md").write_text("# Hi <script>x</script>\n[a](javascript:alert(1)) [b](sub/)\n")
    (folder / "large.bin").write_bytes(random.Random(3).randbytes(3_000_000))
    (folder / HOSTILE).write_text("hostile")
    (folder / "page.html").write_text("<script>alert(1)</script>")
    (folder / "sub" / "deep" / "f").write_text("deep")
    os.symlink("sub", folder / "link")
    os.symlink("../t.csv", folder / "sub" / "out")
    for path in folder.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return folder


def with_files(tmp_path: Path, check: Callable[[Swarm, PeerNode, str, Path], Awaitable[None]]) -> None:
    """Run a check with a peer that holds nothing of what another has published as maps/roads:v1."""

    async def main() -> None:
        source = make_files(tmp_path / "source")
        async with Swarm(tmp_path) as swarm:
            producer, reader = await swarm.peer("producer"), await swarm.peer("reader")
            await swarm.publish(producer, source, "maps/roads:v1")
            await check(swarm, producer, f"http://{reader.agent_address}/fs", source)

    asyncio.run(main())


def test_a_file_whole_and_in_ranges_with_its_validators(tmp_path: Path) -> None:
    async def check(swarm: Swarm, producer: PeerNode, url: str, source: Path) -> None:
        large = (source / "large.bin").read_bytes()
        whole = await ask(f"{url}/maps/roads/v1/large.bin")
        etag = f'"{hashlib.sha256(large).hexdigest()}"'
        assert (whole.status, whole.body, whole.headers["etag"]) == (200, large, etag)
        assert whole.headers["cache-control"] == "no-cache"
        assert whole.headers["last-modified"] == http_date(1_600_000_000)
        assert whole.headers["repr-digest"].startswith("sha-256=:")
        fixed = whole.headers["content-location"]
        assert fixed == f"/fs/maps/roads/@{whole.headers['aetherfs-version']}/large.bin"
        root = url.removesuffix("/fs")
        kept = await ask(root + fixed, "-I")
        assert "immutable" in kept.headers["cache-control"]
        assert (kept.status, kept.headers["content-length"]) == (200, "3000000")

        short = fixed.replace(whole.headers["aetherfs-version"], whole.headers["aetherfs-version"][:10])
        assert (await ask(root + short, "-I")).headers["cache-control"] == "no-cache"

        part = await ask(root + fixed, "-r", "1000000-1000099")
        assert (part.status, part.body) == (206, large[1_000_000:1_000_100])
        assert part.headers["content-range"] == "bytes 1000000-1000099/3000000"
        assert (await ask(root + fixed, "-r", "-5")).body == large[-5:]
        several = await ask(root + fixed, "-r", "0-9,2000000-2000009")
        assert several.headers["content-type"].startswith("multipart/byteranges; boundary=")
        message = BytesParser().parsebytes(
            f"Content-Type: {several.headers['content-type']}\r\n\r\n".encode() + several.body
        )
        parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
        assert parts == [large[:10], large[2_000_000:2_000_010]]
        outside = await ask(root + fixed, "-r", "3000000-")
        assert (outside.status, outside.headers["content-range"]) == (416, "bytes */3000000")

        for headers, status in (
            ({"If-None-Match": etag}, 304),
            ({"If-None-Match": '"x"'}, 200),
            ({"If-Modified-Since": http_date(1_600_000_000)}, 304),
            ({"If-Match": '"x"'}, 412),
            ({"Range": "bytes=5-", "If-Range": etag}, 206),
            ({"Range": "bytes=5-", "If-Range": '"x"'}, 200),
            ({"Range": "bytes=5-", "If-Range": http_date(1_600_000_000)}, 206),
            ({"Range": "bytes=5-", "If-Range": http_date(1_600_000_001)}, 200),
        ):
            options = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
            for path in (fixed, "/fs/maps/roads/v1/large.bin"):
                assert (await ask(root + path, *options)).status == status, (path, headers)

    with_files(tmp_path, check)


def test_listings_links_and_hostile_names(tmp_path: Path) -> None:
    async def check(swarm: Swarm, producer: PeerNode, url: str, source: Path) -> None:
        top = await ask(f"{url}/maps/roads/v1/")
        text = top.body.decode()
        assert top.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in top.headers["content-security-policy"]
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert 'href="javascript' not in text
        assert 'href="sub/"' in text
        assert "3.0 MB" in text
        listed = json.loads((await ask(f"{url}/maps/roads/v1/?format=json")).body)
        assert [entry["name"] for entry in listed["entries"]] == sorted(os.listdir(source))
        pages, after = [], ""
        while True:
            page = json.loads((await ask(f"{url}/maps/roads/v1/?format=json&limit=1&after={quoted(after)}")).body)
            pages += [entry["name"] for entry in page["entries"]]
            after = page["next"]
            if not after:
                break
        assert pages == sorted(os.listdir(source))
        tree = json.loads((await ask(f"{url}/maps/roads/v1/sub/", "-G", "-d", "recursive=1")).body)
        assert [(entry["path"], entry["kind"]) for entry in tree["entries"]] == [
            ("sub/deep/f", "file"),
            ("sub/out", "link"),
        ]
        assert (await ask(f"{url}/maps/roads/v1/{quoted(HOSTILE)}")).body == b"hostile"
        page = await ask(f"{url}/maps/roads/v1/page.html")
        assert page.headers["content-security-policy"].startswith("sandbox;")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await ask(f"{url}/maps/roads/v1/link/out")).body == TABLE
        assert (await ask(f"{url}/maps/roads/v1/sub")).headers["location"] == "/fs/maps/roads/v1/sub/"
        assert [
            entry["tag"] for entry in json.loads((await ask(f"{url}/maps/roads/?format=json")).body)["entries"]
        ] == ["v1"]
        assert b"maps/roads" in (await ask(f"{url}/")).body
        assert b"roads" in (await ask(f"{url}/maps/")).body
        for path, status in {
            "/maps/roads/v1/nothing": 404,
            "/maps/roads/v1/sub/nothing/": 404,
            "/maps/roads/v1/t.csv/": 404,
            "/maps/roads/v1/../v1/t.csv": 404,
            "/maps/roads/v1/sub/%2e%2e/t.csv": 404,
            "/maps/roads/v1/sub%2fdeep/f": 404,
            "/maps/roads/v1//t.csv": 404,
            "/maps/roads/v1/%00": 404,
            "/maps/roads/v1/%ff": 404,
            "/maps/roads/v2/t.csv": 404,
            "/maps/nothing/v1/t.csv": 404,
            "/MAPS/roads/v1/t.csv": 400,
            "/maps/roads/@abc/t.csv": 400,
            "/maps/roads/v1/?limit=0&format=json": 400,
            "/maps/roads/v1/?archive=rar": 400,
        }.items():
            assert (await ask(url + path)).status == status, path
        assert (await ask(f"{url}/maps/roads/v1/t.csv", "-H", "Host: evil.example")).status == 403

    with_files(tmp_path, check)


def quoted(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in name.encode())


def test_archives_hold_the_directory(tmp_path: Path) -> None:
    async def check(swarm: Swarm, producer: PeerNode, url: str, source: Path) -> None:
        data = (await ask(f"{url}/maps/roads/v1/?archive=tar", "-o", "-")).body
        with tarfile.open(fileobj=io.BytesIO(data)) as packed:
            packed.extractall(tmp_path / "out", filter="data")
        assert sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*")) == sorted(
            p.relative_to(source) for p in source.rglob("*")
        )
        assert (tmp_path / "out" / "large.bin").read_bytes() == (source / "large.bin").read_bytes()
        assert os.readlink(tmp_path / "out" / "link") == "sub"
        below = (await ask(f"{url}/maps/roads/v1/link/?archive=zip", "-o", "-")).body
        with zipfile.ZipFile(io.BytesIO(below)) as zipped:
            assert zipped.testzip() is None
            assert zipped.namelist() == ["deep/f"], "a link that leads out is left out"
            assert zipped.read("deep/f") == b"deep"
        whole = (await ask(f"{url}/maps/roads/v1/?archive=zip", "-o", "-")).body
        with zipfile.ZipFile(io.BytesIO(whole)) as zipped:
            assert zipped.read("large.bin") == (source / "large.bin").read_bytes()

    with_files(tmp_path, check)


def test_curl_never_adds_the_rest_of_another_version_to_its_part(tmp_path: Path) -> None:
    async def check(swarm: Swarm, producer: PeerNode, url: str, source: Path) -> None:
        old = (source / "large.bin").read_bytes()
        part = tmp_path / "part"

        async def resumed(*options: str) -> tuple[int, bytes]:
            part.write_bytes(old[:1_000_000])
            process = await asyncio.create_subprocess_exec(
                CURL or "", "-sS", "-C", "-", "-o", str(part), *options, f"{url}/maps/roads/v1/large.bin"
            )
            return await process.wait(), part.read_bytes()

        assert await resumed() == (0, old)
        for path in source.iterdir():
            if path.name not in ("large.bin", "t.csv"):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (source / "t.csv").write_bytes(TABLE + b"5,6\n")
        await swarm.publish(producer, source, "maps/roads:v1")
        assert await resumed() == (0, old), "the file is the same in both versions"
        new = random.Random(4).randbytes(3_000_000)
        (source / "large.bin").write_bytes(new)
        os.utime(source / "large.bin", (1_600_000_000, 1_600_000_000))
        await swarm.publish(producer, source, "maps/roads:v1")
        etag = f'If-Range: "{hashlib.sha256(old).hexdigest()}"'
        date = f"If-Range: {http_date(1_600_000_000)}"
        for options in ((), ("-H", etag), ("-H", date)):
            code, data = await resumed(*options)
            assert (code, data) == (33, old[:1_000_000]), "curl says that it cannot resume, and keeps its part"
        rest = await ask(f"{url}/maps/roads/v1/large.bin", "-H", "Range: bytes=1000000-")
        assert (rest.status, b"If-Range" in rest.body) == (409, True), "rclone would take the whole for the rest"
        stale = await ask(f"{url}/maps/roads/v1/large.bin", "-H", f"If-Modified-Since: {http_date(1_600_000_000)}")
        assert (stale.status, stale.body) == (200, new)

    with_files(tmp_path, check)


def test_what_hub_and_registry_clients_are_answered(tmp_path: Path) -> None:
    async def check(swarm: Swarm, producer: PeerNode, url: str, source: Path) -> None:
        root = url.removesuffix("/fs")
        large = hashlib.sha256((source / "large.bin").read_bytes()).hexdigest()
        manifest = await ask(f"{root}/v2/maps/roads/manifests/v1")
        digest = f"sha256:{hashlib.sha256(manifest.body).hexdigest()}"
        assert manifest.headers["docker-content-digest"] == digest
        assert (await ask(f"{root}/v2/maps/roads/manifests/{digest}")).body == manifest.body
        layers = {
            one["annotations"]["org.opencontainers.image.title"]: one["digest"]
            for one in json.loads(manifest.body)["layers"]
        }
        assert layers["large.bin"] == f"sha256:{large}"
        assert layers["sub/out"] == layers["t.csv"]
        assert layers["link/out"] == layers["t.csv"]
        blob = await ask(f"{root}/v2/maps/roads/blobs/sha256:{large}", "-r", "5-9")
        assert (blob.status, blob.body) == (206, (source / "large.bin").read_bytes()[5:10])
        assert json.loads((await ask(f"{root}/v2/maps/roads/tags/list")).body) == {"name": "maps/roads", "tags": ["v1"]}
        for path, code in {
            "maps/roads/manifests/v2": "MANIFEST_UNKNOWN",
            f"maps/roads/manifests/sha256:{'0' * 64}": "MANIFEST_UNKNOWN",
            f"maps/roads/blobs/sha256:{'0' * 64}": "BLOB_UNKNOWN",
            "maps/nothing/tags/list": "NAME_UNKNOWN",
            "maps/roads/blobs/uploads": "BLOB_UNKNOWN",
        }.items():
            refused = await ask(f"{root}/v2/{path}")
            assert (refused.status, json.loads(refused.body)["errors"][0]["code"]) == (404, code)

        info = json.loads((await ask(f"{root}/hf/api/datasets/maps/roads/revision/v1")).body)
        commit = info["sha"]
        assert len(commit) == 40
        assert {one["rfilename"] for one in info["siblings"]} == set(layers)
        head = await ask(f"{root}/hf/datasets/maps/roads/resolve/{commit}/large.bin", "-I")
        assert (head.headers["x-repo-commit"], head.headers["etag"]) == (commit, f'"{large}"')
        tree = json.loads((await ask(f"{root}/hf/api/models/maps/roads/tree/v1?recursive=true")).body)
        assert {one["path"] for one in tree if one["type"] == "directory"} == {
            *("link", "link/deep", "sub", "sub/deep")
        }
        listed = json.loads((await ask(f"{root}/hf/api/datasets/maps/roads/tree/v1/link")).body)
        assert {(one["path"], one["type"]) for one in listed} == {("link/deep", "directory"), ("link/out", "file")}
        told = await ask(f"{root}/hf/api/datasets/maps/roads/paths-info/v1", "-d", "paths=sub&paths=t.csv&paths=no")
        assert [one["type"] for one in json.loads(told.body)] == ["directory", "file"]
        for path, code in {
            "datasets/maps/no/resolve/v1/x": "RepoNotFound",
            "datasets/maps/roads/resolve/v9/x": "RevisionNotFound",
            f"datasets/maps/roads/resolve/{'0' * 40}/x": "RevisionNotFound",
            "datasets/maps/roads/resolve/v1/x": "EntryNotFound",
        }.items():
            refused = await ask(f"{root}/hf/{path}")
            assert (refused.status, refused.headers["x-error-code"]) == (404, code)

    with_files(tmp_path, check)
