"""What ``aetherfs simulate`` tells, as types: the object of ``--json``, and what table and page draw. Pure."""

from __future__ import annotations

import msgspec

from swarm.sim.calibration import Kept
from swarm.sim.forecast import Conditions, Forecast


class Fetched(msgspec.Struct, frozen=True):
    """What each consumer fetches: plain bytes, blocks, and the manifest's parts as they travel."""

    against: str | None
    bytes: int
    blocks: int
    manifest_bytes: int
    of_bytes: int


class StoreCost(msgspec.Struct, frozen=True):
    """What the seeds read from the object store at most, once for all of them, and its price."""

    gets: int
    received_bytes: int
    cost: float
    currency: str
    prices: str


class SweepStep(msgspec.Struct, frozen=True):
    """One block parameter, over the history: averages over its moves, and the last move simulated.

    ``overhead_bytes``: the manifest's parts and what travels with each block besides its bytes.
    """

    parameter_bytes: int
    blocks: int
    fetch_bytes: float
    fetch_blocks: float
    overhead_bytes: float
    p50_s: float
    p95_s: float
    is_in_use: bool


class Sweep(msgspec.Struct, frozen=True):
    """``versions`` that were read, ``moves`` among them. No steps: ``reason`` says why."""

    versions: tuple[str, ...] = ()
    peers: int = 0
    steps: tuple[SweepStep, ...] = ()
    reason: str = ""


class Calibration(msgspec.Struct, frozen=True):
    """Real rollouts over what was forecast of them, the medians; None where none is comparable. ``kept``: latest last.

    ``reason``: why no more is known, in words; empty if there is no more.
    """

    p50: float | None
    p95: float | None
    last: float | None
    compared: int
    kept: tuple[Kept, ...]
    reason: str = ""


class Simulation(msgspec.Struct, frozen=True):
    """``calibrated_p95_s`` is what it would be if this rollout fared as ``calibrated_by`` earlier ones did that were
    forecast to be about as long; None without any.
    """

    ref: str
    version: str
    conditions: Conditions
    fetch: Fetched
    forecast: Forecast
    store: StoreCost
    sweep: Sweep
    calibration: Calibration
    calibrated_p50_s: float | None
    calibrated_p95_s: float | None
    notes: tuple[str, ...]
    calibrated_by: int = 0
