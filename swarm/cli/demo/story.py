"""What the demo does, step by step, each told as one line."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from swarm.cli.demo import report, trees
from swarm.cli.demo.cluster import Cluster
from swarm.cli.demo.place import free_ports
from swarm.cli.demo.report import Check, Round, Summary
from swarm.cli.output import duration, size

PEERS: Final = ("peer-1", "peer-2", "peer-3", "peer-4")
LATE: Final = "peer-5"
DATASET: Final = "demo/library"
VISITOR: Final = "demo"
PASSWORD_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Teller:
    """How the story is told: ``line`` prints one, ``table`` shows a round."""

    line: Callable[[str], None]
    table: Callable[[Round], None]

    def checked(self, check: Check) -> None:
        self.line(f"  {'ok  ' if check.ok else 'FAIL'}  {check.check}: {check.detail}")


class Story:
    """One demo over a cluster. ``source`` is the copy that it may alter."""

    def __init__(self, cluster: Cluster, source: Path, summary: Summary, teller: Teller) -> None:
        self._cluster = cluster
        self._source = source
        self._summary = summary
        self._teller = teller
        self._store = (cluster.folder / "store").as_uri()
        # The tracker's, which comes back where it was: there the others look for it, and a browser that is open.
        self._ports = free_ports()

    def tell(self) -> None:
        """All of it. Raises what a process failed with; checks that do not hold are in the summary."""
        self._start()
        self._first_version()
        self._second_version()
        self._alone()

    def come_back(self) -> None:
        """After all of it: who was killed runs again, and the peers follow the tag: there is something to see."""
        cluster = self._cluster
        self._teller.line("tracker, seed and producer start again; the four peers follow the tag from now on")
        shutil.rmtree(cluster.folder / "trees")
        cluster.start("tracker", "tracker", "--store", self._store, port_base=self._ports)
        cluster.wait_ready("tracker")
        cluster.start("seed", "seed", "--store", self._store)
        cluster.start("producer", "peer")
        cluster.wait_ready("seed", "producer")
        for name in PEERS:
            cluster.run(name, "subscribe", f"{DATASET}:latest", str(self._tree(name)))

    def _start(self) -> None:
        cluster, say = self._cluster, self._teller.line
        say("starting a tracker, a seed, a producer and four peers, each a process with a home of its own")
        cluster.start("tracker", "tracker", "--store", self._store, port_base=self._ports)
        cluster.wait_ready("tracker")
        self._let_in()
        seed_token = self._token_file("seed", uses=1)
        peer_token = self._token_file("peer", uses=len(PEERS) + 2)
        cluster.start("seed", "seed", "--store", self._store, "--join-file", seed_token)
        for name in ("producer", *PEERS):
            cluster.start(name, "peer", "--join-file", peer_token)
        cluster.wait_ready("seed", "producer", *PEERS)
        joined = cluster.run(LATE, "join", peer_token)
        say(f"all are ready; {LATE} has joined as {joined['peer'][:8]}, and is not running")

    def _token_file(self, role: str, uses: int) -> str:
        token = self._cluster.run("tracker", "token", "create", "--role", role, "--uses", str(uses))["token"]
        return self._secret_file(f"{role}.token", token)

    def _secret_file(self, name: str, secret: str) -> str:
        path = self._cluster.folder / name
        path.touch(mode=0o600)
        path.write_text(secret + "\n", encoding="ascii")
        return str(path)

    def _let_in(self) -> None:
        """Whoever watches may look at the dashboard: as a user that is there for this, with a password of its own."""
        cluster, password = self._cluster, secrets.token_urlsafe(PASSWORD_BYTES)
        file = self._secret_file("password", password)
        cluster.run("tracker", "user", "add", VISITOR, "--password-file", file)
        cluster.run("tracker", "access", "allow", f"user:{VISITOR}", "admin", "*")
        address = self._summary.dashboard = f"https://{cluster.addresses['tracker']['tracker'][0]}/ui/"
        self._teller.line(f"the dashboard: {address} (sign in as {VISITOR}, password {password})")
        self._teller.line("a browser warns of its certificate, which the swarm has made itself")

    def _first_version(self) -> None:
        published = self._publish("v1", "first version")
        first = self._pull_all("first version, pulled by four peers at once", published, "v1")
        for check in report.check_first(self._summary, first):
            self._teller.checked(check)

    def _second_version(self) -> None:
        changed = trees.change(self._source)
        self._teller.line(f"the producer changes {len(changed)} files: {', '.join(changed)}")
        published = self._publish("v2", "second version")
        second = self._pull_all("second version, into the same directories", published, "v2")
        self._teller.checked(report.check_second(self._summary, second))

    def _alone(self) -> None:
        cluster, say = self._cluster, self._teller.line
        cluster.kill("tracker", "seed", "producer")
        say(
            f"tracker, seed and producer are killed; {LATE} has nothing yet, and pulls {DATASET}:latest from the others"
        )
        pull = cluster.run(LATE, "pull", f"{DATASET}:latest", str(self._tree(LATE)))
        last = Round("without tracker, seed and producer", self._summary.rounds[-1].published, {LATE: pull})
        self._pulled(last)
        self._teller.checked(report.check_alone(self._summary, last))

    def _publish(self, tag: str, message: str) -> dict[str, Any]:
        names = (f"{DATASET}:{tag}", f"{DATASET}:latest")
        published = self._cluster.run("producer", "publish", str(self._source), *names, "--message", message)
        self._teller.line(
            f"published {names[0]}: {published['files']} files, {size(published['bytes'])} in "
            f"{published['blocks']} blocks; {published['new_blocks']} new, "
            f"{size(published['uploaded'])} uploaded to the seed in {duration(published['seconds'])}"
        )
        return published

    def _pull_all(self, title: str, published: dict[str, Any], tag: str) -> Round:
        self._teller.line(f"the four peers pull {DATASET}:{tag} at the same time")
        begun = {name: self._cluster.begin(name, "pull", f"{DATASET}:{tag}", str(self._tree(name))) for name in PEERS}
        pulls = {name: self._cluster.result(name, process) for name, process in begun.items()}
        pulled = Round(title, published, pulls)
        self._pulled(pulled)
        return pulled

    def _pulled(self, pulled: Round) -> None:
        self._summary.rounds.append(pulled)
        self._teller.table(pulled)
        for name in pulled.pulls:
            found = trees.differences(self._source, self._tree(name))
            self._teller.checked(self._summary.check_tree(f"{name}'s tree, {pulled.title.partition(',')[0]},", found))

    def _tree(self, name: str) -> Path:
        return self._cluster.folder / "trees" / name


def timed(line: Callable[[str], None], started: float) -> Callable[[str], None]:
    """Lines with the seconds since the start before them."""
    return lambda text: line(f"{time.monotonic() - started:5.1f} s  {text}")
