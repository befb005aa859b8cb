"""The neighbours of one peer: whom it dials, whom it drops, whom it asks, whom it names. Pure.

Facts come in as methods, decisions come out of ``tick``. A peer aims at ``target`` neighbours for each version that it
fetches, and at a small standing set when it fetches nothing, so that news reach it. Half of the aim is dialled at once
and the rest slowly: about as many dial us. Near ones (same site) get at most half of the places that we choose, and
some far ones are always kept; seeds are dialled for a version when they were named for it, or when it does not get on.

Who does not answer (``swarm.peer.pulse``) is not counted, and neither is a dial that takes long: others are dialled.

Everything is bounded: candidates, those told by one neighbour, dials at a time, neighbours. Over the maximum, those go
first who neither gave us bytes nor need ours; each is told of others before it goes.
"""

from __future__ import annotations

import random
from typing import Final

from swarm.peer.candidates import Candidate, Candidates
from swarm.peer.membership import FETCHING, KEEPING, STANDING, Bounds, Member, Want
from swarm.peer.pulse import Pulse
from swarm.peer.steps import ANY, Ask, Decision, Dial, Drop, Look, Ping

BANNED_MAX: Final = 1024
NAMES_MAX: Final = 16
DIALS_AT_ONCE: Final = 12
NEEDS_MAX: Final = 64
# Of each kind, near and far, this many are kept even if the other kind alone fills the aim.
KIND_MIN: Final = 3

DIAL_LOST_S: Final = 15.0
# A dial that takes longer goes on, but another is begun.
DIAL_HOPE_S: Final = 1.0
SLOW_DIAL_S: Final = 1.0
ASK_S: Final = 1.0
ASK_FIRST_S: Final = 2.0
ASK_MAX_S: Final = 60.0
LOOK_FIRST_S: Final = 2.0
LOOK_MAX_S: Final = 30.0
ANSWER_S: Final = 1.0
# No block of a version for this long: seeds are dialled that were not named for it.
LACK_S: Final = 3.0
USEFUL_S: Final = 30.0
# Who has just come may not have said yet what it needs.
GRACE_S: Final = 3.0
TURNED_AWAY_S: Final = 30.0
BACKOFF_MAX_S: Final = 60.0
FAILURES_MAX: Final = 6


