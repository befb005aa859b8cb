"""The swarm's keys rotate under live peers, and nobody is lost: not who is there, nor who was away meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarm import clock
from swarm.authority import Authority
from swarm.cli.enrol import remember
from swarm.client import TrackerClient
from swarm.dht.keys import tag_key
from swarm.errors import NotAllowedError
from swarm.home import Home, Papers
from swarm.identity import peer_id_of
from swarm.joining import join
from swarm.keyring import Keyring
from swarm.messages import RotateRequest
from swarm.names import parse
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.records import Credential, Grant, open_sealed, sealed_by
from swarm.token import parse_token
from tests.integration.swarm_rig import Swarm, contents, make_tree
from tests.integration.test_recalled import meet

DEADLINE_S = 60.0
# How long a rotation takes here, by a clock that a test moves on: longer than what is done meanwhile, and together less
# than certificates are dated back, as OpenSSL goes by the machine's own.
AFTER_S, RETIRE_S = 150, 100


class Ahead:
    """The wall clock of all parts goes ahead of the machine's, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead_s = 0.0
        real = time.time
        for module, name in ((time, "time"), (clock, "machine_now")):
            monkeypatch.setattr(module, name, lambda: real() + self._ahead_s)

    def pass_s(self, seconds: float) -> None:
        self._ahead_s += seconds


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    return Ahead(monkeypatch)


async def until(what: str, holds: Callable[[], bool], *nodes: PeerNode) -> None:
    """Let the nodes beat until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        for node in nodes:
            node.announcer.wake()
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def deaf(node: PeerNode) -> Iterator[None]:
    """Whatever tells it of keys, it asks for none and takes none in until this is left, however long others take."""
    rotation, heard = node.announcer.rotation, asyncio.Event()
    take, renew, look = rotation._take, rotation.renew, rotation.look

    async def taken_later(told: Keyring) -> None:
        await heard.wait()
        await take(told)

    async def renewed_later() -> None:
        await heard.wait()
        await renew()

    async def looked_later() -> bool:
        await heard.wait()
        return await look()

    with pytest.MonkeyPatch.context() as patch:
        for name, later in (("_take", taken_later), ("renew", renewed_later), ("look", looked_later)):
            patch.setattr(rotation, name, later)
        try:
            yield
        finally:
            heard.set()


async def rotate(swarm: Swarm, request: RotateRequest) -> None:
    """As the tracker's route does."""
    state = swarm.tracker.state
    work = state.keys.rotate_ca if request.what == "ca" else state.keys.rotate_secret
    await state.work(work, swarm.objects, time.time(), request.after_s, request.retire_s)
    state.keys_rotated.set()


def is_under(node: PeerNode, key: bytes) -> bool:
    """Whether a peer's papers are sealed by this key of the CA."""
    trust = node.access.authority
    papers = node.papers
    return {sealed_by(papers.credential, Credential, trust), sealed_by(papers.grant, Grant, trust)} == {key}


def knows(node: PeerNode, generation: int) -> bool:
    return node.keyring.generation == generation


