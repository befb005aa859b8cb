"""The attacks of The Update Framework's list (specification 1.0.33, section 1.5.2), one script each.

Extraneous dependencies does not apply: a version names nothing but its own files. Endless data and slow retrieval of
blocks are in ``test_hostile_peers``; here they are of what trackers answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from swarm import canonical, log
from swarm.calls import read_bounded
from swarm.errors import ConflictError, IntegrityError, NotAllowedError, RemoteProtocolError
from swarm.log import parse_entry
from swarm.messages import LookupAnswer
from swarm.peer import find
from swarm.roster import Roster, seal_roster
from swarm.signers import Required
from swarm.tracker.members import Members
from swarm.tracker.recalls import NONE, recall
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import Tokens
from tests.attacks.repository import ROADS, Consumer, Repository, key_of, version_of

TAG = f"{ROADS}:stable"
PRODUCER, THIEF = key_of("producer"), key_of("thief")
HOUR_S = 3600


@pytest.fixture
def repository() -> Repository:
    made = Repository()
    made.publish("stable", "one")
    return made


def lied(repository: Repository, answer: bytes) -> None:
    """Trackers give this answer to every lookup from now on."""
    repository.lies = [lambda path, given: answer if "/tags/" in path or "/versions/" in path else None]


def test_without_a_lie_all_is_well(repository: Repository) -> None:
    consumer = Consumer(repository)
    found = consumer.resolve(TAG)
    assert (found.version, found.serial, found.is_stale) == (version_of("one"), 1, False)
    repository.publish("stable", "two")
    assert consumer.again().resolve(TAG).version == version_of("two")


# ---- arbitrary software ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["thief", "swarm"])
def test_arbitrary_software_from_who_has_no_key(repository: Repository, named: str) -> None:
    """Under the genuine grant of a producer who turned bad, sealed by no tracker: in its own name, and in the CA's."""
    evil = log.seal_entry(
        THIEF, repository.entry(THIEF, "publish", {"stable": version_of("evil")}), repository.grant(THIEF)
    )
    signed = parse_entry(log.endorse(THIEF, evil))[0]
    key = THIEF.public if named == "thief" else repository.online_key.public
    seals = (signed.endorsements[0], msgspec.structs.replace(signed.endorsements[1], public=key))
    forged = canonical.encode(msgspec.structs.replace(signed, endorsements=seals))
    lied(repository, repository.answer_with(forged, repository.online_key))
    with pytest.raises(RemoteProtocolError, match="not signed by"):
        Consumer(repository).resolve(TAG)


def test_arbitrary_software_in_a_producers_name_from_who_has_the_online_key(repository: Repository) -> None:
    """The thief can do all that a tracker can, and not sign for the producer."""
    evil = repository.entry(PRODUCER, "publish", {"stable": version_of("evil")})
    sealed = log.seal_entry(PRODUCER, evil, repository.grant(PRODUCER))
    signed = parse_entry(sealed)[0]
    seal = log.Endorsement(PRODUCER.public, "publisher", THIEF.sign(log.PUBLISHER_CONTEXT, signed.body))
    forged = log.endorse(repository.online_key, canonical.encode(log.SignedEntry(signed.body, signed.grant, (seal,))))
    lied(repository, repository.answer_with(forged, repository.online_key))
    with pytest.raises(RemoteProtocolError, match="not signed by"):
        Consumer(repository).resolve(TAG)


@pytest.mark.parametrize("kind", ["publish", "tag", "rollback"])
def test_arbitrary_software_for_who_requires_a_signer(repository: Repository, kind: log.Kind) -> None:
    """All online keys are the thief's: who requires no signer is fooled, who requires one is not."""
    evil = repository.entry(THIEF, kind, {"stable": version_of("evil")})
    lied(
        repository, repository.answer_with(repository.forged(repository.online_key, THIEF, evil), repository.online_key)
    )
    assert Consumer(repository).resolve(TAG).version == version_of("evil")
    for moves in ("own", "published"):
        with pytest.raises(IntegrityError, match="no required signer"):
            Consumer(repository, Required(frozenset({PRODUCER.public}), moves)).resolve(TAG)


