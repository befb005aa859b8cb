"""Proofs of possession: bound to the key, the token or member, the CA and the time that they name."""

from __future__ import annotations

import msgspec

from swarm.messages import JoinRequest, RenewRequest, is_join_proof, is_renew_proof, join_proof, renew_proof
from tests.unit.log_samples import OTHER, PUBLISHER, TOKEN, WALL


def test_a_join_proof_is_bound_to_everything_it_names() -> None:
    proof = join_proof(PUBLISHER, TOKEN.id, TOKEN.fingerprint, WALL)
    good = JoinRequest((1, 1), TOKEN.id, TOKEN.secret, PUBLISHER.public, WALL, proof)
    assert is_join_proof(good, TOKEN.fingerprint)
    assert not is_join_proof(good, bytes(32))
    for change in ({"public": OTHER.public}, {"token_id": bytes(16)}, {"wall_time": WALL + 1}, {"proof": bytes(64)}):
        assert not is_join_proof(msgspec.structs.replace(good, **change), TOKEN.fingerprint)


def test_a_renew_proof_is_not_a_join_proof() -> None:
    good = RenewRequest((1, 1), PUBLISHER.public, WALL, renew_proof(PUBLISHER, TOKEN.fingerprint, WALL))
    assert is_renew_proof(good, TOKEN.fingerprint)
    assert not is_renew_proof(good, bytes(32))
    assert not is_renew_proof(msgspec.structs.replace(good, wall_time=WALL + 1), TOKEN.fingerprint)
    assert not is_renew_proof(msgspec.structs.replace(good, public=OTHER.public), TOKEN.fingerprint)
    crossed = join_proof(PUBLISHER, PUBLISHER.public, TOKEN.fingerprint, WALL)
    assert not is_renew_proof(msgspec.structs.replace(good, proof=crossed), TOKEN.fingerprint)
