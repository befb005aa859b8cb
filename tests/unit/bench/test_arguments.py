"""Contenders by name."""

from __future__ import annotations

import click
import pytest

from bench.__main__ import CONTENDERS, SWARM_CONTENDERS
from bench.arguments import Names


def test_the_synonym_of_a_contender_is_the_contender_once() -> None:
    for known in (Names(CONTENDERS), Names(SWARM_CONTENDERS)):
        chosen = known.convert("curl,ours,nginx+curl,libtorrent", None, None)
        assert [contender.name for contender in chosen] == ["nginx+curl", "ours", "libtorrent"]


@pytest.mark.parametrize("names", ["ours,carrier-pigeon", "", ","])
def test_what_names_no_contender_is_refused_with_those_there_are(names: str) -> None:
    with pytest.raises(click.BadParameter, match=r"nginx\+curl"):
        Names(CONTENDERS).convert(names, None, None)
