"""The rules that a linter does not know. Each takes a file's path and text and yields a line per offence."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

FILE_LINES_MAX: Final = 450
FUNCTION_LINES_MAX: Final = 60
SYNONYMS: Final = re.compile(r"(?i)\b\w*(chunk|shard|torrent|artifact)\w*|\bpieces?\b")
# Foreign names, and the products that we are measured against.
FOREIGN: Final = re.compile(
    r"(?i)libtorrent|bittorrent|\bchunked\b|content_defined_chunking|artifactType|\bin pieces\b|iter_chunk(s|ed)\b"
)
VAGUE_MODULES: Final = ("utils", "helpers", "manager", "base", "common", "misc")
# Put together, so that this file does not offend itself.
HOSTS: Final = re.compile("(?i)" + "|".join(("pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.org")))
MACHINE_PATHS: Final = re.compile(r"(?<![\w.])/(?:work|root|home/(?!aetherfs)[a-z]+|Users/\w+)/\w")
# A lock line is a package at one version, a hash of one of its files, or a comment.
LOCKED: Final = re.compile(r"[a-z0-9][a-z0-9-]*==[^\s/:]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|\s*(#[^/]*)?")
# What decides: no global randomness, no clock and no file, whatever module it comes from.
PURE: Final = (
    "seed/marking.py",
    "seed/packs.py",
    "swarm/dht/batch.py",
    "swarm/dht/lookup.py",
    "swarm/dht/members.py",
    "swarm/dht/records.py",
    "swarm/dht/sweep.py",
    "swarm/objects/bill.py",
    "swarm/oidc/claims.py",
    "swarm/objects/weather.py",
    "swarm/peer/blocks.py",
    "swarm/peer/budget.py",
    "swarm/peer/candidates.py",
    "swarm/peer/far.py",
    "swarm/peer/gossip.py",
    "swarm/peer/instructions.py",
    "swarm/peer/membership.py",
    "swarm/peer/mesh.py",
    "swarm/peer/neighbour.py",
    "swarm/peer/origins.py",
    "swarm/peer/overtaking.py",
    "swarm/peer/picker.py",
    "swarm/peer/pulse.py",
    "swarm/peer/redirect.py",
    "swarm/peer/scheduler.py",
    "swarm/peer/shares.py",
    "swarm/peer/site.py",
    "swarm/peer/slots.py",
    "swarm/peer/spared.py",
    "swarm/peer/standby.py",
    "swarm/peer/steps.py",
    "swarm/peer/telling.py",
    "swarm/peer/tracker_book.py",
    "swarm/peer/trace.py",
    "swarm/peer/uploads.py",
    "swarm/peer/verdict.py",
    "swarm/peer/waterfall.py",
    "swarm/peer/window.py",
    "swarm/publish_budget.py",
    "swarm/tracker/figures/copies.py",
    "swarm/tracker/figures/flow.py",
    "swarm/tracker/figures/happened.py",
    "swarm/tracker/figures/happenings.py",
    "swarm/tracker/figures/peer_views.py",
    "swarm/tracker/figures/peers.py",
    "swarm/tracker/figures/picture.py",
    "swarm/tracker/figures/reasons.py",
    "swarm/tracker/figures/rings.py",
    "swarm/tracker/figures/rollouts.py",
    "swarm/tracker/figures/steps.py",
    "swarm/tracker/figures/sums.py",
    "swarm/tracker/figures/swarm_views.py",
    "swarm/tracker/figures/tagbook.py",
    "swarm/tracker/figures/turns.py",
    "swarm/tracker/figures/verdicts.py",
    "swarm/tracker/figures/views.py",
    "swarm/tracker/handout.py",
    "swarm/tracker/listing.py",
    "swarm/tracker/people/guessing.py",
    "swarm/tracker/presence.py",
)

Rule = Callable[[str, str], Iterator[str]]


def glossary(path: str, text: str) -> Iterator[str]:
    """One word per idea: block, run, pack, version; never their synonyms."""
    if not path.endswith((".py", ".md")) or path.startswith(("tests/house/", "bench/contenders/")):
        return  # adapters speak the words of whom they adapt
    for number, line in enumerate(text.splitlines(), 1):
        found = SYNONYMS.search(FOREIGN.sub("", line))
        if found:
            yield f"{path}:{number}: {found.group()!r} is a synonym: see the glossary in ARCHITECTURE.md"


def module_names(path: str, text: str) -> Iterator[str]:
    """A module is named for what it holds."""
    if path.endswith(".py") and path.rsplit("/", 1)[-1][:-3] in VAGUE_MODULES:
        yield f"{path}: the name says nothing: name the module for what it holds"


def sizes(path: str, text: str) -> Iterator[str]:
    """Files and functions that a reader can hold in the head."""
    if not path.endswith(".py"):
        return
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{path}: {lines} lines, at most {FILE_LINES_MAX}: perhaps two things in one"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"


def docstrings(path: str, text: str) -> Iterator[str]:
    """A module opens with what it is."""
    if path.endswith(".py") and text.strip() and ast.get_docstring(ast.parse(text)) is None:
        yield f"{path}: the module does not say what it is"


def swallowing(path: str, text: str) -> Iterator[str]:
    """No exception vanishes unnamed."""
    if not path.endswith(".py"):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            named = ast.unparse(node.type) if node.type is not None else ""
            does_nothing = all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
            if not named or (named in ("Exception", "BaseException") and does_nothing):
                yield f"{path}:{node.lineno}: an except that swallows whatever comes"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("suppress", "contextlib.suppress"):
            kinds = {ast.unparse(kind) for kind in node.args}
            if kinds & {"Exception", "BaseException"}:
                yield f"{path}:{node.lineno}: a suppress that swallows whatever comes"


def printing(path: str, text: str) -> Iterator[str]:
    """Only the program and the benches talk to a terminal."""
    if not path.startswith(("swarm/", "seed/")) or path.startswith("swarm/cli/") or not path.endswith(".py"):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{path}:{node.lineno}: print in a library"


def origins(path: str, text: str) -> Iterator[str]:
    """No registry's host and no path of one machine."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in (HOSTS.search(line), MACHINE_PATHS.search(line)):
            if found:
                yield f"{path}:{number}: {found.group()!r} belongs to one machine or registry"


def purity(path: str, text: str) -> Iterator[str]:
    """A core's randomness, time and files are arguments. (import-linter holds the imports.)"""
    if path not in PURE:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_global = re.fullmatch(r"random\.[a-z]\w*", called) is not None
        if is_global or called in ("open", "print", "input") or called.endswith((".now", ".today", ".utcnow")):
            yield f"{path}:{node.lineno}: {called} in a pure core: take what it gives as an argument"


def locks(path: str, text: str) -> Iterator[str]:
    """A lock holds versions and hashes, and no address of any kind."""
    if not path.endswith(".lock"):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not LOCKED.fullmatch(line):
            yield f"{path}:{number}: {line.strip()!r} is no pinned version and no hash"


RULES: Final[tuple[Rule, ...]] = (
    glossary,
    module_names,
    sizes,
    docstrings,
    swallowing,
    printing,
    origins,
    purity,
    locks,
)


def offences(path: str, text: str) -> list[str]:
    """All offences of a file."""
    return [line for rule in RULES for line in rule(path, text)]
