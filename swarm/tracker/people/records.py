"""What is written down of people and services, and how it is read: a little late, and for a while without the store.

A change is seen here at once, and at other trackers within ``FRESH_S``. What is not there is remembered as long as what
is, so a look-up of an unknown name costs what one of a known name does.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from swarm.claims import keys_below
from swarm.errors import NotFoundError, UnreachableError
from swarm.log import WallTime
from swarm.objects import ObjectStore
from swarm.people_messages import Groups, Issuing, TokenId, UserName, is_user_name
from swarm.principal import SUBJECT_NAME_CHARS, Principal
from swarm.records import Key
from swarm.signature import signature_of
from swarm.tracker import sealed
from swarm.tracker.keys import SwarmKeys
from swarm.tracker.people.passwords import PasswordHash

USERS: Final = "swarm/users/"
SERVICES: Final = "swarm/services/"
ISSUERS: Final = "swarm/issuers/"
SIGNED_OUT: Final = "swarm/signedout/"
SESSIONS: Final = "swarm/sessions/"
# What each of these is called, also as a command.
KINDS: Final = {USERS: "user", SERVICES: "service", ISSUERS: "issuer"}
FRESH_S: Final = 5.0
# How long what was read counts while the store is away.
STALE_MAX_S: Final = 900.0
CACHED_MAX: Final = 8192


class User(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Somebody with a password. ``changed``: since when it is this one."""

    format: Literal[1]
    name: UserName
    groups: Groups
    password: PasswordHash
    changed: WallTime

    @property
    def sealed_at(self) -> int:
        return self.changed

    @property
    def principal(self) -> Principal:
        return Principal("user", self.name, self.groups)

    @property
    def stamp(self) -> bytes:
        """Of this password: sessions of another one have ended."""
        return self.password.salt


