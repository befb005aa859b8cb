"""What a process moves over its line is what the system counted of its connections."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from swarm.http.line import CountedSocket, Line, counted, headers_between

SIZE = 3_000_000
HEADERS = 14 + 20 + 20 + 12


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_a_connection_counts_with_its_headers_while_it_is_open_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    monkeypatch.setattr("swarm.http.line.LINE", line)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        giver = CountedSocket(socket.AF_INET, socket.SOCK_STREAM)
        # Small segments, so that headers are a good part of it.
        giver.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        giver.connect(listening.getsockname())
        taker = counted(listening.accept()[0])
        sending = threading.Thread(target=giver.sendall, args=(bytes(SIZE),))
        sending.start()
        left = SIZE
        while left:
            left -= len(taker.recv(left))
        sending.join()
        both_ways = line.totals()
        giver.close()
        taker.close()
        after = line.totals()
    segments = SIZE / 1000
    # Both ends are here: each byte is sent once and received once, and acknowledgements come on top.
    for moved in both_ways:
        assert SIZE + segments * HEADERS <= moved <= SIZE + 3 * segments * HEADERS
    assert all(now >= then for now, then in zip(after, both_ways, strict=True)), "what has closed still counts"
    assert not line._open


def test_headers_go_by_the_addresses_and_what_a_machine_says_to_itself_has_none() -> None:
    assert headers_between("10.0.0.1", "10.0.0.2") == headers_between("::ffff:10.0.0.1", "::ffff:10.0.0.2") == 14 + 20
    assert headers_between("fd00::1", "fd00::2") == 14 + 40
    assert headers_between("10.0.0.1", "10.0.0.1") == headers_between("fd00::1", "fd00::1") == 0
    assert headers_between("127.0.0.1", "127.0.0.1") == headers_between("::ffff:127.0.0.1", "::ffff:127.0.0.1") > 0
