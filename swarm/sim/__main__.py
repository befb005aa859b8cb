"""``python -m swarm.sim``: one run of a scenario, told in one line, or beside another on the same seed."""

from __future__ import annotations

import argparse
import gc
import json
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from swarm.sim.links import MBIT
from swarm.sim.news import NEWS_SCENARIOS, NewsOutcome, simulate_news
from swarm.sim.run import Outcome, simulate
from swarm.sim.scenarios import LAN, SCENARIOS, WAN, Settings

NEWS_PEERS: Final = 1000


def main() -> int:
    """Run and print; 1 when an invariant was broken."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.against and arguments.scenario in NEWS_SCENARIOS:
        parser.error("--against compares downloads: how news spread has nothing to stand beside them")
    failed = False
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        gc.disable()  # one run, then the end: what it makes is all still used
        outcome = _run(arguments, seed, arguments.scenario)
        gc.enable()
        gc.collect()
        failed |= bool(outcome.violations)
        other = _run(arguments, seed, arguments.against) if arguments.against else None
        if outcome.violations and arguments.stop:
            sys.stderr.write(f"broken: {_replay(sys.argv[1:], seed)}\n" + "\n".join(outcome.violations[:5]) + "\n")
            return 1
        sys.stdout.write((_json(outcome, other) if arguments.json else _text(outcome, other)) + "\n")
        sys.stdout.flush()
    return int(failed)


def _replay(given: Sequence[str], seed: int) -> str:
    """The command that does one seed of a command again."""
    parser = argparse.ArgumentParser(add_help=False)
    for option in ("--seed", "--runs"):
        parser.add_argument(option)
    parser.add_argument("--stop", action="store_true")
    return shlex.join(["python", "-m", "swarm.sim", *parser.parse_known_args(given)[1], "--seed", str(seed)])


def _run(arguments: argparse.Namespace, seed: int, name: str) -> Outcome | NewsOutcome:
    if name in NEWS_SCENARIOS:
        return simulate_news(name, arguments.peers or NEWS_PEERS, seed)
    scenario = SCENARIOS[arguments.scenario]
    peers = arguments.peers or scenario.peers
    settings = Settings(
        peers=peers,
        blocks=arguments.blocks or scenario.blocks,
        seed=seed,
        neighbours=arguments.neighbours,
        rate=arguments.rate * MBIT,
        tick_s=arguments.tick or (0.1 if peers < 2000 else 0.5),
        size_bytes=arguments.size,
        wan=arguments.wan * MBIT,
        lan=arguments.lan * MBIT,
        delay_s=arguments.delay_ms / 1000,
    )
    every = 1 if peers <= 50 else 1000
    if not arguments.trace:
        return simulate(name, settings, checks_every=every)
    with Path(arguments.trace).open("w") as trace:
        return simulate(name, settings, checks_every=every, trace=trace)


def _json(outcome: Outcome | NewsOutcome, other: Outcome | NewsOutcome | None) -> str:
    told = outcome.as_dict()
    if other is not None:
        told |= {"against": other.as_dict(), "p95_ratio": _ratio(outcome, other)}
    return json.dumps(told)


def _text(outcome: Outcome | NewsOutcome, other: Outcome | NewsOutcome | None) -> str:
    lines = [_told(one) if isinstance(one, Outcome) else _told_news(one) for one in (outcome, other) if one]
    if other is not None:
        lines.append(f"p95 is {_ratio(outcome, other)} times that of {other.scenario}")
    return "\n".join(lines)


def _ratio(outcome: Outcome | NewsOutcome, other: Outcome | NewsOutcome) -> float:
    return round(outcome.p95_s / other.p95_s, 3)


def _size(text: str) -> int:
    """Bytes, as 64MiB or as a number."""
    number = text.removesuffix("MiB")
    return _number(number) * (1 if number == text else 1 << 20)


def _mbit(text: str) -> float:
    """Mbit/s, as 50mbit or as a number."""
    return _over_zero(text.removesuffix("mbit"))


def _number(text: str) -> int:
    """A whole number from 1 on."""
    if (number := int(text)) < 1:
        raise ValueError(f"{number} is less than 1")
    return number


def _over_zero(text: str) -> float:
    if not 0.0 < (number := float(text)) < math.inf:
        raise ValueError(f"{number} is not more than 0")
    return number


def _from_zero(text: str) -> float:
    return 0.0 if float(text) == 0.0 else _over_zero(text)


def _told(outcome: Outcome) -> str:
    lines = [
        f"{outcome.scenario}: {outcome.peers} peers, {outcome.blocks} blocks, seed {outcome.seed}",
        f"  p50 {outcome.p50_s:.2f} s, p95 {outcome.p95_s:.2f} s, p99 {outcome.p99_s:.2f} s, "
        f"last {outcome.last_s:.2f} s",
        f"  over own bound: p50 {outcome.p50_over_bound:.3f}, p95 {outcome.p95_over_bound:.3f}, "
        f"p99 {outcome.p99_over_bound:.3f}, last {outcome.last_over_bound:.3f}",
        f"  origin's copies {outcome.origin_copies:.3f}, wasted {outcome.wasted_share:.2%}, "
        f"done {outcome.done_share:.2%}" + "".join(f", into a site {copies:.3f}" for copies in outcome.wan_copies),
    ]
    return "\n".join([*lines, *(f"  BROKEN {violation}" for violation in outcome.violations[:10])])


def _told_news(outcome: NewsOutcome) -> str:
    lines = [
        f"{outcome.scenario}: {outcome.peers} peers, seed {outcome.seed}",
        f"  known after p50 {outcome.p50_s:.3f} s, p95 {outcome.p95_s:.3f} s, p99 {outcome.p99_s:.3f} s, "
        f"last {outcome.last_s:.3f} s, by {outcome.heard_share:.2%}",
        f"  {outcome.told_per_peer:.1f} entries and {outcome.bytes_per_peer:.0f} bytes a peer",
    ]
    return "\n".join([*lines, *(f"  BROKEN {violation}" for violation in outcome.violations)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m swarm.sim", description=__doc__)
    parser.add_argument("--scenario", choices=[*sorted(SCENARIOS), *NEWS_SCENARIOS], default="plain")
    parser.add_argument("--peers", type=_number, default=0, help="how many fetch (default: the scenario's)")
    parser.add_argument("--blocks", type=_number, default=0, help="blocks of the version (default: the scenario's)")
    parser.add_argument("--size", type=_size, default=0, help="of the version instead of blocks: bytes, or as 64MiB")
    parser.add_argument("--seed", type=int, default=1, help="the same seed prints the same line")
    parser.add_argument("--runs", type=_number, default=1, help="this many seeds, from --seed on")
    parser.add_argument("--neighbours", type=_number, default=24, help="how many a peer aims at (24)")
    parser.add_argument("--rate", type=_mbit, default=50.0, help="Mbit/s of the origin, and of equal peers (50)")
    parser.add_argument("--wan", type=_mbit, default=WAN / MBIT, help="Mbit/s of each site's WAN (10)")
    parser.add_argument("--lan", type=_mbit, default=LAN / MBIT, help="Mbit/s of peers in sites (200)")
    parser.add_argument("--delay-ms", type=_from_zero, default=5.0, help="from a site to the middle of the network (5)")
    parser.add_argument("--against", choices=sorted(SCENARIOS), help="run this too, on the same seed and lines")
    parser.add_argument("--tick", type=_over_zero, default=0.0, help="seconds between looks at the time")
    parser.add_argument("--stop", action="store_true", help="at the first violation, with the command that replays it")
    parser.add_argument("--trace", default="", help="a file for a line of JSON every half second (swarm.sim.trace)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
