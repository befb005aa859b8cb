"""Bad input: one clear line, the right exit code, nothing lost and nothing half-written where a reader could see it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from swarm.cli.demo.place import free_ports
from swarm.token import PREFIX, format_token, parse_token
from tests.e2e.harness import DEADLINE_S, Bench, spawn_line, wait_for

# The number of a refusal.
DENIAL = re.compile(r"\bd-[0-9a-f]{12}\b")

USAGE, NOT_FOUND, NOT_ALLOWED, CONFLICT, INTEGRITY, UNREACHABLE, FULL = 2, 3, 4, 5, 6, 7, 9
# With and without a process on the home: both ways must answer alike.
BOTH = pytest.mark.parametrize("home", ["hub", "edge"])
BAD_REFERENCES = [
    "",
    "Roads:v1",
    "roads:",
    ":v1",
    "a/b/c:v1",
    "roads@abc",
    "roads:v1 ",
    "-roads:v1",
    "roads:v1@",
    "ro\x1bads:v1",
]


# ---- references -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", BAD_REFERENCES)
def test_a_bad_reference(swarm: Bench, reference: str) -> None:
    out = str(swarm.folder / "never")
    commands = [
        ["pull", "--", reference, out],
        ["cat", "--", f"{reference}/a.txt"],
        ["ls", "--", reference],
        ["publish", "--", str(swarm.folder / "roads"), reference],
    ]
    for command in commands:
        said = swarm.refused(USAGE, "edge", *command)
        assert "\x1b" not in said
    assert not Path(out).exists()


@pytest.mark.parametrize("reference", BAD_REFERENCES[1:4])
def test_a_bad_reference_of_the_rest(swarm: Bench, reference: str) -> None:
    for command in (["inspect"], ["history"], ["rollback"], ["rm"], ["tag", "roads:v1"], ["verify", str(swarm.folder)]):
        swarm.refused(USAGE, "edge", command[0], "--", *command[1:], reference)


@BOTH
@pytest.mark.parametrize("reference", ["roads:none", "none:v1", "scope/none", "roads@" + "0" * 64])
def test_what_does_not_exist(swarm: Bench, home: str, reference: str) -> None:
    out = swarm.folder / "never"
    for command in (
        # On a slow machine it waits so long that it would say so.
        ["pull", reference, str(out), "--quiet"],
        ["cat", f"{reference}/a"],
        ["ls", reference],
        ["inspect", reference],
    ):
        if command[0] == "cat" and ":" not in reference and "@" not in reference:
            continue
        swarm.refused(NOT_FOUND, home, *command)
    assert not out.exists()
    assert list(swarm.folder.glob(".never*")) == []


@BOTH
def test_a_tag_that_does_not_exist_cannot_be_moved(swarm: Bench, home: str) -> None:
    for command in (
        ["history", "roads:none"],
        ["rollback", "roads:none"],
        ["rm", "roads:none"],
        ["tag", "roads:none", "roads:other"],
        ["verify", str(swarm.folder / "roads"), "roads:none"],
    ):
        swarm.refused(NOT_FOUND, home, *command)
    assert swarm.ok("hub", "ls", "--json").json["datasets"][0]["tags"] == ["v1"]


@BOTH
def test_a_file_that_is_not_in_the_version(swarm: Bench, home: str) -> None:
    swarm.refused(NOT_FOUND, home, "cat", "roads:v1/none")
    swarm.refused(NOT_FOUND, home, "ls", "roads:v1/none")


def test_no_earlier_version_and_no_such_serial(swarm: Bench) -> None:
    swarm.refused(CONFLICT, "hub", "rollback", "roads:v1")
    swarm.refused(NOT_FOUND, "hub", "rollback", "roads:v2", "--to", "1")


def test_a_tag_stays_in_its_dataset(swarm: Bench) -> None:
    swarm.refused(USAGE, "hub", "tag", "roads:v1", "rails:v1")
    swarm.refused(USAGE, "hub", "publish", str(swarm.folder / "roads"), "roads:v9", "rails:v9")


def test_a_host_of_another_swarm(swarm: Bench) -> None:
    swarm.refused(NOT_ALLOWED, "edge", "pull", "data.example.org/roads:v1", str(swarm.folder / "never"))
    swarm.refused(NOT_ALLOWED, "stranger", "pull", "data.example.org/roads:v1", str(swarm.folder / "never"))


# ---- paths and files ------------------------------------------------------------------------------------------------


@BOTH
def test_a_missing_path(swarm: Bench, home: str) -> None:
    missing = str(swarm.folder / "missing")
    swarm.refused(NOT_FOUND, home, "publish", missing, "lost:v1")
    swarm.refused(NOT_FOUND, home, "verify", missing, "roads:v1")
    swarm.refused(NOT_FOUND, home, "ls", "--config", missing)
    assert "lost" not in swarm.ok("hub", "ls").text


@pytest.mark.parametrize("what", ["file", "directory"])
def test_an_unreadable_file(swarm: Bench, what: str) -> None:
    data = swarm.folder / f"unreadable-{what}"
    (data / "sub").mkdir(parents=True)
    (data / "sub" / "secret").write_text("s", encoding="ascii")
    locked = data / "sub" / "secret" if what == "file" else data / "sub"
    locked.chmod(0)
    try:
        said = swarm.refused(1, "edge", "publish", str(data), "locked:v1", bound=True)
    except AssertionError:
        said = swarm.refused(NOT_ALLOWED, "edge", "publish", str(data), "locked:v1", bound=True)
    finally:
        locked.chmod(0o700)
    assert "sub" in said
    assert "locked" not in swarm.ok("hub", "ls").text


def test_what_is_no_data(swarm: Bench) -> None:
    data = swarm.folder / "odd"
    data.mkdir()
    os.mkfifo(data / "pipe")
    assert "pipe" in swarm.refused(_code_of(swarm, data), "hub", "publish", str(data), "odd:v1")
    (data / "pipe").unlink()
    (data / "out").symlink_to("/etc")
    said = swarm.refused(_code_of(swarm, data), "hub", "publish", str(data), "odd:v1")
    assert "--links" in said
    swarm.ok("hub", "publish", str(data), "odd:v1", "--links", "skip")


def _code_of(bench: Bench, data: Path) -> int:
    """Any refusal of ours will do here; what matters is that it is one clear line."""
    code = bench.run("hub", "publish", str(data), "odd:v1").exit_code
    assert code in range(1, 10)
    return code


@BOTH
def test_a_place_that_cannot_be_pulled_into(swarm: Bench, home: str) -> None:
    file = swarm.folder / "a-file"
    file.write_text("mine", encoding="ascii")
    for place in (file, file / "below"):
        done = swarm.run(home, "pull", "roads:v1", str(place), "--quiet")
        assert done.exit_code in (1, NOT_ALLOWED, CONFLICT), done
        assert done.stderr.count("\n") == 1
    assert file.read_text(encoding="ascii") == "mine"


@BOTH
def test_what_a_user_put_there_is_not_lost(swarm: Bench, home: str) -> None:
    out = swarm.folder / f"mine-{home}"
    (out / "a.txt").mkdir(parents=True)
    (out / "a.txt" / "precious").write_text("mine", encoding="ascii")
    swarm.refused(CONFLICT, home, "pull", "roads:v1", str(out))
    assert (out / "a.txt" / "precious").read_text(encoding="ascii") == "mine"
    assert sorted(path.name for path in out.iterdir()) == ["a.txt"]


def test_a_tree_that_differs(swarm: Bench) -> None:
    out = swarm.folder / "differs"
    swarm.ok("edge", "pull", "roads:v1", str(out))
    (out / "a.txt").write_text("other\n", encoding="ascii")
    done = swarm.run("edge", "verify", str(out), "roads:v1", "--quiet")
    assert done.exit_code == INTEGRITY
    assert "a.txt" in done.text
    assert done.stderr.count("\n") == 1


# ---- full disks -----------------------------------------------------------------------------------------------------


@contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(place)]
    if os.getuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("needs root and mounts: a small file system to fill")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
def test_a_full_disk_under_a_pull(swarm: Bench) -> None:
    for home in ("hub", "edge"):
        with _small_disk(swarm.folder / f"full-{home}") as disk:
            swarm.refused(FULL, home, "pull", "roads:v1", str(disk / "out"))
            assert not (disk / "out").exists()
            subprocess.run(["mount", "-o", "remount,size=3m", str(disk)], check=True)
            swarm.ok(home, "pull", "roads:v1", str(disk / "out"))
            swarm.ok(home, "verify", str(disk / "out"), "roads:v1")


@pytest.mark.root
def test_a_full_disk_under_a_home(swarm: Bench) -> None:
    token = swarm.ok("hub", "token", "create").text
    with _small_disk(swarm.home("cramped")) as disk:
        swarm.ok("cramped", "join", "-", stdin=token)
        (disk / "filler").write_bytes(b"x" * 200_000)
        with (disk / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
            while rest.write(b"x" * 4096) == 4096:
                continue
        swarm.refused(FULL, "cramped", "pull", "roads:v1", str(swarm.folder / "cramped-out"))
        assert not (swarm.folder / "cramped-out").exists()
        (disk / "filler").unlink()
        swarm.ok("cramped", "cat", "roads:v1/a.txt")


@BOTH
def test_a_full_output(swarm: Bench, home: str) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [*spawn_line(), "cat", "roads:v1/b.bin"],
            env=swarm.environment(home),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=DEADLINE_S,
        )
    assert process.returncode == FULL
    assert process.stderr.count(b"\n") == 1


# ---- tokens ---------------------------------------------------------------------------------------------------------


def test_garbled_tokens(swarm: Bench) -> None:
    good = swarm.ok("hub", "token", "create").text.strip()
    middle = len(good) // 2
    swapped = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    for garbled in (
        "",
        "token",
        PREFIX,
        good[:-5],
        good[:20],
        good + "AAAA",
        swapped,
        good + "é",
        PREFIX + "A" * 9999,
    ):
        swarm.refused(USAGE, "newcomer", "join", "-", stdin=garbled)
    swarm.refused(NOT_FOUND, "newcomer", "join", str(swarm.folder / "no-such-token"))
    assert not (swarm.home("newcomer") / "swarm").exists()
    swarm.ok("newcomer", "join", "-", stdin=good)


def test_an_expired_token(swarm: Bench) -> None:
    token = swarm.ok("hub", "token", "create", "--ttl", "1s", "--json").json
    wait_for("the token has expired", lambda: time.time() > token["expires"] + 1)
    assert "expired" in swarm.refused(NOT_ALLOWED, "too-late", "join", "-", stdin=token["token"])
    swarm.refused(NOT_ALLOWED, "too-late", "pull", "roads:v1", str(swarm.folder / "never"))


def test_a_token_is_used_up_and_the_same_home_may_repeat_it(swarm: Bench) -> None:
    token = swarm.ok("hub", "token", "create").text
    swarm.ok("user-1", "join", "-", stdin=token)
    assert swarm.ok("user-1", "join", "-", "--json", stdin=token).json["joined"] is False
    assert "used up" in swarm.refused(NOT_ALLOWED, "user-2", "join", "-", stdin=token)


def test_another_swarms_token(swarm: Bench, bench: Bench) -> None:
    bench.make_swarm()
    theirs = bench.ok("hub", "token", "create", "--uses", "9").text.strip()
    ours = swarm.ok("hub", "token", "create", "--uses", "9").text.strip()
    assert "another swarm" in swarm.refused(CONFLICT, "edge", "join", theirs)
    swarm.ok("edge", "cat", "roads:v1/a.txt")
    # Their secret, our tracker's address: what answers there is another swarm than the token pins.
    crossed = msgspec.structs.replace(parse_token(theirs), addresses=parse_token(ours).addresses)
    assert "another swarm" in swarm.refused(NOT_ALLOWED, "crossed", "join", "-", stdin=format_token(crossed))
    # Our pin, a secret that our tracker never gave.
    forged = msgspec.structs.replace(parse_token(ours), secret=parse_token(theirs).secret)
    swarm.refused(NOT_ALLOWED, "crossed", "join", "-", stdin=format_token(forged))
    assert not (swarm.home("crossed") / "swarm").exists()


def test_only_a_trackers_home_makes_tokens(swarm: Bench) -> None:
    swarm.refused(UNREACHABLE, "edge", "token", "create")
    swarm.enrol("plain")
    swarm.start("plain", "peer")
    swarm.refused(NOT_ALLOWED, "plain", "token", "create")


# ---- rights ---------------------------------------------------------------------------------------------------------


def test_a_token_s_datasets_are_all_that_a_member_sees(swarm: Bench) -> None:
    swarm.enrol("narrow", options=("--datasets", "team/*"))
    data, out = str(swarm.folder / "roads"), str(swarm.folder / "never")
    swarm.refused(NOT_FOUND, "narrow", "pull", "roads:v1", out)
    for code, verb in ((NOT_FOUND, "ls"), (NOT_ALLOWED, "rm")):
        unknown, missing = (swarm.refused(code, "narrow", verb, f"{name}:v1") for name in ("roads", "nosuch"))
        # But for the number of the refusal, which is another each time.
        assert DENIAL.search(unknown) and DENIAL.search(missing)
        assert DENIAL.sub("", unknown).replace("roads", "nosuch") == DENIAL.sub("", missing)
    swarm.refused(NOT_ALLOWED, "narrow", "publish", data, "roads:v2")
    assert swarm.ok("narrow", "ls", "--json").json["datasets"] == []
    swarm.ok("narrow", "publish", data, "team/roads:v1")
    assert [d["dataset"] for d in swarm.ok("narrow", "ls", "--json").json["datasets"]] == ["team/roads"]
    swarm.ok("hub", "rm", "team/roads:v1")


def test_a_home_that_is_no_member(bench: Bench) -> None:
    data = bench.folder / "data"
    data.mkdir()
    for command in (
        ["publish", str(data), "a:b"],
        ["pull", "a:b", str(bench.folder / "out")],
        ["cat", "a:b/c"],
        ["ls"],
        ["peer", "--port-base", "0"],
        ["seed", "--port-base", "0"],
    ):
        bench.refused(NOT_ALLOWED, "nobody", *command)
    bench.refused(UNREACHABLE, "nobody", "status")
    bench.refused(UNREACHABLE, "nobody", "token", "create")
    bench.refused(NOT_FOUND, "nobody", "peer", "--port-base", "0", "--join-file", str(bench.folder / "none"))
    assert not (bench.folder / "out").exists()


# ---- trackers and processes -----------------------------------------------------------------------------------------


def test_a_tracker_that_is_down(bench: Bench) -> None:
    data = bench.folder / "data"
    data.mkdir()
    (data / "file").write_text("x", encoding="ascii")
    bench.make_swarm()
    token = bench.ok("hub", "token", "create").text
    bench.enrol("edge")
    bench.ok("edge", "publish", str(data), "kept:v1")
    bench.ok("hub", "down")
    for command in (
        # These wait so long that they would say so.
        ["publish", str(data), "kept:v2", "--quiet"],
        ["pull", "unseen:v1", str(bench.folder / "out"), "--quiet"],
        ["history", "kept:v1"],
        ["tag", "kept:v1", "kept:v3"],
        ["rollback", "kept:v1"],
        ["rm", "kept:v1"],
    ):
        bench.refused(UNREACHABLE, "edge", *command)
    bench.refused(UNREACHABLE, "late", "join", "-", stdin=token)
    assert not (bench.folder / "out").exists()
    assert bench.ok("edge", "ls", "--json").json["stale"] is True
    bench.ok("edge", "pull", "kept:v1", str(bench.folder / "from-itself"))
    assert (bench.folder / "from-itself" / "file").read_text(encoding="ascii") == "x"
    bench.make_swarm()
    assert bench.ok("hub", "ls", "--json").json["datasets"] == [{"dataset": "library/kept", "tags": ["v1"]}]


def test_one_process_a_home(swarm: Bench) -> None:
    for command in (["up"], ["up", "-d"], ["peer"], ["tracker"], ["seed"]):
        assert "aetherfs down" in swarm.refused(CONFLICT, "hub", *command, "--port-base", "0")


def test_a_member_that_is_no_tracker_cannot_become_one(swarm: Bench) -> None:
    assert "role tracker" in swarm.refused(NOT_ALLOWED, "edge", "up", "--port-base", "0")
    assert "role seed" in swarm.refused(NOT_ALLOWED, "edge", "seed", "--port-base", "0")


def test_a_port_that_is_taken(bench: Bench) -> None:
    base = free_ports()
    with socket.create_server(("127.0.0.1", base)):
        port = str(base)
        assert port in bench.refused(CONFLICT, "a", "up", "--port-base", port)
        assert port in bench.refused(CONFLICT, "b", "up", "-d", "--port-base", port)
    assert bench.left_over() == []


@pytest.mark.parametrize(
    "store", ["s3://b/prefix", "s3://bucket?sse=maybe", "ftp://x/y", "nonsense", "file://host/path", "file:relative"]
)
def test_a_store_that_is_none(bench: Bench, store: str) -> None:
    bench.refused(USAGE, "a", "up", "--port-base", "0", "--store", store)


def test_a_store_of_another_swarm(bench: Bench) -> None:
    store = (bench.folder / "store").as_uri()
    bench.ok("a", "up", "-d", "--port-base", "0", "--store", store)
    bench.refused(NOT_ALLOWED, "b", "up", "--port-base", "0", "--store", store)


def test_a_home_that_cannot_be(bench: Bench) -> None:
    bench.folder.joinpath("homes").mkdir()
    bench.home("file").write_text("not a folder", encoding="ascii")
    for command in (["up", "--port-base", "0"], ["up", "-d", "--port-base", "0"], ["ls"], ["join", "-"]):
        done = bench.run("file", *command, stdin="")
        assert done.exit_code in (1, 2, 4)
        assert done.stderr.count("\n") == 1
        assert done.stdout == b""


def test_settings_that_are_unknown_or_malformed_are_named(bench: Bench) -> None:
    home = bench.home("odd")
    home.mkdir(parents=True)
    (home / "config.toml").write_text("port_bas = 1\n", encoding="ascii")
    assert "port_bas" in bench.refused(USAGE, "odd", "ls")
    (home / "config.toml").write_text("port_base = [\n", encoding="ascii")
    bench.refused(USAGE, "odd", "config", "show")
    bench.refused(USAGE, "fine", "up", "--port-base", "99999")
