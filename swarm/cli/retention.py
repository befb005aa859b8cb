"""Commands about what is kept: keep, pin, unpin, quota, and gc, which works on the object store itself."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from swarm.amounts import bytes_of, span_of
from swarm.cli.output import duration, moment, short, size
from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import NotFoundError, UsageError
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.objects import ObjectStore


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Keep the N versions named last.")
@click.option("--age", metavar="TIME", help="Keep what a tag pointed to within this time: 12h, 30d.")
@click.option("--clear", is_flag=True, help="Keep everything again.")
@options
@pass_program
def keep(program: Program, name: str, last: int | None, age: str | None, clear: bool) -> None:
    """Say which versions of a dataset are kept; without options, show it.

    What a tag points to and what is pinned is always kept. With --last and --age, what either keeps is kept.
    """
    from swarm.cli.perform import perform

    if clear and (last is not None or age is not None):
        raise UsageError("--clear keeps everything, --last and --age do not: give one or the other")
    arguments = {"name": name, "last": last, "age_s": span_of(age) if age is not None else None, "clear": clear}
    result = perform(program, "keep", arguments)
    program.output.result(result, rule_lines(result))


def rule_lines(rule: Mapping[str, Any]) -> Iterable[str]:
    """A keep rule in words."""
    said = [f"the last {rule['last']}"] if rule["last"] is not None else []
    said += [f"those of the last {duration(rule['age_s'])}"] if rule["age_s"] is not None else []
    yield f"{rule['dataset']}: keeps {' and '.join(said) + ', and what tags point to' if said else 'every version'}"
    if rule["pinned"]:
        yield f"pinned: {', '.join(map(short, rule['pinned']))}"


@click.command()
@click.argument("ref", metavar="NAME:TAG")
@options
@pass_program
def pin(program: Program, ref: str) -> None:
    """Keep a version, whatever the keep rule of its dataset says."""
    _pin(program, "pin", ref)


@click.command()
@click.argument("ref", metavar="NAME:TAG")
@options
@pass_program
def unpin(program: Program, ref: str) -> None:
    """Leave a version that was pinned to the keep rule."""
    _pin(program, "unpin", ref)


def _pin(program: Program, verb: str, ref: str) -> None:
    from swarm.cli.perform import perform
    from swarm.cli.references import whole

    result = perform(program, verb, {"ref": whole(program, ref)})
    program.output.result(result, rule_lines(result))


@click.command()
@click.argument("scope")
@click.argument("limit", metavar="[BYTES]", required=False)
@click.option("--clear", is_flag=True, help="No limit any more.")
@options
@pass_program
def quota(program: Program, scope: str, limit: str | None, clear: bool) -> None:
    """Limit what a scope's datasets take in the object store; without a limit, show it.

    A limit is written 500000000, 20GB or 1.5TB.
    """
    from swarm.cli.perform import perform

    if clear and limit is not None:
        raise UsageError("--clear takes the limit away: give BYTES or --clear")
    bytes_ = bytes_of(limit) if limit is not None else None
    result = perform(program, "quota", {"scope": scope, "bytes": bytes_, "clear": clear})
    said = "may take what there is: no quota is set"
    if result["bytes"] is not None:
        said = f"may take {size(result['bytes'])} in the object store, all together"
    program.output.result(result, [f"the datasets of {result['scope']} {said}"])


@click.command()
@click.option("--dry-run", is_flag=True, help="Tell what would go; write nothing.")
@click.option("--grace", default="1d", show_default=True, metavar="TIME", help="From condemned to removed: 0s, 6h, 1d.")
@click.option(
    "--budget-bytes",
    default="1GB",
    show_default=True,
    metavar="BYTES",
    help="Copy at most so much out of packs that are half dead.",
)
@setting_option("store", "URL")
@options
@pass_program
def gc(program: Program, dry_run: bool, grace: str, budget_bytes: str) -> None:
    """Remove from the object store what no version needs that is kept.

    On a seed's or tracker's home, running or not. What nobody needs is condemned first, and removed by the first run
    after the grace. It may run beside anything. With --dry-run --json every object is named that goes, or goes later.
    """
    from seed.histories import collector
    from swarm.cli.swarm_store import swarm_store

    grace_s, budget = span_of(grace), bytes_of(budget_bytes)
    program.home.check_enrolled()
    with swarm_store(program) as objects:
        gc = collector(objects, program.home.trust())
        if dry_run:
            report, found = gc.dry_run(time.time(), budget)
            listed = {"goes": found.goes, "later": found.later, "later_until": found.until}
        else:
            report, listed = gc.run(time.time(), grace_s, budget), {}
    result = {"dry_run": dry_run, **report.as_json(), **listed}
    program.output.result(result, _collected(result))


def _collected(result: Mapping[str, Any]) -> Iterable[str]:
    would = "would be" if result["dry_run"] else "are"
    named, unnamed = result["condemned_packs"] - result["unnamed_packs"], result["unnamed_packs"]
    unfinished = f" and {counted(unnamed, 'pack')} of unfinished uploads" if unnamed else ""
    packs = f"{counted(named, 'pack')} ({size(result['condemned_bytes'])}){unfinished}"
    versions, live = (counted(result[what], "version") for what in ("condemned_versions", "live_versions"))
    yield f"{versions} and {packs} {would} condemned; kept: {live}"
    yield f"{size(result['repacked_bytes'])} of half-dead packs {would} packed anew"
    if not result["dry_run"]:
        yield (
            f"removed: {counted(result['removed_versions'], 'version')}, {counted(result['removed_packs'], 'pack')}, "
            f"{counted(result['removed_indexes'], 'index', 'indexes')}, "
            f"{counted(result['expired_leases'], 'expired lease')}"
        )
    if result.get("later_until") is not None:
        later = counted(len(result["later"]), "object more goes", "objects more go")
        yield f"{later} when their claims run out, by {moment(result['later_until'])}"
    if result["waiting_records"]:
        yield f"{counted(result['waiting_records'], 'record waits', 'records wait')} until their grace is over"


@click.command()
@click.argument("ref", metavar="NAME@SIGNATURE")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
@click.option("--status", is_flag=True, help="Only show who has confirmed, and who has not.")
@setting_option("store", "URL")
@options
@pass_program
def purge(program: Program, ref: str, reason: str, status: bool) -> None:
    """Remove a version everywhere, for good; on a tracker's home.

    What only this version has goes from the object store at once, and from seeds and peers as the order reaches them.
    Nobody can publish, tag or pull it any more. No tag may point to it. What homes have imported of it goes;
    directories that it was pulled into stay.
    """
    from swarm.cli.perform import perform
    from swarm.cli.references import whole
    from swarm.cli.swarm_store import NoSwarmError, swarm_store

    arguments = {"ref": whole(program, ref), "reason": reason, "status": status}
    if status:
        result = perform(program, "purge", arguments)
        program.output.result(result, _purged(result))
        return
    try:
        # Opened before anything is ordered: the order stands for good, and what it is about goes here at once.
        with swarm_store(program) as objects:
            result = perform(program, "purge", arguments)
            result |= {"removed": _removed(program, objects)}
    except NoSwarmError:
        # Who may not purge is to hear of that, not of the store.
        with suppress(NotFoundError):
            perform(program, "purge", {**arguments, "status": True})
        raise
    program.output.result(result, _purged(result, reason))


def _removed(program: Program, objects: ObjectStore) -> dict[str, Any]:
    """What went from the object store."""
    from seed.histories import collector

    return collector(objects, program.home.trust()).purge(time.time()).as_json()


def _purged(result: Mapping[str, Any], reason: str = "") -> Iterable[str]:
    why = f": {result['reason']}" if result["reason"] else ", without a reason"
    stands = " (the reason that was given now is only in the audit)" if reason not in ("", result["reason"]) else ""
    yield f"ordered {moment(result['time'])}{why}{stands}"
    if "removed" in result:
        yield f"removed from the object store: {counted(result['removed']['removed_packs'], 'pack')}"
    if result["claimed_until"] is not None:
        until = moment(result["claimed_until"])
        yield f"a commit under way may still point a tag to it: order it again after {until} to see whether one did"
    done, left = result["confirmed"], result["unconfirmed"]
    have = counted(len(done), "member has", "members have")
    yield f"{have} confirmed that {short(result['version'])} is gone there, {len(left)} not yet"
    for peer_id in left[:20]:
        yield f"not yet: {peer_id}"
