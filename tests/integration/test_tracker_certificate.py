"""The certificate that a tracker shows people: its own or a given one, which is renewed under it."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from pathlib import Path

import pytest

from swarm.cli.login import _at
from swarm.errors import NotAllowedError, UnreachableError, UsageError
from swarm.http.tls import unverified_context
from swarm.identity import PeerKey, server_name_of
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.certificates import GivenCertificate, people_certificate, replace_certificate
from swarm.tracker.own_certificate import own_certificate
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import STORE_KEY


class Files:
    """Certificate and key, as somebody's own program renews them."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "people.pem", folder / "people.key"
        self.pair = self.write()

    def write(self) -> tuple[bytes, bytes]:
        """Another pair, each file replaced by rename: the certificate first."""
        self.pair = people_certificate(["tracker.example"], time.time())
        for path, data in zip((self.certificate, self.key), self.pair, strict=True):
            self.replace(path, data)
        return self.pair

    def replace(self, path: Path, data: bytes) -> None:
        path.with_suffix(".new").write_bytes(data)
        path.with_suffix(".new").replace(path)

    @property
    def given(self) -> GivenCertificate:
        made = GivenCertificate.named(str(self.certificate), str(self.key))
        assert made is not None
        return made


async def shown(port: int, name: str) -> bytes:
    """The certificate (PEM) that a TLS client is shown, and that its handshake ended well."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=unverified_context(), server_hostname=name)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return ssl.DER_cert_to_PEM_cert(found).encode()
    finally:
        writer.transport.abort()  # its goodbye would outlive the loop
        await writer.wait_closed()


async def until_shown(port: int, expected: bytes) -> None:
    while await shown(port, "tracker.example") != expected:
        await asyncio.sleep(0.05)


def test_people_are_shown_what_was_given_and_what_it_is_renewed_to(tmp_path: Path) -> None:
    async def main() -> None:
        files, key = Files(tmp_path), PeerKey(os.urandom(32))
        tracker = await Tracker.start(MemoryObjectStore(), STORE_KEY, key, "127.0.0.1", 0, certificate=files.given)
        try:
            assert await shown(tracker.port, "tracker.example") == files.pair[0]
            of_member = await shown(tracker.port, server_name_of(key.peer_id))
            assert of_member not in (files.pair[0], b"")
            before = files.pair[0]
            # Half of a renewal, and then something else altogether: what was shown before is shown on.
            renewed = people_certificate(["tracker.example"], time.time())
            files.replace(files.certificate, renewed[0])
            await tracker.tending.look_at_certificate()
            assert await shown(tracker.port, "tracker.example") == before
            files.replace(files.key, b"no key")
            await tracker.tending.look_at_certificate()
            assert await shown(tracker.port, "tracker.example") == before
            files.replace(files.key, renewed[1])
            await until_shown(tracker.port, renewed[0])
            files.key.unlink()
            await tracker.tending.look_at_certificate()
            assert await shown(tracker.port, "tracker.example") == renewed[0]
            assert await shown(tracker.port, server_name_of(key.peer_id)) == of_member
        finally:
            await tracker.close()

    asyncio.run(main())


def test_an_older_tls_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        files = Files(tmp_path)
        tracker = await Tracker.start(
            MemoryObjectStore(), STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0, certificate=files.given
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", tracker.port, ssl=context, server_hostname="tracker.example")
        finally:
            await tracker.close()

    asyncio.run(main())


def test_what_is_no_pair_is_refused_at_the_start(tmp_path: Path) -> None:
    files, other = Files(tmp_path), people_certificate(["another.example"], time.time())
    assert files.given.read() == files.pair
    for path, data in ((files.key, other[1]), (files.key, b""), (files.certificate, b"junk")):
        files.write()
        files.replace(path, data)
        with pytest.raises(UsageError):
            files.given.read()
    files.key.unlink()
    with pytest.raises(UsageError, match="cannot read"):
        files.given.read()
    with pytest.raises(UsageError):
        GivenCertificate.named("a.pem", "")
    assert GivenCertificate.named("", "") is None


def test_a_tracker_s_own_certificate_is_the_same_after_a_restart_while_it_fits() -> None:
    objects, now, day_s = MemoryObjectStore(), time.time(), 86_400
    made = own_certificate(objects, STORE_KEY, "one", ["192.0.2.1"], now)
    assert own_certificate(objects, STORE_KEY, "one", ["192.0.2.1"], now + 300 * day_s) == made
    assert own_certificate(objects, STORE_KEY, "two", ["192.0.2.1"], now) != made
    assert own_certificate(objects, STORE_KEY, "one", ["192.0.2.2"], now) != made
    again = own_certificate(objects, STORE_KEY, "one", ["192.0.2.1"], now)
    assert own_certificate(objects, STORE_KEY, "one", ["192.0.2.1"], now + 350 * day_s) != again
    assert all(made[1] not in objects.get(key) for key in objects.list(""))


def test_why_a_tracker_is_not_believed_is_said_with_what_to_do() -> None:
    async def told(port: int, ca: str, name: str) -> str:
        with pytest.raises(UnreachableError) as caught:
            async with _at(f"https://{name}:{port}", ca) as call:
                await call("GET", "/api/v1/whoami")
        return str(caught.value)

    async def main() -> None:
        pair, other = people_certificate([], time.time()), people_certificate(["127.0.0.1"], time.time())
        tracker = await Tracker.start(MemoryObjectStore(), STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0)
        try:
            own = tracker.state.certificate.decode()
            async with _at(f"https://localhost:{tracker.port}", own) as call:
                with pytest.raises(NotAllowedError, match="log in"):
                    await call("GET", "/api/v1/datasets")
            assert "what --ca-file holds does not vouch" in await told(tracker.port, other[0].decode(), "localhost")
            assert "`aetherfs certificate FILE`" in await told(tracker.port, "", "localhost")
            await asyncio.to_thread(replace_certificate, tracker._contexts[1], *pair)
            assert "is for other names" in await told(tracker.port, pair[0].decode(), "127.0.0.1")
        finally:
            await tracker.close()

    asyncio.run(main())


def test_what_is_wrong_with_given_files_is_said_in_words(tmp_path: Path) -> None:
    for name, text in (("a.pem", people_certificate([], 0)[0]), ("b.pem", people_certificate([], 0)[1]), ("c", b"x")):
        (tmp_path / name).write_bytes(text)
    for key, why in (
        ("b.pem", "the key is another certificate's: give both as PEM"),
        ("c", "its key: give both as PEM"),
    ):
        with pytest.raises(UsageError, match=why) as caught:
            GivenCertificate(tmp_path / "a.pem", tmp_path / key).read()
        assert "_ssl.c" not in str(caught.value)
