"""Every decoder for as long as it is given: ``python -m tests.property.fuzz --seconds 600``, as ``make soak`` does.

Each begins from its good bytes, and from what it made of them: bytes that were taken, or refused for a reason that was
not seen before, are good to go on from. Messages that one function reads are one decoder here, begun from all of them.
What a decoder raises but its refusals breaks it, and so does a RemoteProtocolError that is no short line which can be
printed: it is told as a line for ``kept_bytes``. The time is the wall's: what it was worth say the inputs.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

from swarm.errors import RemoteProtocolError
from tests.property.decoder import Decoder
from tests.property.decoders import DECODERS
from tests.property.mutations import mutated

# From how many bytes is gone on at most, and how long they may be.
CORPUS_MAX: Final = 500
LENGTH_MAX: Final = 1 << 20
# A refusal of what others sent is a line for people, whatever came.
LINE_MAX_CHARS: Final = 1000
# What differs among answers of one kind: numbers, and what came.
NUMBERS: Final = re.compile(r"[0-9a-f]{8,}|\d+|'.*'|\".*\"")


def groups(only: Sequence[str] = ()) -> list[list[str]]:
    """Names of decoders, those together that one function reads. ``only``: those that are named, or begin so."""
    found: dict[object, list[str]] = {}
    for name, decoder in DECODERS.items():
        found.setdefault(_reader(decoder), []).append(name)
    named = [min((name for name in DECODERS if name.startswith(prefix)), key=len) for prefix in only]
    chosen = [next(each for each in found.values() if name in each) for name in named]
    return chosen if only else list(found.values())


def _reader(decoder: Decoder) -> object:
    read = decoder.read
    return (read.func, repr(read.args), repr(read.keywords)) if isinstance(read, partial) else read


def fuzz(names: Sequence[str], *, seconds: float, seed: int) -> tuple[str, int, int, str]:
    """The decoder's name, how many bytes it was given, how many ways it answered, and what broke it."""
    name = names[0]
    decoder, rng = DECODERS[name], random.Random(f"{name} {seed}")
    corpus, seen, count = [DECODERS[each].good for each in names], set[str](), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutated(rng.choice(corpus), rng.getrandbits(64))
        count += 1
        try:
            decoder.read(data)
            answer = "taken"
        except decoder.refusals as error:
            if isinstance(error, RemoteProtocolError) and not _is_line(str(error)):
                return name, count, len(seen), f"({name!r}, {data.hex()!r}),  # no line for people: {error!r:.200}"
            answer = NUMBERS.sub("#", f"{type(error).__name__} {error}")[:120]
        except BaseException as error:
            return name, count, len(seen), f"({name!r}, {data.hex()!r}),  # {type(error).__name__}: {error}"
        is_new = answer not in seen or (answer == "taken" and rng.random() < 0.05)
        if is_new and len(data) <= LENGTH_MAX:
            seen.add(answer)
            corpus = [*corpus[-CORPUS_MAX:], data]
    return name, count, len(seen), ""


def _is_line(text: str) -> bool:
    return text.isprintable() and len(text) <= LINE_MAX_CHARS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each decoder")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000)
    parser.add_argument("--only", action="append", default=[], help="the decoder whose name begins so; repeat for more")
    given = parser.parse_args()
    chosen = groups(given.only)
    print(f"{len(chosen)} decoders, {given.seconds:g} s each, seed {given.seed}", flush=True)
    broken = []
    with ProcessPoolExecutor(given.processes) as pool:
        for name, count, ways, why in pool.map(partial(fuzz, seconds=given.seconds, seed=given.seed), chosen):
            print(f"{name}: {count} inputs, {ways} kinds of answers{'; BROKEN' if why else ''}", flush=True)
            if why:
                broken.append(why)
    print("\n".join(["for tests/property/kept_bytes.py:", *broken] if broken else ["nothing broke"]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
