"""Gives this process a Prefect API: a configured one, a running ``serve``, or one of its own."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.serving import ServerError, client_environment, is_healthy, local_server

ADDRESS_FILE = "api-url"


@contextlib.contextmanager
def prefect_api(home: Path, *, meanwhile: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Yields the address of a healthy API, set in the environment for this process and workers.

    ``PREFECT_API_URL`` wins; else a ``proofhouse serve`` of the same home; else a server is
    started on a free loopback port and ended on leaving. ``meanwhile`` is called while a server of
    our own starts, with the environment set; where one runs already there is nothing to wait for.

    Raises:
        ServerError: The configured server does not answer, the own one does not start, or the
            server stops doing its part meanwhile, however often it was asked again.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured and not is_healthy(configured, timeout_seconds=10):
        raise ServerError(
            f"PREFECT_API_URL is {configured}, but no Prefect API answers there. Start it, or "
            "unset the variable to let this command run a server of its own."
        )

    def point_at(url: str) -> None:
        os.environ.update(client_environment(home.resolve(), url))

    def starting(url: str) -> None:
        point_at(url)
        meanwhile()

    try:
        if known := configured or served_address(home):
            point_at(known)
            with _told_plainly(known):
                yield known
        else:
            with local_server(home, ui=False, meanwhile=starting) as url, _told_plainly(url):
                yield url
    finally:
        if not configured:
            os.environ.pop("PREFECT_API_URL", None)


@contextlib.contextmanager
def _told_plainly(url: str) -> Iterator[None]:
    """Turns what Prefect's client gives up on into an error of ours: it is no defect of the run."""
    try:
        yield
    except Exception as error:
        known = sys.modules.get("httpx")  # who never loaded it never asked a server
        if known is None or not isinstance(error, known.HTTPError):
            raise
        raise ServerError(
            f"The Prefect server at {url} did not do its part, however often it was asked: "
            f"{type(error).__name__}: {str(error)[:500]}. Its database may be locked, read-only or "
            "on a full disk; its log says which. What was measured or sealed is kept: mend the "
            "server, then run the command again."
        ) from error


def served_address(home: Path) -> str | None:
    """Returns the address that ``proofhouse serve`` left in this home, if it answers."""
    file = home / "prefect" / ADDRESS_FILE
    if not file.is_file():
        return None
    url = file.read_text(encoding="utf-8").strip()
    return url if url.startswith("http://127.0.0.1:") and is_healthy(url) else None
