"""``--if-serial`` and several tags at once, as a user types them: what is refused moves nothing."""

from __future__ import annotations

from tests.datasets import write_files
from tests.e2e.harness import Bench

CONFLICT = 5
NOT_FOUND = 3
USAGE = 2


def serials(bench: Bench, ref: str) -> list[tuple[int, str]]:
    entries = bench.ok("hub", "history", ref, "--json").json["entries"]
    return [(entry["serial"], entry["kind"]) for entry in entries]


def test_every_command_that_moves_a_tag_takes_the_serial_that_inspect_shows(swarm: Bench) -> None:
    data = str(swarm.folder / "lakes")
    write_files(swarm.folder / "lakes", {"one": b"one"})
    first = swarm.ok("hub", "publish", data, "lakes:latest", "--if-serial", "0", "--json").json
    seen = swarm.ok("edge", "inspect", "lakes:latest", "--json").json["serial"]
    assert seen == first["serial"] == 1
    swarm.ok("edge", "tag", "lakes:latest", "lakes:stable", "--if-serial", "0")
    write_files(swarm.folder / "lakes", {"two": b"two"})
    second = swarm.ok("edge", "publish", data, "lakes:latest", "--if-serial", str(seen), "--json").json["serial"]
    for command in (
        ["publish", data, "lakes:latest", "lakes:new"],
        ["tag", "lakes:stable", "lakes:new", "lakes:latest"],
        ["rollback", "lakes:latest", "--to", "1"],
        ["rm", "lakes:stable", "lakes:latest"],
    ):
        for home in ("hub", "edge"):
            said = swarm.refused(CONFLICT, home, *command, "--if-serial", str(seen))
            assert f"entry {second} of library/lakes was first: publish of 'latest' by " in said
            assert " UTC; look at the history" in said
    assert serials(swarm, "lakes:latest") == [(1, "publish"), (3, "publish")]
    unchanged = swarm.ok("hub", "publish", data, "lakes:latest", "--if-serial", "3").text
    assert unchanged.startswith("nothing changed: library/lakes:latest is ") and "already (serial 3)" in unchanged
    assert serials(swarm, "lakes") == [(1, "publish"), (2, "tag"), (3, "publish")]
    assert "nobody has seen" in swarm.refused(CONFLICT, "hub", "rollback", "lakes:latest", "--if-serial", "9")
    assert "nobody has seen" in swarm.refused(CONFLICT, "hub", "rm", "lakes:latest", "--if-serial", "9")
    told = swarm.run("hub", "rm", "lakes:stable", "--if-serial", "0", "--json")
    assert (told.exit_code, told.json["exit_code"], told.json["title"]) == (CONFLICT, CONFLICT, "conflict")
    swarm.ok("hub", "rollback", "lakes:latest", "--to", "1", "--if-serial", "3")
    swarm.ok("hub", "rm", "lakes:latest", "lakes:stable", "--if-serial", "4")
    swarm.refused(NOT_FOUND, "hub", "inspect", "lakes:stable")


def test_several_tags_are_one_entry_or_nothing(swarm: Bench) -> None:
    data = str(swarm.folder / "roads")
    swarm.ok("hub", "publish", data, "rails:a", "rails:b")
    swarm.ok("hub", "tag", "rails:a", "rails:c", "rails:d")
    assert "no tag 'x'" in swarm.refused(NOT_FOUND, "hub", "rm", "rails:a", "rails:x", "rails:c")
    assert serials(swarm, "rails:a") == [(1, "publish")]
    swarm.ok("hub", "rm", "rails:b", "rails:c")
    assert serials(swarm, "rails:b") == [(1, "publish"), (3, "rm")]
    assert serials(swarm, "rails:c") == [(2, "tag"), (3, "rm")]
    for command in (["publish", data], ["tag", "rails:a"], ["rm"]):
        assert "named twice" in swarm.refused(USAGE, "hub", *command, "rails:z", "rails:z")
        assert "one dataset" in swarm.refused(USAGE, "hub", *command, "rails:z", "lakes:z")
    many = [f"rails:t{number}" for number in range(65)]
    swarm.refused(USAGE, "hub", "tag", "rails:a", *many)
