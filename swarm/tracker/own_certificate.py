"""The self-signed certificate that a tracker shows people, kept over its restarts: who was told to believe it does.

swarm/certificates/{peer id}     certificate and key of that tracker, sealed with the store key
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from cryptography import x509

from swarm import canonical
from swarm.errors import AetherError, NotFoundError
from swarm.limits import CERTIFICATE_LIFETIME_S, RECORD_MAX_BYTES
from swarm.objects import ObjectStore
from swarm.tracker.boxes import close_box, open_box
from swarm.tracker.certificates import names_of, people_certificate

PREFIX: Final = "swarm/certificates/"


class KeptCertificate(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Both in PEM, as they lie inside their box."""

    format: Literal[1]
    certificate: bytes
    key: bytes


def own_certificate(
    objects: ObjectStore, store_key: bytes, peer_id: str, hosts: list[str], wall_now: float
) -> tuple[bytes, bytes]:
    """The one of before, while it is for these names and will be in force for a while; else one that is made now."""
    name = PREFIX + peer_id
    kept = _kept(objects, store_key, name)
    if kept is not None and _fits(kept.certificate, hosts, wall_now):
        return kept.certificate, kept.key
    made = people_certificate(hosts, wall_now)
    objects.put(name, close_box(store_key, name, KeptCertificate(1, *made)))
    return made


def _kept(objects: ObjectStore, store_key: bytes, name: str) -> KeptCertificate | None:
    try:
        data = open_box(objects, store_key, name)
    except NotFoundError:
        return None
    try:
        return canonical.decode(data, KeptCertificate, limit_bytes=RECORD_MAX_BYTES)
    except AetherError:
        return None


def _fits(certificate: bytes, hosts: list[str], wall_now: float) -> bool:
    found = x509.load_pem_x509_certificate(certificate)
    named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        set(named) == set(names_of(hosts)) and found.not_valid_after_utc.timestamp() > wall_now + CERTIFICATE_LIFETIME_S
    )
