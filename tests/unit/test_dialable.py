"""Where peers may be dialled: the matrix of addresses, names that lead to them, and names that change their mind."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import pytest

from swarm.dht.transport import Transport
from swarm.dialable import Dialable, dialable_of, networks_in
from swarm.errors import UsageError
from swarm.http.resolver import PeerResolver
from swarm.identity import PeerKey, server_name_of
from swarm.records import Address

# A peer of a private network, which is not reached on loopback or a link.
PLAIN: Final = dialable_of(["10.1.2.3", "2001:db8::7"])
ALLOWED: Final = (
    *("8.8.8.8", "10.0.0.1", "172.16.0.9", "192.168.1.1", "100.64.0.1", "192.0.2.1", "198.51.100.7"),
    *("2001:db8::1", "2606:4700::1111", "fd12:3456::1", "::ffff:10.0.0.1", "64:ff9b::808:808", "2002:808:808::1"),
)
REFUSED: Final = (
    # loopback, in every way to write it
    *("127.0.0.1", "127.1.2.3", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"),
    # unspecified, this network, broadcast, multicast, reserved
    *("0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "255.255.255.255", "240.0.0.1", "224.0.0.1", "239.255.255.250"),
    *("ff02::1", "ff0e::1", "::ffff:224.0.0.1", "100::1", "2001::1", "64:ff9b:1::1", "fec0::1", "192.0.0.8"),
    # link-local
    *("169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "::ffff:169.254.1.1", "64:ff9b::a9fe:101"),
    # metadata of AWS, GCP, Azure, Alibaba, Oracle
    *("169.254.169.254", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    *("169.254.170.2", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.192", "::169.254.169.254"),
    # a scope means something only on one machine, and hides what is before it
    *("2001:db8::1%eth0", "fe80::1%a\0b"),
    # no addresses in their usual form
    *("2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", " 127.0.0.1", "localhost", ""),
    *("\u0661\u0662\u0667.0.0.1", "[::1]", "10.0.0.1/32", "10.0.0.1:80", "010.0.0.1"),
)


@pytest.mark.parametrize("host", ALLOWED)
def test_addresses_of_other_machines_are_dialled(host: str) -> None:
    assert PLAIN.allows(host)


@pytest.mark.parametrize("host", REFUSED)
def test_addresses_that_lead_into_a_machine_or_nowhere_are_not(host: str) -> None:
    assert not PLAIN.allows(host)


def test_who_is_reached_on_loopback_or_a_link_dials_there() -> None:
    here, link = dialable_of(["127.0.0.1"]), dialable_of(["name.example", "169.254.7.7", "fe80::7"])
    assert here.allows("127.0.0.1") and here.allows("::1") and not here.allows("169.254.0.1")
    assert link.allows("169.254.0.1") and link.allows("fe80::1") and not link.allows("127.0.0.1")
    for someone in (here, link, dialable_of(["0.0.0.0"]), dialable_of(["::"]), Dialable()):
        assert not any(map(someone.allows, ("169.254.169.254", "fd00:ec2::254", "0.0.0.0", "::", "224.0.0.1")))
    assert not dialable_of(["0.0.0.0"]).allows("127.0.0.1"), "who listens everywhere is reached elsewhere"


def test_what_the_setting_allows_is_dialled_and_nothing_beside_it() -> None:
    allowing = dialable_of(["10.1.2.3"], networks_in("169.254.169.254/32, 127.0.0.0/8,fe80::/10"))
    assert all(map(allowing.allows, ("169.254.169.254", "127.0.0.1", "::ffff:127.0.0.1", "fe80::1")))
    assert not any(map(allowing.allows, ("169.254.169.253", "::1", "0.0.0.0")))
    assert networks_in("") == networks_in(" , ") == ()
    for text in ("everything", "10.0.0.1/33", "10.0.0.1/8"):
        with pytest.raises(UsageError, match="dial_also"):
            networks_in(text)


PEER: Final = PeerKey(bytes(32)).peer_id


def dial(resolver: PeerResolver, *hosts: str) -> list[str]:
    """Where a dial of a peer with these addresses would go."""
    resolver.learn(PEER, tuple(Address(host, 7071) for host in hosts))
    return [result["host"] for result in asyncio.run(resolver.resolve(server_name_of(PEER)))]


@pytest.mark.parametrize("host", REFUSED[:-4])
def test_a_dial_goes_nowhere_else(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = PeerResolver(PLAIN)
    # What is no address is a name, and this system reads old forms as addresses.
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [_info("127.0.0.1"), _info("169.254.169.254")])
    if host:
        with pytest.raises(OSError, match="is not dialled"):
            dial(resolver, host)
        assert dial(resolver, host, "10.0.0.9") == ["10.0.0.9"]


def _info(host: str) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (host, 7071))


def test_a_name_that_leads_elsewhere_the_second_time_is_judged_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [["10.0.0.9"], ["127.0.0.1"], ["::ffff:169.254.169.254"], ["0.0.0.0", "10.0.0.8"], ["fd00:ec2::254"]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(map(_info, answers.pop(0))))
    resolver = PeerResolver(PLAIN)
    assert dial(resolver, "evil.example") == ["10.0.0.9"]
    for expected in ([], [], ["10.0.0.8"], []):
        if expected:
            assert dial(resolver, "evil.example") == expected
        else:
            with pytest.raises(OSError, match="is not dialled"):
                dial(resolver, "evil.example")


def test_datagrams_go_nowhere_else() -> None:
    async def main() -> None:
        transport = await Transport.bind("127.0.0.1", 0, lambda datagram, peer: None, PLAIN)
        try:
            for host in REFUSED:
                transport.send(b"x", (host, 7071))
            assert (transport.queued_bytes, transport.dropped) == (0, len(REFUSED))
            transport.send(b"x", (ALLOWED[0], 0))
            assert transport.queued_bytes == 0
            transport._outbox.clear()
        finally:
            await transport.close()

    asyncio.run(main())
