"""How rollouts and trackers turn, as events: what begins, stalls or fails; who falls silent. Pure.

It is looked for once a second and told once: peers that fail one by one at first and then each time that they are twice
as many, a rollout that stalls again at most every ten minutes, a tracker that comes and goes every minute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from swarm.figure_messages import EventKind
from swarm.figure_words import Severity
from swarm.identity import peer_id_of
from swarm.tracker.figures.happenings import Happenings
from swarm.tracker.figures.members import FETCHING, VERIFYING
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.rollouts import FIRST_FAILURES, RolloutFigures
from swarm.tracker.figures.verdicts import trend_of

# Whether it stalls takes a look at all of its peers.
STALLED_EVERY_S: Final = 5.0
STALLED_AGAIN_S: Final = 600.0
TRACKER_AGAIN_S: Final = 60.0


class Turns:
    """Of one picture. What was told of a rollout is noted at it, so it goes with it."""

    def __init__(self, peers: Mapping[bytes, KnownPeer], happenings: Happenings, begun: float) -> None:
        self._peers = peers
        self._happenings = happenings
        self._begun = begun
        self._stalled_at = float("-inf")

    def look(self, rollouts: Collection[RolloutFigures], now: float, wall_now: float) -> None:
        """One look at the last rollout of each tag."""
        looks_closely = now - self._stalled_at >= STALLED_EVERY_S
        if looks_closely:
            self._stalled_at = now
        for rollout in rollouts:
            self._begins(rollout, wall_now)
            self._fails(rollout, wall_now)
            if looks_closely:
                self._stalls(rollout, now, wall_now)

    def _begins(self, rollout: RolloutFigures, wall_now: float) -> None:
        told = rollout.told
        if told.is_begun or not (rollout.done or rollout.counts[FETCHING] or rollout.counts[VERIFYING]):
            return
        told.is_begun = True
        # Of what goes on already when a tracker starts, nobody knows here when it began.
        if rollout.started >= self._begun:
            wanted = f"{rollout.wanted:,} peer{'s' * (rollout.wanted != 1)} that follow{'s' * (rollout.wanted == 1)} it"
            self._tell(rollout, "begun", wall_now, f"the first of {wanted} has begun")

    def _fails(self, rollout: RolloutFigures, wall_now: float) -> None:
        """The first few by name, then how many there are: at the same numbers at every tracker."""
        told, failures = rollout.told, rollout.failures
        for failure in rollout.first_failures[told.failures :]:
            self._failed(rollout, failure, wall_now, "{} failed")
        most = 1 << failures.bit_length() - 1 if failures > FIRST_FAILURES else 0
        if most > max(told.failures, FIRST_FAILURES):
            self._failed(rollout, rollout.last_failure, wall_now, f"{most:,} peers or more failed, the last {{}}", most)
        told.failures = max(told.failures, len(rollout.first_failures), most)

    def _failed(
        self, rollout: RolloutFigures, failure: tuple[bytes, str, str], wall_now: float, text: str, most: int = 0
    ) -> None:
        public, site, words = failure
        peer = self._peers.get(public)
        id = peer.who.peer_id if peer is not None else peer_id_of(public)
        said = text.format(f"peer {id[:8]}{f' at {site}' if site else ''}") + (f": {words}" if words else "")
        # Of many, which came last is not the same at every tracker: such an event is of none of them.
        of, at = (id, site) if not most else ("", "")
        self._tell(rollout, "failed", wall_now, said, "warning", peer=of, site=at, occasion=str(most or ""))

    def _stalls(self, rollout: RolloutFigures, now: float, wall_now: float) -> None:
        told = rollout.told
        is_stalled = bool(rollout.behind) and trend_of(rollout, rollout.stalled(now)) == "stalled"
        if is_stalled and not told.is_stalled and now - told.stalled_at >= STALLED_AGAIN_S:
            told.stalled_at = now
            behind = f"{rollout.behind:,} of {rollout.wanted:,} are behind"
            self._tell(rollout, "stalled", wall_now, f"{behind} and nothing moves", "warning")
        told.is_stalled = is_stalled

    def _tell(
        self,
        rollout: RolloutFigures,
        kind: EventKind,
        wall_now: float,
        text: str,
        severity: Severity = "info",
        *,
        peer: str = "",
        site: str = "",
        occasion: str = "",
    ) -> None:
        self._happenings.add(
            kind,
            wall_now,
            f"{rollout.tag} of {rollout.dataset}: {text}",
            peer=peer,
            site=site,
            dataset=rollout.dataset,
            tag=rollout.tag,
            serial=rollout.serial,
            severity=severity,
            occasion=occasion,
        )


@dataclass(slots=True)
class _Other:
    """Another tracker as it was told last, and when that was."""

    words: str
    at: float
    address: str


class OtherTrackers:
    """Which other trackers there are, and whether they answer. What is so at the first look is not told."""

    def __init__(self, happenings: Happenings) -> None:
        self._happenings = happenings
        self._told: dict[str, _Other] | None = None

    def look(self, listed: Mapping[str, str], silent: Collection[str], now: float, wall_now: float) -> None:
        """``listed``: addresses by id; ``silent``: ids of those that did not take the last word."""
        found = {id: "does not answer" if id in silent else "answers" for id in listed}
        if self._told is None:
            self._told = {id: _Other(words, float("-inf"), listed[id]) for id, words in found.items()}
            return
        for id, words in found.items():
            known = self._told.get(id)
            if known is None:
                self._told[id] = _Other(words, now, listed[id])
                self._tell(id, listed[id], words, wall_now)
            elif known.words != words and now - known.at >= TRACKER_AGAIN_S:
                known.words, known.at, known.address = words, now, listed[id]
                self._tell(id, listed[id], words, wall_now)
        for id in self._told.keys() - listed.keys():
            self._tell(id, self._told.pop(id).address, "is not listed any more", wall_now)

    def _tell(self, id: str, address: str, words: str, wall_now: float) -> None:
        severity: Severity = "info" if words == "answers" else "warning"
        at = f" at {address}" if address else ""
        self._happenings.add(
            "tracker", wall_now, f"tracker {id[:8]}{at} {words}", peer=id, severity=severity, occasion=words
        )
