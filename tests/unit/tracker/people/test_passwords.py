"""Passwords: the same work for everybody, few at once, and one hash for many requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from swarm.errors import TooSoonError, UsageError
from swarm.tracker.people import passwords
from swarm.tracker.people.passwords import KNOWN_S, NOBODYS, Passwords, check_password
from tests.cheap_passwords import make_passwords_cheap

RIGHT = "correct horse battery"


def _free() -> None:
    """Nobody has to wait."""


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_passwords_cheap(monkeypatch)


def test_the_work_is_that_of_rfc_9106() -> None:
    assert (NOBODYS.passes, NOBODYS.memory_bytes) == (3, 64 * 1024 * 1024)


def test_right_and_wrong() -> None:
    async def main() -> None:
        kept = Passwords()
        found = await kept.hash(RIGHT)
        assert await kept.is_right("alice", RIGHT.encode(), found, 0.0, _free)
        assert not await kept.is_right("alice", b"incorrect horse", found, 0.0, _free)
        assert not await kept.is_right("alice", b"", found, 0.0, _free)
        other = await kept.hash(RIGHT)
        assert (found.salt, found.digest) != (other.salt, other.digest)
        kept.close()

    asyncio.run(main())


def test_nobody_costs_what_somebody_costs() -> None:
    async def main() -> None:
        kept = Passwords()
        found = await kept.hash(RIGHT)
        before = kept.made
        assert not await kept.is_right("alice", b"a wrong guess", found, 0.0, _free)
        of_somebody = kept.made - before
        assert not await kept.is_right("nobody", b"a wrong guess", None, 0.0, _free)
        assert kept.made - before == 2 * of_somebody == 2
        kept.close()

    asyncio.run(main())


def test_what_was_right_is_known_for_a_while_and_for_this_hash_alone() -> None:
    async def main() -> None:
        kept = Passwords()
        found = await kept.hash(RIGHT)
        asked = [(found, 0.0, True), (found, KNOWN_S - 1, True), (await kept.hash("another one"), 1.0, False)]
        before = kept.made
        for hashed, now, is_right in asked[:2]:
            assert await kept.is_right("alice", RIGHT.encode(), hashed, now, _free) is is_right
        assert kept.made - before == 1
        assert not kept.knows("alice", b"another", 1.0) and not kept.knows("bob", RIGHT.encode(), 1.0)
        assert not await kept.is_right("alice", RIGHT.encode(), asked[2][0], 1.0, _free)
        assert not await kept.is_right("alice", RIGHT.encode(), None, 1.0, _free)
        assert not kept.knows("alice", RIGHT.encode(), KNOWN_S + 1)
        kept.close()

    asyncio.run(main())


def test_many_requests_with_one_password_share_one_hash() -> None:
    async def main() -> None:
        kept, begun = Passwords(), list[int]()
        found = await kept.hash(RIGHT)
        before = kept.made
        asked = [kept.is_right("alice", RIGHT.encode(), found, 0.0, lambda: begun.append(1)) for _ in range(20)]
        assert all(await asyncio.gather(*asked))
        assert kept.made - before == 1 and begun == [1]
        kept.close()

    asyncio.run(main())


def test_who_has_to_wait_costs_no_hash() -> None:
    def refuse() -> None:
        raise TooSoonError("wait", 1.0)

    async def main(begin: Callable[[], None]) -> int:
        kept = Passwords()
        with pytest.raises(TooSoonError):
            await kept.is_right("alice", b"a guess", None, 0.0, begin)
        kept.close()
        return kept.made

    assert asyncio.run(main(refuse)) == 0


def test_of_too_many_that_wait_the_next_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING_MAX", 3)

    async def main() -> list[object]:
        kept = Passwords()
        guesses = [kept.is_right("alice", b"guess %d" % number, None, 0.0, _free) for number in range(10)]
        found = await asyncio.gather(*guesses, return_exceptions=True)
        kept.close()
        return list(found)

    found = asyncio.run(main())
    assert found[:3] == [False] * 3 and all(isinstance(one, TooSoonError) for one in found[3:])


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 1025, "two\nlines of it", "nul\0 in the middle", "half \ud800 pair"]
)
def test_what_is_no_password(text: str) -> None:
    with pytest.raises(UsageError):
        check_password(text)
