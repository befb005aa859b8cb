"""The log of a dataset: what is true of it, one signed entry after another.

An entry moves tags, at once or in stages (``swarm.rollout``). Serials are dense from 1, and ``previous`` is the
signature of the signed entry before it, so that a log cannot be cut or rewritten without being noticed. The publisher
seals the body, with the grant that allowed it attached; the swarm's CA key, which every tracker holds, seals body,
grant and that seal. An entry needs both and never expires. If the CA key was stolen later, the next one has to seal
the entry too (``vouch``): its hash, and its place in the chain, stay what they were. Writing one with put-if-absent is
the commit, and that is the tracker's business. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError, UsageError
from swarm.identity import PeerKey, check_signed, peer_id_of
from swarm.limits import (
    DATASET_MAX_BYTES,
    ENDORSEMENTS_MAX,
    LOG_ENTRY_MAX_BYTES,
    LOG_MAX_MOVES,
    MANIFEST_MAX_BLOCKS,
    MANIFEST_MAX_FILES,
    MESSAGE_MAX_CHARS,
    NAME_CHARS,
    RECORD_MAX_BYTES,
    ROOT_MAX_BYTES,
    TAG_CHARS,
)
from swarm.names import check_dataset, check_tag
from swarm.records import Grant, Key, Seal, open_sealed
from swarm.rollout import Plan, Rollout, check_plan
from swarm.signature import signature_of
from swarm.trust import Anchor, Trust

PUBLISHER_CONTEXT: Final = "log-entry"
TRACKER_CONTEXT: Final = "log-entry-tracker"
# The publisher's and the tracker's.
COMMITTED_SEALS: Final = 2
# So many tags stand in a sentence; an entry may move more.
TOLD_TAGS: Final = 8
# The end of the year 9999, behind which no calendar goes.
_LAST_MOMENT: Final = 253_402_300_799
_REORDERING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

# The last two are made by trackers: a rollout goes on, or a tag has another plan.
Kind = Literal["publish", "tag", "rollback", "rm", "rollout", "plan"]
STAGED: Final = frozenset({"publish", "tag", "rollout"})
# Tags of one entry that go out in stages: a plan with all its labels takes up to 26 KB of an entry's 64.
ROLLOUTS_MAX: Final = 8
Serial = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
# The last entry that somebody has seen; 0 before the first.
SeenSerial = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
DatasetName = Annotated[str, msgspec.Meta(min_length=3, max_length=2 * NAME_CHARS + 1)]
TagName = Annotated[str, msgspec.Meta(min_length=1, max_length=TAG_CHARS)]
WallTime = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class Move(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One tag and the version that it points to from now on; None removes the tag."""

    tag: TagName
    version: Key | None


class Totals(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a published version holds: files, plain bytes, unique blocks, and the size of its manifest's root."""

    files: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_FILES)]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=DATASET_MAX_BYTES)]
    blocks: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_BLOCKS)]
    root_size: Annotated[int, msgspec.Meta(ge=1, le=ROOT_MAX_BYTES)]


