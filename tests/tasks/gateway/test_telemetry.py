"""What is kept of requests, and that a crash does not lose it."""

import errno
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.domain.errors import StoreError
from tasks.gateway.policy import Keeping
from tasks.gateway.telemetry import (
    Features,
    Recorder,
    Told,
    claim_part,
    parquet_bytes,
    read_spool,
    read_telemetry,
)
from tasks.store.local import LocalStore
from tasks.store.names import claim_name
from tests.simulators.gateway import running_gateway, wait_for
from tests.simulators.store import MemoryStore

SECRET = bytes(range(32))


def features(kind: str = "projected", *, size: int = 64, dimensions: int = 32) -> Features:
    keeping = Keeping.model_validate({"features": kind, "dimensions": dimensions})
    return Features(keeping, SECRET, size=size, span=1.0)


def recorder(folder: Path, store: Any, **more: Any) -> Recorder:
    return Recorder(
        folder, store, name="reader", keeping=Keeping(**more), features=features(size=4)
    )


def rows_of(store: Any, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.concat_tables(read_telemetry(store, name)).to_pylist()
    return rows


def test_every_request_is_kept_with_what_the_policy_allows(tmp_path: Path) -> None:
    store = MemoryStore()
    with running_gateway(tmp_path, store=store) as gateway:
        key = gateway.key()
        gateway.ask(key, inputs=np.eye(2, 4))
        gateway.ask(key, inputs=np.eye(2, 4)[:1])
        gateway.ask(key, b"no json")
        gateway.ask("nobody")
        name = claim_part("reader")
    rows = rows_of(store, name)
    assert [row["status"] for row in rows] == [200, 200, 200, 400]
    answered = rows[:3]
    assert [row["label"] for row in answered] == [0, 1, 0]
    assert answered[0]["input_hash"] == answered[2]["input_hash"] != answered[1]["input_hash"]
    assert all(0.9 < row["confidence"] <= 1 and row["margin"] > 0.8 for row in answered)
    assert all(len(row["features"]) == 4 and row["latency_ms"] > 0 for row in answered)
    assert {row["account"] for row in rows} == {"acme"}
    assert {row["version"] for row in answered} == {"run-1"}
    assert rows[3]["reason"] == "request"
    assert rows[3]["features"] is None


def test_projected_features_keep_distances_and_hide_inputs() -> None:
    inputs = np.random.default_rng(0).uniform(0, 1, (40, 64))
    kept = np.array(features().of(inputs))
    plain = np.linalg.norm(inputs[1:] - inputs[:-1], axis=1)
    ratio = np.linalg.norm(kept[1:] - kept[:-1], axis=1) / plain
    assert 0.8 < np.median(ratio) < 1.2
    assert kept.shape == (40, 32)
    assert features("none").of(inputs) is None
    np.testing.assert_allclose(np.array(features("raw").of(inputs)), inputs, rtol=1e-6)


def test_hashes_are_keyed() -> None:
    other = Features(Keeping(), bytes(32), size=64, span=1.0)
    inputs = np.zeros((1, 64), np.float32)
    assert features().hashes(inputs) != other.hashes(inputs)


def test_rows_wait_on_the_disk_while_the_store_is_down(tmp_path: Path) -> None:
    class Down(MemoryStore):
        down = True

        def put(self, data: bytes) -> Any:
            if self.down:
                raise StoreError("down")
            return super().put(data)

    store = Down()
    keeper = recorder(tmp_path, store, batch_seconds=0.01)
    keeper.start()
    keeper.tell(Told({"time": 1.0, "account": "a", "status": 200}))
    wait_for(lambda: keeper.failures, what="the store's no")
    assert list(tmp_path.glob("*.jsonl"))
    store.down = False
    keeper.close()
    assert [row["account"] for row in rows_of(store, "reader")] == ["a"]
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_line_cut_short_is_left_out() -> None:
    whole = b'{"time":1.0}\n{"time":2.0}\n{"time":3'
    assert [row["time"] for row in read_spool(io.BytesIO(whole))] == [1.0, 2.0]
    assert read_spool(io.BytesIO(b'{"time":1.0}')) == []


def test_equal_rows_are_equal_bytes_so_sealing_twice_is_sealing_once() -> None:
    rows = [{"time": 1.0, "account": "a", "features": [0.5, 1.0]}]
    assert parquet_bytes(rows) == parquet_bytes(rows)


WRITER = """
import sys, time
from pathlib import Path
from tests.tasks.gateway.test_telemetry import recorder
from tasks.gateway.telemetry import Told
from tasks.store.local import LocalStore
folder = Path(sys.argv[1])
keeper = recorder(folder / "spool", LocalStore(folder / "store"))
keeper.start()
for number in range(10 ** 9):
    keeper.tell(Told({"time": time.time(), "account": "a", "status": 200, "items": number}))
    if number % 50 == 0:
        print(number, time.time(), flush=True)
    time.sleep(0.001)
"""


def test_a_killed_gateway_loses_at_most_the_last_second(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    told: list[tuple[int, float]] = []
    try:
        while not told or told[-1][1] - told[0][1] < 2.5:
            number, moment = writer.stdout.readline().split()
            told.append((int(number), float(moment)))
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    store = LocalStore(tmp_path / "store")
    again = recorder(tmp_path / "spool", store)  # the next gateway of this home
    again.start()
    again.close()
    kept = [row["items"] for row in rows_of(store, "reader")]
    assert kept == list(range(len(kept)))  # none missing, none twice
    due = max(number for number, moment in told if moment <= told[-1][1] - 1.0)
    assert kept[-1] >= due
    assert not list((tmp_path / "spool").glob("*.jsonl"))


@pytest.mark.parametrize("name", ["Digit Reader", "../../etc", "ÄÖ", "a" * 500, ""])
def test_any_name_makes_a_claim(name: str) -> None:
    part = claim_part(name)
    claim_name(f"telemetry/{part}")
    assert part != claim_part(name + "x")


def test_unknown_columns_are_left_out() -> None:
    row = json.loads('{"time":1,"status":200,"unknown":"left out"}')
    table = pq.read_table(pa.BufferReader(parquet_bytes([row])))
    assert table.column("status").to_pylist() == [200]


def test_requests_wait_in_memory_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    keeper = recorder(tmp_path, store)
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: object) -> None:
        raise full

    with monkeypatch.context() as patched:
        patched.setattr("tasks.gateway.telemetry.os.fsync", refuse)
        keeper.start()
        keeper.tell(Told({"time": 1.0, "account": "a", "status": 200}))
        wait_for(lambda: keeper.failures > 1, what="the disk's no")
    keeper.close()
    assert [row["account"] for row in rows_of(store, "reader")] == ["a"]