# ---- rollback -------------------------------------------------------------------------------------------------------


def test_rollback_by_who_replays_an_old_answer(repository: Repository) -> None:
    consumer = Consumer(repository)
    consumer.resolve(TAG)
    repository.publish("stable", "two")
    consumer.resolve(TAG)
    old = repository.heard[f"/api/v1/datasets/{ROADS}/tags/stable"][0]
    lied(repository, old)
    for each in (consumer, consumer.again()):
        with pytest.raises(IntegrityError, match="replayed"):
            each.resolve(TAG)


def test_rollback_by_a_thief_who_seals_the_old_entry_anew(repository: Repository) -> None:
    """The serial is in what the producer signed: a fresh snapshot does not lift it."""
    first = repository.catalogue.entry(ROADS, 1)
    repository.publish("stable", "two")
    consumer = Consumer(repository)
    consumer.resolve(TAG)
    lied(repository, repository.answer_with(first, repository.online_key, serial=9))
    with pytest.raises(IntegrityError, match="offered at serial 1, after 2 was seen"):
        consumer.again().resolve(TAG)


def test_rollback_by_another_under_a_required_signer(repository: Repository) -> None:
    """Refused, unless the policy says that others may move tags among what the signer published."""
    repository.publish("stable", "two")
    repository.commit("other", "rollback", {"stable": version_of("one")})
    keys = frozenset({PRODUCER.public})
    assert Consumer(repository).resolve(TAG).version == version_of("one")
    with pytest.raises(IntegrityError, match="no required signer"):
        Consumer(repository, Required(keys)).resolve(TAG)
    assert Consumer(repository, Required(keys, "published")).resolve(TAG).version == version_of("one")
    repository.commit("producer", "rollback", {"stable": version_of("two")})
    assert Consumer(repository, Required(keys)).resolve(TAG).version == version_of("two")


def test_a_removal_by_another_under_a_required_signer(repository: Repository) -> None:
    removal = repository.commit("other", "rm", {"stable": None})
    repository.is_silent = True
    repository.swarm = [removal]
    with pytest.raises(Exception, match="was removed"):
        Consumer(repository).resolve(TAG)
    repository.swarm = [repository.catalogue.entry(ROADS, 1), removal]
    consumer = Consumer(repository, Required(frozenset({PRODUCER.public})))
    for raw in repository.swarm:
        consumer.hear(raw)
    assert consumer.resolve(TAG).version == version_of("one")


# ---- fast-forward ---------------------------------------------------------------------------------------------------


def fast_forwarded(repository: Repository, consumer: Consumer) -> bytes:
    """The thief's entry with a serial that no log reaches, and a snapshot that says so."""
    evil = repository.entry(THIEF, "publish", {"stable": version_of("evil")}, serial=10**9, previous=bytes(32))
    made = repository.forged(repository.online_key, THIEF, evil)
    consumer.hear(made)
    lied(repository, repository.answer_with(made, repository.online_key))
    return made


def test_fast_forward_and_recovery_from_it(repository: Repository) -> None:
    consumer = Consumer(repository)
    evil = fast_forwarded(repository, consumer)
    assert consumer.resolve(TAG).version == version_of("evil"), "so much a thief can do"
    repository.lies = []
    repository.publish("stable", "two")
    with pytest.raises(IntegrityError):
        consumer.again().resolve(TAG)
    repository.replace_online_key()
    consumer.follow_keys()
    assert consumer.resolve(TAG).version == version_of("two")
    with pytest.raises(RemoteProtocolError, match="stolen"):
        consumer.hear(evil)


def test_fast_forward_does_not_concern_who_requires_a_signer(repository: Repository) -> None:
    consumer = Consumer(repository, Required(frozenset({PRODUCER.public})))
    fast_forwarded(repository, consumer)
    repository.lies = []
    repository.publish("stable", "two")
    assert consumer.again().resolve(TAG).version == version_of("two")


# ---- freeze, mix and match ------------------------------------------------------------------------------------------


