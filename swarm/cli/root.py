"""``root``: the swarm's root, taken offline, and what is done with it afterwards. On a tracker's home.

These work on the object store itself, with the store key of the home: trackers read there what was decided, every
minute. The root's file is one sealed line of text (``swarm.secret_text``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from swarm.cli.enrol import seconds_of
from swarm.cli.output import moment
from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.cli.root_file import (
    FILE_MAX_BYTES,
    for_option,
    for_s_of,
    key_in,
    passphrase_of_root,
    passphrase_option,
    since_option,
    write_file,
)
from swarm.cli.secret import read_file, write_secret
from swarm.errors import ConflictError, IntegrityError, NotAllowedError, RemoteProtocolError, UsageError

if TYPE_CHECKING:
    from swarm.identity import PeerKey
    from swarm.objects import ObjectStore
    from swarm.roster import Roster
    from swarm.tracker.keys import SwarmKeys

# Until every tracker has read the keys anew: it does each minute, and before an entry after two.
TOLD_S: Final = 130


@dataclass(frozen=True, slots=True)
class Held:
    """The store, opened as a tracker does."""

    objects: ObjectStore
    store_key: bytes
    keys: SwarmKeys


@click.group()
def root() -> None:
    """Take the swarm's root offline, and use it from its file.

    The root appoints the online keys, with which trackers seal everything. Whoever steals an online key cannot outlive
    its replacement; whoever steals the root can. So keep the root in a file, and the file away from the network.
    """


@root.command()
@setting_option("store", "URL")
@options
@pass_program
def show(program: Program) -> None:
    """Show the root and the online keys."""
    from swarm.tracker import custody

    with _held(program) as held:
        is_here = bool(custody.kept_root(held.objects, held.store_key).seed)
        result = _shown(_roster(held), is_here=is_here)
    program.output.result(result, _lines(result))


@root.command()
@setting_option("store", "URL")
@options
@pass_program
def create(program: Program) -> None:
    """Give a root to a swarm that was made without one."""
    from swarm.tracker import custody

    with _held(program) as held:
        if held.keys.authority.trust.roster is not None:
            raise ConflictError("this swarm has a root already: see `aetherfs root show`")
        custody.create_root(held.objects, held.store_key, held.keys.authority, time.time())
        held.keys.refresh(held.objects, time.time())
        result = _shown(_roster(held), is_here=True)
    program.output.result(result, _lines(result))


@root.command()
@click.argument("file", metavar="FILE")
@passphrase_option
@setting_option("store", "URL")
@options
@pass_program
def export(program: Program, file: str, root_passphrase: str | None) -> None:
    """Write the root to FILE, sealed with a passphrase. It stays in the store until `root offline`."""
    from swarm.secret_text import ROOT, format_secret
    from swarm.tracker import custody

    passphrase = passphrase_of_root(root_passphrase)
    if not passphrase:
        raise NotAllowedError(f"the root's file is always sealed: give --passphrase-file FILE or {ROOT.variable}")
    with _held(program) as held:
        key = custody.root_here(held.objects, held.store_key)
    path = Path(file)
    if not write_secret(path, format_secret(key.seed, passphrase, ROOT)):
        raise ConflictError(f"{path} is there already: remove it, or name another file")
    program.output.result({"file": str(path), "root": key.peer_id}, [f"wrote the swarm's root to {path}, sealed"])


@root.command()
@click.argument("file", metavar="FILE")
@passphrase_option
@for_option
@setting_option("store", "URL")
@options
@pass_program
def offline(program: Program, file: str, root_passphrase: str | None, for_: str) -> None:
    """Take the root out of the store, if FILE holds it. Before that it appoints the online keys for a time."""
    from swarm.tracker import custody

    with _held(program) as held:
        key = _root_in(file, root_passphrase, held)
        roster = _appoint(held, key, for_s_of(for_))
        custody.take_away(held.objects, held.store_key)
        result = _shown(roster, is_here=False)
    program.output.result(result, _lines(result))
    program.output.note("older versions of the object swarm/root, and backups, still hold it: remove them too")


@root.command()
@click.argument("out", metavar="OUT")
@for_option
@click.option("--replace", "replaces", is_flag=True, help="In place of the keys that are there: one was stolen.")
@setting_option("store", "URL")
@options
@pass_program
def request(program: Program, out: str, for_: str, replaces: bool) -> None:
    """Write to OUT what the root is to sign, for a machine that holds it and has no network."""
    from swarm import canonical
    from swarm.roster import ToSign
    from swarm.tracker.replacing import planned

    with _held(program) as held:
        now = int(time.time())
        planned_ = planned(held.objects, held.store_key, held.keys, now, for_s_of(for_)) if replaces else ()
        rosters = planned_ or _appointing(held, for_s_of(for_))
    write_file(Path(out), canonical.encode(ToSign(1, tuple(rosters))))
    lines = ["there: aetherfs root sign ROOT-FILE", f"      {out} SIGNED", "then here: aetherfs root install SIGNED"]
    program.output.result({"file": out, "rosters": len(rosters)}, lines)


@root.command()
@click.argument("file", metavar="ROOT-FILE")
@click.argument("asked", metavar="[REQUEST", required=False)
@click.argument("out", metavar="OUT]", required=False)
@passphrase_option
@for_option
@setting_option("store", "URL")
@options
@pass_program
def sign(
    program: Program, file: str, asked: str | None, out: str | None, root_passphrase: str | None, for_: str
) -> None:
    """Appoint the online keys of the time to come; each is used for 90 days.

    With REQUEST and OUT on any machine, without a home: see `root request`. Else here, at once.
    """
    if asked is None:
        with _held(program) as held:
            roster = _appoint(held, _root_in(file, root_passphrase, held), for_s_of(for_))
            result = _shown(roster, is_here=_is_here(held))
    elif out is None:
        raise UsageError("name the file to write as well: aetherfs root sign ROOT-FILE REQUEST OUT")
    else:
        result = _signed(key_in(file, root_passphrase), Path(asked), Path(out))
    program.output.result(result, _lines(result))


def _signed(key: PeerKey, asked: Path, out: Path) -> dict[str, Any]:
    from swarm import canonical
    from swarm.roster import SignedRosters, ToSign
    from swarm.tracker import custody

    data = read_file(asked, FILE_MAX_BYTES, "a request of `aetherfs root request`")
    with _written_by(asked, "aetherfs root request"):
        rosters = canonical.decode(data, ToSign, limit_bytes=FILE_MAX_BYTES).rosters
    if any(roster.root != key.public for roster in rosters):
        raise NotAllowedError(f"{asked} is of another swarm than the root: give the root of that swarm")
    write_file(out, canonical.encode(SignedRosters(1, tuple(custody.sealed_roster(key, roster) for roster in rosters))))
    return _shown(rosters[-1], is_here=False)


@root.command()
@click.argument("file", metavar="SIGNED")
@since_option
@setting_option("store", "URL")
@options
@pass_program
def install(program: Program, file: str, since: str) -> None:
    """Let a swarm go by what its root has signed."""
    from swarm import canonical
    from swarm.roster import SignedRosters, open_roster
    from swarm.tracker import custody

    data = read_file(Path(file), FILE_MAX_BYTES, "what `aetherfs root sign` wrote")
    with _written_by(Path(file), "aetherfs root sign"):
        rosters = canonical.decode(data, SignedRosters, limit_bytes=FILE_MAX_BYTES).rosters
        for each in rosters:
            open_roster(each)
    with _held(program) as held:
        if len(rosters) == 2:
            result = _replaced(program, held, (rosters[0], rosters[1]), since)
        else:
            _check_signed(held, rosters[0])
            custody.write_roster(held.objects, rosters[0])
            held.keys.refresh(held.objects, time.time())
            result = _shown(_roster(held), is_here=_is_here(held))
    program.output.result(result, _lines(result))


@root.command()
@click.argument("file", metavar="[FILE]", required=False)
@passphrase_option
@for_option
@since_option
@setting_option("store", "URL")
@options
@pass_program
def replace(program: Program, file: str | None, root_passphrase: str | None, for_: str, since: str) -> None:
    """Replace the online keys, since one was stolen: nothing that they sealed counts any more.

    Trackers go on meanwhile; it takes two minutes until all know the new key. What lies in the object store is sealed
    with that too. Entries of the time since the theft are listed: a thief may have published under a name of its own,
    so look at them, and roll back what is not yours.
    """
    from swarm.tracker import custody
    from swarm.tracker.replacing import planned

    with _held(program) as held:
        key = _root_in(file, root_passphrase, held) if file else custody.root_here(held.objects, held.store_key)
        begins = int(time.time()) + _lead_s(held)
        rosters = planned(held.objects, held.store_key, held.keys, begins, for_s_of(for_))
        one, two = (custody.sealed_roster(key, roster) for roster in rosters)
        result = _replaced(program, held, (one, two), since)
    program.output.result(result, _lines(result))


def _replaced(program: Program, held: Held, signed: tuple[bytes, bytes], since: str) -> dict[str, Any]:
    # The whole tracker, so that every kind of record that it seals is known.
    from swarm.roster import open_roster
    from swarm.tracker.replacing import entries_since, replace

    for each in signed:
        _check_signed(held, each)
    lead_s, wall_now = _lead_s(held), time.time()
    begins = max(key.in_force for key in open_roster(signed[0]).roster.keys if key.in_force <= wall_now + lead_s)

    def wait() -> float:
        if lead_s:
            program.output.note(f"waiting {lead_s} s for every tracker to hear of the new key")
        time.sleep(max(0.0, max(wall_now + lead_s, begins) - time.time()))
        return time.time()

    roster = replace(held.objects, held.keys, signed, wait)
    found = entries_since(held.objects, wall_now - seconds_of(since))
    counted = Counter((entry.dataset, _name_of(entry.publisher)) for entry in found)
    entries = [{"dataset": d, "publisher": p, "entries": n} for (d, p), n in sorted(counted.items())]
    return {**_shown(roster, is_here=_is_here(held)), "entries": entries}


@contextmanager
def _written_by(path: Path, command: str) -> Iterator[None]:
    """IntegrityError for a file that another command wrote, or none of ours."""
    try:
        yield
    except RemoteProtocolError as error:
        raise IntegrityError(f"{path} is not what `{command}` writes, or is damaged: name that file") from error


def _lead_s(held: Held) -> int:
    """How long it takes until every tracker that runs has heard of a new key."""
    from swarm.tracker import registry

    return TOLD_S if registry.read(held.objects, held.keys.authority.trust, time.time()) else 0


def _check_signed(held: Held, data: bytes) -> None:
    from swarm.roster import open_roster

    if open_roster(data).roster.root != held.keys.authority.trust.swarm_root:
        raise NotAllowedError(
            "that is signed by the root of another swarm: sign it with the file that was exported here"
        )


@contextmanager
def _held(program: Program) -> Iterator[Held]:
    from swarm.cli.swarm_store import swarm_store
    from swarm.tracker.keys import load_or_create

    program.home.check_enrolled()
    store_key = program.home.swarm().store_key
    if not store_key:
        raise NotAllowedError(f"{program.home.path} is no tracker's: use a tracker's home")
    with swarm_store(program) as objects:
        yield Held(objects, store_key, load_or_create(objects, store_key, time.time()))


def _root_in(file: str, passphrase_file: str | None, held: Held) -> PeerKey:
    """The root in a file, if it is this swarm's."""
    key = key_in(file, passphrase_file)
    if key.public != held.keys.authority.trust.swarm_root:
        raise NotAllowedError(f"{file} holds the root of another swarm: give the file that was exported from this one")
    return key