class TagPlan(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """By which plan what is published to a tag goes out from now on; None: at once."""

    tag: TagName
    plan: Plan | None


class _Entry1(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An entry that says nothing of rollouts, as all did at first."""

    format: Literal[1]
    dataset: DatasetName
    serial: Serial
    previous: Annotated[bytes, msgspec.Meta(max_length=32)]
    wall_time: WallTime
    kind: Literal["publish", "tag", "rollback", "rm"]
    moves: Annotated[tuple[Move, ...], msgspec.Meta(min_length=1, max_length=LOG_MAX_MOVES)]
    message: Annotated[str, msgspec.Meta(max_length=MESSAGE_MAX_CHARS)]
    totals: Totals | None
    publisher: Key


class Entry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One entry. ``previous`` is empty in the first. ``totals`` stands in a ``publish`` entry and nowhere else.

    Format 2 has ``rollouts`` of tags that it moves, or ``plans``; without them it is format 1.
    """

    format: Literal[1, 2]
    dataset: DatasetName
    serial: Serial
    previous: Annotated[bytes, msgspec.Meta(max_length=32)]
    wall_time: WallTime
    kind: Kind
    moves: Annotated[tuple[Move, ...], msgspec.Meta(max_length=LOG_MAX_MOVES)]
    message: Annotated[str, msgspec.Meta(max_length=MESSAGE_MAX_CHARS)]
    totals: Totals | None
    publisher: Key
    rollouts: Annotated[tuple[Rollout, ...], msgspec.Meta(max_length=ROLLOUTS_MAX)] = ()
    plans: Annotated[tuple[TagPlan, ...], msgspec.Meta(max_length=1)] = ()

    @property
    def version(self) -> bytes | None:
        """The version of a ``publish`` entry; of others the first move's, None for ``rm`` and ``plan``."""
        return self.moves[0].version if self.moves else None

    @property
    def shown(self) -> tuple[bytes, ...]:
        """The versions of which it shows that they belong to the dataset."""
        moved = [move.version for move in self.moves if move.version is not None]
        staged = [version for one in self.rollouts for version in (one.version, one.settled)]
        return tuple(dict.fromkeys([*moved, *staged]))

    def moves_to(self, version: bytes | None) -> bool:
        """Whether a tag points to this version by it."""
        return any(move.version == version for move in self.moves)

    def rollout_of(self, tag: str) -> Rollout | None:
        """How a tag that it moves goes out; None: at once."""
        return next((one for one in self.rollouts if one.tag == tag), None)


class Endorsement(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One key's seal on an entry, and in what role it was given."""

    public: Key
    role: Literal["publisher", "tracker"]
    seal: Seal


class SignedEntry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An entry as it travels and is kept: body, the publisher's sealed grant, the endorsements (publisher, tracker)."""

    body: Annotated[bytes, msgspec.Meta(max_length=LOG_ENTRY_MAX_BYTES)]
    grant: Annotated[bytes, msgspec.Meta(max_length=2 * RECORD_MAX_BYTES)]
    endorsements: Annotated[tuple[Endorsement, ...], msgspec.Meta(min_length=1, max_length=ENDORSEMENTS_MAX)]


def entry_hash(data: bytes) -> bytes:
    """What the next entry's ``previous`` holds: the signature of this signed entry's bytes as they were committed."""
    return signature_of(committed(data))


def committed(data: bytes) -> bytes:
    """The entry as it was written first: without the seals of those who vouched for it later."""
    signed = canonical.try_decode(data, SignedEntry, limit_bytes=LOG_ENTRY_MAX_BYTES)
    if signed is None or len(signed.endorsements) <= COMMITTED_SEALS:
        return data
    return canonical.encode(SignedEntry(signed.body, signed.grant, signed.endorsements[:COMMITTED_SEALS]))


def seal_entry(key: PeerKey, entry: Entry, grant: bytes) -> bytes:
    """The publisher's part: a signed entry with one endorsement. Raises UsageError for an entry that none may make."""
    try:
        check_entry(entry)
    except RemoteProtocolError as error:
        raise UsageError(str(error)) from error
    body = encode_entry(entry)
    seal = Endorsement(key.public, "publisher", key.sign(PUBLISHER_CONTEXT, body))
    return canonical.encode(SignedEntry(body, grant, (seal,)))


def endorse(authority: PeerKey, data: bytes) -> bytes:
    """The tracker's part: the same signed entry with the CA key's seal added."""
    signed, _ = parse_entry(data)
    publisher = signed.endorsements[0]
    seal = authority.sign(TRACKER_CONTEXT, _endorsed(signed, publisher))
    return canonical.encode(
        SignedEntry(signed.body, signed.grant, (publisher, Endorsement(authority.public, "tracker", seal)))
    )


def vouch(authority: PeerKey, data: bytes) -> bytes:
    """The entry with one more seal, that of a key that was not stolen. Of others that vouched only two stay."""
    signed, _ = parse_entry(data)
    seal = authority.sign(TRACKER_CONTEXT, _endorsed(signed, signed.endorsements[0]))
    first, later = signed.endorsements[:COMMITTED_SEALS], signed.endorsements[COMMITTED_SEALS:]
    others = [each for each in later if each.public != authority.public][-2:]
    made = (*first, *others, Endorsement(authority.public, "tracker", seal))
    return canonical.encode(SignedEntry(signed.body, signed.grant, made))


def parse_entry(data: bytes) -> tuple[SignedEntry, Entry]:
    """Decode and check everything but the seals. Raises RemoteProtocolError."""
    signed = canonical.decode(data, SignedEntry, limit_bytes=LOG_ENTRY_MAX_BYTES)
    entry = decode_entry(signed.body)
    check_entry(entry)
    return signed, entry


def encode_entry(entry: Entry) -> bytes:
    """An entry's canonical bytes, in its format."""
    fields = msgspec.structs.astuple(entry)
    return canonical.encode(entry if entry.format != 1 else fields[: len(_Entry1.__struct_fields__)])


def decode_entry(body: bytes) -> Entry:
    """An entry of either format, of which nothing else is checked. RemoteProtocolError."""
    # The format is the first element, behind one byte that says how many there are.
    if body[1:2] == b"\x01":
        first = canonical.decode(body, _Entry1, limit_bytes=LOG_ENTRY_MAX_BYTES, what="Entry")
        return Entry(*msgspec.structs.astuple(first))
    return canonical.decode(body, Entry, limit_bytes=LOG_ENTRY_MAX_BYTES)


def verify_publisher(data: bytes, *, authority: Trust) -> Entry:
    """The entry, if its publisher sealed it under a grant that covered this at its wall time. For the tracker."""
    signed, entry = parse_entry(data)
    _check_publisher(signed, entry, authority, is_vouched=False)
    return entry


def verify_endorsed(data: bytes, *, authority: Trust) -> Entry:
    """The entry, if the tracker's seal is on it. For trackers that replay what trackers wrote: a third of the work."""
    signed, entry = parse_entry(data)
    _check_tracker(signed, entry, authority)
    return entry


def verify_entry(data: bytes, *, authority: Trust) -> Entry:
    """The entry, if publisher and tracker sealed it, or RemoteProtocolError. ``authority``: the CA's keys."""
    signed, entry = parse_entry(data)
    _check_publisher(signed, entry, authority, is_vouched=True)
    _check_tracker(signed, entry, authority)
    return entry


def _check_publisher(signed: SignedEntry, entry: Entry, authority: Trust, *, is_vouched: bool) -> None:
    first = signed.endorsements[0]
    if first.role != "publisher" or first.public != entry.publisher:
        raise RemoteProtocolError("a log entry is not endorsed by its publisher")
    check_signed(first.public, PUBLISHER_CONTEXT, signed.body, first.seal)
    grant = open_sealed(signed.grant, Grant, authority=authority, wall_now=entry.wall_time, is_vouched=is_vouched)
    if grant.public != entry.publisher:
        raise RemoteProtocolError("a log entry carries somebody else's grant")
    if not grant.allows("publish", entry.dataset):
        raise RemoteProtocolError(f"a log entry of {entry.dataset} carries a grant that does not cover it")


def _check_tracker(signed: SignedEntry, entry: Entry, authority: Trust) -> None:
    """One seal of a tracker, and those of later keys of the CA that vouch for it; nothing else may stand there."""
    publisher, *trackers = signed.endorsements
    names = {each.public for each in trackers}
    if not trackers or len(names) != len(trackers) or any(each.role != "tracker" for each in trackers):
        raise RemoteProtocolError(f"a log entry of {entry.dataset} is not endorsed by a tracker of this swarm")
    sealed = _endorsed(signed, publisher)
    anchors = [_anchor_of(each, sealed, entry, authority) for each in trackers]
    vouching = next((anchor for anchor in anchors if not anchor.is_stolen), anchors[0])
    vouching.check_sealed_at(entry.wall_time, TRACKER_CONTEXT)


def _anchor_of(seal: Endorsement, sealed: bytes, entry: Entry, authority: Trust) -> Anchor:
    anchor = authority.find(seal.public)
    if anchor is None:
        raise RemoteProtocolError(f"a log entry of {entry.dataset} is not signed by a key of this swarm's CA")
    check_signed(anchor.public, TRACKER_CONTEXT, sealed, seal.seal)
    return anchor


def conflict_text(winner: Entry, tags: Sequence[str]) -> str:
    """What a loser is told: who was first, with what, and when."""
    more = f" and {len(tags) - TOLD_TAGS} more" if len(tags) > TOLD_TAGS else ""
    moved = ", ".join(repr(tag) for tag in tags[:TOLD_TAGS])
    moment = datetime.fromtimestamp(min(winner.wall_time, _LAST_MOMENT), UTC)
    return (
        f"entry {winner.serial} of {winner.dataset} was first: {winner.kind} of {moved}{more} "
        f"by {peer_id_of(winner.publisher)[:12]} at {moment:%Y-%m-%d %H:%M:%S} UTC; look at the history, then repeat"
    )


def unseen_text(dataset: str, head: int, seen: int) -> str:
    """What somebody is told who states to have seen more than there is."""
    return f"{dataset} ends at entry {head}, so nobody has seen an entry {seen} of it: look at the history, then repeat"


def check_follows(entry: Entry, serial: int, previous: bytes) -> None:
    """RemoteProtocolError unless an entry is the next after the one with this serial and hash (none: 0 and empty)."""
    if entry.serial != serial + 1 or entry.previous != previous:
        raise RemoteProtocolError(f"entry {entry.serial} of {entry.dataset} does not follow entry {serial}")


def check_entry(entry: Entry) -> None:
    """The rules that hold inside one entry, or RemoteProtocolError."""
    try:
        check_dataset(entry.dataset)
        for tag in [*(move.tag for move in entry.moves), *(each.tag for each in entry.plans)]:
            check_tag(tag)
    except UsageError as error:
        raise RemoteProtocolError(f"a log entry is malformed: {error}") from error
    if len({move.tag for move in entry.moves}) != len(entry.moves):
        raise RemoteProtocolError("a log entry moves one tag twice")
    if len(entry.previous) != (0 if entry.serial == 1 else 32):
        raise RemoteProtocolError(f"entry {entry.serial} of {entry.dataset} has a chain of the wrong length")
    said = [entry.message, *(text for one in entry.rollouts for text in (one.author, one.reason))]
    if any(_is_control(char) for text in said for char in text):
        raise RemoteProtocolError("a log entry's message holds control characters")
    _check_kind(entry)
    _check_staged(entry)


def _is_control(char: str) -> bool:
    """Whether a character could do something to the terminal that shows it, or to the order of those beside it."""
    if char in "\n\t":
        return False
    return unicodedata.category(char) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(char) in _REORDERING


def _check_staged(entry: Entry) -> None:
    """What a rollout and a plan in an entry have to agree with."""
    if (entry.format == 2) != bool(entry.rollouts or entry.plans):
        raise RemoteProtocolError("a log entry is of format 2 exactly if it has rollouts or plans")
    if (entry.kind == "plan") != bool(entry.plans) or (entry.kind == "plan") == bool(entry.moves):
        raise RemoteProtocolError("a log entry changes plans, or moves tags")
    if (entry.rollouts and entry.kind not in STAGED) or (entry.kind == "rollout" and len(entry.rollouts) != 1):
        raise RemoteProtocolError(f"a log entry of kind {entry.kind} has the wrong number of rollouts")
    if len({one.tag for one in entry.rollouts}) != len(entry.rollouts):
        raise RemoteProtocolError("a log entry states two rollouts of one tag")
    for rollout in entry.rollouts:
        _check_rollout(entry, rollout)
    try:
        for plan in [*(one.plan for one in entry.rollouts), *(one.plan for one in entry.plans)]:
            if plan is not None:
                check_plan(plan)
    except UsageError as error:
        raise RemoteProtocolError(f"a log entry is malformed: {error}") from error


def _check_rollout(entry: Entry, rollout: Rollout) -> None:
    is_begun = rollout.begun == entry.serial and rollout.stage == 0 and rollout.state == "running"
    if (entry.kind == "rollout") == is_begun or rollout.begun > entry.serial:
        raise RemoteProtocolError("a rollout begins with the entry that brings its version, and goes on in others")
    is_only = entry.kind != "rollout" or len(entry.moves) == 1
    if Move(rollout.tag, rollout.target) not in entry.moves or not is_only:
        raise RemoteProtocolError("a rollout is of another tag or version than its log entry moves")
    if rollout.version == rollout.settled or rollout.stage > rollout.plan.last:
        raise RemoteProtocolError("a rollout leads nowhere")


def _check_kind(entry: Entry) -> None:
    versions = {move.version for move in entry.moves}
    if (entry.kind == "publish") != (entry.totals is not None):
        raise RemoteProtocolError("a log entry has totals exactly if it publishes a version")
    if entry.kind == "publish" and len(versions) != 1:
        raise RemoteProtocolError("a log entry publishes one version")
    if entry.kind == "rm":
        if versions != {None}:
            raise RemoteProtocolError("a log entry removes tags and moves others")
    elif None in versions:
        raise RemoteProtocolError(f"a log entry of kind {entry.kind} removes a tag")


def _endorsed(signed: SignedEntry, publisher: Endorsement) -> bytes:
    """What the tracker seals: body, grant and the publisher's seal."""
    return canonical.encode((signed.body, signed.grant, publisher.seal))
