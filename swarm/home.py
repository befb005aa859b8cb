"""The one state folder of a process (AETHERFS_HOME): what lies where, how it is written, and who may use it.

    key.pem certificate.pem ca.pem credential grant swarm     identity and membership (key 0600)
    keys                                                      what was told of rotations of the swarm's keys (0600)
    agent.json lock                                           the process that runs on this home
    store_address                                             the object store that a role ran over, if not store/
    login                                                     the person who is signed in here (0600)
    blocks/ trees scans/ serials/ dht                         what it holds and remembers
    pulls/                                                    where the time of its last pulls went
    sealed                                                    which seal key secrets and blocks are sealed with, if any

With a seal key (``swarm.at_rest``) key, secrets and blocks are sealed; a home is one or the other, and says so. Every
file is replaced by rename, so a reader sees the old or the new one. One process holds the lock; others talk to
it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from swarm import authority, canonical, clock
from swarm.at_rest import SealKey
from swarm.errors import AetherError, ConflictError, FullError, LocalProtocolError, NotAllowedError
from swarm.http.tls import TlsFiles
from swarm.identity import PeerKey
from swarm.keyring import NO_KEYS, Keyring, decode_keyring
from swarm.limits import MIB
from swarm.messages import Contact
from swarm.records import Credential, Grant, open_sealed
from swarm.roster import root_in
from swarm.standing import AGENT_FILE, LOCK_FILE, AgentInfo, agent_of
from swarm.trust import Trust

# The secrets besides the key: swarm and its store key, keys that were rotated, a store key before there is a swarm, and
# what a user has logged in with.
SECRETS: Final = ("swarm", "keys", "store_key", "login")
MARKER: Final = "sealed"
CHANGING: Final = "changing"
PEM_END: Final = b"-----END CERTIFICATE-----\n"


class SwarmState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a member knows of its swarm besides its own papers: the DHT secret, the trackers, peers to start from.

    ``store_key`` opens the sealed keys in the object store; only a tracker's home has one.
    """

    format: Literal[1]
    secret: bytes
    trackers: tuple[Contact, ...]
    bootstrap: tuple[Contact, ...]
    store_key: bytes


@dataclass(frozen=True, slots=True)
class Papers:
    """A member's papers, as sealed: certificate and CA in PEM, credential and grant as bytes."""

    certificate: bytes
    root: bytes
    credential: bytes
    grant: bytes


