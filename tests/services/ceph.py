"""A real S3 server: Ceph RADOS Gateway with one monitor and one disk, on loopback.

No manager daemon and no cephx: the gateway's own S3 authentication is real, the cluster behind it
is reachable from this machine only. Needs the Debian packages named in ``PACKAGES``.
"""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services.processes import Child, free_port, require, wait_until

PACKAGES = "--no-install-recommends radosgw ceph-mon ceph-osd ceph-common"
BINARIES = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv")
KEY, SECRET = "testkey", "testsecret"

# Without the six crc lines the gateway asks for encrypted connections that need cephx.
CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor_port}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms bind ipv6 = false
ms mon client mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon max pg per osd = 2000
paxos propose interval = 0.02
paxos min wait = 0.01
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
log file = {folder}/log/$name.log
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = bluestore
bluestore block size = 21474836480
bluestore block create = true
osd memory target = 1073741824
osd client watch timeout = 2
osd crush initial weight = 1
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw dynamic resharding = false
rgw enable apis = s3, admin, notifications
"""


class Ceph:
    """A running cluster; ``gateway`` may be killed, frozen and restarted by tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.children: list[Child] = []
        self._env = os.environ | {"CEPH_ARGS": f"-c {folder}/ceph.conf"}
        self.gateway: Child

    def start(self) -> None:
        monitor_port = free_port()
        fsid = str(uuid.uuid4())
        for name in ("mon", "osd", "run", "log"):
            (self.folder / name).mkdir()
        (self.folder / "ceph.conf").write_text(
            CONFIGURATION.format(
                fsid=fsid, monitor_port=monitor_port, folder=self.folder, port=self.port
            )
        )
        map_file = str(self.folder / "monmap")
        address = f"[v2:127.0.0.1:{monitor_port}]"
        self._run("monmaptool", "--create", "--addv", "a", address, "--fsid", fsid, map_file)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", map_file)
        self._child("ceph-mon", "-f", "-i", "a")
        disk = str(uuid.uuid4())
        self._run("ceph", "osd", "create", disk)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._child("ceph-osd", "-f", "-i", "0")
        self.gateway = self._child("radosgw", "-f", "-n", "client.rgw.a")
        self.wait()
        self._run(
            "radosgw-admin", "-n", "client.rgw.a", "user", "create", "--uid=test",
            "--display-name=test", f"--access-key={KEY}", f"--secret-key={SECRET}",
        )  # fmt: skip

    def wait(self) -> None:
        """Returns when the gateway answers."""
        wait_until(self._answers, what=f"the S3 gateway (logs in {self.folder}/log)")

    @functools.cached_property
    def bucket(self) -> str:
        """One bucket with object lock for all tests that bring their own prefix."""
        return self.new_bucket()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which an operator points Proofhouse at this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    @functools.cache  # noqa: B019 - one cluster per session; a client costs 0.3 s
    def client(self) -> Any:
        """Returns a plain boto3 client, for preparing and for attacking."""
        import boto3  # noqa: PLC0415 - only tests with a server pay for it
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )

    def new_bucket(self, *, lock: bool = True) -> str:
        """Creates a bucket with object lock (hence versions), or a plain one."""
        name = f"evidence-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Makes the cluster believe that its disk is full: writes then hang.

        The disk reports what it holds every few seconds, so the limits act late: the block is
        entered when the monitor has marked the disk, however long that takes.
        """
        try:
            self._set_limits(nearfull=1e-6, backfillfull=2e-6, full=3e-6)
            wait_until(self._disk_is_full, what="the full disk")
            yield
        finally:
            self._set_limits(full=0.95, backfillfull=0.90, nearfull=0.85)

    def _disk_is_full(self) -> bool:
        (disk,) = json.loads(self._run("ceph", "osd", "dump", "--format", "json"))["osds"]
        return "full" in disk["state"]

    def _set_limits(self, **ratios: float) -> None:
        for name, ratio in ratios.items():
            self._run("ceph", "osd", f"set-{name}-ratio", str(ratio))

    def stop(self) -> None:
        for child in reversed(self.children):
            with contextlib.suppress(OSError):
                child.stop()

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
        return done.stdout

    def _child(self, *command: str) -> Child:
        log = self.folder / "log" / f"{command[0]}.out"
        self.children.append(Child(command, log=log, env=self._env))
        return self.children[-1]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint, timeout=1):  # noqa: S310 - loopback http
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


@contextlib.contextmanager
def running_ceph() -> Iterator[Ceph]:
    """Lends a fresh cluster; skips or fails when Ceph is not installed."""
    require(BINARIES, what="Ceph", switch="PROOFHOUSE_REQUIRE_S3", packages=PACKAGES)
    # Unix socket names end at 107 characters, so not pytest's long folders.
    folder = Path(tempfile.mkdtemp(prefix="rgw", dir="/tmp"))
    cluster = Ceph(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
