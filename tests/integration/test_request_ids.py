"""An id of a request: taken and given back, in every line of the log, and at the tracker that is asked meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import aiohttp

from swarm.log_lines import JsonLines
from tests.integration.whole_process import whole_process


class Lines(logging.Handler):
    """What is logged, as JSON lines."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[dict[str, str]] = []
        self._formatter = JsonLines()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self._formatter.format(record)))


def test_one_id_from_the_caller_to_the_tracker(tmp_path: Path) -> None:
    async def main(kept: Lines) -> None:
        async with whole_process(tmp_path / "home") as parts, aiohttp.ClientSession() as session:
            info = parts.node.home.agent()
            assert info is not None
            base = f"http://127.0.0.1:{info.port}"
            for given in ("r-42", "bad id", None):
                headers = {"X-Request-Id": given} if given else {}
                async with session.get(f"{base}/livez", headers=headers) as response:
                    told = response.headers["X-Request-Id"]
                assert (told == given) is (given == "r-42")
            headers = {"Authorization": f"Bearer {info.token}", "X-Request-Id": "r-43"}
            asked = {"ref": "maps/none:v1"}
            async with session.post(f"{base}/api/v1/agent/inspect", json=asked, headers=headers) as response:
                await response.read()
            mine = [line for line in kept.lines if line.get("request_id") == "r-43"]
            at_tracker = [line for line in mine if "/api/v1/datasets/{scope}/{name}" in line["message"]]
            assert at_tracker, "the tracker was asked under the same id"
            assert {line["dataset"] for line in at_tracker} == {"maps/none"}
            assert at_tracker[0]["peer"] == parts.node.key.peer_id
            assert len([line for line in mine if "agent/inspect" in line["message"]]) == 1
            assert not any(info.token in json.dumps(line) for line in kept.lines)

    kept, logger = Lines(), logging.getLogger("aetherfs.requests")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(kept)
    try:
        asyncio.run(main(kept))
    finally:
        logger.removeHandler(kept)
        logger.setLevel(before)
