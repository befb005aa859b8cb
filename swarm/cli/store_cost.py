"""The command ``store cost``: what the object store was asked for, and the bill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from swarm.cli.output import columns, moment, short, size
from swarm.cli.program import Program, options, pass_program, setting_option

if TYPE_CHECKING:
    from swarm.objects.bill import Prices

SHOWN: Final = 10


@click.command()
@setting_option("prices", "FILE")
@options
@pass_program
def cost(program: Program) -> None:
    """Tell what the object store was asked for, and the bill: in all, per publish and per rollout."""
    from swarm.cli.perform import perform
    from swarm.cli.prices import priced, prices_for, with_cost

    prices = prices_for(program)
    found = perform(program, "store-cost", {})
    bill = priced(found["store"], prices, stored_bytes=(found["stored"] or {"bytes": 0})["bytes"])
    result = {
        **found,
        "store": with_cost(found["store"], prices),
        **{name: [with_cost(each, prices) for each in found[name]] for name in ("seeds", "publishes", "rollouts")},
        "bill": {**asdict(bill), "currency": prices.currency},
        "prices": asdict(prices),
    }
    program.output.result(result, _lines(result, prices))


def _lines(result: Mapping[str, Any], prices: Prices) -> Iterator[str]:
    from swarm.cli.prices import amount

    asked, stored, bill = result["store"], result["stored"], result["bill"]
    yield f"asked for since {moment(result['since'])}: {_asked(asked)}"
    if asked["refused"]:
        yield f"{asked['refused']} calls failed at once, since the store was away"
    requests, moved = amount(bill["requests"], prices), amount(bill["transfer"], prices)
    yield f"that costs {amount(asked['cost'], prices)}: {requests} for requests, {moved} for bytes"
    if stored is None:
        yield "what is stored is not known: the object store is away"
    else:
        month = amount(bill["storage_month"], prices)
        yield f"stored: {stored['objects']} objects, {size(stored['bytes'])}, {month} a month"
    for name, kind in (("publishes", "publish"), ("rollouts", "rollout")):
        yield from columns(
            [
                [kind, each["dataset"], short(each["version"]), amount(each["cost"], prices), _asked(each)]
                for each in result[name][-SHOWN:]
            ]
        )
    yield f"prices: {prices.name}" + "".join(f", {text}" for text in (prices.date, prices.source) if text)


def _asked(told: Mapping[str, Any]) -> str:
    """Requests and bytes in words."""
    kinds = " ".join(f"{count} {kind.upper()}" for kind, count in told["requests"].items() if count) or "nothing"
    again = f" ({told['retries']} of them tries after the first)" if told["retries"] else ""
    return f"{kinds}{again}, {size(told['bytes']['sent'])} sent, {size(told['bytes']['received'])} received"