class Service(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One API token of a service. ``secret_hash`` is the signature of its secret."""

    format: Literal[1]
    id: TokenId
    name: UserName
    groups: Groups
    secret_hash: Key
    created: WallTime
    expires: WallTime

    @property
    def sealed_at(self) -> int:
        return self.created

    @property
    def principal(self) -> Principal:
        return Principal("service", self.name, self.groups)


class IssuingRecord(Issuing, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The same, as it is kept."""


class Issuer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An OIDC issuer whose tokens count."""

    format: Literal[1]
    kept: IssuingRecord
    changed: WallTime

    @classmethod
    def of(cls, issuing: Issuing, wall_now: float) -> Issuer:
        return cls(1, IssuingRecord(*msgspec.structs.astuple(issuing)), int(wall_now))

    @property
    def issuing(self) -> Issuing:
        return Issuing(*msgspec.structs.astuple(self.kept))

    @property
    def sealed_at(self) -> int:
        return self.changed


class SignedOut(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What was issued to ``subject`` until ``since`` does not count any more."""

    format: Literal[1]
    subject: Annotated[str, msgspec.Meta(max_length=SUBJECT_NAME_CHARS + 16)]
    since: WallTime

    @property
    def sealed_at(self) -> int:
        return self.since


T = TypeVar("T", User, Service, Issuer, SignedOut)


class People:
    """The records, over the object store. Thread-safe and blocking. ``read`` counts what was asked of the store."""

    def __init__(self, objects: ObjectStore, keys: SwarmKeys) -> None:
        self._objects = objects
        self._keys = keys
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()
        self.read = 0

    # ---- one at a time, a little late -----------------------------------------------------------------------------

    def user(self, name: str) -> User | None:
        """None for nobody, and for what cannot be a name."""
        if not is_user_name(name):
            return None
        found = self._opened(USERS + name, User)
        return found if found is not None and found.name == name else None

    def service(self, token_id: bytes) -> Service | None:
        found = self._opened(SERVICES + token_id.hex(), Service)
        return found if found is not None and found.id == token_id else None

    def signed_out_since(self, subject: str) -> int:
        """What was issued to a subject until then does not count: wall seconds, 0 for never."""
        found = self._opened(_signed_out_key(subject), SignedOut)
        return found.since if found is not None and found.subject == subject else 0

    def is_ended(self, session_key: str) -> bool:
        return self._read(SESSIONS + session_key) is not None

    def issuers(self) -> list[Issuer]:
        """All of them."""
        names = self._listed(ISSUERS)
        found = [(name, self._opened(ISSUERS + name, Issuer)) for name in names]
        return [issuer for name, issuer in found if issuer is not None and issuer.issuing.name == name]

    # ---- changes ----------------------------------------------------------------------------------------------------

    def put_user(self, user: User, *, is_new: bool) -> bool:
        """Write a user down. False if one of the name is there already, or is not, against ``is_new``."""
        key, data = USERS + user.name, sealed.seal(self._keys.authority.key, user)
        self._forget(key)
        if is_new:
            return self._objects.put_if_absent(key, data)
        if key not in self._objects.list(key, limit=1):
            return False
        self._objects.put(key, data)
        return True

    def put_service(self, service: Service) -> None:
        self._put(SERVICES + service.id.hex(), sealed.seal(self._keys.authority.key, service))

    def put_issuer(self, issuer: Issuer) -> None:
        self._put(ISSUERS + issuer.issuing.name, sealed.seal(self._keys.authority.key, issuer))
        self._forget(ISSUERS)

    def sign_out(self, subject: str, wall_now: float) -> None:
        """Let nothing count that was issued to this subject until now."""
        record = SignedOut(1, subject, int(wall_now))
        self._put(_signed_out_key(subject), sealed.seal(self._keys.authority.key, record))

    def end_session(self, session_key: str) -> None:
        self._put(SESSIONS + session_key, b"\0")

    def remove(self, key: str) -> None:
        """Remove a record by its key, or NotFoundError."""
        if key not in self._objects.list(key, limit=1):
            folder, slash, name = key.rpartition("/")
            kind = KINDS[folder + slash]
            raise NotFoundError(f"there is no {kind} {name}: see `aetherfs {kind} ls`")
        self._objects.delete(key)
        self._note(key, None)
        self._forget(ISSUERS)

    def user_now(self, name: str) -> User | None:
        """As it is in the store, for who is to change it."""
        try:
            return self._now(USERS + name, User)
        except NotFoundError:
            return None

    def users(self) -> list[User]:
        return [self._now(key, User) for key in keys_below(self._objects, USERS)]

    def services(self) -> list[Service]:
        return [self._now(key, Service) for key in keys_below(self._objects, SERVICES)]

    def clear(self, wall_now: float) -> None:
        """Forget sessions that were ended and have expired since."""
        for key in keys_below(self._objects, SESSIONS):
            if key.removeprefix(SESSIONS) < f"{int(wall_now):011}":
                self._objects.delete(key)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _opened(self, key: str, kind: type[T]) -> T | None:
        data = self._read(key)
        return sealed.unseal(data, kind, authority=self._keys.authority.trust, key=key) if data is not None else None

    def _now(self, key: str, kind: type[T]) -> T:
        return sealed.unseal(self._objects.get(key), kind, authority=self._keys.authority.trust, key=key)

    def _read(self, key: str) -> bytes | None:
        """An object's bytes, None if there is none, as of a moment ago."""
        now = time.monotonic()
        with self._lock:
            at, data = self._cached.get(key, (float("-inf"), None))
        if at + FRESH_S > now:
            return data
        self.read += 1
        try:
            data = self._objects.get(key)
        except NotFoundError:
            data = None
        except UnreachableError:
            if at + STALE_MAX_S < now:
                raise
            return data
        self._note(key, data)
        return data

    def _listed(self, prefix: str) -> list[str]:
        """The names below a prefix, as of a moment ago."""
        now = time.monotonic()
        with self._lock:
            at, data = self._cached.get(prefix, (float("-inf"), None))
        try:
            if at + FRESH_S <= now:
                data = "\n".join(key.removeprefix(prefix) for key in keys_below(self._objects, prefix)).encode()
                self._note(prefix, data)
        except UnreachableError:
            if at + STALE_MAX_S < now:
                raise
        return (data or b"").decode().split()

    def _put(self, key: str, data: bytes) -> None:
        self._objects.put(key, data)
        self._note(key, data)

    def _note(self, key: str, data: bytes | None) -> None:
        """Remember what is there now."""
        with self._lock:
            self._cached.pop(key, None)
            self._cached[key] = (time.monotonic(), data)
            while len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._cached.pop(key, None)


def _signed_out_key(subject: str) -> str:
    """A subject may have any characters, an object's key may not."""
    return SIGNED_OUT + signature_of(subject.encode("utf-8", "surrogatepass"))[:16].hex()
