"""An asynchronous client that asks a gateway at a fixed rate and times every answer.

Open loop: requests leave on schedule whether or not earlier ones came back, and latency counts from
the scheduled moment, so that a gateway that stalls cannot hide it (coordinated omission).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Load(NamedTuple):
    """What came of a load."""

    seconds: float
    latencies_ms: Sequence[float]
    statuses: Counter[int]

    def percentile(self, share: float) -> float:
        """Returns the latency below which ``share`` per cent of the answers lie."""
        return float(np.percentile(self.latencies_ms, share))


async def offered(port: int, requests: Sequence[bytes], *, rate: float, connections: int) -> Load:
    """Sends whole HTTP requests at ``rate`` a second over kept-alive connections."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    began = time.perf_counter()

    async def one(request: bytes, due: float) -> None:
        reader, writer = await free.get()
        writer.write(request)
        status = await _answer(reader)
        latencies.append((time.perf_counter() - due) * 1000)
        statuses[status] += 1
        free.put_nowait((reader, writer))

    tasks = []
    for place, request in enumerate(requests):
        due = began + place / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(request, due)))
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - began
    while not free.empty():
        free.get_nowait()[1].close()
    return Load(seconds, latencies, statuses)


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    await reader.readexactly(length)
    return status


def http_request(path: str, key: str, body: bytes) -> bytes:
    """Returns one POST as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
