"""Who is silent is pinged, who does not answer is in doubt, and others take the place of who is in doubt."""

from __future__ import annotations

import random

from swarm.peer.membership import STANDING
from swarm.peer.mesh import Mesh
from swarm.peer.pulse import DOUBT_S, LATELY_S, SILENT_S, Pulse
from swarm.peer.steps import Dial, Drop, Ping

NAMES = [f"p{number}" for number in range(8)]


def pulse_of(*peers: str) -> Pulse:
    pulse = Pulse(random.Random(1))
    for peer in peers:
        pulse.opened(peer, 0.0)
    return pulse


def pings_of(pulse: Pulse, until: float, *, answers: bool) -> list[tuple[float, str]]:
    """What is pinged when, looked at every tenth of a second."""
    found = []
    for tenth in range(round(10 * until)):
        for peer in pulse.due(tenth / 10):
            found.append((tenth / 10, peer))
            if answers:
                pulse.heard(peer, tenth / 10)
        pulse.check_invariants(NAMES)
    return found


def test_who_answers_is_pinged_now_and_then_and_never_in_doubt() -> None:
    pulse = pulse_of(*NAMES)
    found = pings_of(pulse, 100.0, answers=True)
    assert len(NAMES) * 100.0 / SILENT_S <= len(found) <= len(NAMES) * (1 + 100.0 / (SILENT_S / 2))
    assert not any(pulse.is_in_doubt(peer) for peer in NAMES)
    times = [when for when, _ in found[: len(NAMES)]]
    assert max(times) - min(times) > SILENT_S / 2, "those that opened together are not pinged together"


def test_who_speaks_is_not_pinged() -> None:
    pulse = pulse_of("p0")
    for second in range(100):
        pulse.heard("p0", second)
        assert pulse.due(second + 0.5) == [] or second == 0


def test_one_in_doubt_has_all_the_silent_pinged_and_all_are_known_soon() -> None:
    pulse = pulse_of(*NAMES)
    found = pings_of(pulse, SILENT_S, answers=False)
    first = found[0][0]
    assert {peer for _, peer in found} == set(NAMES)
    assert max(when for when, _ in found) <= first + DOUBT_S + 0.11
    assert all(pulse.is_in_doubt(peer) for peer in NAMES)
    pulse.heard("p3", SILENT_S)
    assert not pulse.is_in_doubt("p3")


def test_who_was_heard_just_now_is_not_pinged_for_the_doubt_of_another() -> None:
    pulse = pulse_of("p0", "p1")
    first = pings_of_one(pulse)
    other = "p1" if first == "p0" else "p0"
    now = SILENT_S + DOUBT_S
    pulse.heard(other, now - LATELY_S / 2)
    assert pulse.due(now) == []
    assert pulse.is_in_doubt(first)


def pings_of_one(pulse: Pulse) -> str:
    for tenth in range(round(10 * SILENT_S)):
        due = pulse.due(tenth / 10)
        if due:
            return due[0]
    raise AssertionError("nobody was pinged")


def mesh_of(neighbours: int, spare: int) -> Mesh:
    mesh = Mesh("me", random.Random(2))
    for number in range(neighbours):
        mesh.opened(f"p{number}", 0.0, near=False, dialled=True)
    for number in range(spare):
        mesh.named(f"q{number}", 0.0)
    return mesh


def test_when_all_neighbours_vanish_others_are_dialled_long_before_their_channels_break() -> None:
    mesh = mesh_of(STANDING.target, 40)
    dialled: dict[str, float] = {}
    for tenth in range(80):
        for decision in mesh.tick(tenth / 10):
            if isinstance(decision, Dial):
                dialled[decision.peer] = tenth / 10
        mesh.check_invariants()
    assert min(dialled.values()) <= 4.5
    assert len(dialled) >= STANDING.target // 2
    assert len(mesh.open) == STANDING.target, "the channels stand until they break"


def test_who_answers_keeps_his_place_and_nobody_is_dialled_for_him() -> None:
    mesh = mesh_of(STANDING.target, 0)
    for peer in ("near0", "near1", "near2"):
        mesh.opened(peer, 0.0, near=True, dialled=True)
    for number in range(20):
        mesh.named(f"q{number}", 0.0)
    pinged = set()
    for second in range(60):
        for decision in mesh.tick(float(second)):
            assert isinstance(decision, Ping), decision
            pinged.add(decision.peer)
            mesh.heard(decision.peer, float(second))
    assert pinged == set(mesh.open)


def test_over_the_maximum_those_in_doubt_go_first_and_nobody_is_told_of_them() -> None:
    mesh = mesh_of(STANDING.maximum, 0)
    silent = {f"p{number}" for number in range(4)}
    for second in range(20):
        for peer in mesh.open.keys() - silent:
            mesh.heard(peer, float(second))
        mesh.tick(float(second))
    assert not silent & set(mesh.names_for("p9", b"", 20.0))
    for number in range(4):
        mesh.opened(f"new{number}", 20.0, near=False, dialled=False)
    dropped = {decision.peer for decision in mesh.tick(20.0) if isinstance(decision, Drop)}
    assert dropped == silent


def test_a_dial_that_takes_long_does_not_keep_another_from_being_begun() -> None:
    mesh = mesh_of(0, 40)
    dials = [len([d for d in mesh.tick(float(second)) if isinstance(d, Dial)]) for second in range(4)]
    assert dials[0] == STANDING.target // 2
    assert sum(dials) > STANDING.target
