"""The content of versions and directories, read once to be cut at several block parameters."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from swarm.analysis.recut import Recut, is_cut_alike
from swarm.errors import IncompleteError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from swarm.local_agent import AgentClient
    from swarm.manifest import Manifest

READ_BYTES: Final = 1 << 20

Report = Callable[[dict[str, Any]], None]


class Reader:
    """Counts what is read, for the progress that is shown; ``should_stop`` is asked now and then."""

    def __init__(self, total: int, progress: Report, should_stop: Callable[[], bool]) -> None:
        self._done, self._total = 0, total
        self._progress = progress
        self._should_stop = should_stop

    def of_version(self, agent: AgentClient, dataset: str, manifest: Manifest) -> dict[int, Manifest]:
        """A version that the agent reads: from its cache, its directories, or the swarm."""
        recut = Recut()
        path = f"/fs/{dataset}/@{manifest.version.hex()}/?archive=tar"
        try:
            with agent.file(path) as body, tarfile.open(fileobj=body, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and (content := archive.extractfile(member)) is not None:
                        recut.file(member.size)
                        self._feed(recut, iter(lambda: content.read(READ_BYTES), b""))
        except (tarfile.TarError, ConnectionError) as error:
            raise IncompleteError(f"version {manifest.version.hex()[:12]} broke off ({error}): repeat it") from error
        return self._finished(recut, manifest)

    def of_directory(self, root: Path, manifest: Manifest) -> dict[int, Manifest]:
        """A directory whose manifest was just made."""
        recut = Recut()
        for entry in manifest.files:
            if entry.size:
                recut.file(entry.size)
                with (root / entry.path).open("rb") as file:
                    self._feed(recut, iter(lambda: file.read(READ_BYTES), b""))
        return self._finished(recut, manifest)

    def _feed(self, recut: Recut, parts: Iterator[bytes]) -> None:
        for part in parts:
            if self._should_stop():
                raise IncompleteError("the simulation was stopped: repeat the command")
            recut.feed(part)
            self._done += len(part)
            self._progress({"event": "progress", "phase": "read", "done_bytes": self._done, "total_bytes": self._total})

    @staticmethod
    def _finished(recut: Recut, manifest: Manifest) -> dict[int, Manifest]:
        found = recut.finish(manifest.files)
        if not is_cut_alike(manifest, found):
            raise IntegrityError(
                f"version {manifest.version.hex()[:12]} was cut by other rules, or changed while it was read: "
                "repeat the command with --no-sweep"
            )
        return found


def versions_of(agent: AgentClient, dataset: str, tag: str | None, version: str | None, most: int) -> list[str]:
    """The versions that a tag (any tag for None) had, up to ``version``, the latest last, each once; the last few."""
    ref = f"{dataset}:{tag}" if tag is not None else dataset
    try:
        entries: Sequence[Mapping[str, Any]] = agent.call("history", {"ref": ref}, lambda report: None)["entries"]
    except NotFoundError:
        entries = ()
    moves = [move for entry in entries for move in entry["moves"]]
    return latest([m["version"] for m in moves if m["version"] and tag in (None, m["tag"])], version, most)


def latest(versions: Sequence[str], version: str | None, most: int) -> list[str]:
    """Of versions in the order of moves those up to the last ``version`` (the end for None), each once."""
    if version is not None:
        ends = [at for at, each in enumerate(versions) if each == version]
        versions = [*versions[: ends[-1] if ends else 0], version]
    return list(dict.fromkeys(reversed(versions)))[:most][::-1]
