"""Each rule fires on a bad sample and is silent on a good one."""

from __future__ import annotations

import pytest

from tests.house.rules import offences

GOOD = '"""What it is."""\n\nanswer = 42\n'
BAD = [
    ("swarm/x.py", '"""Doc."""\nchunk_size = 1\n', "synonym"),
    ("swarm/x.py", '"""The shards of it."""\n', "synonym"),
    ("swarm/utils.py", GOOD, "says nothing"),
    ("swarm/x.py", '"""Doc."""\n' + "a = 1\n" * 500, "two things"),
    ("swarm/x.py", '"""Doc."""\ndef f() -> None:\n' + "    a = 1\n" * 70, "has 71 lines"),
    ("swarm/x.py", "a = 1\n", "does not say"),
    ("swarm/x.py", '"""Doc."""\ntry:\n    a = 1\nexcept:\n    pass\n', "swallows"),
    ("swarm/x.py", '"""Doc."""\ntry:\n    a = 1\nexcept Exception:\n    pass\n', "swallows"),
    (
        "swarm/x.py",
        '"""Doc."""\nfor a in b:\n    try:\n        a()\n    except Exception:\n        continue\n',
        "swallows",
    ),
    ("swarm/x.py", '"""Doc."""\nimport contextlib\n\nwith contextlib.suppress(Exception):\n    a = 1\n', "swallows"),
    ("seed/x.py", '"""Doc."""\nprint(1)\n', "print"),
    ("README.md", "see /wo" + "rk/main/x\n", "belongs to one machine"),
    ("README.md", "It splits a file into shards.\n", "synonym"),
    ("swarm/x.py", '"""Pure."""\nimport random\n\nx = random.choice([1])\n', "pure core"),
    ("swarm/x.py", '"""Pure."""\nx = open("a")\n', "pure core"),
    ("seed/x.py", '"""Pure."""\nimport os.path\n', "pure core"),
    ("seed/x.py", '"""Doc. Pure: no clock."""\nfrom time import monotonic\n', "pure core"),
    (".ci/x.lock", "--find-links /opt/x\n", "no pinned version"),
    (".ci/x.lock", "click @ https://host/click.whl\n", "no pinned version"),
    (".ci/x.lock", "click>=8\n", "no pinned version"),
    (".ci/x.lock", "--index-url https://py" + "pi.org/simple\n", "belongs to one machine"),
]


@pytest.mark.parametrize(("path", "text", "says"), BAD)
def test_a_rule_fires(path: str, text: str, says: str) -> None:
    assert any(says in line for line in offences(path, text))


def test_a_good_file_passes() -> None:
    assert offences("swarm/x.py", GOOD) == []


def test_a_good_lock_passes() -> None:
    lock = (
        "click==8.5.1 \\\n    --hash=sha256:" + "0" * 64 + " \\\n    --hash=sha256:" + "1" * 64 + "\n    # via rich\n"
    )
    assert offences(".ci/x.lock", lock) == []


def test_a_core_may_hold_the_randomness_it_was_given() -> None:
    assert offences("swarm/x.py", '"""Pure."""\nimport random\n\nx = random.Random(1).choice([1])\n') == []


def test_who_does_not_say_that_it_is_pure_may_look_at_a_clock() -> None:
    assert offences("swarm/x.py", '"""Doc."""\nimport time\n\nnow = time.monotonic()\n') == []


def test_foreign_words_are_allowed() -> None:
    assert offences("swarm/x.py", '"""Faster than libtorrent and BitTorrent."""\n') == []
