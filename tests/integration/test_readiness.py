"""What a process says of itself to who looks after it: each check with its state and why, and what takes it out."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from swarm.cli.roles import Running, health_address
from swarm.errors import UsageError
from swarm.http.tls import TlsFiles, peer_client_context, unverified_context
from swarm.identity import server_name_of
from swarm.peer import health
from swarm.readiness import Check, lasting, readiness
from tests.integration.tracker_rig import FixedResolver
from tests.integration.whole_process import asked, whole_process

DAY_S = 86_400


@pytest.mark.parametrize(
    ("states", "status", "line"),
    [
        ((), 200, "ok"),
        (("ok", "ok"), 200, "ok"),
        (("ok", "degraded"), 200, "degraded: why 1"),
        (("failed", "degraded"), 503, "not ready: why 0"),
        (("degraded", "degraded"), 200, "degraded: why 0; why 1"),
    ],
)
def test_what_fails_takes_it_out_and_what_degrades_does_not(states: tuple[str, ...], status: int, line: str) -> None:
    checks = [Check(f"check{n}", state, f"why {n}") for n, state in enumerate(states)]  # type: ignore[arg-type]
    short = readiness(checks, make_mocked_request("GET", "/readyz"))
    assert (short.status, short.text) == (status, line + "\n")
    long = readiness(checks, make_mocked_request("GET", "/readyz?verbose"))
    assert long.status == status
    assert long.text is not None
    assert long.text.splitlines()[-1] == line
    assert len(long.text.splitlines()) == len(states) + 1


def test_what_ends_is_told_before_it_does() -> None:
    assert lasting("certificate", 20 * DAY_S, 7 * DAY_S) == Check("certificate", "ok", "for 20.0 days")
    assert lasting("certificate", 3 * DAY_S, 7 * DAY_S).state == "degraded"
    assert lasting("certificate", -1, 7 * DAY_S).why == "the certificate has ended"


def test_a_whole_process_tells_how_each_part_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LAG_WARN_S", 3600.0)  # a loaded machine is late by a second

    async def main() -> None:
        async with whole_process(tmp_path / "home", health_listen="127.0.0.1:0") as parts:
            node = parts.node
            await answers_at(f"http://127.0.0.1:{node.listeners['health'].port}")
            text = await calm(parts)
            names = [line.partition(":")[0] for line in text.splitlines()]
            parts_told = ["process", "store", "tracker", "certificate", "clock", "disk", "event-loop"]
            assert names == [*(f"[+] {name}" for name in parts_told), "ok"]
            assert (await asked(parts, "/livez"))[2] == "ok\n"
            node.loop_lag.note(3601.0)
            monkeypatch.setattr(health, "DISK_FAIL_BYTES", 1 << 62)
            text = ""
            while "[+] tracker" in text or not text:  # a heartbeat that comes between finds that one answers
                node.announcer.is_answered, node.announcer.tracker_state = False, "no tracker answers"
                status, _, text = await asked(parts, "/readyz?verbose")
                assert status == 200
            for mark in ("[~] tracker: no tracker answers", "[~] event-loop: the event loop was late", "[~] disk: "):
                assert mark in text
            node.ending.is_begun = True
            assert (await asked(parts, "/readyz"))[0] == 503
            node.ending.is_begun = False
            await of_the_seeds_listener(node.key.peer_id, node.listener.port, node.home.path)
            assert parts.tracker is not None
            text = await told("localhost", parts.tracker.port, unverified_context(), "/readyz?verbose")
            names = [line.partition(":")[0] for line in text.splitlines()]
            assert names == ["[+] tracker", "[+] store", "[+] certificate", "[+] ca-key", "[+] alerts", "ok"]

    asyncio.run(main())


async def calm(parts: Running) -> str:
    """What is told once nothing is wrong that a loaded machine brings about: a loop that is late, a slow tracker."""
    text = ""
    while not text or "[~] event-loop" in text or "[~] tracker" in text:
        parts.node.loop_lag._late.clear()
        status, _, text = await asked(parts, "/readyz?verbose")
        assert status == 200
    return text


async def answers_at(base: str) -> None:
    """Health and nothing else, to whoever comes."""
    async with aiohttp.ClientSession() as session:
        for path, status in (("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/api/v1/agent/status", 404)):
            async with session.get(base + path) as response:
                assert response.status == status, path


@pytest.mark.parametrize("text", ["9464", ":9464", "host:", "host:port", "host:65536", "host:-1"])
def test_an_address_for_health_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(UsageError):
        health_address(text)
    assert health_address("[::1]:9464") == ("::1", 9464)


async def of_the_seeds_listener(peer_id: str, port: int, home: Path) -> None:
    """A member reads a seed's health and metrics where others fetch blocks."""
    context = peer_client_context(TlsFiles(home / "certificate.pem", home / "key.pem", home / "ca.pem"))
    for path, begins in (("/livez", "ok"), ("/readyz", "degraded"), ("/metrics", "# HELP aetherfs_")):
        assert (await told(server_name_of(peer_id), port, context, path)).startswith(begins)


async def told(host: str, port: int, context: ssl.SSLContext, path: str) -> str:
    connector = aiohttp.TCPConnector(ssl=context, resolver=FixedResolver(port))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://{host}:{port}{path}") as response,
    ):
        assert response.status == 200
        return await response.text()
