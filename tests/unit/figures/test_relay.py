"""What trackers pass on to one another: none that is slow holds up the others."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from swarm import canonical
from swarm.messages import Contact
from swarm.reports import RELAYED_MAX, Relay, RelayAnswer
from swarm.tracker.figures.relay import BODIES_MAX, Heard, Relays
from tests.reported import key, who

LIMIT: Any = {"limit_bytes": 1 << 24}


class Others:
    """Two other trackers, of which one takes a message only when it is let."""

    def __init__(self) -> None:
        self.others: Any = (SimpleNamespace(peer_id="slow"), SimpleNamespace(peer_id="quick"))
        self.told: dict[str, list[bytes]] = {"slow": [], "quick": []}
        self.let = asyncio.Event()
        self.defect: Exception | None = None

    async def post(self, other: Contact, path: str, body: bytes, *, limit_bytes: int) -> bytes | None:
        if other.peer_id == "slow":
            await self.let.wait()
        if self.defect is not None:
            raise self.defect
        self.told[other.peer_id] += [each.public for each in canonical.decode(body, Relay, **LIMIT).peers]
        return canonical.encode(RelayAnswer(1, (key(1),)))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def hear(relays: Relays, numbers: range) -> list[bytes]:
    for number in numbers:
        relays.heard(Heard(who(number), 0.0, b""))
    return [key(number) for number in numbers]


def test_a_tracker_that_is_slow_holds_up_none_and_misses_only_what_is_much() -> None:
    async def main() -> None:
        others, lacking = Others(), list[bytes]()
        pushes: Any = others
        relays = Relays(pushes, lacking.append)
        heard = hear(relays, range(2 * RELAYED_MAX + 10))  # three messages
        relays.flush()
        await settled()
        assert (others.told["quick"], others.told["slow"]) == (heard, [])
        for number in range(BODIES_MAX):
            heard += hear(relays, range(number, number + 1))
            relays.flush()
            await settled()
        assert others.told["quick"] == heard and lacking == [key(1)] * (3 + BODIES_MAX)
        assert relays.dropped == 2  # one is on its way, as many as may wait do
        others.let.set()
        await settled()
        assert others.told["slow"] == heard[:-2]
        await relays.close()

    asyncio.run(main())


def test_a_defect_in_telling_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        others, lacking = Others(), list[bytes]()
        pushes: Any = others
        relays, others.defect = Relays(pushes, lacking.append), KeyError("a defect")
        hear(relays, range(1))
        with caplog.at_level(logging.ERROR):
            relays.flush()
            await settled()
        assert "a defect ended" in caplog.text
        others.defect = None
        heard = hear(relays, range(1, 2))
        relays.flush()
        await settled()
        assert others.told["quick"] == heard
        await relays.close()
        assert not relays._telling and not relays._lines

    asyncio.run(main())
