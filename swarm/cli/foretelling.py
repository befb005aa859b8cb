"""How long consumers need for a version that is about to be published, for ``[budget] time``: the simulator, on what
they fetch over the lines that the budget names, with what pulls of this home took besides, and as earlier forecasts
turned out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from swarm.cli.program import Program
    from swarm.publish_budget import Budget

# A publish waits for it: a second or two (4,000 deliveries a second, and half of them again for the slope).
DELIVERIES: Final = 4096


def foretold_s(program: Program, sizes: Sequence[int], budget: Budget) -> float:
    """Until 95% of the budget's consumers have blocks of these sizes. Takes some seconds of a processor at most."""
    # Only a publish with such a budget loads the simulator.
    from swarm.cli.forecasts import calibrated
    from swarm.cli.simulate import start_here
    from swarm.sim.forecast import Conditions, forecast

    if not sizes:
        return 0.0
    conditions = Conditions(budget.peers, budget.link_bytes_per_s, start_s=start_here(program) or 0.0)
    told = forecast(sizes, conditions, runs=1, deliveries=DELIVERIES)
    _, p95_s, _ = calibrated(program, told, conditions)
    return told.p95_s if p95_s is None else p95_s
