"""What a home follows: the words of a subscription, its place in the home's state, and what is decided about it.

Pure: which versions go, and whether a subscription is as somebody wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm import names
from swarm.errors import UsageError
from swarm.names import Reference
from swarm.signature import signature_of
from swarm.signers import Moves, Required, parse_required

SUBSCRIPTIONS_MAX: Final = 256
KEEP_MAX: Final = 1000
KEEP_DEFAULT: Final = 1
# A problem, and what a command had to say: as much as fits a line that somebody reads.
WORDS_MAX: Final = 300

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Kept = Annotated[int, msgspec.Meta(ge=0, le=KEEP_MAX)]
Included = Annotated[tuple[Text, ...], msgspec.Meta(max_length=256)]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A subscription as somebody wants it: ``directory/current`` is to be the version that ``ref`` means.

    ``keep`` old versions stay beside the current one. ``validate`` and ``hook`` are commands for the shell.
    ``require_signer`` are key ids of producers whose entries alone are followed (``swarm.signers``).
    """

    ref: Text
    directory: Text
    keep: Kept = KEEP_DEFAULT
    validate: Text = ""
    hook: Text = ""
    include: Included = ()
    require_signer: Text = ""
    signer_moves: Moves = "own"

    @property
    def required(self) -> Required | None:
        """The signers that are required. UsageError for what is no key id."""
        return parse_required(self.require_signer, {}, self.signer_moves)

    @property
    def reference(self) -> Reference:
        """The reference, parsed. UsageError for one that cannot be followed."""
        reference = names.parse(self.ref)
        if reference.path is not None:
            raise UsageError(f"a subscription follows whole versions: leave /{reference.path} away, or give --include")
        return reference

    @property
    def id(self) -> str:
        """The subscription's name in the API: a directory has one."""
        return signature_of(self.directory.encode()).hex()[:16]


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes a home as somebody wants it. ``unlisted`` are followed, and not wanted."""

    added: tuple[Wanted, ...]
    changed: tuple[Wanted, ...]
    same: tuple[Wanted, ...]
    unlisted: tuple[Wanted, ...]


def plan(wanted: Sequence[Wanted], existing: Iterable[Wanted]) -> Plan:
    """Compare what is wanted with what is there, by directory. UsageError when two want the same directory."""
    listed = {each.directory: each for each in wanted}
    if len(listed) < len(wanted):
        raise UsageError("two subscriptions are listed for one directory: give each a directory of its own")
    known = {each.directory: each for each in existing}
    return Plan(
        added=tuple(each for each in wanted if each.directory not in known),
        changed=tuple(each for each in wanted if known.get(each.directory, each) != each),
        same=tuple(each for each in wanted if known.get(each.directory) == each),
        unlisted=tuple(each for directory, each in known.items() if directory not in listed),
    )


class Followed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a home keeps of a subscription. ``recent``: the versions that were current, newest first.

    ``serial`` is the entry that the current one was taken by. ``hooked`` is the version whose hook has succeeded,
    ``refused`` the one that the validation has refused, and what it said.
    """

    wanted: Wanted
    is_paused: bool = False
    recent: tuple[bytes, ...] = ()
    serial: int = 0
    hooked: bytes = b""
    refused: bytes = b""
    refusal: str = ""

    def switched(self, version: bytes, serial: int) -> Followed:
        """The same once ``version`` is current."""
        recent = (version, *(known for known in self.recent if known != version))[: KEEP_MAX + 1]
        return msgspec.structs.replace(self, recent=recent, serial=serial, refused=b"", refusal="")

    def doomed(self, whole: list[bytes], current: bytes | None) -> list[bytes]:
        """Of the versions that lie here whole those that go: all but the current and the ``keep`` before it."""
        before = [version for version in self.recent if version != current]
        kept = {current, *before[: self.wanted.keep]}
        return [version for version in whole if version not in kept]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a subscription. ``phase`` is what it does now, ``problem`` why the last round failed.

    ``version`` is current, empty if none is yet, and was taken by the entry ``serial``; ``previous`` lie beside it.
    ``refused`` is the version that --validate refused, ``stale``: no tracker confirmed the last look, ``held``: a
    rollout lets others have a newer version, and this peer not yet.
    """

    id: str
    ref: str
    directory: str
    keep: int
    validate: str
    hook: str
    include: tuple[str, ...]
    require_signer: str
    signer_moves: str
    paused: bool
    version: str
    serial: int
    previous: tuple[str, ...]
    phase: str
    problem: str
    refused: str
    refusal: str
    stale: bool
    held: bool = False


class _State(msgspec.Struct, frozen=True):
    format: Literal[1]
    subscriptions: tuple[Followed, ...]


def encode_state(followed: Iterable[Followed]) -> bytes:
    """The home's file of subscriptions: JSON, since people look at it."""
    return msgspec.json.format(msgspec.json.encode(_State(1, tuple(followed))))


def decode_state(data: bytes) -> list[Followed]:
    """What ``encode_state`` wrote. UsageError for anything else."""
    try:
        return list(msgspec.json.decode(data, type=_State).subscriptions)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UsageError(f"it holds no subscriptions: {error}") from error


def cut(words: str) -> str:
    """The end of what was said, on one line."""
    line = " ".join(words.split())
    return line if len(line) <= WORDS_MAX else "..." + line[3 - WORDS_MAX :]
