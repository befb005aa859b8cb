"""What all tests share: those that need root are named as skipped without it; S3 servers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from swarm import clock

if TYPE_CHECKING:
    from tests.odd_s3 import OddS3
    from tests.s3_server import S3Server

# Images of Python often ask for this. Without bytecode every process of a test compiles all of the program anew, which
# is half of what a short command costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# ``make soak`` chooses it; a test that asks for fewer or more examples than the usual 100 gets so many times more.
settings.register_profile("soak", deadline=None, max_examples=int(os.environ.get("EXAMPLES", "20000")))
# Otherwise the same examples each time, and no word of how long they take: a loaded machine is no defect, and what luck
# alone finds is looked for by ``make soak``.
settings.register_profile("calm", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``root`` for everybody else, by name and with the reason."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason="needs root (namespaces, mounts or Debian packages)"))


@pytest.fixture(scope="session", autouse=True)
def nothing_left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests of a process laid down goes at its end: some gigabytes, of use only where one of them failed."""
    yield
    if not request.session.testsfailed:
        shutil.rmtree(tmp_path_factory.getbasetemp(), ignore_errors=True)


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    """What one test's papers say of the time is nothing to the next."""
    kept = clock.floor()
    yield
    clock.restore(kept)


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """One real S3 server for all tests of a process: it takes a second to start."""
    from tests.s3_server import S3Server

    server = S3Server()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 finds in this test, and in the processes that it starts."""
    from tests.s3_server import CREDENTIALS

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(s3_process: S3Server, s3_credentials: None) -> S3Server:
    """A real S3 server. Its bucket is shared: each test takes a prefix of its own."""
    return s3_process


@pytest.fixture
def odd_s3(s3_credentials: None) -> Iterator[OddS3]:
    """A server of a test's own that can be odd."""
    from tests.odd_s3 import OddS3

    with OddS3() as server:
        yield server
