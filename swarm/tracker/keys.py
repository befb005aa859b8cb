"""The swarm's own keys in the object store: the CA at ``swarm/ca``, the DHT secret at ``swarm/secret``.

Those that followed them lie beside, at ``swarm/ca/{number:08}`` and ``swarm/secret/{number:08}``, each written once.

They are made once, by whichever tracker comes first (put-if-absent), and lie there sealed with the store key, which
only trackers' homes have. A wrong store key, and bytes that somebody changed, are refused. A swarm that is made now has
a root too, under which the CA's keys are appointed (``custody``); one that was made before goes on as it is.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from swarm import authority, canonical
from swarm.authority import Authority
from swarm.errors import ConflictError, FullError, IntegrityError, NotAllowedError, RemoteProtocolError, UsageError
from swarm.identity import PeerKey
from swarm.keyring import NEVER, Keyring, SwarmSecret, generation_of
from swarm.limits import CERTIFICATE_LIFETIME_S, ONLINE_TERM_S, RECORD_MAX_BYTES, SECRETS_MAX, SUCCESSIONS_MAX
from swarm.objects import ObjectStore
from swarm.roster import Roster, appointed, is_roster, open_roster
from swarm.tracker import custody
from swarm.tracker.boxes import close_box, open_box
from swarm.trust import WallTime

CA_KEY: Final = "swarm/ca"
SECRET_KEY: Final = "swarm/secret"
STORE_KEY_BYTES: Final = 32
# A key is appointed so long before the last one's term ends that members hear of it, and not by a clock that is off by
# more than a year.
APPOINT_AHEAD_S: Final = 14 * 86_400
CLOCK_BELIEVED_S: Final = 365 * 86_400

log = logging.getLogger("aetherfs.keys")


class KeptAuthority(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The CA as it lies in the store, inside its seal."""

    format: Literal[1]
    seed: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    certificate: bytes


