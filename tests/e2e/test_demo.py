"""The demo: it passes, it fails when it should, and it leaves nothing behind, also on Ctrl-C."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import ssl
import urllib.request
from pathlib import Path

from tests.e2e.harness import DEADLINE_S, Bench


def _source(root: Path) -> Path:
    for folder in range(4):
        (root / f"folder-{folder}").mkdir(parents=True)
        (root / f"folder-{folder}" / "text.txt").write_text(f"line {folder}\n" * 30_000, encoding="ascii")
        (root / f"folder-{folder}" / "large.bin").write_bytes(os.urandom(2_000_000))
    (root / "empty").mkdir()
    return root


def _who_signs_in(line: str) -> str:
    """Whom the tracker takes somebody for who does as the demo says."""
    told = re.search(r"(https://\S+)/ui/ \(sign in as (\S+), password (\S+)\)", line)
    assert told is not None, line
    url, name, password = told.groups()
    basic = base64.b64encode(f"{name}:{password}".encode()).decode()
    asked = urllib.request.Request(f"{url}/api/v1/whoami", headers={"Authorization": f"Basic {basic}"})
    # Its certificate is the swarm's own, of which the demo warns.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(asked, context=context) as answer:
        return str(json.loads(answer.read())["name"])


def test_it_passes_stays_up_to_be_looked_at_and_cleans_up(bench: Bench) -> None:
    source = _source(bench.folder / "source")
    before = sorted(path.read_bytes() for path in source.rglob("*") if path.is_file())
    process = bench.spawn("nobody", "demo", str(source), "--json", "--keep")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.decode())
        if "until Ctrl-C" in lines[-1]:
            break
    (sign_in,) = [line for line in lines if "password" in line]
    # The tracker was killed meanwhile, and is back where it was.
    assert _who_signs_in(sign_in) == "demo"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr
    summary = json.loads(stdout)
    assert summary["dashboard"] in lines[-1]
    assert summary["ok"] is True
    assert len(summary["checks"]) >= 14
    assert all(check["ok"] for check in summary["checks"])
    assert len(summary["rounds"]) == 3
    assert sorted(path.read_bytes() for path in source.rglob("*") if path.is_file()) == before
    assert bench.left_over() == []
    assert list((bench.folder / "temporary").iterdir()) == []
    assert not bench.home("nobody").exists()


def test_ctrl_c_ends_every_process(bench: Bench) -> None:
    process = bench.spawn("nobody", "demo", str(_source(bench.folder / "source")))
    assert process.stdout is not None
    for line in process.stdout:
        if b"all are ready" in line:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert stderr.decode().count("\n") == 1
    assert bench.left_over() == []
    assert list((bench.folder / "temporary").iterdir()) == []


def test_even_kill_9_leaves_no_process(bench: Bench) -> None:
    process = bench.spawn("nobody", "demo", str(_source(bench.folder / "source")))
    assert process.stdout is not None
    for line in process.stdout:
        if b"all are ready" in line:
            break
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    assert bench.left_over() == []


def test_what_cannot_be_shown(bench: Bench) -> None:
    assert "is not there" in bench.refused(3, "nobody", "demo", str(bench.folder / "none"))
    file = bench.folder / "file"
    file.touch()
    assert "not a directory" in bench.refused(2, "nobody", "demo", str(file))


def test_a_failure_is_told_as_json_too(bench: Bench) -> None:
    done = bench.run("nobody", "demo", str(bench.folder / "none"), "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["exit_code"] == 3
