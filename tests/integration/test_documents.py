"""Somebody who has read our OpenAPI documents, and tries what they allow and what they do not: nothing of ours breaks.

schemathesis makes the requests, of good and of bad values, at random paths and at a dataset that is there; whoever
asks may do everything, so that requests get as far as they can. ``DOCUMENT_EXAMPLES`` makes more of them
(`make soak`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
import schemathesis
import urllib3
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.cheap_passwords import make_passwords_cheap
from tests.integration.swarm_rig import Swarm, make_tree
from tests.integration.tracker_rig import enrolled_in

T = TypeVar("T")
EXAMPLES = int(os.environ.get("DOCUMENT_EXAMPLES", "2"))
KNOWN = {"scope": "library", "name": "roads", "tag": "latest"}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
TIMEOUT_S = 20.0
# Its answer does not end.
ENDLESS = {"/api/v1/datasets/{scope}/{name}/watch", "/api/v1/agent/watch"}
# After these there is nobody left to ask, or the rest asks in vain.
LAST = {"/api/v1/agent/shutdown", "/api/v1/rotate", "/api/v1/members/{peer}"}
# They read and write whatever paths of this machine they are told, for who has the home's token.
ON_DISK = {"publish", "pull", "import", "export", "verify", "subscribe", "unsubscribe", "sync"}


@schemathesis.serializer("application/msgpack", "application/octet-stream")
def as_it_is(_context: Any, value: Any) -> bytes:
    """Bytes for what wants bytes: they are random."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


class Serving:
    """A swarm in a thread of its own, for a test that waits in this one."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.folder = folder
        self.swarm = Swarm(folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def open(self) -> None:
        self.run(self.swarm.__aenter__())
        self.node = self.run(self.swarm.peer("peer"))
        tree = make_tree(self.folder / "tree", 1, files=2, large_bytes=1000)
        self.run(self.swarm.publish(self.node, tree, "roads:latest"))
        papers = self.run(self.swarm.tracker.membership())
        self.admin = self.run(self._enrolled(papers))

    async def _enrolled(self, papers: Any) -> Any:
        made = enrolled_in(self.folder / "admin", self.swarm.tracker._key, papers)
        await made.client.close()
        return made

    def close(self) -> None:
        self.run(self.swarm.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    make_passwords_cheap(monkeypatch)
    monkeypatch.chdir(tmp_path)
    made = Serving(tmp_path)
    try:
        made.open()
        yield made
    finally:
        made.close()


def try_all(document: dict[str, Any], url: str, left_out: set[str], **call: Any) -> int:
    """Try every operation; how many answers there were. AssertionError for a 5xx, and for no answer at all."""
    schema, answers = schemathesis.openapi.from_dict(document), 0
    session = requests.Session()

    def tried(case: Any) -> None:
        nonlocal answers
        # What no HTTP client could send is no request.
        ask = partial(case.call, base_url=url, timeout=TIMEOUT_S, allow_redirects=False, **call)
        try:
            try:
                answered = ask(session=session)
            except requests.ConnectionError:
                answered = ask()  # The connection had been closed meanwhile; on a new one it is answered.
        except (ValueError, UnicodeError):
            return
        answers += 1
        assert answered.status_code < 500, f"{case.as_curl_command()}\n{answered.status_code} {answered.text}"

    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        if operation.path in left_out:
            continue
        known = {name: value for name, value in KNOWN.items() if f"{{{name}}}" in operation.path}
        for parameters in (None, known) if known else (None,):
            # Of query and path all is text, so nothing there is wrong by itself.
            for mode in MODES if operation.body else MODES[:1]:
                _some(operation, mode, parameters, tried)
    session.close()
    return answers


def _some(operation: Any, mode: GenerationMode, parameters: dict[str, str] | None, tried: Any) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 10,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=parameters))
    def run(case: Any) -> None:
        tried(case)

    # Where everything is right there is nothing wrong to send.
    with contextlib.suppress(Unsatisfiable):
        run()


@pytest.mark.timeout(3600)
def test_a_tracker_breaks_at_nothing(serving: Serving) -> None:
    tracker = serving.swarm.tracker
    url = f"https://localhost:{tracker.port}"
    files = serving.admin.files
    urllib3.disable_warnings()
    told = requests.get(f"{url}/api/openapi.json", verify=False, timeout=TIMEOUT_S)
    document = told.json()
    papers = (str(files.certificate), str(files.key))
    assert try_all(document, url, ENDLESS | LAST, verify=False, cert=papers) > len(document["paths"])
    # The same by who is nobody; and what was left out, last.
    assert try_all(document, url, ENDLESS, verify=False) > len(document["paths"])
    ended = set(document["paths"]) - LAST
    assert try_all(document, url, ended, verify=False, cert=papers) > 0


@pytest.mark.timeout(3600)
def test_an_agent_breaks_at_nothing(serving: Serving) -> None:
    agent = serving.node.home.agent()
    assert agent is not None
    url = f"http://127.0.0.1:{agent.port}"
    document = requests.get(f"{url}/api/openapi.json", timeout=TIMEOUT_S).json()
    headers = {"Authorization": f"Bearer {agent.token}"}
    verbs = {path for path in document["paths"] if path.rpartition("/")[2] in ON_DISK}
    assert try_all(document, url, verbs | ENDLESS | LAST, headers=headers) > len(document["paths"])
    assert try_all(document, url, set()) > len(document["paths"])
