"""A network of DHT nodes in one process, on 127.0.0.1, and a stranger with a socket who makes packets by hand."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

from nacl.secret import SecretBox

from swarm import authority
from swarm.authority import Authority
from swarm.dht.keys import node_id, packet_key
from swarm.dht.node import DhtNode
from swarm.dht.wire import TO_BYTES, Body, Message, Ping, Pong, open_packet, seal_packet
from swarm.dialable import TRUSTED
from swarm.identity import PeerKey
from swarm.records import Address

DEADLINE_S = 20.0
# Of so many nodes each has room for all others.
FEW = 8


class Network:
    """``async with Network(count)``: nodes that joined by the first. ``ca`` and ``secret`` are the swarm's."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.ca: Authority = authority.create(PeerKey(self.rng.randbytes(32)), time.time())
        self.secret = self.rng.randbytes(32)
        self.nodes: list[DhtNode] = []
        self._count = count

    async def __aenter__(self) -> Network:
        for _ in range(self._count):
            await self.add()
        if self._count <= FEW:
            await self.acquainted()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for node in self.nodes:
            await node.close()

    async def add(
        self,
        *,
        key: PeerKey | None = None,
        ca: Authority | None = None,
        secret: bytes | None = None,
        client_only: bool = False,
        state_path: Path | None = None,
        join: bool = True,
        wall: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> DhtNode:
        """One more node, introduced to the first."""
        key = key or PeerKey(self.rng.randbytes(32))
        ports: list[int] = []
        node = await DhtNode.start(
            host=host,
            port=port,
            key=key,
            credential=(ca or self.ca).admit(key.public, "peer", "", (), wall()).credential,
            authority=self.ca.trust,
            secret=secret or self.secret,
            addresses=lambda: tuple(Address(host, port) for port in ports),
            state_path=state_path,
            client_only=client_only,
            rng=random.Random(self.rng.getrandbits(64)),
            wall=wall,
            dialable=TRUSTED,
        )
        ports.append(node.port)
        self.nodes.append(node)
        if join and len(self.nodes) > 1:
            await node.bootstrap([f"127.0.0.1:{self.nodes[0].port}"])
        return node

    async def acquainted(self) -> None:
        """Wait until each knows all others, of few. Whoever spoke first is asked back once and for a moment: where that
        answer came too late, it speaks again.
        """
        async with asyncio.timeout(DEADLINE_S):
            while strangers := [node for node in self.nodes[1:] if not self._is_known(node)]:
                for node in strangers:
                    await node.bootstrap([f"127.0.0.1:{self.nodes[0].port}"])
                await asyncio.sleep(0.01)

    def _is_known(self, node: DhtNode) -> bool:
        others = [other for other in self.nodes if other is not node]
        return all(other.table.get(node.id) and node.table.get(other.id) for other in others)

    async def kill(self, *nodes: DhtNode) -> None:
        """They end without a word to anybody."""
        for node in nodes:
            self.nodes.remove(node)
            await node.close()

    def packets(self) -> int:
        """Datagrams sent by everybody."""
        return sum(node.status().packets_sent for node in self.nodes)

    def keepers(self, key: bytes) -> list[DhtNode]:
        """Nodes that keep a record of a key."""
        return [node for node in self.nodes if node.records.find(key, time.time(), self.rng, 1)]

    def closest(self, key: bytes, count: int) -> list[DhtNode]:
        number = int.from_bytes(key, "big")
        return sorted(self.nodes, key=lambda node: int.from_bytes(node.id, "big") ^ number)[:count]

    def stranger(self, *, ca: Authority | None = None, key: PeerKey | None = None) -> Stranger:
        """Somebody with the swarm's secret, and the papers that ``ca`` gives."""
        return Stranger(self.secret, ca or self.ca, key or PeerKey(self.rng.randbytes(32)))


class Stranger:
    """A socket, a key and papers: makes packets by hand and does nothing by itself."""

    def __init__(self, secret: bytes, ca: Authority, key: PeerKey) -> None:
        self.key = key
        self.id = node_id(secret, key.public)
        self.credential = ca.admit(key.public, "peer", "", (), time.time()).credential
        self._box = SecretBox(packet_key(secret))
        self._secret = secret
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def packet(self, message: Message, to: bytes, **changed: object) -> bytes:
        """A packet as it should be, but for what is ``changed``."""
        given: dict[str, object] = {
            "format": 1,
            "to": to[:TO_BYTES],
            "wall_ms": int(time.time() * 1000),
            "id": random.randbytes(8),
            "is_answer": False,
            "is_node": True,
            "public": self.key.public,
            "credential": self.credential,
            "message": message,
        }
        return seal_packet(self._box, self.key, Body(**(given | changed)))  # type: ignore[arg-type]

    def send(self, datagram: bytes, node: DhtNode) -> None:
        self._socket.sendto(datagram, ("127.0.0.1", node.port))

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        """The next datagram that comes here."""
        async with asyncio.timeout(DEADLINE_S):
            datagram, address = await asyncio.get_running_loop().sock_recvfrom(self._socket, 2048)
        return datagram, (str(address[0]), int(address[1]))

    def read(self, datagram: bytes) -> Body:
        return open_packet(self._box, datagram)[1]

    def pending(self) -> list[bytes]:
        """What has come here and was not received yet."""
        datagrams = []
        while True:
            try:
                datagrams.append(self._socket.recv(2048))
            except BlockingIOError:
                return datagrams

    async def enter(self, node: DhtNode) -> None:
        """Speak, and answer what is asked back, until the node has proved our address: it waits for that for a moment
        only, and this machine may stop just then.
        """
        async with asyncio.timeout(DEADLINE_S):
            while node.table.get(self.id) is None:
                self.send(self.packet(Ping(), node.id, id=random.randbytes(8)), node)
                while (back := self.read((await self.receive())[0])).is_answer:
                    continue
                self.send(self.packet(Pong(), node.id, id=back.id, is_answer=True), node)
                await until(lambda: node.table.get(self.id) is not None or self.id not in node._verifying)

    async def ask(self, message: Message, node: DhtNode, **changed: object) -> Body:
        """Send a request and receive its answer. Requests of the node's own that come in between are passed over."""
        id = random.randbytes(8)
        self.send(self.packet(message, node.id, id=id, **changed), node)
        while True:
            body = self.read((await self.receive())[0])
            if body.is_answer and body.id == id:
                return body


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for a generous while."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():
            await asyncio.sleep(0.01)


async def taken(node: DhtNode, datagrams: int) -> None:
    """Wait until a node has taken so many datagrams in all."""
    await until(lambda: node.status().packets_received >= datagrams)


async def refused(node: DhtNode, stranger: Stranger, datagram: bytes) -> bool:
    """Whether a datagram is dropped, counted, and not answered, whatever else comes and goes meanwhile."""
    transport, refusals = node._transport, list[tuple[int, int]]()
    received = transport._received

    def noted(taken: bytes, peer: tuple[str, int]) -> None:
        before, queued_bytes = node.requests.refused, transport.queued_bytes
        received(taken, peer)
        if (taken, peer[1]) == (datagram, stranger.port):
            refusals.append((node.requests.refused - before, transport.queued_bytes - queued_bytes))

    transport._received = noted
    try:
        stranger.send(datagram, node)
        await until(lambda: bool(refusals))
    finally:
        transport._received = received
    return refusals == [(1, 0)] and not stranger.pending()
