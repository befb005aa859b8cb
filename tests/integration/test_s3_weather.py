"""A store on S3 in bad weather: what is asked of a server that fails, hangs or refuses, and when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swarm.errors import UnreachableError
from swarm.objects import s3, s3_calls, s3_client, s3_sockets, weather
from swarm.objects.s3 import S3ObjectStore
from swarm.objects.s3_address import parse_s3_address
from swarm.objects.s3_probe import open_s3
from swarm.tracker.certificates import people_certificate
from tests.odd_s3 import OddS3


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries as ever, without the pauses between them. Nobody looks for a store that is away, unless told to."""
    monkeypatch.setattr(s3_calls, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(s3_calls, "LOOK_FIRST_S", 1e6)
    monkeypatch.setattr(s3_calls, "LOOK_MAX_S", 1e6)


@pytest.fixture
def store(odd_s3: OddS3) -> Iterator[S3ObjectStore]:
    made = open_s3(parse_s3_address(odd_s3.url()))
    made.put("a", b"1")
    odd_s3.asked.clear()
    yield made
    made.close()


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds; pytest ends what never does."""
    while not holds():
        time.sleep(0.001)


# ---- away, and back -------------------------------------------------------------------------------------------------


def test_a_store_that_is_away_is_not_asked_and_the_error_says_since_when(odd_s3: OddS3, store: S3ObjectStore) -> None:
    odd_s3.odd = {"503"}
    with pytest.raises(UnreachableError, match="SlowDown"):
        store.get("a")
    assert odd_s3.asked["GET"] == s3_calls.TRIES_MAX
    before = time.time()
    for _ in range(5):
        with pytest.raises(
            UnreachableError, match=r"cannot read object a .* is away since 20.* UTC \(SlowDown"
        ) as told:
            store.get("a")
        assert "\n" not in str(told.value)
    assert odd_s3.asked["GET"] == s3_calls.TRIES_MAX
    assert store.meter.refused == 5
    since = store.standing().away_since
    assert since is not None
    assert before - 60 < since <= before


def test_one_looks_for_it_and_when_it_is_back_all_goes_on(
    odd_s3: OddS3, store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_calls, "LOOK_FIRST_S", 0.001)
    monkeypatch.setattr(s3_calls, "LOOK_MAX_S", 0.001)
    odd_s3.odd = {"503"}
    with pytest.raises(UnreachableError):
        store.get("a")
    before = odd_s3.asked["GET"]
    until(lambda: odd_s3.asked["GET"] > before + 5)
    assert len([thread for thread in threading.enumerate() if thread.name == "store-lookout"]) == 1
    odd_s3.odd = set()
    until(lambda: store.standing().away_since is None)
    assert store.get("a") == b"1"


def test_who_waits_fails_when_the_store_is_found_away(
    odd_s3: OddS3, store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those between two tries, and those that wait for one of the few calls to end."""
    monkeypatch.setattr(s3_calls, "FIRST_PAUSE_S", 1e6)
    monkeypatch.setattr(s3_calls, "PAUSE_MAX_S", 1e6)
    odd_s3.odd = {"503"}
    failed: list[str] = []

    def read() -> None:
        try:
            store.get("a")
        except UnreachableError as error:
            failed.append(str(error))

    readers = [threading.Thread(target=read, daemon=True) for _ in range(weather.AWAY_TRIES)]
    monkeypatch.setattr(weather, "AWAY_AFTER_S", 1e6)
    for reader in readers[:-1]:
        reader.start()
    until(lambda: odd_s3.asked["GET"] == weather.AWAY_TRIES - 1)
    assert not failed
    monkeypatch.setattr(weather, "AWAY_AFTER_S", 0.0)
    readers[-1].start()
    for reader in readers:
        reader.join(30)
    assert len(failed) == weather.AWAY_TRIES
    assert odd_s3.asked["GET"] == weather.AWAY_TRIES


def test_a_server_that_hangs_is_away(odd_s3: OddS3, s3_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 0.5)
    monkeypatch.setattr(weather, "AWAY_AFTER_S", 0.9)
    store = open_s3(parse_s3_address(odd_s3.url()))
    odd_s3.odd = {"hangs"}
    odd_s3.asked.clear()
    with pytest.raises(UnreachableError, match="Read timeout"):
        store.get("a")
    assert odd_s3.asked["GET"] == 2
    with pytest.raises(UnreachableError, match="away since"):
        store.list("")
    store.close()


# ---- answers that come byte by byte ---------------------------------------------------------------------------------

TRICKLES: list[tuple[str, Callable[[S3ObjectStore], object]]] = [
    ("GET head trickles", lambda store: store.get("a")),
    ("GET body trickles", lambda store: store.get("a")),
    ("GET head trickles", lambda store: store.get_range("a", 0, 1)),
    ("GET body trickles", lambda store: store.list("")),
    ("PUT head trickles", lambda store: store.put("b", b"2")),
    ("PUT head trickles", lambda store: store.put("b", bytes(s3.LARGE_BYTES))),
    ("PUT head trickles", lambda store: store.put_if_absent("c", b"3")),
]


@pytest.fixture(params=["http", "https"])
def trickling(
    request: pytest.FixtureRequest, tmp_path: Path, s3_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OddS3]:
    """A server, plain and with TLS, by whose clock answers are waited for: nothing else takes time there."""
    certificate = tmp_path / "certificate.pem"
    if request.param == "https":
        certificate.write_bytes(b"".join(people_certificate(["127.0.0.1"], time.time())))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with OddS3(tls=certificate if request.param == "https" else None) as server:
        monkeypatch.setattr(s3_sockets, "monotonic", lambda: server.now)
        yield server


def test_an_answer_that_comes_byte_by_byte_is_asked_for_again(trickling: OddS3) -> None:
    store = open_s3(parse_s3_address(trickling.url()))
    store.put("a", b"1")
    for odd, call in TRICKLES:
        trickling.next[odd] = 1
        assert call(store) in (b"1", ["a"], None, True)
        assert trickling.next[odd] == 0
    store.close()


def test_none_of_many_calls_is_held_by_a_server_that_sends_byte_by_byte(
    trickling: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may be under way at a time, and more."""
    monkeypatch.setattr(s3_calls, "LOOK_FIRST_S", 0.001)
    store = open_s3(parse_s3_address(trickling.url()))
    store.put("a", b"1")
    trickling.odd = {"GET body trickles"}

    def read(_: int) -> str:
        with pytest.raises(UnreachableError) as told:
            store.get("a")
        return str(told.value)

    with ThreadPoolExecutor(s3_client.CALLS_MAX + 4) as readers:
        said = list(readers.map(read, range(s3_client.CALLS_MAX + 4)))
    assert all("Read timeout" in line or "it does not answer in time" in line for line in said)
    trickling.odd = set()
    until(lambda: store.standing().away_since is None)
    assert store.get("a") == b"1"
    store.close()


@pytest.mark.parametrize("odd", ["GET head trickles", "GET body trickles"])
def test_a_server_that_sends_byte_by_byte_is_away(trickling: OddS3, monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setattr(weather, "AWAY_AFTER_S", 0.0)
    store = open_s3(parse_s3_address(trickling.url()))
    store.put("a", b"1")
    trickling.odd = {odd}
    trickling.asked.clear()
    with pytest.raises(UnreachableError, match=r"cannot read object a .*Read timeout.*; check endpoint and network"):
        store.get("a")
    assert trickling.asked["GET"] == 2
    with pytest.raises(UnreachableError, match=r"away since .*it does not answer in time"):
        store.get("a")
    store.close()


# ---- the budget -----------------------------------------------------------------------------------------------------


def test_without_a_budget_a_call_is_tried_once(odd_s3: OddS3, store: S3ObjectStore) -> None:
    store.calls._weather.tokens = weather.TRY_COST + 1
    odd_s3.next["GET 503"] = 1
    assert store.get("a") == b"1"
    store.calls._weather.tokens = weather.TRY_COST - 1
    odd_s3.asked.clear()
    odd_s3.next["GET 503"] = 1
    with pytest.raises(UnreachableError, match="SlowDown"):
        store.get("a")
    assert odd_s3.asked["GET"] == 1
    assert store.standing().away_since is None
    assert store.get("a") == b"1"


# ---- credentials and clocks -----------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path, odd_s3: OddS3, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the file that boto3 finds credentials in."""
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))

    def write(key: str) -> None:
        path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n", encoding="ascii")

    write("first")
    return write


