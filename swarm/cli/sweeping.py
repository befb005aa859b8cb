"""A history cut at several block sizes, for ``aetherfs simulate``: which versions, and what each size would cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from swarm.cli.program import Program

if TYPE_CHECKING:
    from swarm.cli.compared import Version
    from swarm.cli.diff import Local
    from swarm.local_agent import AgentClient
    from swarm.manifest import Manifest
    from swarm.sim.forecast import Conditions
    from swarm.sim.simulation import Sweep

# A sweep compares block sizes, for which fewer peers and blocks do.
SWEEP_PEERS_MAX: Final = 32
SWEEP_DELIVERIES: Final = 2048
SWEEP_RUNS: Final = 3
MB: Final = 1_000_000


def no_sweep(reason: str) -> Sweep:
    from swarm.sim.simulation import Sweep

    return Sweep(reason=reason)


def swept_of(
    program: Program,
    agent: AgentClient | None,
    newer: Local | Version,
    older: Version | None,
    conditions: Conditions,
    given: dict[str, Any],
    progress: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
) -> Sweep:
    from swarm.cli.compared import Version
    from swarm.cli.recutting import Reader

    if agent is None:
        return no_sweep("a directory alone has no history: name one with --against REF")
    history, reason = _history(program, agent, newer, older, given)
    if len(history) < 2:
        return no_sweep(reason)
    reader = Reader(sum(each.manifest.total_bytes for each in history), progress, should_stop)
    recut = [
        reader.of_version(agent, each.dataset, each.manifest)
        if isinstance(each, Version)
        else reader.of_directory(each.root, each.manifest)
        for each in history
    ]
    return sweep_of([each.manifest.version.hex() for each in history], recut, conditions, given["seed"])


def _history(
    program: Program, agent: AgentClient, newer: Local | Version, older: Version | None, given: dict[str, Any]
) -> tuple[list[Local | Version], str]:
    """The versions to read, the newest last; and why there are fewer than two."""
    from swarm.cli.compared import Version
    from swarm.cli.recutting import versions_of
    from swarm.names import parse

    named = newer if isinstance(newer, Version) else older
    assert named is not None
    reference = parse(named.ref, default_tag=None)
    until = named.manifest.version.hex()
    names = versions_of(agent, named.dataset, reference.tag, until, given["versions"])
    if older is not None and older.manifest.version.hex() not in names:
        names.insert(-1 if isinstance(newer, Version) else len(names), older.manifest.version.hex())
    found: list[Local | Version] = [newer] if not isinstance(newer, Version) else []
    left = given["budget"] * MB - sum(each.manifest.total_bytes for each in found)
    for name in reversed(names):
        version = named if name == until else Version(program, agent, f"{named.dataset}@{name}")
        left -= version.manifest.total_bytes
        if left < 0:
            return found[::-1], f"two versions are more than {given['budget']} MB: read more with --budget MB"
        found.append(version)
        if len(found) == given["versions"]:
            break
    return found[::-1], f"{named.ref} has no version before this one: name one with --against REF"


def sweep_of(names: Sequence[str], recut: Sequence[dict[int, Manifest]], conditions: Conditions, seed: int) -> Sweep:
    """Each block parameter: what moves, and how long the last move takes."""
    import msgspec

    from swarm.analysis.recut import sweep
    from swarm.limits import BLOCK_TARGET_BYTES
    from swarm.sim.forecast import forecast
    from swarm.sim.simulation import Sweep, SweepStep

    peers = min(conditions.peers, SWEEP_PEERS_MAX)
    fewer = msgspec.structs.replace(conditions, peers=peers, sites=min(conditions.sites, peers))
    steps = []
    for step in sweep(recut):
        told = forecast(step.sizes, fewer, runs=SWEEP_RUNS, seed=seed, deliveries=SWEEP_DELIVERIES)
        steps.append(
            SweepStep(
                step.parameter,
                step.blocks,
                round(step.fetch_bytes, 1),
                round(step.fetch_blocks, 1),
                round(step.overhead_bytes, 1),
                told.p50_s,
                told.p95_s,
                step.parameter == BLOCK_TARGET_BYTES,
            )
        )
    return Sweep(tuple(names), peers, tuple(steps))
