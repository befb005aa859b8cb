"""A store on S3 over a server that is odd: what is refused at the start, what is tried again, and what is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from swarm.errors import (
    AetherError,
    ConflictError,
    FullError,
    IncompleteError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    RemoteProtocolError,
    UnreachableError,
    UsageError,
)
from swarm.objects import s3_calls
from swarm.objects.open import open_store
from swarm.objects.s3 import WRITER, S3ObjectStore
from swarm.objects.s3_address import parse_s3_address
from swarm.objects.s3_probe import open_s3
from tests.odd_s3 import META, SSE, Kept, OddS3

pytestmark = pytest.mark.usefixtures("quick_tries")


@pytest.fixture
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries as ever, without the pauses between them."""
    monkeypatch.setattr(s3_calls, "FIRST_PAUSE_S", 0.001)


@pytest.fixture
def store(odd_s3: OddS3) -> Iterator[S3ObjectStore]:
    """A store that was found fit; what happens from then on is for the test to say."""
    made = open_s3(parse_s3_address(odd_s3.url()))
    odd_s3.asked.clear()
    yield made
    made.close()


# ---- the look at the start ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("ignores if-none-match", "does not honour If-None-Match"),
        ("ignores checksums", "do not have the SHA-256"),
        ("ignores ranges", "another range"),
        ("lists late", "does not list what was written"),
        ("forgets encryption", "sse=none"),
    ],
)
def test_a_server_that_ignores_something_is_refused_and_left_as_it_was(odd_s3: OddS3, odd: str, said: str) -> None:
    odd_s3.odd = {odd}
    with pytest.raises(AetherError, match=said) as refused:
        open_store(odd_s3.url())
    assert "\n" not in str(refused.value)
    if odd != "lists late":
        assert odd_s3.objects == {}


