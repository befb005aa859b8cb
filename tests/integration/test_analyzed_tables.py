"""Tables in ``analyze`` and ``diff``, with the packages that they take, in an environment of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.client_packages import missing_clients, run_with_clients
from tests.unit.analysis.samples import put, rows, table, with_a_row

SCRIPT = """
import json, sys
from pathlib import Path
import pyarrow.csv, pyarrow.parquet as parquet
from swarm.analysis.changes import Change
from swarm.analysis.rows import row_changes
from tests.unit.analysis.test_findings import findings
from swarm.analysis.curing import cost_of

folder = Path(sys.argv[1])
whole = pyarrow.csv.ReadOptions(block_size=1 << 30)
tables = [pyarrow.csv.read_csv(folder / name / "t.csv", read_options=whole) for name in ("old", "new")]
for name, defined in (("plain", False), ("right", True)):
    for version, read in zip(("old", "new"), tables):
        (folder / name / version).mkdir(parents=True)
        parquet.write_table(read, folder / name / version / "t.parquet", use_content_defined_chunking=defined)
told = findings(folder / "plain" / "new", folder / "plain" / "old")["parquet-not-content-defined"]
costs = [cost_of(folder / name / "new", folder / name / "old").wire_bytes for name in ("plain", "right")]
first = findings(folder / "plain" / "new")
right = [*findings(folder / "right" / "new", folder / "right" / "old"), *findings(folder / "right" / "new")]

def copy(version):
    def copied(path, target, limit):
        source = folder / ("plain" if path.endswith("parquet") else ".") / version / path
        target.write_bytes(source.read_bytes())
    return copied

paths = ("t.csv", "t.parquet", "broken.csv.gz", "notes.txt")
changes = [Change(path, "changed", "file", 1, 1, 1) for path in paths]
compared = [(c.path, c.rows, c.added, c.removed, c.first_added, bool(c.problem))
            for c in row_changes(changes, copy("old"), copy("new"))]
print(json.dumps([told.saved_share, 1 - costs[1] / costs[0], list(first), right, compared]))
"""


@pytest.fixture(autouse=True)
def _clients() -> None:
    why = missing_clients()
    if why is not None:
        pytest.skip(why)


def test_parquet_and_rows(tmp_path: Path) -> None:
    lines = rows(250_000)
    put(tmp_path / "old", {"t.csv": table(lines), "broken.csv.gz": b"\x1f\x8b"})
    put(tmp_path / "new", {"t.csv": table([*with_a_row(lines)[:-1], b"0,0,last\n"]), "broken.csv.gz": b"\x1f\x8b\x08"})
    estimated, saved, first, right, compared = json.loads(run_with_clients(SCRIPT, str(tmp_path)))
    assert estimated == pytest.approx(saved, abs=0.1)
    assert estimated > 0.2
    assert first == ["parquet-not-content-defined"]
    assert right == []
    csv, parquet, broken = compared
    assert csv[:4] == ["t.csv", 250_001, 2, 1]
    assert sorted(csv[4]) == ["0, 0, last", "99999999, 1, new"]
    assert parquet[1:4] == csv[1:4]
    assert broken[5], "and said why"
