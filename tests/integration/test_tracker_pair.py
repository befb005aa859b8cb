"""Two trackers over one store, and a tracker that lives long: lists, removals, its own certificate."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from swarm.errors import NotAllowedError, UnreachableError
from swarm.http.tls import unverified_context
from swarm.identity import PeerKey, server_name_of
from swarm.limits import CERTIFICATE_LIFETIME_S
from swarm.messages import Contact
from swarm.records import Address
from swarm.token import parse_token
from swarm.tracker import members, registry
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import STORE_KEY, announce_of, running_tracker, until


async def start(objects: object, key: PeerKey | None = None, **more: object) -> Tracker:
    return await Tracker.start(objects, STORE_KEY, key or PeerKey(os.urandom(32)), "127.0.0.1", 0, **more)  # type: ignore[arg-type]


async def certificate_at(port: int, name: str | None) -> x509.Certificate:
    """What a listener shows to a caller of this name."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=unverified_context(), server_hostname=name or "")
    channel = writer.get_extra_info("ssl_object")
    assert isinstance(channel, ssl.SSLObject)
    data = channel.getpeercert(binary_form=True)
    assert data is not None
    assert channel.version() == "TLSv1.3"
    writer.transport.abort()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(data)


def test_trackers_list_each_other_in_one_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            other = await start(rig.objects)
            await until(lambda: len(rig.tracker.state.trackers) == 2)
            both = list(rig.tracker.state.trackers)
            assert both == list(other.state.trackers)
            assert {contact.public for contact in both} == {rig.key.public, other.contact.public}
            member = await rig.member()
            assert list(member.papers.trackers) == both
            assert list((await member.client.announce(announce_of())).trackers) == both
            assert list(member.client.trackers) == both
            assert set(parse_token(await rig.token()).addresses) == {str(c.addresses[0]) for c in both}
            await other.close()
            assert (await member.client.announce(announce_of())).trackers == (rig.tracker.contact,)

    asyncio.run(main())


def test_a_removal_at_one_tracker_reaches_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "REMOVED_CACHE_S", 0.0)

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            other = await start(rig.objects)
            member = await rig.member()
            member.client.set_trackers([other.contact])
            assert (await member.client.datasets()).datasets == ()
            await rig.admin.client.remove_member(member.key.peer_id)
            with pytest.raises(NotAllowedError, match="removed"):
                await member.client.datasets()
            with pytest.raises(NotAllowedError, match="removed"):
                await member.client.renew()
            await other.close()

    asyncio.run(main())


def test_a_second_tracker_joins_with_what_the_first_gave(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            second = await rig.member("tracker")
            tracker = await Tracker.start(rig.objects, second.papers.store_key, second.key, "127.0.0.1", 0)
            second.client.set_trackers([tracker.contact])
            assert (await second.client.datasets()).datasets == ()
            assert (await tracker.membership()).secret == rig.admin.papers.secret
            await tracker.close()

    asyncio.run(main())


def test_people_see_p256_and_members_see_the_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            for name in ("localhost", "anything.example"):
                shown = await certificate_at(rig.tracker.port, name)
                assert isinstance(shown.public_key(), ec.EllipticCurvePublicKey)
            names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert "localhost" in names.get_values_for_type(x509.DNSName)
            shown = await certificate_at(rig.tracker.port, server_name_of(rig.key.peer_id))
            key = shown.public_key()
            assert isinstance(key, ed25519.Ed25519PublicKey)
            assert key.public_bytes_raw() == rig.key.public

    asyncio.run(main())


def test_a_tracker_renews_its_own_certificate_while_it_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            tracker, name = rig.tracker, server_name_of(rig.key.peer_id)
            before = await certificate_at(tracker.port, name)
            await tracker.tending.renew()
            assert await certificate_at(tracker.port, name) == before
            tracker.tending.renewed_at -= CERTIFICATE_LIFETIME_S / 3
            await tracker.tending.renew()
            after = await certificate_at(tracker.port, name)
            assert after.serial_number != before.serial_number
            assert (await rig.admin.client.datasets()).datasets == ()
            fresh = rig.enrolled(rig.key, rig.admin.papers)
            assert (await fresh.client.datasets()).datasets == ()

    asyncio.run(main())


def test_a_closed_tracker_leaves_no_port_and_no_listing(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            await rig.tracker.close()
            assert rig.objects.list(registry.PREFIX) == []
            with pytest.raises(UnreachableError, match="no tracker answers"):
                await member.client.datasets()

    asyncio.run(main())


def test_what_is_advertised_is_what_members_are_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            told = (Address("tracker.example.org", 443), Address("127.0.0.1", 1))
            key = PeerKey(os.urandom(32))
            other = await Tracker.start(rig.objects, STORE_KEY, key, "127.0.0.1", 0, advertise=told)
            assert other.contact == Contact(key.public, told)
            assert other.address.host == "127.0.0.1"
            assert Contact(key.public, told) in (await other.membership()).trackers
            await other.close()

    asyncio.run(main())


def test_who_asks_a_tracker_that_has_just_ended_is_sent_to_another(tmp_path: Path) -> None:
    """A request that came in before the listener closed may get to the store after it."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            other = await start(rig.objects)
            await other.close()
            with pytest.raises(UnreachableError, match="ended"):
                await other.state.member(rig.key.peer_id)

    asyncio.run(main())