class Home:
    """A state folder. Construction makes nothing; ``open`` makes the folder and takes the lock.

    ``seal_key`` gives the key that it is sealed with, None for none; it is asked when it is needed first.
    """

    def __init__(self, path: Path, seal_key: Callable[[], SealKey | None] = lambda: None) -> None:
        self.path = path
        self._seal_key = seal_key
        self._lock: int | None = None

    @cached_property
    def seal(self) -> SealKey | None:
        """What this home is sealed with. NotAllowedError where the key given, or none, is not that."""
        key = self._seal_key()
        found = self.sealed_with()
        if found == CHANGING:
            raise NotAllowedError(f"a change of the seal of {self.path} broke off: repeat that `aetherfs seal` command")
        if key is None or found == key.id:
            if found and key is None:
                raise NotAllowedError(f"{self.path} is sealed: name its key by AETHERFS_SEAL_KEY, or by --seal-key")
            return key
        if found:
            raise NotAllowedError(f"{self.path} is sealed with another key, {found}: name that one")
        if (self.path / "key.pem").exists():
            raise NotAllowedError(f"{self.path} is not sealed: `aetherfs seal on` seals it, or leave the key out")
        self.mark_sealed(key.id)
        return key

    def mark_sealed(self, id: str) -> None:
        """Write down which key this home is sealed with, empty for none."""
        if id:
            self._write(MARKER, id.encode() + b"\n")
        else:
            self.remove_state(MARKER)

    def sealed_with(self) -> str:
        """The id of the key that this home says to be sealed with, empty for none."""
        return (self.read_state(MARKER) or b"").decode("ascii", "replace").strip()

    # ---- identity -----------------------------------------------------------------------------------------------

    @property
    def tls_files(self) -> TlsFiles:
        files = (self.path / "certificate.pem", self.path / "key.pem", self.path / "ca.pem")
        return TlsFiles(*files, self.seal.password if self.seal is not None else None)

    def key(self) -> PeerKey:
        """This home's key; made at first use."""
        path = self.path / "key.pem"
        password = self.seal.password if self.seal is not None else None
        if not path.exists():
            self._write("key.pem", authority.private_pem(PeerKey(os.urandom(32)), password), secret=True)
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password.encode() if password else None)
        except (ValueError, TypeError) as error:
            raise AetherError(
                f"{path} does not hold a key: {error}; restore it, or remove the home and join again"
            ) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise AetherError(f"{path} does not hold an Ed25519 key; restore it, or remove the home and join again")
        return PeerKey(private.private_bytes_raw())

    def is_enrolled(self) -> bool:
        return (self.path / "swarm").exists() and (self.path / "certificate.pem").exists()

    def check_enrolled(self) -> None:
        """NotAllowedError unless this home is a member of a swarm."""
        if not self.is_enrolled():
            raise NotAllowedError(
                f"{self.path} is not enrolled in a swarm: run `aetherfs join TOKEN`, or `aetherfs up` to make one"
            )

    def papers(self) -> Papers:
        """The papers as they lie here. Their validity is for the caller to check."""
        self.check_enrolled()
        names = ("certificate.pem", "ca.pem", "credential", "grant")
        return Papers(*((self.path / name).read_bytes() for name in names))

    def swarm(self) -> SwarmState:
        self.check_enrolled()
        return canonical.decode(self.read_state("swarm") or b"", SwarmState, limit_bytes=MIB)

    def enrol(self, papers: Papers, state: SwarmState, keyring: Keyring = NO_KEYS) -> None:
        """Become a member. ConflictError if this home belongs to another swarm. The state is written last: it is
        the commit.
        """
        if self.is_enrolled() and not self._is_ours(papers.root, keyring):
            raise ConflictError(
                f"{self.path} belongs to another swarm already: choose another AETHERFS_HOME for this one"
            )
        if keyring != NO_KEYS:
            self.write_secret("keys", canonical.encode(keyring))
        self.renew(papers)
        self.learn(keyring)
        self.remember(state)

    def _is_ours(self, root: bytes, keyring: Keyring) -> bool:
        """Whether a root is our CA's, by what we know and by what is told."""
        trust = self.trust()
        trust.learn(keyring.links)
        return trust.find(authority.public_of_root(root)) is not None

    def renew(self, papers: Papers) -> None:
        """Replace the papers by fresh ones."""
        self._write("ca.pem", papers.root)
        self._write("certificate.pem", papers.certificate)
        self._write("credential", papers.credential)
        self._write("grant", papers.grant)

    def remember(self, state: SwarmState) -> None:
        self.write_secret("swarm", canonical.encode(state))

    def trust(self) -> Trust:
        """The CA's keys, as far as this home knows them."""
        root = (self.path / "ca.pem").read_bytes()
        first = root[: root.find(PEM_END) + len(PEM_END)] if PEM_END in root else root
        links = self.keyring().links
        # What lies here was proved when it was written: the root that it names is the one that this home pins.
        return Trust(authority.public_of_root(root), first, links, root_in(links))

    def keyring(self) -> Keyring:
        """What was told of the CA's keys; an empty one where nothing is to be told."""
        return decode_keyring(self.read_state("keys") or b"")

    def learn(self, keyring: Keyring) -> None:
        """Keep what was told of rotations, and let TLS trust the roots that count."""
        if keyring != NO_KEYS:
            self.write_secret("keys", canonical.encode(keyring))
        roots = self.trust().bundle(clock.wall_now())
        if roots != self.read_state("ca.pem"):
            self._write("ca.pem", roots)

    def grant(self, wall_now: float) -> Grant:
        """This member's grant. RemoteProtocolError when it has expired."""
        return open_sealed(self.papers().grant, Grant, authority=self.trust(), wall_now=wall_now)

    def credential(self, wall_now: float) -> Credential:
        return open_sealed(self.papers().credential, Credential, authority=self.trust(), wall_now=wall_now)

    # ---- the process on it --------------------------------------------------------------------------------------

    def agent(self) -> AgentInfo | None:
        """The process that runs on this home, if one does."""
        return agent_of(self.path)

    def open(self) -> None:
        """Make the folder and take its lock. ConflictError when a process runs on it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AetherError(
                f"cannot use {self.path} as AETHERFS_HOME: {error.strerror}; choose another folder"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise ConflictError(
                f"another process runs on {self.path}: wait for it, or stop it with `aetherfs down`"
            ) from error
        self._lock = descriptor

    def publish_agent(self, info: AgentInfo) -> None:
        self._write(AGENT_FILE, msgspec.json.encode(info), secret=True)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            (self.path / AGENT_FILE).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    # ---- state --------------------------------------------------------------------------------------------------

    @property
    def blocks(self) -> Path:
        return self.path / "blocks"

    @property
    def scans(self) -> Path:
        return self.path / "scans"

    @property
    def dht(self) -> Path:
        return self.path / "dht"

    def read_state(self, name: str) -> bytes | None:
        """A state file's bytes, None if there is none. A secret is opened: RemoteProtocolError if it was altered."""
        try:
            data = (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if name in SECRETS and self.seal is not None:
            return self.seal.open(name.encode(), data)
        return data

    def write_secret(self, name: str, data: bytes) -> None:
        """Write a state file that its owner alone may read, sealed where there is a key. ``name`` is one of SECRETS."""
        if name not in SECRETS:
            raise LocalProtocolError(f"{name} is not among a home's secrets: name it in SECRETS")
        self._write(name, self.seal.seal(name.encode(), data) if self.seal is not None else data, secret=True)

    def write_state(self, name: str, data: bytes) -> None:
        self._write(name, data)

    def remove_state(self, name: str) -> None:
        """Remove a state file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def _write(self, name: str, data: bytes, *, secret: bool = False) -> None:
        path = self.path / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError, UnboundLocalError):
                temporary.unlink()
            kind = FullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else AetherError
            raise kind(f"cannot write {path}: {error.strerror}; free or repair that disk, then repeat") from error
