"""People and services as they type it: on a tracker's home, on a member's, and on a machine that is no member."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.harness import Bench
from tests.oidc_server import OidcServer

PASSWORD = "correct horse battery"


def whoami(bench: Bench, home: str) -> list[str]:
    return list(bench.ok(home, "whoami", "--json").json["subjects"])


def test_people_and_services(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = bench.folder / "people.pem"
    up = bench.ok("hub", "up", "-d", "--port-base", "0", "--json").json
    url = f"https://localhost:{up['addresses']['tracker'].rpartition(':')[2]}"
    at = ("--tracker", url, "--ca-file", str(certificate))

    bench.ok("hub", "user", "add", "alice", "--group", "ops", "--password-file", "-", stdin=PASSWORD)
    assert "already" in bench.refused(5, "hub", "user", "add", "alice", "--password-file", "-", stdin=PASSWORD)
    assert whoami(bench, "hub")[0].startswith("peer:")

    # A machine that is no member is told by one that is how it knows the tracker.
    token_of_nobody = ("login", "--token-file", "-", "--tracker", url)
    assert "`aetherfs certificate FILE`" in bench.refused(7, "laptop", *token_of_nobody, stdin="x")
    assert "wrote 1 certificate" in bench.ok("hub", "certificate", str(certificate)).text
    assert bench.ok("hub", "certificate").text == certificate.read_text()

    # A member's home and a machine that is none.
    assert "no member" in bench.refused(4, "laptop", "login", "--user", "alice", "--password-file", "-", stdin=PASSWORD)
    assert "wrong" in bench.refused(
        4, "laptop", "login", "--user", "alice", "--password-file", "-", *at, stdin="no way"
    )
    bench.ok("laptop", "login", "--user", "alice", "--password-file", "-", *at, stdin=PASSWORD)
    assert whoami(bench, "laptop") == ["user:alice", "group:ops", "anyone"]
    kept = bench.home("laptop") / "login"
    assert kept.stat().st_mode & 0o777 == 0o600 and PASSWORD not in kept.read_text()
    stolen = kept.read_bytes()
    bench.ok("laptop", "logout")
    assert not kept.exists()
    kept.write_bytes(stolen)
    assert "ended" in bench.refused(4, "laptop", "whoami")

    token = bench.ok("hub", "service", "add", "ci", "--ttl", "1h").text
    said = bench.ok("laptop", "login", "--token-file", "-", *at, stdin=token).text
    assert said == "signed in as service:ci\n", "nobody has told until when"
    assert whoami(bench, "laptop") == ["service:ci", "anyone"]
    assert token.strip() not in bench.ok("hub", "service", "ls").text
    bench.ok("hub", "service", "rm", "ci")
    assert "revoked" in bench.refused(4, "laptop", "whoami")

    with OidcServer() as server:
        monkeypatch.setenv("SIGN_IN_AS", "bob+dev")
        monkeypatch.setenv("BROWSER", f"{sys.executable} -m tests.oidc_server %s")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        bench.ok("hub", "issuer", "add", "corp", server.issuer, "--client-id", "aetherfs")
        bench.ok("hub", "login", "corp")
        assert whoami(bench, "hub") == ["user:corp/bob+dev", "group:corp/dev", "anyone"]
        bench.ok("hub", "logout")
        assert whoami(bench, "hub")[0].startswith("peer:")
