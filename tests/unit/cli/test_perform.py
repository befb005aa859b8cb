"""A command whose agent ends meanwhile is done again by whoever is there then, and says that it may have been done."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Any, cast

import pytest

from swarm.cli.output import Output
from swarm.cli.perform import perform
from swarm.cli.program import Program
from swarm.config import load
from swarm.standing import AgentInfo
from tests.unit.cli.test_agent import _agent, _line


class Home:
    """What ``perform`` asks a program for: which process runs on the home, first one and then another."""

    def __init__(self, *agents: AgentInfo) -> None:
        self._agents = list(agents)
        self.settings = load({}, {})
        self.output = Output(json=True, quiet=True, stdout=io.StringIO(), stderr=io.StringIO())

    def agent(self) -> AgentInfo:
        return self._agents.pop(0) if len(self._agents) > 1 else self._agents[0]


@pytest.mark.parametrize(
    ("verb", "is_told"), [("publish", True), ("tag", True), ("rollback", True), ("rm", True), ("pull", False)]
)
def test_what_is_repeated_says_since_when_it_may_have_been_done(verb: str, is_told: bool) -> None:
    began = int(time.time())
    with _agent([], whole=False) as (first, broken), _agent([_line(event="done", result={})]) as (second, whole):
        home = Home(first._info, second._info)
        assert perform(cast(Program, home), verb, {"x": 1}) == {}
    asked: list[Mapping[str, Any]] = [request[2] for request in (*broken.asked, *whole.asked)]
    assert asked[0] == {"x": 1}
    assert ("since" in asked[1]) == is_told
    assert not is_told or began <= asked[1]["since"] <= time.time()
