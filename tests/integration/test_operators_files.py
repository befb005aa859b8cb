"""What operators are given: Prometheus' rules with their tests, a dashboard, a page for each alert; all of it fits what
the program tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from swarm.alert_messages import RULES
from tests.promtool import promtool

ROOT: Final = Path(__file__).parent.parent.parent
PROMETHEUS: Final = ROOT / "docker" / "prometheus"
DASHBOARD: Final = ROOT / "docker" / "grafana" / "aetherfs.json"
RUNBOOKS: Final = ROOT / "swarm" / "tracker" / "web" / "runbooks"
METRIC: Final = re.compile(r"\baetherfs_[a-z0-9_]+")


def pages() -> dict[str, str]:
    """The runbook of each alert. That the file is what it looks like says promtool."""
    text = (PROMETHEUS / "rules.yaml").read_text()
    return dict(re.findall(r"(?s)- alert: (\w+)\n(?:(?!- alert:).)*?runbook_url: ([^\n]+)\n", text))


def metrics_named() -> dict[str, set[str]]:
    """By file, the metrics that it names."""
    files = [PROMETHEUS / "rules.yaml", PROMETHEUS / "rules_test.yaml", DASHBOARD, *RUNBOOKS.glob("*.md")]
    return {str(path.relative_to(ROOT)): set(METRIC.findall(path.read_text())) for path in files}


def expressions(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_promtool_takes_the_rules_and_their_tests_and_the_configuration() -> None:
    for arguments in (
        ("check", "rules", str(PROMETHEUS / "rules.yaml")),
        ("test", "rules", str(PROMETHEUS / "rules_test.yaml")),
        ("check", "config", str(PROMETHEUS / "prometheus.yaml")),
    ):
        code, told = promtool(*arguments)
        assert code == 0, told


def test_each_alert_is_tested_and_has_its_page() -> None:
    tested = set(re.findall(r"alertname: (\w+)", (PROMETHEUS / "rules_test.yaml").read_text()))
    names = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "rules.yaml").read_text()))
    assert tested == names == pages().keys()
    assert names >= set(RULES)
    index = (RUNBOOKS / "README.md").read_text()
    for name, page in pages().items():
        assert page == f'"{{{{ $externalLabels.aetherfs }}}}/ui/runbooks/{name}"'
        text = (RUNBOOKS / f"{name}.md").read_text()
        for heading in ("What it means", "How to see it", "What to do"):
            assert f"\n## {heading}\n" in text, page
        assert f"({name}.md)" in index
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == names | {"README"}


def test_the_dashboard_is_one(tmp_path: Path) -> None:
    read = json.loads(DASHBOARD.read_text())
    found = list(expressions(read["panels"]))
    assert len(found) > 30
    assert len({panel["id"] for panel in read["panels"]}) == len(read["panels"])
    # Prometheus' own parser takes each expression, with the dashboard's variables filled in.
    filled = [one.replace("$__rate_interval", "1m").replace("$instance", ".*") for one in found]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(filled)]
    (tmp_path / "panels.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    code, told = promtool("check", "rules", str(tmp_path / "panels.yaml"))
    assert code == 0, told