def test_a_server_whose_racing_writers_both_win_is_refused(odd_s3: OddS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second write in a row is refused; it is the race that shows it."""
    takes = odd_s3.takes

    def odd(what: str) -> bool:
        if what == "ignores if-none-match" and any(key.endswith("/a-b") for key in odd_s3.objects):
            return True
        return takes(what)

    monkeypatch.setattr(odd_s3, "takes", odd)
    with pytest.raises(UsageError, match="2 of 2 racing writes"):
        open_store(odd_s3.url())


def test_a_server_that_knows_no_conditional_writes_is_refused(odd_s3: OddS3) -> None:
    """Some answer 501 to the header."""
    odd_s3.odd = {"knows no conditions"}
    with pytest.raises(UsageError, match=r"does not take If-None-Match: \* \(NotImplemented\)"):
        open_store(odd_s3.url())
    assert odd_s3.objects == {}


def test_in_the_clear_only_when_told_to(odd_s3: OddS3) -> None:
    odd_s3.odd = {"forgets encryption"}
    for options in ({}, {"sse": "AES256"}, {"sse": "aws:kms"}):
        with pytest.raises(UsageError, match="does not encrypt"):
            open_store(odd_s3.url(**options))
    store = open_store(odd_s3.url(sse="none"))
    store.put("a", b"1")
    assert SSE not in odd_s3.objects["p/a"].headers
    store.close()


@pytest.mark.parametrize(("default", "asked"), [("", "AES256"), ("aws:kms", "aws:kms")])
def test_a_bucket_that_encrypts_by_itself_is_left_to_it(odd_s3: OddS3, default: str, asked: str) -> None:
    """Asking for AES256 would undo a bucket's own key."""
    odd_s3.default_encryption = default
    store = open_s3(parse_s3_address(odd_s3.url()))
    assert bool(store.encryption) == (not default)
    store.put("a", b"1")
    assert odd_s3.objects["p/a"].headers[SSE] == asked
    store.close()


def test_the_key_asked_for_is_the_key_told(odd_s3: OddS3, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(odd_s3.url(sse="aws:kms", **{"sse-kms-key-id": "arn:aws:kms:r:1:key/right"}))
    store.close()
    monkeypatch.setattr("tests.odd_s3.SSE_KEY", "x-other")
    with pytest.raises(UsageError, match="correct sse-kms-key-id"):
        open_store(odd_s3.url(sse="aws:kms", **{"sse-kms-key-id": "right"}))


def test_what_a_killed_start_left_behind_goes(odd_s3: OddS3) -> None:
    odd_s3.objects["p/probes/000000000001-abc/a"] = Kept(b"", {})
    odd_s3.objects["p/probes/999999999999-abc/a"] = Kept(b"", {})
    open_store(odd_s3.url()).close()
    assert list(odd_s3.objects) == ["p/probes/999999999999-abc/a"]


# ---- writes whose answer is lost ------------------------------------------------------------------------------------


def test_a_first_try_whose_answer_was_lost_has_won(odd_s3: OddS3, store: S3ObjectStore) -> None:
    odd_s3.next["loses answers"] = 1
    assert store.put_if_absent("log/1", b"mine")
    assert odd_s3.asked["PUT"] == 2
    assert not store.put_if_absent("log/1", b"mine")


def test_what_another_wrote_meanwhile_with_the_same_bytes_is_theirs(odd_s3: OddS3, store: S3ObjectStore) -> None:
    """A token is spent once, though each who spends it writes the same."""
    odd_s3.next["PUT 503"] = 1
    odd_s3.objects["p/spent"] = Kept(b"same", {META + WRITER: "another"})
    assert not store.put_if_absent("spent", b"same")


def test_all_answers_lost_is_told_and_not_guessed(odd_s3: OddS3, store: S3ObjectStore) -> None:
    """The object is there, and nobody can say so: the caller has to look."""
    odd_s3.odd = {"loses answers", "HEAD 503"}
    with pytest.raises(UnreachableError):
        store.put_if_absent("log/1", b"mine")
    assert odd_s3.objects["p/log/1"].body == b"mine"


def test_written_and_gone_again_is_not_guessed(odd_s3: OddS3, store: S3ObjectStore) -> None:
    odd_s3.objects["p/log/1"] = Kept(b"theirs", {})
    odd_s3.odd = {"HEAD 404"}
    with pytest.raises(IncompleteError, match="gone again"):
        store.put_if_absent("log/1", b"mine")


def test_a_conflict_of_writers_is_tried_again(odd_s3: OddS3, store: S3ObjectStore) -> None:
    odd_s3.next["PUT 409"] = 2
    assert store.put_if_absent("log/1", b"mine")
    odd_s3.odd = {"PUT 409"}
    with pytest.raises(ConflictError, match="repeat"):
        store.put_if_absent("log/2", b"mine")


# ---- what passes, and what does not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["GET 503", "GET 500", "truncates", "flips"])
def test_reads_are_tried_again(odd_s3: OddS3, store: S3ObjectStore, odd: str) -> None:
    store.put("pack", b"some bytes")
    odd_s3.next[odd] = 3
    assert store.get("pack") == b"some bytes"
    assert odd_s3.asked["GET"] == 4


def test_a_range_that_breaks_off_is_read_again(odd_s3: OddS3, store: S3ObjectStore) -> None:
    store.put("pack", b"some bytes")
    odd_s3.next["truncates"] = 2
    assert store.get_range("pack", 2, 6) == b"me byt"


@pytest.mark.parametrize(("odd", "kind"), [("truncates", UnreachableError), ("flips", IntegrityError)])
def test_never_a_wrong_byte_onward(odd_s3: OddS3, store: S3ObjectStore, odd: str, kind: type[AetherError]) -> None:
    store.put("pack", b"some bytes")
    odd_s3.odd = {odd}
    with pytest.raises(kind):
        store.get("pack")


def test_another_range_is_no_answer(odd_s3: OddS3, store: S3ObjectStore) -> None:
    store.put("pack", b"some bytes")
    odd_s3.odd = {"ignores ranges"}
    with pytest.raises(RemoteProtocolError, match="another range"):
        store.get_range("pack", 2, 4)


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (400, IntegrityError, s3_calls.TRIES_MAX),
        (403, UnreachableError, 1),
        (500, UnreachableError, s3_calls.TRIES_MAX),
        (501, AetherError, 1),
        (503, UnreachableError, s3_calls.TRIES_MAX),
        (507, FullError, 1),
    ],
)
def test_each_refusal_is_one_line_and_tried_as_often_as_it_helps(
    odd_s3: OddS3, store: S3ObjectStore, status: int, kind: type[AetherError], tries: int
) -> None:
    odd_s3.odd = {str(status)}
    with pytest.raises(AetherError, match=r"cannot write object a in s3://data/p/ on http.*: .*; ") as refused:
        store.put("a", b"1")
    assert type(refused.value) is kind
    assert "\n" not in str(refused.value)
    assert odd_s3.asked["PUT"] == tries


