"""What somebody new does with the program, and what it says then: one swarm for all, each command in this process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from swarm.cli.enrol import ensure_enrolled
from swarm.cli.main import main
from swarm.cli.program import Program
from swarm.cli.retention import _purged
from swarm.cli.status import problems_of
from swarm.errors import AetherError
from swarm.home import Home
from swarm.peer import purging
from swarm.peer.following import Following
from swarm.peer.imported import remove_imported
from swarm.peer.node import PeerNode
from swarm.tracker.orders import Purge, purge_key
from swarm.tracker.registry import withdraw
from swarm.tracker.sealed import seal
from tests.integration.swarm_thread import SwarmThread, swarm_thread


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("swarm")) as swarm:
        yield swarm


def say(capsys: pytest.CaptureFixture[str], home: PeerNode | Home, *words: str, code: int = 0) -> str:
    """What a command prints on either stream, at a home."""
    path = home.path if isinstance(home, Home) else home.home.path
    given = main([*words, "--home", str(path), "--quiet"])
    out, err = capsys.readouterr()
    assert given == code, out + err
    return out + err


def tell(capsys: pytest.CaptureFixture[str], home: PeerNode | Home, *words: str, code: int = 0) -> Any:
    """The same as one JSON object."""
    return json.loads(say(capsys, home, *words, "--json", code=code).partition("\n")[0])


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_purge_removes_what_was_imported_and_it_is_not_imported_again(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be removed yet is not confirmed; a peer that has not heard of the order asks a tracker."""
    monkeypatch.setattr(purging, "AGAIN_S", 0.02)
    (data := tmp_path / "data").mkdir()
    (data / "names").write_text("of people")
    reader, producer, swarm = running.reader, running.producer, running.swarm
    version = running.publish(data, "people/names:v1")["version"]
    say(capsys, producer, "export", "people/names:v1", file := str(tmp_path / "file"))
    imported = Path(tell(capsys, reader, "import", file)["directory"])
    say(capsys, reader, "import", file, "other/names:v1")  # the same version, of a dataset that stays
    say(capsys, producer, "import", file)
    assert imported.is_relative_to(reader.home.path) and (imported / "names").exists()
    order = Purge(1, "people/names", bytes.fromhex(version), b"m" * 32, "", 7)
    sealed = seal(swarm.tracker.state.keys.authority.key, order)
    swarm.objects.put(purge_key((order.dataset, order.version)), sealed)
    assert "was purged by order" in say(capsys, reader, "import", file, code=4)
    tries = []

    def removed(home: Path, version: bytes, kept: Collection[str]) -> int:
        tries.append(len(producer.purging._confirmed))
        if len(tries) == 1:
            raise AetherError("it is in use")
        return remove_imported(home, version, kept)

    monkeypatch.setattr(purging, "remove_imported", removed)
    for node in (producer, reader):
        running.call(node.purging.take, sealed)
        wait_until(lambda node=node: bool(node.purging._confirmed))  # type: ignore[misc]
    assert tries[:2] == [0, 0]
    assert not (producer.home.path / "imports" / "people").exists()
    assert (imported / "names").exists(), "another dataset has the version too"
    assert "was purged by order" in say(capsys, producer, "import", file, code=4)


