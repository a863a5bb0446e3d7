"""The real gateway, on loopback, in threads of this process, for as long as a drill lasts."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from tasks.domain.errors import GatewayUnavailableError
from tasks.gateway.parts import Parts
from tasks.gateway.service import gateway_app

START_SECONDS, STOP_SECONDS = 120.0, 60.0


@contextlib.contextmanager
def served(parts: Parts) -> Iterator[int]:
    """Serves a gateway on a free port of loopback and lends the port.

    Raises:
        GatewayUnavailableError: It does not start.
    """
    config = uvicorn.Config(
        gateway_app(parts), host="127.0.0.1", port=0, log_level="error", access_log=False,
        proxy_headers=False, server_header=False, ws="none", lifespan="on",
        timeout_graceful_shutdown=10,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="drill-gateway", daemon=True)
    thread.start()
    try:
        _wait(server, thread)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=STOP_SECONDS)


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise GatewayUnavailableError("the drill's gateway did not start")
        time.sleep(0.01)