def test_indefinite_freeze(repository: Repository) -> None:
    """An old answer, with the time at which it was given, is told from a fresh one by our own clock: with its age."""
    consumer = Consumer(repository)
    consumer.resolve(TAG)
    lied(repository, repository.heard[f"/api/v1/datasets/{ROADS}/tags/stable"][0])
    repository.publish("stable", "two")
    repository.wall += 2 * HOUR_S
    found = consumer.again().resolve(TAG)
    assert (found.version, found.is_stale, found.age_s) == (version_of("one"), True, 2 * HOUR_S)
    assert found.freshness == {"stale": True, "age_s": 2 * HOUR_S}


def test_mix_and_match(repository: Repository) -> None:
    """One tag as it is now, and another as it was: both answers are genuine, and not of one moment."""
    repository.publish("next", "one")
    consumer = Consumer(repository)
    stable, following = (f"/api/v1/datasets/{ROADS}/tags/{tag}" for tag in ("stable", "next"))
    Consumer(repository).resolve(TAG)
    repository.commit("producer", "tag", {"next": version_of("one"), "stable": version_of("one")})
    consumer.resolve(f"{ROADS}:next")
    repository.lies = [lambda path, given: repository.heard[stable][0] if path == stable else None]
    with pytest.raises(IntegrityError, match="said to end at entry 2, after 3 was said"):
        consumer.again().resolve(TAG)
    assert following in repository.heard


def test_mix_and_match_of_entry_and_snapshot(repository: Repository) -> None:
    """The snapshot says that the tag has moved on, the entry is the one before."""
    repository.publish("stable", "two")
    stale = repository.catalogue.entry(ROADS, 1)

    def lie(path: str, given: bytes) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(given, type=LookupAnswer), entry=stale))

    repository.lies = [lie]
    with pytest.raises(RemoteProtocolError, match="does not say where"):
        Consumer(repository).resolve(TAG)


# ---- endless data, slow retrieval, wrong version --------------------------------------------------------------------


def test_endless_data() -> None:
    async def main() -> None:
        class Endless(asyncio.StreamReader):
            def iter_any(self) -> AsyncIterator[bytes]:
                async def parts() -> AsyncIterator[bytes]:
                    for _ in range(1000):
                        yield bytes(65_536)

                return parts()

        with pytest.raises(RemoteProtocolError, match="longer than"):
            await read_bounded(cast(Any, Endless()), 1_000_000)

    asyncio.run(main())