def test_the_ca_rotates_with_no_peer_lost(tmp_path: Path, ahead: Ahead, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        first, second = make_tree(tmp_path / "one", 1), make_tree(tmp_path / "two", 2)
        async with Swarm(tmp_path) as swarm:
            producer, peer, sleeper = [await swarm.peer(name) for name in ("producer", "peer", "sleeper")]
            await swarm.publish(producer, first, "roads:v1")
            await swarm.pull(peer, "roads:v1", tmp_path / "before")
            token = await swarm.token()
            await swarm.stop(sleeper)
            nodes = [swarm.seed, producer, peer]
            old = swarm.tracker.state.keys.authority.public

            with deaf(producer):
                await rotate(swarm, RotateRequest("ca", AFTER_S, RETIRE_S))
                new = swarm.tracker.state.keys.authority.trust.newest.public
                await until("the peer hears of it", lambda: knows(peer, 1), peer)
                assert is_under(peer, old), "the new key is not in force yet"
                assert f"{peer_id_of(old)[:12]} seals now, {peer_id_of(new)[:12]} from 20" in caplog.text
                assert not knows(producer, 1), "it has not heard of it"
            await swarm.publish(producer, second, "roads:v2")
            await swarm.pull(peer, "roads:v2", tmp_path / "during")

            ahead.pass_s(AFTER_S)
            swarm.tracker.state.keys_rotated.set()  # it sleeps until then by a clock that does not jump
            await until("all are certified anew", lambda: all(is_under(node, new) for node in nodes), *nodes)
            ahead.pass_s(RETIRE_S)
            await until("the former is retired", lambda: peer.access.authority.anchors[0].is_retired(time.time()))
            await swarm.pull(peer, "roads:v1", tmp_path / "after")
            late = await swarm.peer("late")
            assert is_under(late, new)
            await swarm.pull(late, "roads:v1", tmp_path / "late-v1")
            assert contents(tmp_path / "late-v1") == contents(first), "it believes entries of before"

            # Who was away trusts nobody at first: all certificates are under a root that it does not know.
            returned = await start_peer(swarm.settings(Home(tmp_path / "sleeper")))
            swarm._stack.push_async_callback(swarm.stop, returned)
            assert returned.access.authority.newest.public == old
            await swarm.pull(returned, "roads:v2", tmp_path / "returned")
            await until("it is certified anew", lambda: is_under(returned, new), returned)
            await swarm.publish(returned, first, "roads:v3")

            # A token that pins the former root.
            home = Home(tmp_path / "by-token")
            remember(home, await join(parse_token(token), home.key()))
            joined = await start_peer(swarm.settings(home))
            swarm._stack.push_async_callback(swarm.stop, joined)
            await swarm.pull(joined, "roads:v3", tmp_path / "joined")
            for name, expected in {"during": second, "after": first, "returned": second, "joined": first}.items():
                assert contents(tmp_path / name) == contents(expected), name

    asyncio.run(main())


def test_who_hears_of_a_key_late_goes_by_the_grants_that_were_shown_it_before(tmp_path: Path) -> None:
    """Else it would give its neighbours nothing until they show another, which is hours later."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            early, late = await swarm.peer("early"), await swarm.peer("late")
            await meet(early, late)
            channel = late.channels.open[early.key.peer_id]
            with deaf(late):
                await rotate(swarm, RotateRequest("ca", 0, 3600))
                new = swarm.tracker.state.keys.authority.trust.newest.public
                await until("one is certified anew", lambda: is_under(early, new), early)
                await until("it shows its grant", lambda: channel.unproved == early.papers.grant)
                assert channel.caller.may_read("maps/roads"), "the former one counts still"
            await until("the other hears of the key", lambda: knows(late, 1), late)
            trust = late.access.authority
            shown = open_sealed(early.papers.grant, Grant, authority=trust, wall_now=time.time())
            assert (channel.caller.grant, channel.unproved) == (shown, b"")
            assert late.channels.open[early.key.peer_id] is channel

    asyncio.run(main())


def test_who_has_a_retired_key_of_the_ca_is_nobody(tmp_path: Path, ahead: Ahead) -> None:
    """A thief of the former key certifies itself as the tracker, whose role may do everything."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            keys = swarm.tracker.state.keys
            stolen = Authority(keys.authority.key, keys.authority.certificate)
            home = await swarm.enrol("member")
            await rotate(swarm, RotateRequest("ca", 0, RETIRE_S))
            await swarm.tracker.tending.tend_keys()
            papers = stolen.admit(home.key().public, "tracker", "", (), time.time())
            home.renew(Papers(papers.certificate, home.trust().bundle(0), papers.credential, papers.grant))
            member = home.key()
            async with TrackerClient(
                [swarm.tracker.contact], key=member, root=home.papers().root, files=home.tls_files
            ) as client:
                client.trust_root(keys.authority.certificate)
                await client.datasets()
                ahead.pass_s(RETIRE_S)
                with pytest.raises(NotAllowedError, match="retired"):
                    await client.datasets()

    asyncio.run(main())


def test_a_tracker_that_starts_again_and_its_home_know_the_new_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            home = Home(tmp_path / "tracker")
            remember(home, await swarm.tracker.membership())
            await rotate(swarm, RotateRequest("ca", 0, 1))
            await rotate(swarm, RotateRequest("secret", 0, 60))
            keys = swarm.tracker.state.keys
            await swarm.stop(swarm.tracker)
            await swarm.start_tracker()
            again = swarm.tracker.state.keys
            assert again.generation == keys.generation == 2
            assert again.authority.public == keys.authority.trust.newest.public
            assert again.secrets == keys.secrets
            remember(home, await swarm.tracker.membership())
            assert home.trust().newest.public == again.authority.public
            assert home.keyring().generation == 2

    asyncio.run(main())


def test_two_trackers_agree_on_a_rotation_that_one_of_them_made(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            one = swarm.tracker
            await swarm.start_tracker()
            two = swarm.tracker
            assert two is not one
            await rotate(swarm, RotateRequest("ca", 0, 60))
            # It reads the keys before it seals an entry, if it has not read them lately.
            one.state.keys.refresh(swarm.objects, time.time(), max_age_s=0.0)
            assert one.state.keys.authority.public == two.state.keys.authority.public
            assert len(one.state.keys.authority.trust.anchors) == 2

    asyncio.run(main())


def test_the_secret_rotates_with_no_peer_lost(tmp_path: Path, ahead: Ahead) -> None:
    """The tracker is away when it matters: what is found is found through the DHT, under the new secret."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 3)
        async with Swarm(tmp_path) as swarm:
            producer, peer, sleeper = [await swarm.peer(name) for name in ("producer", "peer", "sleeper")]
            await swarm.publish(producer, source, "roads:v1")
            await swarm.stop(sleeper)
            with deaf(producer):
                await rotate(swarm, RotateRequest("secret", AFTER_S, RETIRE_S))
                await until("the peer hears of it", lambda: knows(peer, 1), peer)
                assert peer.dht.epochs == [0, 1]
                assert producer.dht.epochs == [0], "it has not heard of it, and is found all the same"
                await swarm.pull(peer, "roads:v1", tmp_path / "during")
            nodes = [swarm.seed, producer, peer]
            ahead.pass_s(AFTER_S)
            await until("all announce under it", lambda: all(node.dht.epochs[0] == 1 for node in nodes), *nodes)
            ahead.pass_s(RETIRE_S)
            await until("the former is retired", lambda: all(node.dht.epochs == [1] for node in nodes), *nodes)

            returned = await start_peer(swarm.settings(Home(tmp_path / "sleeper")))
            swarm._stack.push_async_callback(swarm.stop, returned)
            await until("it hears of it", lambda: returned.dht.epochs == [1], returned)
            await until("nodes know it", lambda: returned.dht.status().nodes > 0, returned)
            await producer.announcer.announce_records()
            await swarm.stop(swarm.tracker)
            holders = await returned.dht.find_providers(lambda secret: tag_key(secret, "library/roads", "v1"))
            assert producer.key.peer_id in {provider.peer_id for provider in holders}
            found = await returned.finder.resolve(parse("roads:v1"))
            assert found.is_stale, "no tracker has said so"
            await swarm.pull(returned, "roads:v1", tmp_path / "returned")
            assert contents(tmp_path / "returned") == contents(source)

    asyncio.run(main())
