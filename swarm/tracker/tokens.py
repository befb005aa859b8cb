"""Join tokens on the tracker's side: what each allows, and who has used it.

    swarm/tokens/{id}/token        the terms, with the hash of the secret only
    swarm/tokens/{id}/spent/{n}    one mark per use, holding the public key that used it

The marks are a hash table with open addressing: a key always looks at the same places in the same order and takes the
first free one with put-if-absent. Marks are never removed, so a key that has been here finds its own mark before a free
place, and racing trackers cannot spend a use twice.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from swarm.authority import Authority
from swarm.errors import IntegrityError, NotAllowedError, NotFoundError
from swarm.limits import NAME_CHARS, PATTERNS_MAX, TOKEN_MAX_USES
from swarm.log import WallTime
from swarm.messages import Labels, TokenRequest
from swarm.names import check_name, check_pattern
from swarm.objects import ObjectStore
from swarm.principal import check_labels
from swarm.records import Key, Role
from swarm.signature import signature_of
from swarm.token import TOKEN_ID_BYTES, TOKEN_SECRET_BYTES, Token, format_token
from swarm.tracker import sealed

PREFIX: Final = "swarm/tokens/"
# Unknown and wrong look the same, so that ids cannot be probed.
_UNKNOWN: Final = "the join token is not valid here: ask for a new one (`aetherfs token create` on the tracker's home)"


class TokenRecord(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A token's terms. ``secret_hash`` is the signature of the secret; times are wall seconds."""

    format: Literal[2]
    id: Annotated[bytes, msgspec.Meta(min_length=TOKEN_ID_BYTES, max_length=TOKEN_ID_BYTES)]
    secret_hash: Key
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=PATTERNS_MAX)]
    uses: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_MAX_USES)]
    created: WallTime
    expires: WallTime
    labels: Labels = ()

    @property
    def sealed_at(self) -> int:
        return self.created


class _Token1(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """As it was before there were labels."""

    format: Literal[1]
    id: Annotated[bytes, msgspec.Meta(min_length=TOKEN_ID_BYTES, max_length=TOKEN_ID_BYTES)]
    secret_hash: Key
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=PATTERNS_MAX)]
    uses: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_MAX_USES)]
    created: WallTime
    expires: WallTime

    @property
    def sealed_at(self) -> int:
        return self.created


class Tokens:
    """The tokens of a swarm, over its object store. Thread-safe: it holds no state."""

    def __init__(self, objects: ObjectStore, authority: Authority) -> None:
        self._objects = objects
        self._authority = authority

    def create(self, request: TokenRequest, addresses: tuple[str, ...], wall_now: float) -> tuple[str, TokenRecord]:
        """A new token: its text, and the terms as kept. Raises UsageError for a bad pattern or site."""
        for pattern in request.datasets:
            check_pattern(pattern)
        if request.site:
            check_name(request.site, "site")
        check_labels(request.labels)
        text = Token(
            format=1,
            addresses=addresses,
            fingerprint=self._authority.fingerprint,
            id=os.urandom(TOKEN_ID_BYTES),
            secret=os.urandom(TOKEN_SECRET_BYTES),
        )
        record = TokenRecord(
            format=2,
            id=text.id,
            secret_hash=signature_of(text.secret),
            role=request.role,
            site=request.site,
            datasets=request.datasets,
            uses=request.uses,
            created=int(wall_now),
            expires=int(wall_now) + request.ttl_s,
            labels=request.labels,
        )
        self._objects.put(_token_key(text.id), sealed.seal(self._authority.key, record))
        return format_token(text), record

    def spend(self, token_id: bytes, secret: bytes, public: bytes, wall_now: float) -> TokenRecord:
        """The terms, after one use has been written down for this key; the same key again spends nothing.

        NotAllowedError for a token that is unknown, expired or used up, and for a wrong secret.
        """
        record = self._record(token_id)
        known = hmac.compare_digest(signature_of(secret), record.secret_hash if record is not None else bytes(32))
        if record is None or not known:
            raise NotAllowedError(_UNKNOWN)
        for key in _marks(record, public):
            taken_by = self._read(key)
            if taken_by is None:
                if record.expires <= wall_now:
                    raise NotAllowedError(f"the join token expired at {_clock(record.expires)}: ask for a new one")
                if self._objects.put_if_absent(key, public):
                    return record
                taken_by = self._read(key)
            if taken_by == public:
                return record
        homes = "one home" if record.uses == 1 else f"{record.uses} homes"
        raise NotAllowedError(f"the join token is used up: it was made for {homes}; ask for a new one")

    def _record(self, token_id: bytes) -> TokenRecord | None:
        data = self._read(_token_key(token_id))
        if data is None:
            return None
        record = self._opened(data, _token_key(token_id))
        return record if record.id == token_id else None

    def _opened(self, data: bytes, key: str) -> TokenRecord:
        trust = self._authority.trust
        try:
            return sealed.unseal(data, TokenRecord, authority=trust, key=key)
        except IntegrityError:
            old = sealed.unseal(data, _Token1, authority=trust, key=key, context=sealed.context_of(TokenRecord))
            return TokenRecord(2, *msgspec.structs.astuple(old)[1:])

    def _read(self, key: str) -> bytes | None:
        try:
            return self._objects.get(key)
        except NotFoundError:
            return None


def _token_key(token_id: bytes) -> str:
    return f"{PREFIX}{token_id.hex()}/token"


def _marks(record: TokenRecord, public: bytes) -> Iterator[str]:
    """Every place for a mark, in the order in which this key looks at them."""
    first = int.from_bytes(signature_of(public)[:8], "big") % record.uses
    for step in range(record.uses):
        yield f"{PREFIX}{record.id.hex()}/spent/{(first + step) % record.uses:06}"


def _clock(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
