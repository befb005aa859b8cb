"""What the webhook is told, and when: once, again after hours, with pauses that grow, and never more than is so now."""

from __future__ import annotations

import random

import msgspec

from swarm.alert_messages import Alert
from swarm.tracker.alerts.notices import ALERTS_TOLD_MAX, LATELY_S, REPEAT_S, RETRY_MAX_S, Notices, notification

FIRING = Alert(
    id="a" * 16,
    rule="AetherfsClockSkew",
    severity="warning",
    state="firing",
    kind="peer",
    subject="p1",
    dataset="",
    summary="its clock is 61 s ahead",
    remedy="set it",
    value=61.0,
    limit=60.0,
    unit="s",
    since=1_800_000_000,
    fired=1_800_000_090,
    runbook="/ui/runbooks/AetherfsClockSkew",
)
# Long after all of it.
WALL = 1_900_000_000.0
RESOLVED = msgspec.structs.replace(FIRING, state="resolved", resolved=1_800_000_300)


def notices() -> Notices:
    return Notices(random.Random(1))


def test_it_is_told_once_and_again_after_hours_and_that_it_is_over() -> None:
    told = notices()
    assert told.due([FIRING], 10, WALL) == (FIRING,)
    told.taken([FIRING], 10)
    assert told.due([FIRING], 1000, WALL) == ()
    assert told.due([FIRING], 10 + REPEAT_S, WALL) == (FIRING,)
    assert told.due([RESOLVED], 1000, WALL) == (RESOLVED,)
    told.taken([RESOLVED], 1000)
    assert told.due([RESOLVED], 2000, WALL) == ()
    assert (told.sent, told.dropped) == (2, 0)


def test_what_nobody_was_told_of_is_not_said_to_be_over_and_what_waits_not_at_all() -> None:
    pending = msgspec.structs.replace(FIRING, state="pending", fired=0)
    assert notices().due([RESOLVED, pending], 10, WALL) == ()


def test_pauses_between_tries_double_up_to_a_bound() -> None:
    told, now, pauses = notices(), 0.0, []
    for _ in range(12):
        told.failed(now)
        before = now
        while not told.due([FIRING], now, WALL):
            now += 1
        pauses.append(now - before)
    assert 3 <= pauses[0] <= 8
    assert pauses[4] > 50
    assert max(pauses) <= 1.25 * RETRY_MAX_S + 1


def test_while_it_does_not_answer_nothing_grows_and_the_next_message_has_what_is_so_then() -> None:
    told = notices()
    for now in range(0, 10_000, 10):
        told.due([msgspec.structs.replace(FIRING, id=f"{now:016x}")], now, WALL)
        told.failed(now)
    assert told.due([FIRING], 1e6, WALL) == (FIRING,)
    assert told.dropped == 0


def test_who_is_silenced_is_not_told_of_until_the_silence_ends() -> None:
    told = notices()
    assert told.due([msgspec.structs.replace(FIRING, silenced="0" * 16)], 10, WALL) == ()
    assert told.due([FIRING], 20, WALL) == (FIRING,)


def test_whoever_tells_next_tells_all_that_fires_and_what_was_over_lately() -> None:
    told = notices()
    other, old = (msgspec.structs.replace(one, id=id * 16) for one, id in ((FIRING, "b"), (RESOLVED, "c")))
    lately, long_ago = RESOLVED.resolved + 60.0, RESOLVED.resolved + LATELY_S
    assert told.due([FIRING, other], 10, lately, is_teller=False) == ()
    assert told.due([RESOLVED, other], 20, lately, is_teller=True) == (RESOLVED, other)
    told.taken([RESOLVED, other], 20)
    # What was over when it began to tell was told, or was over for long.
    assert told.due([RESOLVED, other, old], 100, long_ago, is_teller=True) == ()


def test_who_tells_no_more_tells_the_end_of_what_it_told() -> None:
    told = notices()
    other = msgspec.structs.replace(FIRING, id="b" * 16)
    told.due([FIRING], 5, WALL)
    told.taken([FIRING], 10)
    assert told.due([FIRING, other], 100, WALL, is_teller=False) == ()
    assert told.due([RESOLVED, other], 110, WALL, is_teller=False) == (RESOLVED,)


def test_who_tells_again_tells_all_that_fires_again() -> None:
    told = notices()
    told.due([FIRING], 5, WALL)
    told.taken([FIRING], 10)
    assert told.due([FIRING], 100, WALL) == ()
    assert told.due([FIRING], 100, WALL, is_teller=False) == ()
    assert told.due([FIRING], 100, WALL) == (FIRING,)


def test_an_alert_that_was_forgotten_is_counted_as_never_ended() -> None:
    told = notices()
    told.taken([FIRING], 10)
    assert told.due([], 100, WALL) == ()
    assert told.dropped == 1


def test_a_message_is_bounded_and_reads_as_alertmanagers() -> None:
    told = notices()
    many = [msgspec.structs.replace(FIRING, id=f"{number:016x}") for number in range(500)]
    assert len(told.due(many, 10, WALL)) == ALERTS_TOLD_MAX
    body = msgspec.json.decode(msgspec.json.encode(notification([FIRING, RESOLVED], "https://192.0.2.1:7070")))
    assert body["version"] == "4"
    assert body["status"] == "firing"
    assert body["groupLabels"] == {"service": "aetherfs"}
    assert body["commonLabels"] == {"service": "aetherfs", "alertname": "AetherfsClockSkew"}
    assert body["externalURL"] == "https://192.0.2.1:7070"
    first, second = body["alerts"]
    assert first["labels"]["subject"] == "p1"
    assert (first["startsAt"], first["endsAt"]) == ("2027-01-15T08:01:30Z", "0001-01-01T00:00:00Z")
    assert second["status"] == "resolved" and second["endsAt"] == "2027-01-15T08:05:00Z"
    assert first["fingerprint"] == FIRING.id
    assert first["annotations"]["summary"] == "p1: its clock is 61 s ahead", "who is paged sees this line alone"
    assert first["annotations"]["runbook_url"] == "https://192.0.2.1:7070/ui/runbooks/AetherfsClockSkew"
    assert first["generatorURL"] == "https://192.0.2.1:7070/ui/alerts"
