"""Golden bytes of everything that is signed or travels: a change here is another wire format.

``tests/golden/*.hex`` hold what version 1 makes of fixed keys and fields; of entries about rollouts, format 2. They
must be made, and understood, for as long as these are spoken.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm import canonical, log
from swarm.log import Move
from swarm.messages import (
    Announce,
    AnnounceAnswer,
    Contact,
    Handout,
    Head,
    Holding,
    Neighbour,
    join_proof,
    renew_proof,
)
from swarm.receipt import open_receipt, seal_receipt
from swarm.records import Address
from swarm.snapshot import open_snapshot, seal_snapshot
from swarm.token import format_token, parse_token
from swarm.trust import Trust
from tests.unit.log_samples import (
    CA_KEY,
    FIRST,
    OTHER,
    PUBLISHER,
    RECEIPT,
    SEED,
    SNAPSHOT,
    TOKEN,
    V1,
    WALL,
    after,
    signed,
)
from tests.unit.rollout_samples import STAGED, gone_on, half, planned

GOLDEN = Path(__file__).parent.parent / "golden"
ADDRESSES = (Address("192.0.2.1", 7071), Address("2001:db8::1", 7071))

ANNOUNCE = Announce(
    format=1,
    protocol=(1, 1),
    addresses=ADDRESSES,
    versions=(Holding("library/roads", V1, True, False),),
    heads=("library/roads",),
    certificate_issued=WALL - 10,
    grant_issued=WALL - 20,
    leaving=False,
    keeps=False,
    wall_time=WALL,
)

ANSWER = AnnounceAnswer(
    format=1,
    protocol=1,
    interval_s=30,
    handouts=(Handout("library/roads", V1, (Neighbour(OTHER.public, ADDRESSES, "peer", "lab", False, True),)),),
    seeds=(Neighbour(SEED.public, ADDRESSES[:1], "seed", "", True, True),),
    trackers=(Contact(CA_KEY.public, ADDRESSES),),
    heads=(Head("library/roads", 7),),
    site="lab",
    certificate=b"certificate",
    credential=b"credential",
    grant=b"grant",
    wall_time=WALL,
)


def _by_tracker(entry: log.Entry) -> bytes:
    return log.endorse(CA_KEY, half(entry))


def made() -> dict[str, bytes]:
    """What this program makes of the fixed fields."""
    first = signed(FIRST)
    return {
        "entry-publish": first,
        "entry-tag": signed(after(first)),
        "entry-rm": signed(after(first, kind="rm", moves=(Move("v1", None),))),
        "entry-staged": signed(STAGED),
        "entry-rollout": _by_tracker(gone_on(STAGED, "promote")),
        "entry-plan": _by_tracker(planned()),
        "entry-hash": log.entry_hash(first),
        "snapshot": seal_snapshot(CA_KEY, SNAPSHOT),
        "receipt": seal_receipt(SEED, RECEIPT),
        "token": format_token(TOKEN).encode(),
        "announce": canonical.encode(ANNOUNCE),
        "announce-answer": canonical.encode(ANSWER),
        "join-proof": join_proof(PUBLISHER, TOKEN.id, TOKEN.fingerprint, WALL),
        "renew-proof": renew_proof(PUBLISHER, TOKEN.fingerprint, WALL),
    }


@pytest.mark.parametrize("name", sorted(made()))
def test_the_bytes_are_what_they_were(name: str) -> None:
    assert made()[name].hex() == (GOLDEN / f"{name}.hex").read_text().strip()


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def test_old_bytes_are_understood() -> None:
    assert log.verify_entry(golden("entry-publish"), authority=Trust(CA_KEY.public)) == FIRST
    log.verify_entry(golden("entry-tag"), authority=Trust(CA_KEY.public))
    assert log.verify_entry(golden("entry-rm"), authority=Trust(CA_KEY.public)).moves == (Move("v1", None),)
    assert log.verify_entry(golden("entry-staged"), authority=Trust(CA_KEY.public)) == STAGED
    assert log.verify_entry(golden("entry-rollout"), authority=Trust(CA_KEY.public)) == gone_on(STAGED, "promote")
    assert log.verify_entry(golden("entry-plan"), authority=Trust(CA_KEY.public)) == planned()
    assert open_snapshot(golden("snapshot"), authority=Trust(CA_KEY.public), wall_now=WALL) == SNAPSHOT
    assert open_receipt(golden("receipt")) == (RECEIPT, SEED.public)
    assert parse_token(golden("token").decode()) == TOKEN
    assert canonical.decode(golden("announce"), Announce, limit_bytes=10_000) == ANNOUNCE
    assert canonical.decode(golden("announce-answer"), AnnounceAnswer, limit_bytes=10_000) == ANSWER