def test_credentials_that_were_renewed_are_found(odd_s3: OddS3, keys: Callable[[str], None]) -> None:
    odd_s3.accepts = {"first"}
    store = open_s3(parse_s3_address(odd_s3.url()))
    store.put("a", b"1")
    odd_s3.accepts = {"second"}
    keys("second")
    odd_s3.asked.clear()
    assert store.get("a") == b"1"
    assert odd_s3.asked["GET"] == 2
    assert store.standing().away_since is None
    store.close()


def test_expired_credentials_are_told_until_there_are_others(
    odd_s3: OddS3, keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_calls, "LOOK_FIRST_S", 0.001)
    monkeypatch.setattr(s3_calls, "LOOK_MAX_S", 0.001)
    store = open_s3(parse_s3_address(odd_s3.url()))
    store.put("a", b"1")
    odd_s3.accepts = {"second"}
    with pytest.raises(UnreachableError, match=r"ExpiredToken.*have expired, renew them"):
        store.get("a")
    with pytest.raises(UnreachableError, match=r"away since .* \(ExpiredToken.*renew them\)"):
        store.put("b", b"2")
    keys("second")
    until(lambda: store.standing().away_since is None)
    assert store.get("a") == b"1"
    store.close()


def test_clocks_that_differ_are_told_by_how_much(odd_s3: OddS3, store: S3ObjectStore) -> None:
    odd_s3.odd = {"other clock"}
    with pytest.raises(
        UnreachableError, match=r"this machine's clock is (3599|36\d\d) s ahead\); .*set this machine's"
    ):
        store.get("a")


# ---- counting -------------------------------------------------------------------------------------------------------


def test_each_request_is_counted_as_it_is_sent(odd_s3: OddS3, store: S3ObjectStore) -> None:
    before = store.meter.spent
    store.put("b", b"four")
    store.get("b")
    odd_s3.next["GET 503"] = 1
    store.get_range("b", 1, 2)
    store.list("")
    store.put_if_absent("b", b"x")
    store.delete("b")
    spent = store.meter.spent
    assert {kind: count - before.by_kind()[kind] for kind, count in spent.by_kind().items()} == {
        "put": 2,
        "get": 3,
        "list": 1,
        "head": 1,
        "delete": 1,
    }
    assert spent.retries - before.retries == 1
    assert spent.sent_bytes - before.sent_bytes == 5
    assert spent.received_bytes - before.received_bytes > 6
