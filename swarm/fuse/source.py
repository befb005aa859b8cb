"""What a mount reads: versions, entries and bytes, from the agent over loopback. Blocking, for several threads.

An agent that goes away is waited for, as it may be restarted; ``AWAY_S`` at most, then the read fails. Whoever waits
for it can be interrupted.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from swarm.agent_methods import watch_path
from swarm.errors import UnreachableError
from swarm.local_agent import AgentClient
from swarm.names import DEFAULT_TAG, Reference
from swarm.reader_calls import ReaderCalls
from swarm.standing import agent_of

if TYPE_CHECKING:
    from swarm.config import Settings

AWAY_S: Final = 60.0
AGAIN_S: Final = 0.2
T = TypeVar("T")
Interrupted = Callable[[], bool]


def never() -> bool:
    return False


class Source:
    """A dataset at one agent. ``address`` is an agent's; else the home's is asked, or one started if none runs.
    ``settings``: those of whoever mounts, which may require signers (``ReaderCalls``).
    """

    def __init__(
        self,
        reference: Reference,
        home: Path,
        address: str | None = None,
        away_s: float = AWAY_S,
        settings: Settings | None = None,
    ) -> None:
        self._dataset = f"/fs/{quote(reference.scope)}/{quote(reference.name)}"
        self._tag = f"@{reference.signature.hex()}" if reference.signature else reference.tag or DEFAULT_TAG
        self._away_s = away_s
        self._name = f"{reference.scope}/{reference.name}:{self._tag}"
        self._home, self._address = home, address
        # One that others have started is theirs to start again.
        self._calls = ReaderCalls(str(home), address, starts_agent=agent_of(home) is None, settings=settings)

    def version(self) -> str:
        """What the reference means now, in hex. OSError."""
        return str(self._calls.json(f"{self._dataset}/{quote(self._tag, safe='@')}/?info=1")["version"])

    def news(self) -> Iterator[bool]:
        """Each word of the agent's watch: whether it is news of the tag, or a sign of life. AetherError when there is
        no watch, or no longer.
        """
        info = agent_of(self._home)
        if info is None or (self._address is not None and urlsplit(self._address).port != info.port):
            raise UnreachableError(f"the agent that is read from is not that of {self._home}")
        for line in AgentClient(info).lines(watch_path(self._name)):
            yield line.startswith(b"data:")

    def entry(self, version: str, path: str, interrupted: Interrupted = never) -> dict[str, Any]:
        """What lies at a path, links not followed. FileNotFoundError."""
        url = f"{self._url(version, path)}?info=entry"
        return self._patiently(lambda: dict(self._calls.json(url)["entries"][0]), interrupted)

    def page(
        self, version: str, path: str, after: str, interrupted: Interrupted = never
    ) -> tuple[list[dict[str, Any]], str]:
        """A page of what lies in a directory, and where the next begins."""
        slash = "/" if path else ""
        query = urlencode({"format": "json", "after": after}, errors="surrogatepass")
        url = f"{self._url(version, path)}{slash}?{query}"
        document = self._patiently(lambda: self._calls.json(url), interrupted)
        return document["entries"], document["next"]

    def data(self, version: str, path: str, begin: int, end: int, interrupted: Interrupted = never) -> bytes:
        """These bytes of a file, which has them."""
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        url = self._url(version, path)
        data = self._patiently(lambda: self._calls.body(url, headers), interrupted)
        if len(data) != end - begin:
            raise OSError(errno.EIO, f"{end - begin} bytes of {path!r} were asked for and {len(data)} came")
        return data

    def _url(self, version: str, path: str) -> str:
        return f"{self._dataset}/@{version}/{quote(path)}"

    def _patiently(self, call: Callable[[], T], interrupted: Interrupted) -> T:
        deadline = time.monotonic() + self._away_s
        while True:
            try:
                return call()
            except ConnectionError:
                if time.monotonic() > deadline:
                    raise
                if interrupted():
                    raise InterruptedError(errno.EINTR, "whoever read this waits no more") from None
                time.sleep(AGAIN_S)