class KeptSecret(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The DHT secret as it lies in the store, inside its seal."""

    format: Literal[1]
    secret: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class KeptSuccessor(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A later key of the CA: its seed, and the sealed succession that leads to it."""

    format: Literal[1]
    seed: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    link: bytes


class KeptNextSecret(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A later secret: from when on it is in force, and the one before it of no use."""

    format: Literal[1]
    secret: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    in_force: WallTime
    former_retired: WallTime


Kept = KeptAuthority | KeptSecret | KeptSuccessor | KeptNextSecret


class SwarmKeys:
    """The CA and the DHT's secrets, as this tracker has read them. Calls that take ``objects`` block on the store."""

    def __init__(self, authority: Authority, secret: bytes, store_key: bytes) -> None:
        self.authority = authority
        self.secret = secret
        self.secrets: tuple[SwarmSecret, ...] = (SwarmSecret(0, secret, 0, NEVER),)
        # Whether these keys were made here just now, and so the swarm: of racing callers for one.
        self.is_new = False
        self._store_key = store_key
        self._lock = threading.Lock()
        self._read_at = float("-inf")

    def __repr__(self) -> str:
        return f"<SwarmKeys {self.authority.fingerprint.hex()[:8]}, generation {self.generation}>"

    @property
    def generation(self) -> int:
        return generation_of(self.authority.trust.links) + self.secrets[-1].epoch

    def keyring(self, wall_now: float) -> Keyring:
        """What members are told of rotations."""
        useful = tuple(secret for secret in self.secrets if wall_now < secret.retired)
        return Keyring(1, self.authority.trust.links, useful[-SECRETS_MAX:] if self.secrets[-1].epoch else ())

    def next_change(self, wall_now: float) -> float:
        """When another key of the CA is in force, infinity if none is known to come."""
        times = [anchor.in_force for anchor in self.authority.trust.anchors if anchor.in_force > wall_now]
        return min(times, default=float("inf"))

    def refresh(self, objects: ObjectStore, wall_now: float, *, max_age_s: float = 0.0) -> None:
        """Read what other trackers have rotated, and let what is in force now be used."""
        with self._lock:
            if self._read_at + max_age_s <= time.monotonic():
                for key in objects.list(f"{CA_KEY}/"):
                    self._take_successor(objects, key)
                self._take_rosters(objects)
                for key in objects.list(f"{SECRET_KEY}/"):
                    self._take_secret(objects, key)
                self._read_at = time.monotonic()
            self.authority.advance(wall_now)

    def rotate_ca(self, objects: ObjectStore, wall_now: float, after_s: int, retire_s: int) -> tuple[int, int]:
        """Let a new key follow: when it is in force, and the former is retired.

        ConflictError while the last rotation is not in force, or when another tracker was first.
        """
        self.refresh(objects, wall_now)
        trust = self.authority.trust
        if trust.roster is not None:
            return self.appoint(objects, trust.roster, wall_now, int(wall_now) + after_s, retire_s)
        if trust.newest.in_force > wall_now:
            raise _under_way(trust.newest.in_force)
        if len(trust.links) >= SUCCESSIONS_MAX:
            raise FullError(f"the CA has had {SUCCESSIONS_MAX} successors, which is the limit: make a new swarm")
        in_force = int(wall_now) + after_s
        key, retired = PeerKey(os.urandom(32)), in_force + retire_s
        link = self.authority.successor(key, wall_now, in_force, retired)
        self._write(objects, _numbered(CA_KEY, len(trust.links) + 1), KeptSuccessor(1, key.seed, link))
        self.refresh(objects, wall_now)
        return in_force, retired

    def appoint(
        self, objects: ObjectStore, roster: Roster, wall_now: float, in_force: int, retire_s: int
    ) -> tuple[int, int]:
        """Under the root, while it lies in the store: let a key follow for a term, as ``rotate_ca`` does."""
        root = custody.root_here(objects, self._store_key)
        if roster.keys[-1].in_force > wall_now:
            raise _under_way(roster.keys[-1].in_force)
        ends = in_force + ONLINE_TERM_S
        made = custody.made_keys(objects, self._store_key, wall_now, in_force, ends, CERTIFICATE_LIFETIME_S)
        following = appointed(roster, made, root.public, wall_now, retire_s)
        custody.write_roster(objects, custody.sealed_roster(root, following))
        self.refresh(objects, wall_now)
        return in_force, in_force + retire_s

    def tend(self, objects: ObjectStore, wall_now: float) -> None:
        """Appoint the next online key in time; where the root is offline, say when somebody has to."""
        roster = self.authority.trust.roster
        if roster is None or wall_now < (ends := roster.usable[-1].until) - APPOINT_AHEAD_S:
            return
        if wall_now > ends + CLOCK_BELIEVED_S:
            log.error("the online key's term ended a year ago: check this machine's clock, then `aetherfs rotate ca`")
            return
        try:
            self.appoint(objects, roster, wall_now, max(ends, int(wall_now)), CERTIFICATE_LIFETIME_S)
        except NotAllowedError as error:
            log.warning("the online key's term ends at %s, then nothing is sealed any more: %s", _clock(ends), error)
        except ConflictError as error:
            log.info("%s", error)

    def rotate_secret(self, objects: ObjectStore, wall_now: float, after_s: int, retire_s: int) -> tuple[int, int]:
        """As ``rotate_ca``, for the secret of the DHT."""
        self.refresh(objects, wall_now)
        newest = self.secrets[-1]
        if newest.in_force > wall_now:
            raise _under_way(newest.in_force)
        counting = [secret for secret in self.secrets if wall_now < secret.retired]
        if len(counting) >= SECRETS_MAX:
            raise ConflictError(f"{len(counting)} secrets still count: wait until the oldest is retired")
        in_force = int(wall_now) + after_s
        made = KeptNextSecret(1, os.urandom(32), in_force, in_force + retire_s)
        self._write(objects, _numbered(SECRET_KEY, newest.epoch + 1), made)
        self.refresh(objects, wall_now)
        return made.in_force, made.former_retired

    def _write(self, objects: ObjectStore, key: str, kept: Kept) -> None:
        if not objects.put_if_absent(key, close_box(self._store_key, key, kept)):
            raise ConflictError("another tracker has rotated this at the same time: look at it, then repeat")

    def _take_successor(self, objects: ObjectStore, key: str) -> None:
        known = sum(not is_roster(link) for link in self.authority.trust.links)
        if key != _numbered(CA_KEY, known + 1):
            _check_known(key, CA_KEY, known)
            return
        kept = canonical.decode(open_box(objects, self._store_key, key), KeptSuccessor, limit_bytes=RECORD_MAX_BYTES)
        try:
            self.authority.succeed(PeerKey(kept.seed), kept.link)
        except RemoteProtocolError as error:
            raise IntegrityError(f"{key} in the object store is damaged ({error}): restore it from a backup") from error

    def _take_rosters(self, objects: ObjectStore) -> None:
        """The first roster, whose key vouches for the root, and the last."""
        listed = objects.list(custody.ROSTERS)
        for key in dict.fromkeys([*listed[:1], *listed[-1:]]):
            self._take_roster(objects, key)

    def _take_roster(self, objects: ObjectStore, key: str) -> None:
        known = self.authority.trust.roster
        if known is not None and key <= custody.roster_key(known.version):
            return
        try:
            data = objects.get(key)
            roster = open_roster(data).roster
            if roster.root != custody.kept_root(objects, self._store_key).public:
                raise RemoteProtocolError("it is of another root")
            found = [custody.online_key(objects, self._store_key, online.public) for online in roster.usable]
            self.authority.obey(data, [made for made in found if made is not None])
        except RemoteProtocolError as error:
            raise IntegrityError(f"{key} in the object store is damaged ({error}): restore it from a backup") from error

    def _take_secret(self, objects: ObjectStore, key: str) -> None:
        newest = self.secrets[-1]
        if key != _numbered(SECRET_KEY, newest.epoch + 1):
            _check_known(key, SECRET_KEY, newest.epoch)
            return
        kept = canonical.decode(open_box(objects, self._store_key, key), KeptNextSecret, limit_bytes=RECORD_MAX_BYTES)
        former = SwarmSecret(newest.epoch, newest.secret, newest.in_force, kept.former_retired)
        self.secrets = (*self.secrets[:-1], former, SwarmSecret(newest.epoch + 1, kept.secret, kept.in_force, NEVER))


def load_or_create(objects: ObjectStore, store_key: bytes, wall_now: float) -> SwarmKeys:
    """The keys of the swarm over this store; made now if there are none. All racing callers get the same.

    Raises NotAllowedError for another store key than the swarm was made with.
    """
    if len(store_key) != STORE_KEY_BYTES:
        raise UsageError(f"a store key has {STORE_KEY_BYTES} bytes, not {len(store_key)}")
    is_new = False
    if not holds_swarm(objects):
        # Before the CA, so that whoever finds the CA knows whether there is a root.
        custody.make_root(objects, store_key)
        made = authority.create(PeerKey(os.urandom(32)), wall_now)
        box = close_box(store_key, CA_KEY, KeptAuthority(1, made.key.seed, made.certificate))
        is_new = objects.put_if_absent(CA_KEY, box)
    if not objects.list(SECRET_KEY, limit=1):
        objects.put_if_absent(SECRET_KEY, close_box(store_key, SECRET_KEY, KeptSecret(1, os.urandom(32))))
    kept = canonical.decode(open_box(objects, store_key, CA_KEY), KeptAuthority, limit_bytes=RECORD_MAX_BYTES)
    secret = canonical.decode(open_box(objects, store_key, SECRET_KEY), KeptSecret, limit_bytes=RECORD_MAX_BYTES)
    key = PeerKey(kept.seed)
    if authority.public_of_root(kept.certificate) != key.public:
        raise IntegrityError(f"{CA_KEY} in the object store holds a root of another key: restore it from a backup")
    keys = SwarmKeys(Authority(key, kept.certificate), secret.secret, store_key)
    keys.is_new = is_new
    keys.refresh(objects, wall_now)
    if keys.authority.trust.roster is None and custody.has_root(objects) and not keys.authority.trust.links:
        root = custody.root_here(objects, store_key)
        first = custody.first_roster(root, keys.authority, wall_now)
        objects.put_if_absent(custody.roster_key(1), first)
        keys.refresh(objects, wall_now)
    return keys


def _numbered(key: str, number: int) -> str:
    """Where the keys after the first one lie."""
    return f"{key}/{number:08}"


def _check_known(key: str, prefix: str, known: int) -> None:
    number = key.removeprefix(f"{prefix}/")
    if not number.isdigit() or int(number) > known:
        raise IntegrityError(f"{key} in the object store does not follow those before it: restore them from a backup")


def _under_way(in_force: int) -> ConflictError:
    return ConflictError(f"a rotation is under way, in force at {_clock(in_force)}: repeat it after that")


def _clock(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def holds_swarm(objects: ObjectStore) -> bool:
    """Whether a swarm has been made over this store."""
    return bool(objects.list(CA_KEY, limit=1))
