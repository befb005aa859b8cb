"""``python -m tests.browser.screenshots [--out docs/screenshots] [--only NAME]``: a picture of every page of the
dashboard, light, dark and narrow, of a live swarm of processes while a version spreads in it.

To be looked at by whoever changes a page. Pictures have few colours, so that each stays under 150 KB.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import expect

from tests.browser.chromium import chromium
from tests.browser.live_swarm import DATASET, TAG, LiveSwarm, Visitor, live_swarm

PAGES: Final = {
    "overview": "overview",
    "rollouts": "rollout",
    "rollout": f"rollout/{DATASET}/{TAG}",
    "alerts": "alerts",
    "datasets": "datasets",
    "dataset": f"datasets/{DATASET}",
    "history": f"datasets/{DATASET}?tab=history",
    "performance": f"datasets/{DATASET}?tab=performance",
    "changes": f"datasets/{DATASET}/diff/FIRST/VERSION",
    "files": f"datasets/{DATASET}/files/VERSION",
    "blocks": f"blocks/{DATASET}",
    "flow": "flow",
    "peers": "peers",
    "peer": "peers/PEER",
    "dht": "dht",
    "origin": "origin",
    "access": "access",
    "explain": "access?tab=explain&who=user:bob&right=publish&dataset=maps/roads",
    "audit": "audit",
    "wall": "overview?wall",
    "agent": "AGENT",
    "signin": "signin",
}
SCREENS: Final[dict[str, dict[str, Any]]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 760}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 760}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 760}},
}
PEERS: Final = ("paris-1", "paris-2", "paris-3", "paris-4")
SIZE_BYTES: Final = 12_000_000
MOST_BYTES: Final = 145_000
SETTLED_MS: Final = 1500
AGENT_SETTLED_MS: Final = 7000


def take(out: Path, only: str) -> None:
    """Start the swarm, take the pictures, end it."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, live_swarm(Path(folder)) as swarm:
        swarm.follow(*PEERS, slow="far-away")
        first = swarm.version_of(PEERS[0])
        swarm.write(2, SIZE_BYTES)
        _foresee(swarm)
        version = swarm.publish("winter survey, with ferries", "v2", TAG)["version"]
        far = {"PEER": swarm.peer_id("far-away"), "AGENT": swarm.agent_url("far-away")}
        places = {"FIRST": first, "VERSION": version, **far}
        while version not in {swarm.version_of(name) for name in PEERS}:
            pass
        for screen, options in SCREENS.items():
            visitor = Visitor(browser, swarm.url, name="alice", reduced_motion="reduce", **options)
            for name, path in PAGES.items():
                if only in ("", name):
                    for place, found in places.items():
                        path = path.replace(place, found)
                    _take(visitor, path, out / f"{name}-{screen}.png", options["viewport"])
            visitor.context.close()


def _foresee(swarm: LiveSwarm) -> None:
    """What the producer foresees, to be seen on the page about performance."""
    lines = ("--peers", str(len(PEERS)), "--link", "100mbit", "--no-sweep")
    swarm.bench.ok("hub", "simulate", str(swarm.folder), "--against", f"{DATASET}:{TAG}", *lines)


def _take(visitor: Visitor, path: str, to: Path, screen: dict[str, int]) -> None:
    page = visitor.visit(path)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    # For what is drawn on a canvas, and the first seconds of a stream; an agent tells its rates every two seconds.
    page.wait_for_timeout(AGENT_SETTLED_MS if path.startswith("http") else SETTLED_MS)
    page.screenshot(path=to, scale="css")
    width, height = screen["width"], screen["height"]
    while to.stat().st_size > MOST_BYTES:  # it is full of words, of which fewer do
        height -= 40
        page.screenshot(path=to, scale="css", clip={"x": 0, "y": 0, "width": width, "height": height})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--only", default="", choices=["", *PAGES])
    chosen = parser.parse_args()
    take(chosen.out, chosen.only)


if __name__ == "__main__":
    main()