def test_a_bucket_that_goes_away_is_not_an_empty_one(odd_s3: OddS3, store: S3ObjectStore) -> None:
    """``NotFoundError`` would have a tracker begin the log anew."""
    odd_s3.odd = {"no bucket"}
    with pytest.raises(UnreachableError, match="no such bucket"):
        store.get("log/1")
    with pytest.raises(NotFoundError, match="no bucket"):
        open_store(odd_s3.url())


def test_nobody_answers(store: S3ObjectStore, s3_credentials: None) -> None:
    with pytest.raises(UnreachableError, match="check endpoint and network"):
        open_store("s3://data?endpoint=http://127.0.0.1:9")


def test_no_credentials(odd_s3: OddS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(NotAllowedError, match="AWS_ACCESS_KEY_ID"):
        open_store(odd_s3.url())
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(UsageError, match="AWS_PROFILE"):
        open_store(odd_s3.url())


def test_closing_ends_the_tries(odd_s3: OddS3, store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_calls, "FIRST_PAUSE_S", 1e9)
    monkeypatch.setattr(s3_calls, "PAUSE_MAX_S", 1e9)
    odd_s3.odd = {"503"}
    failed: list[BaseException] = []

    def read() -> None:
        try:
            store.get("a")
        except UnreachableError as error:
            failed.append(error)

    reader = threading.Thread(target=read, daemon=True)  # It never ends where closing does not end it.
    reader.start()
    while not odd_s3.asked["GET"]:
        pass
    store.close()
    reader.join(30)
    assert len(failed) == 1
    assert odd_s3.asked["GET"] == 1


# ---- lists ----------------------------------------------------------------------------------------------------------


def test_lists_of_more_than_a_page(odd_s3: OddS3, store: S3ObjectStore) -> None:
    names = [f"many/{number:05}" for number in range(2_500)]
    odd_s3.objects |= {"p/" + name: Kept(b"", {}) for name in names}
    assert store.is_ordered
    assert store.list("many/", limit=10_000) == names
    assert odd_s3.asked["GET"] == 3
    assert store.list("many/") == names[:1000]
    assert store.list("many/", after=names[2_498]) == names[2_499:]
    assert odd_s3.asked["GET"] == 5


def test_objects_of_others_are_not_listed(odd_s3: OddS3, store: S3ObjectStore) -> None:
    """Consoles leave markers of folders."""
    odd_s3.objects |= {"p/many/": Kept(b"", {}), "p/a b": Kept(b"", {}), "other/a": Kept(b"", {})}
    store.put("many/1", b"")
    assert store.list("", limit=1) == ["many/1"]


def test_a_server_that_changes_its_order_is_not_believed(odd_s3: OddS3, store: S3ObjectStore) -> None:
    store.put("a", b"")
    store.put("b", b"")
    odd_s3.odd = {"lists backwards"}
    with pytest.raises(RemoteProtocolError, match="another order"):
        store.list("")
