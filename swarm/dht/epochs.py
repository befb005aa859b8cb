"""The DHT under every secret that counts: one node for each, on one port, told apart by the epoch of a packet.

Ids and keys follow from the secret, so another secret makes another network, of the same members. While a secret takes
the place of another a peer is in both: it announces in both until the new one is in force, then in that alone, and
looks in both until the former is retired. So nobody is missed, whoever learns of it first.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm import clock
from swarm.dht.node import DhtNode, DhtStatus, Provider
from swarm.dht.transport import Peer, Transport
from swarm.dht.wire import EPOCHS, Contact, epoch_of
from swarm.dialable import Dialable
from swarm.identity import PeerKey
from swarm.keyring import SwarmSecret
from swarm.lookup_times import LookupTimes
from swarm.records import Address
from swarm.trust import Trust

KeyOf = Callable[[bytes], bytes]
KeysOf = Callable[[bytes], list[bytes]]


@dataclass(frozen=True, slots=True)
class _Member:
    """Who takes part: what every node of it begins with."""

    key: PeerKey
    authority: Trust
    addresses: Callable[[], tuple[Address, ...]]
    state_path: Path | None
    rng: random.Random
    client_only: bool


class Dht:
    """Made by ``start``. ``key_of`` and ``keys_of`` make keys from the secret that they are to be found under."""

    def __init__(self, member: _Member, credential: bytes) -> None:
        self._member = member
        self._credential = credential
        self._nodes: dict[int, tuple[SwarmSecret, DhtNode]] = {}
        self._seeds: tuple[str, ...] = ()
        self.lookups = LookupTimes()
        self._transport: Transport

    @classmethod
    async def start(
        cls,
        *,
        host: str,
        port: int,
        key: PeerKey,
        credential: bytes,
        authority: Trust,
        secrets: Sequence[SwarmSecret],
        addresses: Callable[[], tuple[Address, ...]],
        state_path: Path | None,
        rng: random.Random,
        dialable: Dialable,
        client_only: bool = False,
        bound: socket.socket | None = None,
    ) -> Dht:
        """Bind host:port, or take the socket that is ``bound`` there, and begin. ``secrets``: those that count, the one
        in force first. ``client_only``: ask and announce, and keep nothing for others.
        """
        dht = cls(_Member(key, authority, addresses, state_path, rng, client_only), credential)
        dht._transport = await Transport.bind(host, port, dht._received, dialable, bound)
        await dht.use(secrets)
        return dht

    async def use(self, secrets: Sequence[SwarmSecret]) -> bool:
        """Be in these networks, and in no others. Whether one is new here."""
        wanted = {secret.epoch % EPOCHS: secret for secret in secrets}
        for number, (secret, node) in list(self._nodes.items()):
            if wanted.get(number) is None or wanted[number].secret != secret.secret:
                del self._nodes[number]
                await node.close()
        fresh = [number for number in wanted if number not in self._nodes]
        known = [f"[{c.host}]:{c.port}" if ":" in c.host else f"{c.host}:{c.port}" for c in self.contacts()]
        for number in fresh:
            self._nodes[number] = (wanted[number], await self._start(wanted[number]))
        for number in wanted:
            self._nodes[number] = (wanted[number], self._nodes[number][1])
        if self._seeds:
            await asyncio.gather(*(self._nodes[number][1].bootstrap([*self._seeds, *known]) for number in fresh))
        return bool(fresh)

    async def _start(self, secret: SwarmSecret) -> DhtNode:
        member = self._member
        return await DhtNode.start(
            transport=self._transport,
            epoch=secret.epoch,
            key=member.key,
            credential=self._credential,
            authority=member.authority,
            secret=secret.secret,
            addresses=member.addresses,
            state_path=member.state_path,
            rng=random.Random(member.rng.getrandbits(64)),
            client_only=member.client_only,
        )

    def _received(self, datagram: bytes, peer: Peer) -> None:
        found = self._nodes.get(epoch_of(datagram))
        if found is None:
            self._transport.dropped += 1
        else:
            found[1].requests.received(datagram, peer)

    def _ordered(self) -> list[tuple[SwarmSecret, DhtNode]]:
        """The network in force first."""
        wall_now = clock.wall_now()
        return sorted(self._nodes.values(), key=lambda one: (one[0].in_force > wall_now, -one[0].epoch))

    def _announced(self) -> list[tuple[SwarmSecret, DhtNode]]:
        """The network in force, and those that come after it."""
        first, *others = self._ordered()
        return [first, *(one for one in others if one[0].epoch > first[0].epoch)]

    # ---- as of one node ---------------------------------------------------------------------------------------------

    async def find_providers(self, key_of: KeyOf, *, timeout_s: float = 3.0) -> list[Provider]:
        """See ``DhtNode.find_providers``: what any of the networks tells. In all of them it counts as one lookup."""
        began = time.monotonic()
        found = await asyncio.gather(
            *(node.find_providers(key_of(secret.secret), timeout_s=timeout_s) for secret, node in self._ordered())
        )
        self.lookups.count(time.monotonic() - began, is_found=any(found))
        return list({provider.peer_id: provider for providers in reversed(found) for provider in providers}.values())

    async def announce(self, keys_of: KeysOf) -> int:
        """See ``DhtNode.announce``; in former networks these keys are not said again."""
        announced = self._announced()
        for secret, node in self._nodes.values():
            if (secret, node) not in announced:
                node.withdraw(keys_of(secret.secret))
                node.set_sweep(())
        counts = await asyncio.gather(*(node.announce(keys_of(secret.secret)) for secret, node in announced))
        return counts[0]

    def set_sweep(self, keys_of: KeysOf) -> None:
        """See ``DhtNode.set_sweep``."""
        for secret, node in self._announced():
            node.set_sweep(keys_of(secret.secret))

    def swept(self, now: float) -> tuple[int, int, float]:
        """See ``DhtNode.swept``; of the network in force."""
        return self._ordered()[0][1].swept(now)

    async def bootstrap(self, seeds: Sequence[str]) -> int:
        """See ``DhtNode.bootstrap``."""
        self._seeds = tuple(seeds)
        counts = await asyncio.gather(*(node.bootstrap(seeds) for _, node in self._ordered()))
        return counts[0]

    def set_seeds(self, seeds: Sequence[str]) -> None:
        """See ``DhtNode.set_seeds``."""
        self._seeds = tuple(seeds)
        for _, node in self._nodes.values():
            node.set_seeds(seeds)

    def contacts(self) -> list[Contact]:
        """Nodes that answered, in any network."""
        return list({c.public: c for _, node in reversed(self._ordered()) for c in node.contacts()}.values())

    def renew(self, credential: bytes) -> None:
        """Show a fresh credential from now on."""
        self._credential = credential
        for _, node in self._nodes.values():
            node.renew(credential)

    def status(self) -> DhtStatus:
        """Of the network in force."""
        return self._ordered()[0][1].status()

    @property
    def epochs(self) -> list[int]:
        """The epochs that this peer takes part in, the one in force first."""
        return [secret.epoch for secret, _ in self._ordered()]

    async def close(self) -> None:
        for _, node in self._nodes.values():
            await node.close()
        await self._transport.close()
