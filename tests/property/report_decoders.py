"""What peers report and trackers pass on, as decoders to be fuzzed."""

from __future__ import annotations

from typing import Any, Final

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.records import Address
from swarm.reports import (
    RELAY_MAX_BYTES,
    REPORT_ANSWER_MAX_BYTES,
    REPORT_MAX_BYTES,
    Asked,
    DhtTold,
    Relay,
    RelayAnswer,
    Relayed,
    ReportAnswer,
    Step,
    StoreTold,
    Totals,
    VersionAsked,
)
from swarm.tracker.figures.happened import (
    ANSWER_MAX_BYTES,
    ASK_MAX_BYTES,
    AskEvents,
    Happened,
    ToldEvents,
)
from swarm.tracker.figures.steps import KeptLog, Logged, LoggedStep, decode_log
from tests.reported import ROADS, ROOM, V1, followed, held, key, link, report

REPORT: Final = report(
    3,
    followed(target=1, phase="fetching", steps=(Step(1, "waiting", 900), Step(2, "fetching", 100)), words="asks 3"),
    totals=Totals(1, 2, 3, 4),
    links=(link(5, 10, 20),),
    holdings=(held(9, 4, b"\x0f\x00"),),
    missed=(key(6),),
    waiting_for=("maps/roads: nothing",),
    room=ROOM,
    dht=DhtTold(5, 6, 2, (0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 2), is_client=False),
    store=StoreTold(Asked(1, 2, 3), (VersionAsked(ROADS, V1, True, 1700000000, Asked(1)),), ""),
)
RELAY: Final = Relay(
    1,
    (
        Relayed(
            key(1),
            "peer",
            "paris",
            ("rack=a",),
            (Address("10.0.0.1", 7071),),
            "10.0.0.1",
            5,
            False,
            canonical.encode(REPORT),
        ),
    ),
)
KEPT: Final = KeptLog(
    1,
    ROADS,
    "stable",
    4,
    V1,
    b"",
    "a message",
    1_700_000_000_000,
    1_700_000_060_000,
    1000,
    (1, 2, 3, 4, 5),
    ("unaware", "current"),
    (Logged(key(1), "paris"),),
    (LoggedStep(0, 0, 0, ""), LoggedStep(900, 0, 1, "")),
    0,
)
HAPPENED: Final = Happened(1_700_000_000_000, "moved", "is v2 now", "", "", ROADS, "stable", 4, "info", "")


def read_log(data: bytes) -> None:
    """Damaged ones are none at all."""
    if decode_log(data) is None:
        raise RemoteProtocolError("damaged")


def decoded(kind: type[Any], limit_bytes: int) -> Any:
    return lambda data: canonical.decode(data, kind, limit_bytes=limit_bytes)


# name: (good bytes, what reads them)
REPORTS: Final[dict[str, tuple[bytes, Any]]] = {
    "report": (canonical.encode(REPORT), decoded(type(REPORT), REPORT_MAX_BYTES)),
    "report answer": (
        canonical.encode(ReportAnswer(1, 5000, 1000, False)),
        decoded(ReportAnswer, REPORT_ANSWER_MAX_BYTES),
    ),
    "relay": (canonical.encode(RELAY), decoded(Relay, RELAY_MAX_BYTES)),
    "relay answer": (canonical.encode(RelayAnswer(1, (key(1),))), decoded(RelayAnswer, 1 << 17)),
    "ask for events": (canonical.encode(AskEvents(1, 1_700_000_000_000, 9)), decoded(AskEvents, ASK_MAX_BYTES)),
    "told events": (
        canonical.encode(ToldEvents(1, 1_700_000_000_000, 0, (HAPPENED,), 10, True)),
        decoded(ToldEvents, ANSWER_MAX_BYTES),
    ),
    "rollout's log": (canonical.encode(KEPT), read_log),
}