def _appoint(held: Held, key: PeerKey, for_s: int) -> Roster:
    """Keys for the time from the end of the one in force on."""
    from swarm.tracker import custody

    for roster in _appointing(held, for_s):
        custody.write_roster(held.objects, custody.sealed_roster(key, roster))
    held.keys.refresh(held.objects, time.time())
    return _roster(held)


def _appointing(held: Held, for_s: int) -> list[Roster]:
    """The roster with these keys; none if the key in force lasts longer."""
    from swarm.limits import CERTIFICATE_LIFETIME_S
    from swarm.roster import appointed
    from swarm.tracker import custody

    roster, wall_now = _roster(held), time.time()
    begins = max(int(wall_now), held.keys.authority.trust.in_force(wall_now).until or 0)
    ends = int(wall_now) + for_s
    if begins >= ends:
        return []
    made = custody.made_keys(held.objects, held.store_key, wall_now, begins, ends, CERTIFICATE_LIFETIME_S)
    return [appointed(roster, made, roster.root, wall_now)]


def _roster(held: Held) -> Roster:
    from swarm.tracker import custody

    custody.kept_root(held.objects, held.store_key)
    roster = held.keys.authority.trust.roster
    if roster is None:
        raise ConflictError("the swarm's root has appointed nobody yet: start a tracker, then repeat")
    return roster


def _is_here(held: Held) -> bool:
    from swarm.tracker import custody

    return bool(custody.kept_root(held.objects, held.store_key).seed)


def _shown(roster: Roster, *, is_here: bool) -> dict[str, Any]:
    keys = [
        {
            "key": _name_of(key.public),
            "in_force": key.in_force,
            "until": key.until,
            "retired": key.retired,
            "stolen": key.stolen,
        }
        for key in roster.keys
    ]
    return {"root": _name_of(roster.root), "offline": not is_here, "version": roster.version, "keys": keys}


def _name_of(public: bytes) -> str:
    from swarm.identity import peer_id_of

    return peer_id_of(public)


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    where = "offline" if result["offline"] else "in the object store"
    yield f"root {result['root']}, {where}; roster {result['version']}"
    for key in result["keys"]:
        since = f"from {moment(key['in_force'])} " if key["in_force"] else ""
        state = "stolen" if key["stolen"] else f"{since}until {moment(key['until'])}"
        yield f"online key {key['key'][:16]}: {state}"
    for each in result.get("entries", ()):
        yield f"{each['dataset']}: {each['entries']} entries by {each['publisher']}"
