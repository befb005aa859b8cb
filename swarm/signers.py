"""Whose word a consumer takes: the producers' keys that it requires, whatever trackers say.

Every log entry bears its publisher's seal, which no tracker can give. Who requires a signer takes an entry only if one
of those keys sealed it: what it publishes, and where it moves a tag to, also to a version that another published, as it
vouches for that itself. An entry of anybody else is refused. The one exception is a choice (``moves`` is
``published``): others may move a tag, by ``tag`` or ``rollback`` or a tracker for whom it asks to go back, to a version
that a required signer published. By default it is not made, since whoever may do that can take a consumer back to any
old version of that producer.

A rollout that a required signer began goes on by entries of trackers: they decide who is let in when, between two
versions that he has named, both of which a required signer has published.

A removal by somebody else is refused as well: it says nothing about what the signer published. What was seen of other
publishers, however high its serial, bars no entry of a required one. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from swarm.errors import IntegrityError, UsageError
from swarm.identity import peer_id_of, public_of
from swarm.log import Entry
from swarm.names import check_name
from swarm.rollout import AT_ONCE

SIGNERS_MAX: Final = 64
Moves = Literal["own", "published"]
MOVED: Final = frozenset({"tag", "rollback"})


@dataclass(frozen=True, slots=True)
class Required:
    """The keys of which one has to have sealed an entry."""

    keys: frozenset[bytes]
    moves: Moves = "own"

    def takes(self, entry: Entry) -> bool:
        """Whether the entry is by one of them."""
        return entry.publisher in self.keys

    def may_take(self, entry: Entry) -> bool:
        """Whether it is, or may count once it is shown who published the version, and began its rollout."""
        return self.bars(entry) or entry.kind == "rollout"

    def bars(self, entry: Entry) -> bool:
        """Whether a tag does not go back behind this entry: what others say of rollouts is no floor."""
        return self.takes(entry) or (self.moves == "published" and _is_moved(entry))

    def holds_all_of(self, other: Required) -> bool:
        """Whether nothing counts by this that does not count by the other."""
        return self.keys <= other.keys and self.moves in ("own", other.moves)

    def told(self) -> dict[str, str]:
        """The same as the arguments of verbs have it: ``parse_required`` reads it."""
        return {"require_signer": ",".join(sorted(map(peer_id_of, self.keys))), "signer_moves": self.moves}

    def check(
        self, entry: Entry, version: bytes | None, shown: Sequence[Entry], *, tag: str = "", last: int = 0
    ) -> None:
        """IntegrityError unless the entry counts as what gives a ``tag`` this version, or shows it at all.

        ``shown``: the entries that published the version and that began the tag's rollout, if they are known; ``last``
        the last entry of a required signer that moved the tag.
        """
        is_held = any(one.settled == version for one in entry.rollouts) and not entry.moves_to(version)
        if self.takes(entry) and not is_held:
            return
        who = peer_id_of(entry.publisher)
        said = f"entry {entry.serial} of {entry.dataset} ({entry.kind}) is by {who}, who is no required signer"
        if self.takes(entry):
            said = f"entry {entry.serial} of {entry.dataset} lets this peer stay with the version before"
        if not self.may_take(entry):
            raise IntegrityError(f"{said}: see `aetherfs history`, and ask the producer whose key you require")
        own = [each for each in shown if each.dataset == entry.dataset and self.takes(each)]
        if not any(each.kind == "publish" and each.version == version for each in own):
            raise IntegrityError(f"{said}, and no required signer published the version that it points to")
        if self.bars(entry):
            return
        if tag and entry.kind == "rollout" and not any(_goes_on(entry, tag, each, last) for each in own):
            raise IntegrityError(f"{said}, and no required signer began the rollout that it states")


def _is_moved(entry: Entry) -> bool:
    """Whether an entry moves a tag to what there is already, at once."""
    at_once = [one for one in entry.rollouts if one.plan == AT_ONCE and one.is_taken_back]
    return entry.kind in MOVED or (entry.kind == "rollout" and len(at_once) == len(entry.moves))


def _goes_on(entry: Entry, tag: str, begin: Entry, last: int) -> bool:
    """Whether an entry states how the rollout stands that another began, after which the signer moved the tag no more.

    So trackers decide who is let in when, between two versions that the signer has named, and nothing else.
    """
    rollout, begun = entry.rollout_of(tag), begin.rollout_of(tag)
    if rollout is None or begun is None or rollout.begun != begin.serial or last > begin.serial:
        return False
    return rollout.continues(begun)


# Nobody's entries alone: what is told of who requires no signer.
NOBODY: Final = Required(frozenset())


def parse_required(text: str, named: Mapping[str, Sequence[str]], moves: str = "own") -> Required | None:
    """The keys in a text: key ids and names of lists of such, parted by commas. None for an empty text; UsageError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return None
    ids = [key_id for part in parts for key_id in named.get(part, (part,))]
    if len(ids) > SIGNERS_MAX:
        raise UsageError(f"{len(ids)} signers are required, at most {SIGNERS_MAX} may be")
    if moves not in ("own", "published"):
        raise UsageError(f"signer_moves={moves[:40]!r}: write own or published")
    try:
        keys = frozenset(public_of(key_id) for key_id in ids)
    except UsageError as error:
        raise UsageError(f"a required signer is not known: {error}, nor a name of `aetherfs key list`") from error
    return Required(keys, "published" if moves == "published" else "own")


def check_list_name(name: str) -> str:
    """A name for a list of keys, or UsageError."""
    return check_name(name, "name for signers")
