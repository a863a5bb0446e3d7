"""Load on the gateway with the digits model in a real sandbox child: ``make bench-gateway``.

Writes ``results/gateway.json`` and the section in ``README.md``. Client and server share the
machine; the client is a process of its own, offers a fixed rate and counts latency from the moment
a request was due. CPU microseconds per request are taken from the kernel's accounts, so they say
something on a busy machine as well. The peer is the same model behind bare FastAPI.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tasks.demo.digits import split_digits
from tasks.gateway.actions import gateway_folder
from tasks.gateway.keys import KeyRing
from tests.benchmarks.gateway_load import Load, http_request, offered
from tests.benchmarks.tables import write_section
from tests.services.processes import free_port
from tests.services.redis_server import running_redis

FOLDER = Path(__file__).with_name("results")
PATH = "/v2/models/digits/infer"
RATES = (500, 1000)
SECONDS = 10
CONNECTIONS = 64
BAR = "at least 500 requests/s with p99 at most 100 ms"
INTRODUCTION = (
    f"One digit a request, open loop over {CONNECTIONS} connections, client and server on the same "
    f"cores, {SECONDS} s each, after a warm-up. The bar: {BAR}. `exact`: of 1,500 requests at once "
    "from an account with a bucket of 1,000, how many were granted."
)


class Served(NamedTuple):
    """A server under load."""

    port: int
    process: psutil.Process
    key: str
    exact_key: str


def main() -> None:
    """Runs the servers, or some of them, under every load; keeps rows of earlier calls."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", nargs="*", default=["gateway", "redis", "bare"])
    for server in parser.parse_args().servers:
        keep(_rows_of(server))


def keep(rows: list[dict[str, Any]]) -> None:
    """Writes rows in place of earlier ones about the same work, and the section anew."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "gateway.json"
    kept: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    fresh = {row["work"] for row in rows}
    kept = [row for row in kept if row["work"] not in fresh] + rows
    for row in rows:
        print(line(row), flush=True)  # noqa: T201
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_section("gateway", table(kept))


def _rows_of(server: str) -> list[dict[str, Any]]:
    if server == "bare":
        with served("bare", {}) as bare:
            rows = [loaded("bare FastAPI", bare, rate) for rate in RATES]
        return [{**row, "tool": "FastAPI"} for row in rows]
    if server == "gateway":
        with served("gateway", {}) as gateway:
            loads = [loaded("gateway", gateway, rate) for rate in RATES]
            return [*loads, exactness("gateway", gateway)]
    name = "gateway, limits in Redis"
    if not shutil.which("redis-server"):
        return [{"work": name, "tool": "proofhouse", "skipped": "redis-server is not installed"}]
    with running_redis() as redis, served("redis", {"BENCH_REDIS": redis.url}) as gateway:
        loads = [loaded(name, gateway, rate) for rate in RATES]
        return [*loads, exactness(name, gateway)]


@contextlib.contextmanager
def served(kind: str, environment: dict[str, str]) -> Iterator[Served]:
    """Lends a running server."""
    home, port = Path(tempfile.mkdtemp(prefix="gateway")), free_port()
    keys = KeyRing(gateway_folder(home))
    key, exact = keys.add("load", "internal")[0], keys.add("exact", "exact")[0]
    name = "gateway_bare" if kind == "bare" else "gateway_server"
    arguments = [str(port)] if kind == "bare" else [str(home), str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments], env=os.environ | environment
    )
    try:
        _await_ready(port, process)
        yield Served(port, psutil.Process(process.pid), key, exact)
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def loaded(name: str, server: Served, rate: int) -> dict[str, Any]:
    """Offers a rate for a while and returns the row."""
    asyncio.run(offered(server.port, _requests(server.key, rate), rate=rate, connections=16))
    before, mine = _cpu_seconds(server.process), time.process_time()
    load = asyncio.run(
        offered(
            server.port, _requests(server.key, rate * SECONDS), rate=rate, connections=CONNECTIONS
        )
    )
    after, count = _cpu_seconds(server.process), rate * SECONDS
    quality = {
        "offered_per_second": rate,
        "answered_per_second": round(count / load.seconds, 1),
        "statuses": {str(status): n for status, n in sorted(load.statuses.items())},
        **{f"p{share:g}_ms": round(load.percentile(share), 1) for share in (50, 90, 99, 99.9)},
        "server_cpu_us": round((after[0] - before[0]) / count * 1e6),
        "model_cpu_us": round((after[1] - before[1]) / count * 1e6),
        "client_cpu_us": round((time.process_time() - mine) / count * 1e6),
        "load_average": round(os.getloadavg()[0], 1),
        "meets_bar": _meets(load, rate),
    }
    mib = round(sum(each.memory_info().rss for each in _family(server.process)) / 2**20)
    return _row(f"{name}, {rate}/s", count, load.seconds, quality, mib)


def exactness(name: str, server: Served) -> dict[str, Any]:
    """Races 1,500 requests for 1,000 grants."""
    requests = _requests(server.exact_key, 1500)
    load: Load = asyncio.run(offered(server.port, requests, rate=1e6, connections=CONNECTIONS))
    granted = load.statuses[200]
    quality = {"granted": granted, "refused": load.statuses[429], "exact": granted == 1000}
    return _row(f"{name}, race", 1500, load.seconds, quality, None)


def _meets(load: Load, rate: int) -> bool:
    # An open loop ends with its last answer, a little after the last request was due.
    kept_up = sum(load.statuses.values()) / load.seconds >= 0.98 * rate
    return rate >= 500 and kept_up and load.percentile(99) <= 100 and set(load.statuses) == {200}


def _requests(key: str, count: int) -> Sequence[bytes]:
    images = split_digits()[1].images
    made = []
    for place in range(min(count, len(images))):
        data = [round(float(value), 4) for value in images[place].reshape(-1)]
        tensor = {"name": "input-0", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": data}
        made.append(http_request(PATH, key, json.dumps({"inputs": [tensor]}).encode()))
    return [made[place % len(made)] for place in range(count)]


def _cpu_seconds(process: psutil.Process) -> tuple[float, float]:
    """Returns what the server and its children have used."""
    own = sum(process.cpu_times()[:2])
    return own, sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _await_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                connection.close()
                return
            connection.close()
        time.sleep(0.2)
    raise TimeoutError("the server did not become ready")


def _row(
    work: str, n: int, seconds: float, quality: dict[str, Any], mib: int | None
) -> dict[str, Any]:
    spent = round(seconds, 2)
    row = {"work": work, "tool": "proofhouse", "version": "1", "n": n, "quality": quality}
    row["seconds"] = {"median": spent, "min": spent, "max": spent}
    return row if mib is None else {**row, "peak_mib": mib}


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the section in Markdown."""
    head = ["## Gateway (`make bench-gateway`)", "", INTRODUCTION, ""]
    head += ["| load | tool | n | MiB | result |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(line(row) for row in rows)])


def line(row: dict[str, Any]) -> str:
    """Returns one row of the table."""
    if "skipped" in row:
        return f"| {row['work']} | {row['tool']} | | | skipped: {row['skipped']} |"
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row["quality"].items())
    return f"| {row['work']} | {row['tool']} | {row['n']:,} | {row.get('peak_mib', '')} | {told} |"


if __name__ == "__main__":
    main()
