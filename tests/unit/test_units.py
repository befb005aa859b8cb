"""Bytes and rates are said one way: the program and its pages say the same of the same figure."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from importlib.resources import files

import pytest

from swarm.units import rate, size

FORMAT = files("swarm.tracker").joinpath("web", "lib", "format.js")
SAID = {
    0: "0 B",
    1: "1 B",
    2.5: "3 B",
    999: "999 B",
    999.5: "1.0 kB",
    1000: "1.0 kB",
    1049: "1.0 kB",
    1050: "1.1 kB",
    1250: "1.3 kB",
    99_949: "99.9 kB",
    99_950: "100 kB",
    999_499: "999 kB",
    999_500: "1.0 MB",
    1_000_000: "1.0 MB",
    1_048_576: "1.0 MB",
    123_456_789: "123 MB",
    42_800_000_000: "42.8 GB",
    1_500_000_000_000: "1.5 TB",
    (1 << 53) - 1: "9.0 PB",
    -2048: "-2.0 kB",
}


def test_sizes_and_rates_are_decimal_with_three_digits_at_most() -> None:
    assert {count: size(count) for count in SAID} == SAID
    assert (rate(120_000), rate(0.4)) == ("120 kB/s", "0 B/s")


def test_pages_say_what_the_program_says() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js to run the dashboard's own code with")
    rng = random.Random(5)
    # Numbers of every size, whole and not, and such as lie on the edges of rounding.
    counts = [*SAID, *(rng.uniform(0, 10 ** rng.uniform(0, 16)) for _ in range(300)), *range(950, 3050, 50)]
    text = f"{FORMAT.read_text()}\nconsole.log(JSON.stringify({json.dumps(counts)}.map((n) => [bytes(n), rate(n)])));"
    run = subprocess.run(
        [node, "--input-type=module"], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    assert [tuple(pair) for pair in json.loads(run.stdout)] == [(size(count), rate(count)) for count in counts]
