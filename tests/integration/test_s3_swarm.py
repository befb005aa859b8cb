"""A swarm whose durable state is in a bucket of a real S3 server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swarm.objects.open import open_store
from swarm.tracker.keys import load_or_create
from tests.integration.swarm_rig import Swarm, contents, make_tree
from tests.s3_server import BUCKET, S3Server


def test_all_that_lasts_is_in_the_bucket(tmp_path: Path, s3: S3Server) -> None:
    """A tracker and a seed that are new, on homes without anything, go on where others ended."""
    url = s3.url()
    prefix = url.removeprefix(f"s3://{BUCKET}/").partition("?")[0]
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        first = open_store(url)
        async with Swarm(tmp_path / "swarm", objects=first) as swarm:
            producer = await swarm.peer("producer")
            published = await swarm.publish(producer, data, "maps/roads:v1")
            assert contents(tmp_path / "data") == contents(await _pulled(swarm, "one"))
            await swarm.stop(producer)
            await swarm.stop(swarm.seed)
            await swarm.stop(swarm.tracker)
            first.close()
            swarm.objects = open_store(url)
            await swarm.start_tracker()
            await swarm.start_seed("second seed")
            assert contents(tmp_path / "data") == contents(await _pulled(swarm, "two"))
            again = await swarm.publish(await swarm.peer("other producer"), data, "maps/roads:v2")
            assert (again["version"], again["serial"]) == (published["version"], 2)
        swarm.objects.close()

    async def _pulled(swarm: Swarm, name: str) -> Path:
        peer = await swarm.peer(name)
        await swarm.pull(peer, "maps/roads:v1", tmp_path / "out" / name)
        await swarm.stop(peer)
        return tmp_path / "out" / name

    asyncio.run(main())
    lying = {entry["Key"] for entry in s3.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]}
    assert {key.split("/")[1] for key in lying} >= {"datasets", "names", "packs", "indexes", "swarm"}
    for key in lying:
        told = s3.client.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        assert told["ServerSideEncryption"] == "AES256"
        body = s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert told["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_trackers_that_start_at_once_make_one_swarm(s3: S3Server) -> None:
    """Each opens the bucket for itself, as on machines of their own."""
    url = s3.url()

    def start(_: int) -> bytes:
        objects = open_store(url)
        try:
            return load_or_create(objects, bytes(32), 1_000_000.0).secret
        finally:
            objects.close()

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(start, range(3)))) == 1
