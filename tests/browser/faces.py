"""The same numbers as program, API, metrics and pages tell them, each read as its users do."""

from __future__ import annotations

import re
from typing import Any

from tests.browser.live_swarm import DATASET, TAG, LiveSwarm, Visitor

Face = dict[str, int]


def program_face(swarm: LiveSwarm) -> Face:
    """What commands tell: of the swarm, of the tag, and of one peer."""
    seen = swarm.bench.ok("hub", "top", "--once", "--json").json["overview"]
    followed = [row for row in seen["tags"] if (row["dataset"], row["tag"]) == (DATASET, TAG)]
    tag = followed[0] if followed else {"behind": 0, "wanted": 0}
    status = swarm.bench.ok("near", "status", "--json").json
    return {
        "peers": seen["totals"]["peers"],
        "behind": tag["behind"],
        "wanted": tag["wanted"],
        "received": sum(status["received_bytes"].values()),
        "lookups": status["dht"]["lookups"],
        "lookups_in_vain": status["dht"]["failed_lookups"],
    }


def api_face(alice: Visitor, peer: str) -> Face:
    """What the API answers to a person's browser."""

    def at(path: str) -> Any:
        return alice.page.request.get(f"{alice.url}/api/v1/figures/{path}").json()

    rollout = at(f"rollouts/{DATASET}/{TAG}")
    [node] = [row for row in at("dht")["rows"] if row["peer"] == peer]
    return {
        "peers": at("overview")["totals"]["peers"],
        "behind": rollout["wanted"] - rollout["counts"]["current"],
        "wanted": rollout["wanted"],
        "received": at(f"peers/{peer}")["received_bytes"],
        "lookups": node["lookups"],
        "lookups_in_vain": node["failed_lookups"],
    }


def metrics_face(alice: Visitor, swarm: LiveSwarm) -> Face:
    """What Prometheus reads, of the tracker and of the peer; how many follow a tag is not among it."""
    agent = swarm.bench.ok("near", "status", "--json").json["addresses"]["agent"]
    tracker, peer = (
        alice.page.request.get(f"{base}/metrics").text() for base in (alice.url, f"http://{agent.rpartition('//')[2]}")
    )
    return {
        "peers": samples(tracker, "aetherfs_tracker_peers"),
        "behind": samples(tracker, "aetherfs_rollout_peers_behind"),
        "received": samples(peer, "aetherfs_received_bytes_total"),
        "lookups": samples(peer, "aetherfs_dht_lookups_total"),
        "lookups_in_vain": samples(peer, 'aetherfs_dht_lookups_total{result="nobody"}'),
    }


def samples(text: str, name: str) -> int:
    """The sum of a family's series."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    assert found, name
    return round(sum(map(float, found)))


def page_face(alice: Visitor, peer: str) -> dict[str, str]:
    """What stands on the pages."""

    def tile(name: str) -> Any:
        return alice.page.locator(".tile").filter(has=alice.page.get_by_text(name, exact=True))

    page = alice.visit("overview")
    card = page.get_by_role("article", name=f"{DATASET}:{TAG}")
    told = {
        "peers": tile("peers").locator("dd").first.inner_text(),
        # "back" if the last move was a rollback.
        "current": card.locator("dl div").filter(has_text=re.compile("^(current|back)")).locator("dd").inner_text(),
    }
    page = alice.visit(f"peers/{peer}")
    told["received"] = tile("takes").locator("dd").last.inner_text().removesuffix(" in all")
    page = alice.visit("dht")
    row = page.get_by_role("row").filter(has=page.locator(f"a[href$='{peer}']"))
    row.get_by_role("cell").nth(3).wait_for()
    cells = row.get_by_role("cell").all_inner_texts()
    return {**told, "lookups": cells[2], "lookups_in_vain": cells[3]}
