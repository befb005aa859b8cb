"""The floor under a machine's clock: for who has none, and for nobody else."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest

from swarm import authority, clock
from swarm.authority import private_pem
from swarm.clock import Floor
from swarm.http.tls import TlsFiles, anonymous_context, peer_server_context
from swarm.identity import PeerKey, server_name_of
from swarm.limits import CLOCK_SKEW_S

ISSUED, BOOT = 1_900_000_000.0, 1_000_000_000.0


def test_a_clock_that_can_be_right_is_never_overruled() -> None:
    floor = Floor().issued_at(ISSUED, 0).raised(ISSUED + 10_000, ISSUED + 10**6, 0)
    for machine in (ISSUED - CLOCK_SKEW_S, ISSUED, ISSUED + 5, ISSUED + 10**8):
        assert floor.now(machine, 50.0) == machine
    assert Floor().now(BOOT, 50.0) == BOOT, "nothing is known"


def test_a_clock_that_cannot_be_right_gives_way_to_what_was_sealed_last_and_what_has_passed() -> None:
    floor = Floor().issued_at(ISSUED, 100.0)
    assert floor.is_wrong(BOOT)
    assert floor.now(BOOT, 160.0) == ISSUED + 60
    seen = floor.raised(ISSUED + 5000, ISSUED + 10**6, 160.0)
    assert seen.now(BOOT, 161.0) == ISSUED + 5001
    assert seen.raised(ISSUED + 10, ISSUED + 10**6, 170.0) is seen, "an older record moves nothing"


def test_a_record_from_the_future_moves_nobody_beyond_the_life_of_its_papers() -> None:
    floor = Floor().issued_at(ISSUED, 0.0).raised(ISSUED + 10**9, ISSUED + 1000, 0.0)
    assert floor.now(BOOT, 0.0) == ISSUED + 1000


@pytest.mark.parametrize("is_wrong", [False, True])
def test_certificates_of_the_future_are_taken_by_who_has_no_clock(tmp_path: Path, *, is_wrong: bool) -> None:
    """The machine's clock is real here, so its papers are issued in a year."""
    later = datetime.datetime.now(datetime.UTC).timestamp() + 365 * 86_400
    ca, member = authority.create(PeerKey(b"c" * 32), later), PeerKey(b"m" * 32)
    papers = ca.admit(member.public, "peer", "", (), later)
    files = TlsFiles(tmp_path / "certificate", tmp_path / "key", tmp_path / "root")
    for path, data in ((files.certificate, papers.certificate), (files.key, private_pem(member))):
        path.write_bytes(data)
    files.root.write_bytes(ca.certificate)
    if is_wrong:
        clock.have_papers(later)
    server = peer_server_context(files)
    server.verify_mode = ssl.CERT_NONE
    assert shakes_hands(anonymous_context(ca.certificate.decode()), server, member.peer_id) == is_wrong


def shakes_hands(client: ssl.SSLContext, server: ssl.SSLContext, peer_id: str) -> bool:
    """Whether a client takes a server for the peer, in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(back, there, server_hostname=server_name_of(peer_id))
    called = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for end in (calling, called):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return True