class Mesh:
    """The neighbour set of the peer ``own_id``. ``keeps``: it is a seed. ``aim``: how many it wants to fetch from."""

    def __init__(self, own_id: str, rng: random.Random, *, keeps: bool = False, aim: int = FETCHING.target) -> None:
        self._while_fetching = Bounds(aim, FETCHING.maximum - FETCHING.target + aim)
        self._standing_aim = min(STANDING.target, aim)
        self.open: dict[str, Member] = {}
        self.dialling: dict[str, tuple[Candidate, float]] = {}
        self.candidates = Candidates(rng)
        self.pulse = Pulse(rng)
        self._own_id = own_id
        self._rng = rng
        self._keeps = keeps
        self._banned: dict[str, None] = {}
        self._fetching: dict[bytes, Want] = {}
        self._standing = Want(0.0, 0.0)
        self._asked_at = float("-inf")

    # ---- facts: what we do --------------------------------------------------------------------------------------

    def fetching(self, version: bytes, now: float) -> None:
        """This version is being fetched from now on."""
        self._fetching.setdefault(version, Want(now, now))
        for member in self.open.values():
            member.asked = 0

    def progressed(self, version: bytes, now: float) -> None:
        """A block of it has come."""
        want = self._fetching.get(version)
        if want is not None:
            want.progress_at = now

    def fetched(self, version: bytes) -> None:
        """It is complete, or given up."""
        self._fetching.pop(version, None)
        waiting = [known for _, known in self.candidates.items()]
        for known in waiting + [known for known, _ in self.dialling.values()] + [m.known for m in self.open.values()]:
            known.versions.discard(version)

    # ---- facts: who there is ------------------------------------------------------------------------------------

    def named(
        self, peer: str, now: float, *, version: bytes = ANY, near: bool = False, keeper: bool = False, teller: str = ""
    ) -> None:
        """A peer that can be dialled: handed out by the tracker, found in the DHT, or told by a neighbour (``teller``),
        if it holds or fetches a version then with it. ``keeper``: the tracker says that it is a seed.
        """
        if peer == self._own_id or peer in self._banned:
            return
        known = self._known(peer)
        if known is None:
            known = Candidate(teller=teller)
            if not self.candidates.add(peer, known):
                return
        if version in self._fetching:
            known.versions.add(version)
        if not teller:
            known.near, known.keeper = near, keeper or known.keeper
            known.not_before = min(known.not_before, now + BACKOFF_MAX_S / 2)
        else:
            known.near = known.near or near

    def opened(self, peer: str, now: float, *, near: bool, dialled: bool, keeper: bool = False) -> None:
        """The channel is open. ``near`` is proved or seen by now."""
        self.pardoned(peer)
        known = self._take(peer) or Candidate()
        known.near, known.keeper, known.failures = near, keeper or known.keeper, 0
        self.open[peer] = Member(known, dialled, now)
        self.pulse.opened(peer, now)

    def closed(self, peer: str, now: float) -> None:
        """The channel is no more. Who closed it at once had no room: it is left alone for a while."""
        member = self._parted(peer)
        if member is None or peer in self._banned:
            return
        was_turned_away = now - member.since < GRACE_S and member.useful_at < member.since
        wait_s = TURNED_AWAY_S if was_turned_away else 1.0
        self._back(peer, member.known, now + wait_s * self._rng.uniform(0.5, 1.5))
        for other in self.open.values():
            other.asked = min(other.asked, 1)

    def failed(self, peer: str, now: float) -> None:
        """It could not be dialled."""
        known = self._take(peer)
        if known is None:
            return
        known.failures += 1
        if known.failures < FAILURES_MAX:
            wait_s = min(BACKOFF_MAX_S, 2.0**known.failures)
            self._back(peer, known, now + wait_s * self._rng.uniform(0.5, 1.5))

    def banned(self, peer: str) -> None:
        """It sent what no honest peer sends: forgotten, and not taken again until ``pardoned``."""
        self._take(peer)
        self._parted(peer)
        self._banned[peer] = None
        if len(self._banned) > BANNED_MAX:
            del self._banned[next(iter(self._banned))]

    def pardoned(self, peer: str) -> None:
        self._banned.pop(peer, None)

    def useful(self, peer: str, now: float) -> None:
        """It gave us verified bytes."""
        if peer in self.open:
            self.open[peer].useful_at = now

    def heard(self, peer: str, now: float) -> None:
        """Something came from it: it is there."""
        self.pulse.heard(peer, now)

    def serves(self, peer: str, version: bytes) -> None:
        """It says that it holds some of a version."""
        if peer in self.open and version in self._fetching:
            self.open[peer].known.versions.add(version)

    def needs(self, peer: str, version: bytes) -> None:
        """It wants a version of us, and so fetches it."""
        member = self.open.get(peer)
        if member is not None and len(member.needs) < NEEDS_MAX:
            member.needs.add(version)
            self.serves(peer, version)

    def needs_no_more(self, peer: str, version: bytes) -> None:
        if peer in self.open:
            self.open[peer].needs.discard(version)

    # ---- decisions ----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Decision]:
        """What to do now; to be asked about once a second, and soon after facts."""
        for peer in [peer for peer, (_, since) in self.dialling.items() if now - since > DIAL_LOST_S]:
            self.failed(peer, now)
        decisions: list[Decision] = []
        while drops := self._dropped(now):  # without those who needed something of us, fewer may stay
            decisions += drops
        decisions += map(Ping, self.pulse.due(now))
        for version, want in self._fetching.items():
            decisions += self._wanted(version, want, self._while_fetching.target, now)
        decisions += self._wanted(ANY, self._standing, self._standing_aim, now)
        return decisions

    def names_for(self, asker: str, version: bytes, now: float) -> tuple[str, ...]:
        """Neighbours to tell a neighbour of that asks; nothing if it asks too often. For a version: who fetches or
        holds it; the shell answers so only for a version that the asker may read.
        """
        member = self.open.get(asker)
        if member is None or now - member.answered_at < ANSWER_S:
            return ()
        member.answered_at = now
        return self._names(asker, version)

    @property
    def maximum(self) -> int:
        """How many neighbours are kept."""
        if self._keeps:
            return KEEPING.maximum
        if self._fetching or any(member.needs for member in self.open.values()):
            return self._while_fetching.maximum
        return 2 * self._standing_aim

    def lacks(self, version: bytes, now: float) -> bool:
        """Whether a version that is fetched does not get on."""
        want = self._fetching.get(version)
        return want is not None and now - want.progress_at >= LACK_S

    def gets_on(self, version: bytes, now: float, *, members: int) -> bool:
        """Whether a version comes, and from at least so many that nobody need be asked for more."""
        serving = sum(version in member.known.versions for member in self.open.values())
        return version in self._fetching and serving >= members and not self.lacks(version, now)

    def _names(self, asker: str, version: bytes) -> tuple[str, ...]:
        others = [peer for peer in self._living() if peer != asker and self.open[peer].known.teller != asker]
        if version != ANY:
            others = [p for p in others if version in self.open[p].needs or version in self.open[p].known.versions]
        return tuple(self._rng.sample(others, min(NAMES_MAX, len(others))))

    def _dropped(self, now: float) -> list[Drop]:
        surplus = len(self.open) - self.maximum
        if surplus <= 0:
            return []
        hard = len(self.open) - (self.maximum * 3 // 2 if self._keeps else self.maximum)
        ranked = sorted(self.open, key=lambda peer: (self._worth(peer, now), -self.open[peer].since))
        spare = [peer for peer in ranked if self._worth(peer, now) < (1, 0)]
        dropped = spare[:surplus] if len(spare) >= hard else ranked[:hard]
        drops = [Drop(peer, self._names(peer, ANY)) for peer in dropped]
        for peer in dropped:
            self._back(peer, self.open[peer].known, now + TURNED_AWAY_S * self._rng.uniform(0.5, 1.5))
            self._parted(peer)
        return drops

    def _worth(self, peer: str, now: float) -> tuple[int, int]:
        """Bytes that it gave are proved, what it needs is only said; whom we chose no stranger pushes out."""
        member = self.open[peer]
        if self.pulse.is_in_doubt(peer):
            return (-1, 0)
        if now - member.useful_at < USEFUL_S:
            return (2, 0)
        is_held = bool(member.needs) or now - member.since < GRACE_S
        return (1 if is_held else 0, int(member.dialled))

    def _wanted(self, version: bytes, want: Want, target: int, now: float) -> list[Decision]:
        """Dial, ask and look for one version, or for the standing set."""
        decisions: list[Decision] = []
        near = far = under_way = 0
        for known in [self.open[peer].known for peer in self._living()]:
            if version == ANY or version in known.versions:
                near, far = near + known.near, far + (not known.near)
        for known, since in self.dialling.values():
            under_way += (version == ANY or version in known.versions) and now - since < DIAL_HOPE_S
        count = near + far + under_way
        if self.lacks(version, now) or (version == ANY and count == 0):
            decisions += [self._dial(seed, now) for seed in self._keeper(version, want, now)]
        if count >= target and near >= KIND_MIN and far >= KIND_MIN:
            return decisions
        pool = [peer for peer, known in self.candidates.items() if self._fits(known, version, now)]
        decisions += [self._dial(peer, now) for peer in self._drawn(pool, want, (near, far, count), target, now)]
        if count < target and len(pool) < target - count:
            decisions += self._asked(version, now)
            if not pool and count < (target + 1) // 2:
                decisions += self._looked(version, want, now)
        return decisions

    def _fits(self, known: Candidate, version: bytes, now: float) -> bool:
        if known.not_before > now:
            return False
        return version in known.versions if version != ANY else not known.keeper

    def _keeper(self, version: bytes, want: Want, now: float) -> list[str]:
        """A seed for what does not get on, or for who is all alone."""
        if now - want.keeper_at < LACK_S or len(self.dialling) >= DIALS_AT_ONCE:
            return []
        seeds = [peer for peer, known in self.candidates.items() if known.keeper and known.not_before <= now]
        if not seeds:
            return []
        want.keeper_at = now
        return [self._rng.choice(seeds)]

    def _dial(self, peer: str, now: float) -> Dial:
        known = self._take(peer)
        assert known is not None, "only a candidate is dialled"
        self.dialling[peer] = (known, now)
        return Dial(peer)

    def _drawn(self, pool: list[str], want: Want, counts: tuple[int, int, int], target: int, now: float) -> list[str]:
        """Whom to dial: up to half of the aim at once, the rest one a second; origins that were named for the version,
        then near ones and others.
        """
        near, far, count = counts
        places = target // 2 - count
        if places <= 0 and now - want.dialled_at >= SLOW_DIAL_S:
            places = 1
        room = self.maximum - len(self._living()) - len(self.dialling)
        places = min(places, DIALS_AT_ONCE - len(self.dialling), room)
        if places <= 0 or not pool:
            return []
        self._rng.shuffle(pool)
        origins = [peer for peer in pool if self.candidates[peer].keeper][:places]
        pool = [peer for peer in pool if not self.candidates[peer].keeper]
        places -= len(origins)
        close = [peer for peer in pool if self.candidates[peer].near]
        others = [peer for peer in pool if not self.candidates[peer].near]
        if count >= target:
            lacked = (close if near < KIND_MIN else []) + (others if far < KIND_MIN else [])
            drawn = lacked[:1]
        else:
            near_places = max(0, min((places + 1) // 2, target // 2 - near))
            drawn = (close[:near_places] + others)[:places]
            drawn = origins + drawn + close[near_places:][: places - len(drawn)]
        if drawn:
            want.dialled_at = now
        return drawn

    def _asked(self, version: bytes, now: float) -> list[Decision]:
        """One neighbour that has not been asked lately; each is asked more and more seldom."""
        if now - self._asked_at < ASK_S:
            return []
        due = [
            peer
            for peer, member in self.open.items()
            if not self.pulse.is_in_doubt(peer)
            and now - member.asked_at >= min(ASK_MAX_S, ASK_FIRST_S * 2.0 ** min(member.asked, 6))
        ]
        if not due:
            return []
        peer = self._rng.choice(due)
        member = self.open[peer]
        self._asked_at = member.asked_at = now
        member.asked += 1
        return [Ask(peer, version)]

    def _looked(self, version: bytes, want: Want, now: float) -> list[Decision]:
        if now - want.looked_at < min(LOOK_MAX_S, LOOK_FIRST_S * 2.0 ** min(want.looked, 6)):
            return []
        want.looked_at = now
        want.looked += 1
        return [Look(version)]

    # ---- keeping ------------------------------------------------------------------------------------------------

    def doubtful(self) -> list[str]:
        """The neighbours that do not answer."""
        return [peer for peer in self.open if self.pulse.is_in_doubt(peer)]

    def _living(self) -> list[str]:
        """The neighbours that are not in doubt."""
        return [peer for peer in self.open if not self.pulse.is_in_doubt(peer)]

    def _parted(self, peer: str) -> Member | None:
        """No neighbour any more."""
        self.pulse.closed(peer)
        return self.open.pop(peer, None)

    def _known(self, peer: str) -> Candidate | None:
        if peer in self.open:
            return self.open[peer].known
        return self.candidates.get(peer) or self.dialling.get(peer, (None, 0.0))[0]

    def _take(self, peer: str) -> Candidate | None:
        """Out of the candidates and the dialled."""
        return self.candidates.take(peer) or self.dialling.pop(peer, (None, 0.0))[0]

    def _back(self, peer: str, known: Candidate, not_before: float) -> None:
        """A candidate again, from ``not_before`` on."""
        known.not_before = not_before
        self.candidates.add(peer, known)

    def check_invariants(self) -> None:
        """Each peer in one state, and everything within its bounds."""
        states = [set(self.open), set(self.dialling), set(self.candidates), set(self._banned)]
        assert sum(map(len, states)) == len(set().union(*states)), "a peer is in two states"
        assert all(self._own_id not in state for state in states)
        assert len(self.dialling) <= DIALS_AT_ONCE
        assert all(known.versions <= set(self._fetching) for _, known in self.candidates.items())
        self.candidates.check_invariants()
        self.pulse.check_invariants(self.open)
