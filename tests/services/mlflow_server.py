"""A real MLflow tracking server on loopback that may be killed and started again."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tasks.serving import is_healthy
from tests.services.processes import Child, free_port, wait_until


class MlflowServer:
    """A running server; its tables and files lie in ``folder`` and outlive it."""

    def __init__(self, folder: Path) -> None:
        self.artifacts = folder / "artifacts"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.sqlite'}",
            "--artifacts-destination", str(self.artifacts),
        ]  # fmt: skip
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        self.server = Child(command, log=folder / "log", env=environment)
        self.await_answers()

    def await_answers(self) -> None:
        wait_until(lambda: is_healthy(self.url), what="MLflow", seconds=180)

    def kill(self) -> None:
        """Kills the server and the workers that would outlive it."""
        everyone = psutil.Process(self.server.pid).children(recursive=True)
        self.server.kill()
        for worker in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        psutil.wait_procs(everyone, timeout=10)

    def restart(self) -> None:
        self.server.restart()
        self.await_answers()


@contextlib.contextmanager
def running_mlflow(folder: Path) -> Iterator[MlflowServer]:
    """Lends a fresh server."""
    server = MlflowServer(folder)
    try:
        yield server
    finally:
        if server.server.running:
            server.kill()
