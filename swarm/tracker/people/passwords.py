"""Passwords: argon2id in threads of its own, the same work whoever is named.

A hash takes 64 MiB and 0.1 s, so few are made at once and few wait for it; beyond that the answer is "later". A
password that was right is known again for a while, by a keyed hash that dies with the process, so that a program that
sends one with every request costs one hash a minute; requests that come with it meanwhile share that one.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

import blake3
import msgspec
from nacl.pwhash import argon2id

from swarm.errors import TooSoonError, UsageError

# RFC 9106, section 4: the second recommended choice, with the one lane that libsodium has.
PASSES: Final = 3
MEMORY_BYTES: Final = 64 * 1024 * 1024
DIGEST_BYTES: Final = 32
SALT_BYTES: Final = 16
HASHES_AT_ONCE: Final = 2
WAITING_MAX: Final = 32
PASSWORD_MAX_BYTES: Final = 1024
# NIST SP 800-63B asks for 8 at least, and for no rules about their kinds.
PASSWORD_MIN_CHARS: Final = 8
KNOWN_S: Final = 60.0
KNOWN_MAX: Final = 1024


class PasswordHash(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """argon2id of a password."""

    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    passes: Annotated[int, msgspec.Meta(ge=1, le=16)]
    memory_bytes: Annotated[int, msgspec.Meta(ge=8192, le=256 * 1024 * 1024)]
    digest: Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


# Compared with where there is no such user: no password has it.
NOBODYS: Final = PasswordHash(os.urandom(SALT_BYTES), PASSES, MEMORY_BYTES, os.urandom(DIGEST_BYTES))


class Passwords:
    """Makes and compares hashes. ``made`` counts them."""

    def __init__(self) -> None:
        self.made = 0
        self._pool = ThreadPoolExecutor(HASHES_AT_ONCE, "tracker-passwords")
        self._waiting = 0
        self._key = os.urandom(32)
        # When a password was right, and for which hash.
        self._known: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._comparing: dict[bytes, asyncio.Future[bool]] = {}

    async def hash(self, password: str) -> PasswordHash:
        """The hash of a new password, which is checked first: see ``check_password``."""
        salt = os.urandom(SALT_BYTES)
        digest = await self._digest(check_password(password).encode(), salt, PASSES, MEMORY_BYTES)
        return PasswordHash(salt, PASSES, MEMORY_BYTES, digest)

    def knows(self, name: str, password: bytes, now: float) -> bool:
        """Whether this was a user's password a moment ago."""
        return self._known.get(self._mark(name, password), (float("-inf"), b""))[0] + KNOWN_S > now

    async def is_right(
        self, name: str, password: bytes, kept: PasswordHash | None, now: float, begin: Callable[[], None]
    ) -> bool:
        """Whether a password is a user's; ``kept`` None: there is no such user, which takes as long to say.

        ``begin`` is called before a hash is made, and may refuse. TooSoonError when too many wait.
        """
        compared = kept if kept is not None else NOBODYS
        mark = self._mark(name, password)
        if self.knows(name, password, now) and self._known[mark][1] == compared.digest:
            return True
        same = self._mark(name, password, compared.digest)
        if same not in self._comparing:
            begin()
            self._comparing[same] = asyncio.ensure_future(self._compare(password, compared))
            self._comparing[same].add_done_callback(lambda done: self._comparing.pop(same, None))
        if not await asyncio.shield(self._comparing[same]):
            return False
        self._known[mark] = (now, compared.digest)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return kept is not None

    async def _compare(self, password: bytes, kept: PasswordHash) -> bool:
        digest = await self._digest(password, kept.salt, kept.passes, kept.memory_bytes)
        return hmac.compare_digest(digest, kept.digest)

    def _mark(self, *parts: str | bytes) -> bytes:
        """Stands for these parts, and tells nothing of them."""
        said = [part.encode() if isinstance(part, str) else part for part in parts]
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in said)
        return blake3.blake3(framed, key=self._key).digest()

    async def _digest(self, password: bytes, salt: bytes, passes: int, memory_bytes: int) -> bytes:
        if self._waiting >= WAITING_MAX:
            raise TooSoonError("too many passwords are being checked here: try again in a moment", 1.0)
        self._waiting += 1
        self.made += 1
        try:
            kdf = lambda: argon2id.kdf(DIGEST_BYTES, password, salt, opslimit=passes, memlimit=memory_bytes)  # noqa: E731
            return await asyncio.get_running_loop().run_in_executor(self._pool, kdf)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def check_password(password: str) -> str:
    """A new password, unchanged, or UsageError."""
    if len(password) < PASSWORD_MIN_CHARS or len(password.encode("utf-8", "surrogatepass")) > PASSWORD_MAX_BYTES:
        raise UsageError(
            f"a password has {PASSWORD_MIN_CHARS} characters or more, and at most {PASSWORD_MAX_BYTES} bytes"
        )
    if not password.isprintable():
        raise UsageError("a password is one line of printable characters")
    return password
