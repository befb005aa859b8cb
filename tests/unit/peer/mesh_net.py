"""Many meshes in one place, with virtual time: dials and messages arrive in the next step."""

from __future__ import annotations

import random
from collections import deque

from swarm.peer.mesh import Mesh
from swarm.peer.steps import ANY, Ask, Decision, Dial, Drop, Look, Ping


class Net:
    """Peers by name. ``tracker``: who is named to a peer that looks; None when it is dead."""

    def __init__(self, seed: int = 0, *, has_tracker: bool = True, sites: int = 1) -> None:
        self.rng = random.Random(seed)
        self.meshes: dict[str, Mesh] = {}
        self.site: dict[str, int] = {}
        self.cut: set[int] = set()
        self.has_tracker = has_tracker
        self.sites = sites
        self.now = 1000.0
        self.version = ANY

    def join(self, name: str, *, keeps: bool = False) -> Mesh:
        mesh = self.meshes[name] = Mesh(name, random.Random(self.rng.random()), keeps=keeps)
        self.site[name] = len(self.meshes) % self.sites
        if self.version:
            mesh.fetching(self.version, self.now)
        if self.has_tracker:
            self.hand_out(name, 30)
        return mesh

    def hand_out(self, name: str, count: int) -> None:
        others = [other for other in self.meshes if other != name]
        for other in self.rng.sample(others, min(count, len(others))):
            self.name(name, other)

    def name(self, to: str, other: str, teller: str = "") -> None:
        near = self.site[to] == self.site[other]
        self.meshes[to].named(other, self.now, version=self.version, near=near, teller=teller)

    def leave(self, name: str) -> None:
        for other in list(self.meshes.pop(name).open):
            self.meshes[other].closed(name, self.now)

    def step(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for name in self.rng.sample(list(self.meshes), len(self.meshes)):
                for decision in self.meshes[name].tick(self.now):
                    self._perform(name, decision)
            for mesh in self.meshes.values():
                mesh.check_invariants()

    def _perform(self, name: str, decision: Decision) -> None:
        match decision:
            case Dial(peer):
                self._dial(name, peer)
            case Drop(peer, names):
                for other in names:
                    self.name(peer, other, teller=name)
                self.meshes[name].closed(peer, self.now)
                self.meshes[peer].closed(name, self.now)
            case Ask(peer, version):
                for other in self.meshes[peer].names_for(name, version, self.now):
                    self.name(name, other, teller=peer)
            case Ping(peer):
                for one, other in ((name, peer), (peer, name)):
                    self.meshes[one].heard(other, self.now)
            case Look():
                if self.has_tracker:
                    self.hand_out(name, 30)

    def _dial(self, name: str, peer: str) -> None:
        ours = self.meshes[name]
        far_sites = {self.site[name], self.site[peer]} if peer in self.site else set()
        is_cut = len(far_sites) == 2 and bool(far_sites & self.cut)
        if peer not in self.meshes or is_cut:
            ours.failed(peer, self.now)
            return
        near = self.site[name] == self.site[peer]
        ours.opened(peer, self.now, near=near, dialled=True)
        self.meshes[peer].opened(name, self.now, near=near, dialled=False)
        if self.version:
            for one, other in ((name, peer), (peer, name)):
                self.meshes[one].needs(other, self.version)

    def groups(self) -> list[set[str]]:
        """The connected parts of the graph."""
        left, found = set(self.meshes), []
        while left:
            queue = deque([left.pop()])
            group = set(queue)
            while queue:
                for other in self.meshes[queue.popleft()].open:
                    if other not in group:
                        group.add(other)
                        queue.append(other)
            left -= group
            found.append(group)
        return found

    def degrees(self) -> list[int]:
        return sorted(len(mesh.open) for mesh in self.meshes.values())
