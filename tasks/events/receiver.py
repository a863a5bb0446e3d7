"""The receiver: one HTTP service on loopback that takes webhooks and hands notices on.

It answers 200 when every notice of a webhook was handed on, now or before; 401 when it is not
authentic; 400 when it makes no sense; 503 when the notice could not be handed on, so that the
sender tries again. A notice is marked as known only after it was handed on: a crash in between
hands it on twice, which is harmless, and never loses it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from tasks.alarms.handing_on import notice_of
from tasks.alarms.outbox import keep_alarm
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError, ProofhouseError
from tasks.events.authenticating import (
    UnauthenticatedError,
    verify_generic,
    verify_git,
    verify_mlflow,
)
from tasks.events.reading import (
    MOST_BYTES,
    Notice,
    Place,
    git_notices,
    mlflow_notices,
    read_alarm,
    s3_notices,
)
from tasks.store.protocol import ObjectStore

SEEN = "events/"
Emit = Callable[[Notice], None]
"""Hands a notice on; raises when it could not."""
_log = logging.getLogger(__name__)


class Desk(NamedTuple):
    """What the receiver works with."""

    secret: bytes
    places: tuple[Place, ...]
    store: ObjectStore
    emit: Emit
    clock: Callable[[], float] = time.time

    def take(self, kind: str, headers: Mapping[str, str], body: bytes) -> dict[str, int]:
        """Authenticates, reads and hands on one webhook; returns how many notices were new.

        Raises:
            UnauthenticatedError: Not from whom it should be, or not fresh.
            InvalidInputError: It makes no sense.
        """
        counts = {"new": 0, "known": 0}
        for notice in list(self._notices(kind, headers, body)):
            counts["new" if self._hand_on(notice) else "known"] += 1
        return counts

    def _notices(self, kind: str, headers: Mapping[str, str], body: bytes) -> Iterator[Notice]:
        now = self.clock()
        if kind == "s3":
            return s3_notices(body, self.places, self.secret)
        if kind == "mlflow":
            verify_mlflow(headers, body, self.secret, now)
            return mlflow_notices(body)
        if kind == "alarm":
            verify_generic(headers, body, self.secret, now)
            return self._alarm(body)
        if kind == "git":
            verify_git(headers, body, self.secret)
            return git_notices(body)
        verify_generic(headers, body, self.secret, now)
        # Whoever holds the secret may relay notifications that carry no token of their own.
        return s3_notices(body, self.places, None)

    def _alarm(self, body: bytes) -> Iterator[Notice]:
        """Keeps an alarm before it is told of: from here on the outbox sees that it is answered."""
        kept = keep_alarm(read_alarm(body), self.store)
        yield notice_of(kept.alarm)

    def _hand_on(self, notice: Notice) -> bool:
        name = SEEN + hexadecimal(notice.identity)
        if self.store.claimed(name) is not None:
            return False
        self.emit(notice)
        self.store.claim(name, f"{notice.event} {datetime.now(UTC):%Y-%m-%d}".encode())
        return True


def make_app(desk: Desk) -> FastAPI:
    """Returns the service; it has no other routes than these, and no documentation pages."""
    app = FastAPI(title="Proofhouse events", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/events/{kind}")
    async def take(kind: str, request: Request) -> JSONResponse:
        if kind not in {"s3", "mlflow", "git", "alarm", "generic"}:
            return JSONResponse({"error": "no such kind of event"}, 404)
        body = await _body(request)
        if body is None:
            return JSONResponse({"error": f"more than {MOST_BYTES} bytes"}, 413)
        try:
            counts = await run_in_threadpool(desk.take, kind, dict(request.headers), body)
        except UnauthenticatedError as error:
            _log.warning("a webhook of kind %s was refused: %s", kind, error.message)
            return JSONResponse({"error": "not authentic"}, 401)
        except InvalidInputError as error:
            return JSONResponse({"error": error.message[:500]}, 400)
        except (ProofhouseError, OSError) as error:
            _log.warning("a webhook of kind %s could not be handed on: %s", kind, error)
            return JSONResponse({"error": "try again later"}, 503)
        return JSONResponse(counts)

    return app


async def _body(request: Request) -> bytes | None:
    """Reads a body unless it is too long, whatever its header says."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            return None
    return bytes(data)