def test_sync_again_says_what_stands_and_brings_what_is_behind(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails, by a slip or by a defect of ours, hinders no other; the file is what is followed all the same."""
    (data := tmp_path / "data").mkdir()
    (data / "names").write_text("of rivers")
    running.publish(data, "rivers/names:v1")
    wants = tmp_path / "aetherfs.toml"
    entry = '[[subscription]]\nref = "rivers/names:v1"\ndirectory = '
    wants.write_text(f'{entry}"good"\n{entry}"good/within"\n{entry}"bad"\n')
    reader, real = running.reader, Following.round

    async def with_a_defect(self: Following, *more: Any, **named: Any) -> None:
        if self.wanted.directory.endswith("bad"):
            raise RuntimeError("a defect of ours")
        await real(self, *more, **named)

    with monkeypatch.context() as broken:
        broken.setattr(Following, "round", with_a_defect)
        said = say(capsys, reader, "sync", str(wants), code=8)
    assert "does not lie within" in said and "internal error" in said
    assert f"added: {tmp_path}/bad\nadded: {tmp_path}/good\n" in "".join(sorted(said.splitlines(keepends=True)))
    assert (tmp_path / "good" / "current" / "names").exists()
    wants.write_text(f'{entry}"good"\n{entry}"bad"\n')
    said = say(capsys, reader, "sync", str(wants))
    assert "follows just what is listed" in said and f"{tmp_path}/good: rivers/names:v1 at " in said
    assert (tmp_path / "bad" / "current" / "names").exists()


def test_what_is_not_there_is_told_with_what_is(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data := tmp_path / "data").mkdir()
    (data / "names").write_text("of lakes")
    running.publish(data, "lakes/names:v1", "lakes/names:v2")
    reader = running.reader
    for words in (["ls", "lakes/names"], ["rm", "lakes/names:v3"], ["rollout", "status", "lakes/names:v3"]):
        said = say(capsys, reader, *words, code=3)
        assert said.count("\n") == 1 and "it has v1, v2; name one, as lakes/names:v1" in said
    say(capsys, reader, "rm", "lakes/names:v1", "lakes/names:v2")
    assert "aetherfs history lakes/names` shows what it had" in say(capsys, reader, "rm", "lakes/names:v1", code=3)
    said = say(capsys, reader, "keep", "lakes/none", code=3)
    assert said.count("\n") == 1 and "there is no dataset lakes/none" in said
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{running.agent}/fs/?format=xml")
    with refused.value as answer:
        assert answer.code == 400 and b"json or html" in answer.read()


def test_what_stands_already_is_said_and_not_written_again(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data := tmp_path / "data").mkdir()
    (data / "names").write_text("of hills")
    running.publish(data, "hills/names:v1")
    producer, swarm = running.producer, running.swarm
    admin = running.do(lambda: swarm.peer("admin", role="tracker"))
    first = tell(capsys, producer, "tag", "hills/names:v1", "hills/names:live")
    assert tell(capsys, producer, "tag", "hills/names:v1", "hills/names:live") == {**first, "unchanged": True}
    assert "hills/names:live is" in (said := say(capsys, producer, "tag", "hills/names:v1", "hills/names:live"))
    assert "already (serial 2)" in said
    moved = tell(capsys, producer, "tag", "hills/names:v1", "hills/names:live", "hills/names:new")
    assert moved["serial"] == 3, "one of them is new"
    for words in (["keep", "hills/names", "--last", "3", "--age", "30d"], ["quota", "hills", "5GB"]):
        say(capsys, admin, *words)
        before = objects_of(running)
        say(capsys, admin, *words)
        assert objects_of(running) == before
    rule = ["access", "allow", "members", "read", "hills/*"]
    assert "nothing changed" not in say(capsys, admin, *rule)
    assert "nothing changed: version 1 of the policy" in say(capsys, admin, *rule)
    say(capsys, admin, "quota", "hills", "6GB")

    def noted() -> list[str]:
        return [event["action"] for event in tell(capsys, admin, "audit")["events"] for _ in range(event["count"])]

    wait_until(lambda: noted().count("quota") == 3)
    assert noted().count("access") == 1
    assert {one["detail"] for one in tell(capsys, admin, "audit")["events"] if one["action"] == "keep"} == {
        "rule 1: last 3, younger than 30 d"
    }


def objects_of(running: SwarmThread) -> list[str]:
    return [key for prefix in ("keep/", "quotas/") for key in running.swarm.objects.list(prefix)]


def test_a_part_of_a_version_is_compared_with_that_part(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data := tmp_path / "data").mkdir()
    for name in ("a.csv", "b.csv", "c.txt"):
        (data / name).write_text(name)
    running.publish(data, "plains/names:v1")
    out = tmp_path / "out"
    say(capsys, running.reader, "pull", "plains/names:v1", str(out), "--include", "*.csv")
    assert "is exactly" in (said := say(capsys, running.reader, "verify", str(out), "plains/names:v1"))
    assert "but for 1 entry that --include left out" in said
    (out / "a.csv").unlink()
    (out / "c.txt").write_text("something else")
    said = say(capsys, running.reader, "verify", str(out), "plains/names:v1", code=6)
    assert "missing: a.csv" in said and "content: c.txt" in said and "differs" in said


def test_a_purge_that_is_repeated_says_whose_reason_stands(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = {"time": 0, "reason": "court order 7", "confirmed": ["a"], "unconfirmed": [], "claimed_until": None}
    result["version"] = "ab" * 32
    first, *_, last = _purged(result, "court order 8")
    assert "court order 7 (the reason that was given now is only in the audit)" in first
    assert last.startswith("1 member has confirmed that abababababab is gone there")
    assert "only in the audit" not in next(iter(_purged(result, "court order 7")))


def test_status_says_first_what_its_user_asks_first(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data := tmp_path / "data").mkdir()
    (data / "names").write_text("of towns")
    running.publish(data, "towns/names:v1")
    say(capsys, running.reader, "subscribe", "towns/names:v1", str(tmp_path / "out"))
    told = say(capsys, running.reader, "status")
    first = [" ".join(line.split()) for line in told.partition("\n\n")[0].splitlines()]
    assert first[0].startswith(f"runs peer; {running.reader.key.peer_id[:12]}, up ")
    assert first[1].startswith("is well yes: a tracker answers; ")
    assert any(f"towns/names:v1 in {tmp_path}/out: at " in line for line in first)
    assert any("towns/names@" in line and line.endswith(": all of 8 B") for line in first)
    assert "dht nodes" in told
    assert say(capsys, running.swarm.seed, "status").split()[1:4] == ["seed", "and", "peer;"]


WELL = {
    "runs": ["peer"],
    "tracker_state": "answers",
    "seeds": ["a"],
    "certificate_expires": 10_000_000,
    "bad_blocks": 0,
    "subscriptions": [],
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"tracker_state": "no tracker answers (x)"}, "no: no tracker answers (x)"),
        ({"tracker_state": "not asked yet"}, "not known yet: no tracker was asked so far"),
        ({"store": {"state": "away since 12:00", "why": "it is slow"}}, "the object store is away since 12:00: it is"),
        ({"seeds": []}, "no seed is there"),
        ({"seeds": [], "runs": ["seed", "peer"]}, ""),
        ({"certificate_expires": 3600}, "certificate expires in 1 h: it is renewed"),
        ({"certificate_expires": -1}, "certificate has expired"),
        ({"bad_blocks": 1}, "1 bad block was refused"),
        ({"subscriptions": [{"directory": "/d", "problem": "the hook failed"}]}, "no: /d: the hook failed"),
    ],
)
def test_what_is_not_well_is_said_in_words(changed: dict[str, Any], said: str) -> None:
    found = problems_of({**WELL, **changed}, 0.0)
    assert (said in found[0]) if said else found == []


def test_names_are_whole_amounts_have_their_nouns_and_slips_their_reasons(
    running: SwarmThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data := tmp_path / "data").mkdir()
    (data / "names").write_text("of woods")
    producer, admin = running.producer, running.do(lambda: running.swarm.peer("second", role="tracker"))
    said = say(capsys, producer, "publish", str(data), "woods/names:v1", "--dry-run")
    assert " as woods/names:v1\n" in said
    said = say(capsys, producer, "publish", str(data), "woods/names:v1", "woods/names:v2")
    assert "as woods/names:v1, woods/names:v2 (serial 1)\n1 file, 8 B in 1 block; 1 new" in said
    (data / os.fsdecode(b"caf\xe9")).touch()
    assert r"caf\xe9' is not UTF-8" in say(capsys, producer, "publish", str(data), "woods/names:v3", code=2)
    said = say(capsys, producer, "pull", "woods/names:v1", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"), code=2)
    assert r"caf\xe9' is not UTF-8: rename it" in said
    assert "the datasets of woods may take what there is" in say(capsys, admin, "quota", "woods")
    assert "there is no user bob: see `aetherfs user ls`" in say(capsys, admin, "user", "rm", "bob", code=3)
    nobody = Home(tmp_path / "nobody")
    assert "'garbage' is not a store" in say(capsys, nobody, "seed", "--store", "garbage", code=2)


def test_ctrl_c_says_what_it_leaves(
    running: SwarmThread, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    # Not of the module itself: others of this process sleep too.
    monkeypatch.setattr("swarm.cli.status.time", SimpleNamespace(sleep=interrupted, time=time.time))
    said = say(capsys, running.reader, "status", "--watch", code=130)
    assert said.endswith("aetherfs: interrupted\n")


# The last: the others of this swarm do not follow.
def test_a_token_leads_a_member_to_trackers_that_have_moved(
    running: SwarmThread, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a process on the home and without, by a token that is no good for anybody new."""
    swarm, reader = running.swarm, running.reader
    idle, starting = (running.do(partial(swarm.enrol, name)) for name in ("idle", "starting"))
    before = idle.swarm().trackers
    gone = swarm.tracker
    running.do(lambda: swarm.stop(gone))
    withdraw(swarm.objects, gone.contact)  # it has done so itself, unless that took a busy machine too long
    running.do(swarm.start_tracker)
    moved = swarm.tracker.contact
    token = running.do(swarm.token)
    running.do(lambda: swarm.enrol_with("another", token))
    assert str(moved.addresses[0]) in say(capsys, reader, "join", token)
    assert reader.swarm.trackers[0] == moved
    told = tell(capsys, idle, "join", token)
    assert (told["joined"], told["trackers"]) == (False, [str(moved.addresses[0])])
    assert idle.swarm().trackers == (moved, *before)
    assert tell(capsys, idle, "join", token)["trackers"] == []
    assert len(tell(capsys, idle, "ls")["datasets"]) > 0, "the way back leads there"
    # A role that starts with such a token is led there too, and starts without one.
    program, file = Program(), swarm.folder / "token"
    program.flags |= {"home": str(starting.path), "join_file": str(file)}
    ensure_enrolled(program)
    file.write_text("aetherfs1.garbled")
    ensure_enrolled(program)
    assert "leads nowhere: the join token is garbled" in capsys.readouterr().err
    file.write_text(token)
    ensure_enrolled(program)
    assert starting.swarm().trackers == (moved, *before)
