"""The DHT's bench runs and its report says what it found."""

from __future__ import annotations

import json
from pathlib import Path

from bench.dht import main
from bench.provenance import commit


def test_the_bench_measures_a_small_network(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert main(["--nodes", "12", "--dead", "2", "--keys", "80", "--lookups", "3", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["commit"] == commit()
    assert report["machine"]["cores"] >= 1
    assert report["found"] == report["lookups"] == 6
    assert report["sweep"]["nodes_that_keep_a_key"] == 8
    assert report["sweep"]["packets"] > 0
