"""The suite of every object store on a second real S3 server, Ceph's gateway, where it is installed.

One test, so that one server is started for all.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from swarm.errors import UsageError
from swarm.objects.open import open_store
from tests.ceph_server import CephServer, missing_programs
from tests.contract import test_objects

CONTRACT = [
    test
    for name, test in vars(test_objects).items()
    if name.startswith("test_") and "objects" in inspect.signature(test).parameters
]


@pytest.fixture
def ceph(s3_credentials: None) -> Iterator[CephServer]:
    missing = missing_programs()
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: radosgw, ceph-mon, ceph-osd, ceph-common)")
    server = CephServer()
    try:
        yield server
    finally:
        server.close()


def test_ceph_keeps_the_contract(ceph: CephServer) -> None:
    assert len(CONTRACT) >= 10
    for test in CONTRACT:
        limits = [1, 7] if "limit" in inspect.signature(test).parameters else [0]
        for limit in limits:
            store = open_store(ceph.url())
            test(store, limit) if limit else test(store)
            store.close()
    with pytest.raises(UsageError, match="sse=none"):  # It has no key to encrypt with.
        open_store(ceph.url(sse="AES256"))