def test_slow_retrieval(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracker that never comes to an end is not waited for: the swarm answers, and it is said to be stale."""
    monkeypatch.setattr(find, "TRACKER_HEAD_START_S", 0.01)
    repository.swarm = [repository.catalogue.entry(ROADS, 1)]

    class Slow(Repository):
        async def call(self, method: str, path: str, **options: object) -> bytes:
            await asyncio.Event().wait()
            return b""

    repository.__class__ = Slow
    found = Consumer(repository).resolve(TAG)
    assert (found.version, found.is_stale) == (version_of("one"), True)


def test_wrong_version(repository: Repository) -> None:
    """Asked for one version, tag or dataset, shown the genuine proof of another."""
    repository.publish("next", "two")
    repository.publish("stable", "other", dataset="maps/rivers")
    asked = Consumer(repository)
    asked.resolve(f"{ROADS}:next")
    asked.resolve("maps/rivers:stable")
    for path in (f"{ROADS}/tags/next", "maps/rivers/tags/stable"):
        lied(repository, repository.heard[f"/api/v1/datasets/{path}"][0])
        for ref in (TAG, f"{ROADS}@{version_of('one').hex()}"):
            with pytest.raises(RemoteProtocolError):
                Consumer(repository).resolve(ref)


# ---- keys that are stolen -------------------------------------------------------------------------------------------


def test_what_a_stolen_online_key_sealed_counts_no_more_whatever_its_date(repository: Repository) -> None:
    """The online key is stolen, used, and replaced by the root."""
    stolen = repository.online_key
    repository.wall -= 90_000
    dated_back = repository.forged(stolen, THIEF, repository.entry(THIEF, "publish", {"stable": version_of("evil")}))
    repository.wall += 90_000
    consumer = Consumer(repository)
    assert consumer.access.learn(dated_back).publisher == THIEF.public
    repository.replace_online_key()
    consumer.follow_keys()
    for each in (consumer, Consumer(repository)):
        with pytest.raises(RemoteProtocolError, match="stolen"):
            each.access.learn(dated_back)
        lied(repository, repository.answer_with(dated_back, stolen))
        with pytest.raises(RemoteProtocolError, match="stolen"):
            each.resolve(TAG)
        repository.lies = []
        assert each.resolve(TAG).version == version_of("one"), "what lies in the store is vouched for"
    lied(repository, repository.answer_with(repository.catalogue.entry(ROADS, 1), stolen))
    with pytest.raises(RemoteProtocolError, match="stolen"):
        consumer.resolve(TAG)


def test_a_thief_of_the_online_key_cannot_outlive_its_replacement(repository: Repository) -> None:
    """It makes a successor, a roster and a root of its own: members go by the root that they pin."""
    stolen, ca = repository.online_key, repository.authority
    consumer = Consumer(repository)
    succession = ca.successor(THIEF, repository.wall, int(repository.wall), int(repository.wall) + HOUR_S)
    assert not consumer.trust.learn([succession])
    roster = ca.trust.roster
    assert roster is not None
    own = Roster(1, THIEF.public, 9, int(repository.wall), roster.keys)
    assert not consumer.trust.learn([seal_roster(THIEF, own, stolen)])
    assert consumer.trust.find(THIEF.public) is None


def test_a_producers_stolen_key_is_removed(repository: Repository) -> None:
    """Until its removal the thief publishes as the producer. Then no grant of that key counts, and no paper is made."""
    access = Consumer(repository).access
    grant = repository.grant(PRODUCER)
    assert access.caller(PRODUCER.peer_id, grant, repository.wall).may_publish(ROADS)
    tokens = Tokens(repository.objects, repository.authority)
    members = Members(repository.objects, repository.keys, tokens, Rights(repository.objects, repository.authority))
    members.admit_keeper(PRODUCER.public, "seed", repository.wall)
    list_of_removed = seal_recalls(repository, PRODUCER.public)
    members.remove(PRODUCER.peer_id)
    assert access.recall(list_of_removed)
    assert not access.caller(PRODUCER.peer_id, grant, repository.wall).may_publish(ROADS)
    assert members.member(PRODUCER.peer_id) is None
    with pytest.raises(NotAllowedError):
        members.admit_keeper(PRODUCER.public, "seed", repository.wall)
    repository.commit("successor", "publish", {"stable": version_of("two")})
    assert Consumer(repository, Required(frozenset({key_of("successor").public}))).resolve(TAG).serial == 2


def seal_recalls(repository: Repository, removed: bytes) -> bytes:
    """The list by which trackers tell that a member was removed."""
    _, data = recall(repository.objects, repository.authority, NONE, removed=[removed], wall_now=repository.wall)
    return data


# ---- mirrors and trackers that lie ----------------------------------------------------------------------------------


def test_a_mirror_that_prevents_updates(repository: Repository) -> None:
    """It gives the old answer as fresh, but neighbours have told of the new entry: the old one is not taken for new."""
    consumer = Consumer(repository)
    consumer.resolve(TAG)
    lied(repository, repository.heard[f"/api/v1/datasets/{ROADS}/tags/stable"][0])
    consumer.hear(repository.publish("stable", "two"))
    with pytest.raises(IntegrityError, match="replayed"):
        consumer.resolve(TAG)
    repository.is_silent, repository.swarm = True, []
    assert consumer.resolve(TAG).version == version_of("two")


def test_a_tracker_that_forks_the_log_for_one_peer(repository: Repository) -> None:
    """Two entries of one serial: whoever hears of both says so, and keeps the first."""
    victim = Consumer(repository)
    fork = repository.entry(THIEF, "publish", {"stable": version_of("evil")})
    victim.hear(repository.forged(repository.online_key, THIEF, fork))
    genuine = repository.publish("stable", "two")
    with pytest.raises(IntegrityError, match="two entries 2"):
        victim.hear(genuine)
    with pytest.raises(IntegrityError, match="two entries 2"):
        victim.resolve(TAG)
    with pytest.raises(ConflictError):
        repository.catalogue.take_back(ROADS, [repository.forged(repository.online_key, THIEF, fork)])
