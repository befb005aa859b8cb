"""Who listens on the line, who speaks an old TLS, and who answers in another's place."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from swarm.authority import create
from swarm.errors import UnreachableError
from swarm.http.tls import RUN_PROTOCOL, TlsFiles, peer_client_context, peer_server_context, run_client_context
from swarm.identity import PeerKey, server_name_of
from swarm.limits import CHANNEL_MESSAGE_MAX_BYTES
from swarm.peer.node import PeerNode
from swarm.peer.wire import CHANNEL_PATH, RunRequest, TagRequest
from swarm.records import Address
from tests.integration.swarm_rig import Swarm, contents

WAIT_S: Final = 20.0
SECRET: Final = b"what is in the files is for members alone; "
NAMES: Final = (b"maps/secret-roads", b"secret-tag", b"secret-file", b"HTTP/1.1")


class Line:
    """A relay that keeps what it carries."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.heard = bytearray()
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Line:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in list(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(writer):
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.closing(back):
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        self._carrying.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.heard += data
                writer.write(data)
                await writer.drain()
        writer.close()


def test_who_listens_hears_nothing_of_what_is_carried(tmp_path: Path) -> None:
    async def main() -> None:
        source = tmp_path / "source"
        source.mkdir()
        (source / "secret-file").write_bytes(SECRET * 40_000)
        async with Swarm(tmp_path) as swarm:
            giver, asker = await swarm.peer("giver"), await swarm.peer("asker")
            await swarm.publish(giver, source, "maps/secret-roads:secret-tag")
            async with Line(giver.listener.port) as line:
                asker.channels.learn(giver.key.peer_id, (Address("127.0.0.1", line.port),))
                asker.resolver.learn(giver.key.peer_id, (Address("127.0.0.1", line.port),))
                await asker.channels.connect(giver.key.peer_id)
                await asker.fetcher.tag(giver.key.peer_id, TagRequest(1, "maps/secret-roads", "secret-tag", b""))
                await swarm.stop(swarm.seed)
                await swarm.pull(asker, "maps/secret-roads:secret-tag", tmp_path / "out")
                assert contents(tmp_path / "out") == contents(source)
                assert asker.traffic.received[giver.key.peer_id] > 0
                (manifest,) = [holding.manifest for holding in giver.holdings]
                hidden = [SECRET[:20], *NAMES, manifest.version, manifest.version.hex().encode()]
                hidden += [block.signature for block in manifest.unique]
                hidden += [giver.papers.credential[40:60], giver.papers.grant[40:60], asker.papers.grant[40:60]]
                assert len(line.heard) > 1000
                assert [each for each in hidden if bytes(each) in line.heard] == []

    asyncio.run(main())


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, which speaks TLS 1.2 at most."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def shaken(port: int, context: ssl.SSLContext, name: str) -> str:
    """The version of TLS that a far end agrees to and answers in; empty if it does not."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain,
            context.wrap_socket(plain, server_hostname=name) as stream,
        ):
            stream.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            return str(stream.version()) if stream.recv(1) else ""
    except (ssl.SSLError, ConnectionError):
        return ""


def test_only_tls_1_3_between_members_is_spoken(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            peer, member = await swarm.peer("peer"), await swarm.peer("member")
            tracker = swarm.tracker
            files, name = member.home.tls_files, server_name_of(peer.key.peer_id)
            tracker_name = server_name_of(tracker.contact.peer_id)
            stranger = foreign(tmp_path / "foreign", files.root)
            nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            nobody.load_verify_locations(cafile=str(files.root))
            found = [
                await asyncio.to_thread(shaken, port, context, to)
                for port, context, to in (
                    (peer.listener.port, peer_client_context(files), name),
                    (tracker.port, peer_client_context(files), tracker_name),
                    (peer.listener.port, old(peer_client_context(files)), name),
                    (peer.listener.port, old(run_client_context(files)), name),
                    (tracker.port, old(peer_client_context(files)), tracker_name),
                    (peer.listener.port, nobody, name),
                    (peer.listener.port, peer_client_context(stranger), name),
                    (tracker.port, peer_client_context(stranger), tracker_name),
                )
            ]
            assert found == ["TLSv1.3", "TLSv1.3", "", "", "", "", "", ""]
            for port in (peer.listener.port, tracker.port):
                assert not await asyncio.to_thread(said_in_clear, port)

    asyncio.run(main())


def said_in_clear(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            answer = plain.recv(4096)
            return answer if b"HTTP" in answer else b""
    return b""


def foreign(folder: Path, root: Path) -> TlsFiles:
    """A member's files of another swarm, with the root of ours to verify by."""
    from swarm.authority import private_pem

    folder.mkdir()
    key, ca = PeerKey(os.urandom(32)), create(PeerKey(os.urandom(32)), time.time())
    papers = ca.admit(key.public, "peer", "", (), time.time())
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem", root)
    files.certificate.write_bytes(papers.certificate)
    files.key.write_bytes(private_pem(key))
    return files


class Impostor:
    """Answers handshakes in another's place and keeps every byte that is said inside."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.heard = bytearray()
        self.handshakes = 0

    async def __aenter__(self) -> Impostor:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._answering = asyncio.create_task(asyncio.to_thread(self._answer))
        return self

    def _answer(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            plain.settimeout(WAIT_S)
            self.handshakes += 1
            with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as stream:
                while data := stream.recv(4096):
                    self.heard += data
            plain.close()

    async def __aexit__(self, *exc: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        await self._answering


def server_of(files: TlsFiles) -> ssl.SSLContext:
    context = peer_server_context(files)
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([RUN_PROTOCOL, "http/1.1"])
    return context


@pytest.mark.parametrize("who", ["another member", "another swarm", "an old TLS"])
def test_an_impostor_hears_no_byte_of_a_request(who: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            victim, honest, other = [await swarm.peer(name) for name in ("victim", "honest", "other")]
            context = {
                "another member": lambda: server_of(other.home.tls_files),
                "another swarm": lambda: server_of(foreign(tmp_path / "foreign", other.home.tls_files.root)),
                "an old TLS": lambda: old(server_of(honest.home.tls_files)),
            }[who]()
            peer = honest.key.peer_id
            await swarm.stop(honest)
            async with asyncio.timeout(WAIT_S):
                while peer in victim.channels.open:
                    await asyncio.sleep(0.01)
            async with Impostor(context) as impostor:
                for call in calls_of(victim, peer):
                    # Each time anew: others may tell meanwhile where it was.
                    victim.resolver.learn(peer, (Address("127.0.0.1", impostor.port),))
                    with pytest.raises(UnreachableError):
                        await call()
                assert impostor.handshakes >= 3
                assert bytes(impostor.heard) == b""

    asyncio.run(main())


def test_a_channel_is_neither_compressed_nor_without_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            peer, member = await swarm.peer("peer"), await swarm.peer("member")
            member.resolver.learn(peer.key.peer_id, peer.addresses())
            url = f"https://{server_name_of(peer.key.peer_id)}{CHANNEL_PATH}"
            async with member.session.ws_connect(url, compress=15) as channel, asyncio.timeout(WAIT_S):
                assert not channel.compress
                assert (await channel.receive()).type is aiohttp.WSMsgType.BINARY, "its hello"
                await channel.send_bytes(bytes(CHANNEL_MESSAGE_MAX_BYTES + 1))
                ended = await channel.receive()
                assert (ended.type, ended.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)

    asyncio.run(main())


def calls_of(node: PeerNode, peer: str) -> list[Callable[[], Awaitable[object]]]:
    """Every way to call a peer: its channel, its tags, its blocks."""
    run = RunRequest(1, 1, "maps/roads", bytes(32), b"", False, (bytes(32),))
    return [
        lambda: node.channels.connect(peer),
        lambda: node.fetcher.tag(peer, TagRequest(1, "maps/roads", "latest", b"")),
        lambda: node.fetcher.take(peer, run, lambda at, block: None, lambda answer: None),
    ]
