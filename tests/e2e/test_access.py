"""Who may do what, as an admin and a refused one type it."""

from __future__ import annotations

import json
import re

from tests.e2e.harness import Bench

ROADS = "maps/roads"


def test_rules_refusals_and_the_audit(bench: Bench) -> None:
    (bench.folder / "roads").mkdir()
    (bench.folder / "roads" / "a.csv").write_text("a,b\n")
    bench.ok("hub", "up", "-d", "--port-base", "0")
    bench.ok("hub", "publish", str(bench.folder / "roads"), f"{ROADS}:latest")
    assert "members  read     @token" in bench.ok("hub", "access", "ls").text
    token = bench.ok("hub", "token", "create", "--datasets", "own/*", "--label", "kind=shop", "--site", "paris").text
    me = "peer:" + bench.ok("shop", "join", "-", "--json", stdin=token).json["peer"]
    assert "site=paris,kind=shop" in bench.ok("hub", "member", "ls").text

    # Refused with a number, which explains itself, to whom it was refused and to an admin, and names what would help.
    refusal = bench.refused(3, "shop", "ls", ROADS)
    number = re.search("d-[0-9a-f]{12}", refusal)
    assert number is not None, refusal
    for home in ("shop", "hub"):
        told = bench.ok(home, "access", "explain", number[0]).text
        assert f"{me} may not read {ROADS} (refused" in told
        assert f"to allow it: aetherfs access allow {me} read {ROADS}" in told
    assert "may not administrate the swarm" in bench.refused(4, "shop", "access", "allow", me, "read", ROADS)
    assert "version 1 of the policy" in bench.ok("hub", "access", "allow", "label:kind=shop", "read", "maps/*").text
    assert "rule 'label:kind=shop read maps/*'" in bench.ok("hub", "access", "explain", me, "read", ROADS).text
    assert bench.ok("shop", "cat", f"{ROADS}:latest/a.csv").text == "a,b\n"

    # Taken away again, and who it was taken from.
    assert "taken from 1 member, who" in bench.ok("hub", "access", "remove", "label:kind=shop", "read", "maps/*").text
    bench.refused(3, "shop", "cat", f"{ROADS}:latest/a.csv")
    history = bench.ok("hub", "access", "history").text.splitlines()
    assert [line.split()[0] for line in history] == ["2", "1", "0"]
    bench.ok("hub", "access", "lifetime", "24h")
    assert "grants of peers live 24 h; version 3" in bench.ok("hub", "access", "ls").text
    assert "labels" not in bench.ok("hub", "member", "set", me.removeprefix("peer:"), "--no-labels").text
    again = bench.ok("hub", "token", "create").text.strip()
    assert not bench.ok("shop", "join", again, "--json").json["joined"]
    bench.ok("hub", "member", "remove", me.removeprefix("peer:"))
    assert "was removed" in bench.refused(4, "shop", "ls", ROADS)
    assert "join with a new home" in bench.refused(4, "shop", "join", again)
    for wrong in (("explain", "me", "write", ROADS), ("allow", "shop", "read", ROADS), ("lifetime", "1m")):
        bench.refused(2, "hub", "access", *wrong)
    bench.ok("hub", "down")

    # The audit is whole when the tracker has ended, and is read by the next.
    bench.ok("hub", "up", "-d", "--port-base", "0")
    told = json.loads(bench.ok("hub", "audit", "--since", "1h", "--json").text)
    done = [(event["actor"] == me, event["action"]) for event in told["events"]]
    assert not told["missing"] and told["complete"]
    for wanted in ((False, "publish"), (False, "token"), (True, "join"), (True, "refused"), (False, "remove")):
        assert wanted in done
    assert done.count((False, "access")) == 3
    bench.ok("hub", "down")
