"""A second real S3 server for tests: Ceph's gateway, where Debian's ``radosgw``, ``ceph-mon`` and ``ceph-osd`` are.

One monitor, one store in memory and one gateway, on free ports of 127.0.0.1, without authentication among themselves.
They are killed at the end, and die with the tests if those are killed themselves. By themselves they gather what is
decided for a second, and hold back the end of each answer until the one before is acknowledged: here they do not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from tests.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, die_with_parent, free_ports, plain_client, store_url

PROGRAMS: Final = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")
READY_DEADLINE_S: Final = 120.0
POLL_S: Final = 0.1


def missing_programs() -> list[str]:
    """What has to be installed before this server can run here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class CephServer:
    """``CephServer()`` returns when it takes objects; ``close`` leaves nothing behind."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="aetherfs-ceph-"))
        self._started: list[subprocess.Popen[bytes]] = []
        monitor, gateway = free_ports(2)
        self.endpoint = f"http://127.0.0.1:{gateway}"
        self.client = plain_client(self.endpoint)
        try:
            self._configure(monitor, gateway)
            self._start_all(monitor)
        except BaseException:
            self.close()
            raise

    def url(self, prefix: str = "", **options: str) -> str:
        """The address of a store in its bucket. It has no key to encrypt with."""
        return store_url(self.endpoint, prefix, **{"sse": "none", **options})

    def close(self) -> None:
        for process in reversed(self._started):
            process.kill()
            process.wait()
        self.client.close()
        shutil.rmtree(self.folder)

    def _configure(self, monitor: int, gateway: int) -> None:
        (self.folder / "ceph.conf").write_text(
            f"""[global]
fsid = {uuid.uuid4()}
mon_host = v2:127.0.0.1:{monitor}
ms_bind_ipv4 = true
public_addr = 127.0.0.1
ms_mon_client_mode = crc
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = {self.folder}
admin_socket =
log_file = {self.folder}/$name.log
pid_file =
crash_dir = {self.folder}
mon_data = {self.folder}/mon
osd_data = {self.folder}/osd
rgw_data = {self.folder}/rgw
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.01
paxos_min_wait = 0.01
rgw_frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
""",
            encoding="ascii",
        )
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()

    def _start_all(self, monitor: int) -> None:
        self._run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{monitor}]", str(self.folder / "monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.folder / "monmap"))
        self._start("ceph-mon", "-i", "a", "-f")
        name = str(uuid.uuid4())
        self._run("ceph", "osd", "new", name)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", name)
        self._start("ceph-osd", "-i", "0", "-f")
        user = ["--uid=tests", "--display-name=tests", f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}"]
        self._run("radosgw-admin", "user", "create", *user)
        self._start("radosgw", "-n", "client.rgw", "-f")
        deadline = time.monotonic() + READY_DEADLINE_S
        while True:
            try:
                self.client.create_bucket(Bucket=BUCKET)
                return
            except (BotoCoreError, ClientError) as error:
                assert time.monotonic() < deadline, f"the gateway did not start: {error}"
            time.sleep(POLL_S)

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [program, "-c", str(self.folder / "ceph.conf"), *arguments]

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            self._command(*command), capture_output=True, timeout=READY_DEADLINE_S, check=False, env=os.environ
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}"

    def _start(self, *command: str) -> None:
        with (self.folder / "output").open("ab") as output:
            self._started.append(
                subprocess.Popen(
                    self._command(*command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    preexec_fn=die_with_parent,
                )
            )
