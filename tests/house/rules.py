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
# A module that says so of itself decides: no I/O, no clock, no global randomness. A lock is none of these.
PURE: Final = re.compile(r"\bPure\b")
SHELLS: Final = frozenset(
    {"aiohttp", "asyncio", "asyncio_dgram", "boto3", "os", "pathlib", "secrets", "socket", "ssl", "subprocess", "time"}
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
    """A core's randomness, time and files are arguments: who says that it is pure is held to it."""
    if not path.startswith(("swarm/", "seed/")) or not path.endswith(".py"):
        return
    tree = ast.parse(text)
    if not PURE.search(ast.get_docstring(tree) or ""):
        return
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.partition(".")[0] in SHELLS:
                yield f"{path}:{node.lineno}: {module} in a pure core: leave it to the shell"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            is_global = re.fullmatch(r"random\.[a-z]\w*", called) is not None
            does_it = called in ("open", "print", "input", "threading.Thread")
            if is_global or does_it or called.endswith((".now", ".today", ".utcnow")):
                yield f"{path}:{node.lineno}: {called} in a pure core: take what it gives as an argument"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


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
