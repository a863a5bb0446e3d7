import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.clocks import MovedClock, build_library

CHILD = """
import asyncio, struct, sys
from distributed.batched import BatchedSend
{kept}
class Other:
    def __init__(self):
        self.heard = []

    def closed(self):
        return False

    async def write(self, batch, **_):
        self.heard += batch
        return 1

async def main():
    other, stream = Other(), BatchedSend(interval="300 ms")
    stream.start(other)
    stream.send("before")
    await asyncio.sleep(0.1)
    with open(sys.argv[1], "r+b") as clock:
        clock.write(struct.pack("q", -86400))
    stream.send("after")
    await asyncio.sleep(2)
    print(*other.heard)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("kept", "heard"),
    [("import tasks.streams", ["before", "after"]), ("", ["before"])],
    ids=["ours", "Dask's own"],
)
def test_a_stream_goes_on_when_the_clock_is_set_back(
    kept: str, heard: list[str], tmp_path: Path
) -> None:
    """That Dask's own falls silent is why ours is needed; when it does not, ours can go."""
    clock = MovedClock(tmp_path, build_library(tmp_path))
    asked = [sys.executable, "-c", CHILD.format(kept=kept), str(tmp_path / "seconds")]
    run = subprocess.run(
        asked, env=os.environ | clock.environment, check=True, capture_output=True, timeout=60
    )
    assert run.stdout.decode().split() == heard
