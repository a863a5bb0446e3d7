"""Asks an endpoint on behalf of a sandbox child: paced, retried, counted, and only so much."""

import email.utils
import os
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.domain.bundle import Endpoint, InputSpec, ModelSpec
from tasks.domain.errors import (
    EndpointAnswerError,
    EndpointBudgetError,
    EndpointDownError,
    EndpointRefusedError,
    EndpointTimeoutError,
)
from tasks.sandbox.printable import printable
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.endpoint.addresses import SETTING, Reach, Resolve
from tasks.targets.endpoint.connecting import Answered, Connection
from tasks.targets.endpoint.dialects import decoded, encoded

TRIES, TRIES_IN_SILENCE = 5, 3
FIRST_WAIT_SECONDS = 0.5
WORTH_WAITING = frozenset({429, 500, 502, 503, 504})
NOT_FOR_US = frozenset({401, 403})
_BODY_BYTES, _NUMBER_BYTES = 64 << 10, 32


class Terms(NamedTuple):
    """What the operator grants to one check that asks an endpoint."""

    reach: Reach = Reach()
    secrets: Path | None = None
    """Folder whose files bundles may name under ``auth.file``."""
    queries: int = 1_000_000
    """Most items shown to the endpoint, repetitions included."""
    seconds: float = 1800
    """Most time spent on asking, waiting included."""
    trust: Path | None = None
    """PEM file of the authorities that may vouch for endpoints; the system's when None."""


class Broker:
    """Answers a child's questions by asking the endpoint.

    Args:
        model: The bundle's description; it has an endpoint.
        terms: What the operator grants.
        sleep: Waits; for tests.
        resolve: Name resolution; for tests.

    Raises:
        EndpointRefusedError: The host is not on the operator's list, or its secret is missing.
    """

    def __init__(
        self,
        model: ModelSpec,
        terms: Terms,
        *,
        sleep: Callable[[float], None] = time.sleep,
        resolve: Resolve | None = None,
    ) -> None:
        assert model.endpoint is not None, "a broker is for endpoints"
        self.endpoint: Endpoint = model.endpoint
        self.spec: InputSpec = model.input or InputSpec(shape=(1,))
        self.classes = (model.output.classes if model.output else None) or 1
        self.queries = self.retries = 0
        self._terms, self._sleep = terms, sleep
        self._spent_seconds = 0.0
        self._started: float | None = None
        self._next = 0.0
        self._headers = _secret(self.endpoint, terms)
        trust = ssl.create_default_context(cafile=str(terms.trust) if terms.trust else None)
        self._connection = Connection(self.endpoint, terms.reach, trust=trust, resolve=resolve)

    def answer(self, arrays: Mapping[str, Array], values: Mapping[str, Any]) -> Reply:  # noqa: ARG002
        """Asks about ``arrays["inputs"]`` (n, …) and returns ``answers`` (n, …) float64.

        Raises:
            EndpointError: There is no answer; which kind says why.
        """
        self._started = time.monotonic()
        try:
            inputs = self._checked(arrays)
            size = self.endpoint.batch
            parts = [self._batch(inputs[at : at + size]) for at in range(0, len(inputs), size)]
            return Reply({"answers": _joined(parts)}, {"queries": len(inputs)})
        finally:
            self._spent_seconds, self._started = self._used(), None

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()

    def _checked(self, arrays: Mapping[str, Array]) -> Array:
        inputs = arrays.get("inputs")
        if inputs is None or tuple(inputs.shape[1:]) != self.spec.shape or not len(inputs):
            raise EndpointAnswerError("the child asked about something that is no input")
        if inputs.dtype.kind not in "fiu" or not np.isfinite(inputs).all():
            raise EndpointAnswerError("the child asked about inputs that are not numbers")
        return inputs

    def _batch(self, items: Array) -> Array:
        body = encoded(self.endpoint, self.spec, items)
        most = _BODY_BYTES + len(items) * self.classes * _NUMBER_BYTES
        answered = self._patiently(body, len(items), most)
        if answered.status in NOT_FOR_US:
            raise EndpointRefusedError(f"{_status(answered)}. Is the secret under auth right?")
        if answered.status != 200:
            raise EndpointAnswerError(_status(answered))
        return decoded(self.endpoint, answered.body, items=len(items))

    def _patiently(self, body: bytes, items: int, most: int) -> Answered:
        """Asks again while that may help.

        A question that broke is asked again as well: these questions change nothing.
        """
        attempt = 0
        while True:
            attempt += 1
            self._spend(items)
            wait = FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
            jitter = random.uniform(0, wait)  # noqa: S311 - workers must not return together
            try:
                answered = self._connection.post(
                    body, self._headers, seconds=self._seconds(), most=most
                )
            except (EndpointDownError, EndpointTimeoutError):
                if attempt == TRIES_IN_SILENCE:
                    raise
            else:
                if answered.status not in WORTH_WAITING:
                    return answered
                wait = _asked_to_wait(answered) or wait
                if attempt == TRIES or wait + jitter >= self._left():
                    raise EndpointDownError(f"{_status(answered)} (asked {attempt} times)")
            self.retries += 1
            self._pause(wait + jitter)

    def _spend(self, items: int) -> None:
        if self.queries + items > self._terms.queries:
            raise EndpointBudgetError(
                f"the {self._terms.queries} queries that one check may ask are used up; "
                "raise PROOFHOUSE_ENDPOINTS__QUERIES"
            )
        self.queries += items
        now = time.monotonic()
        self._pause(max(0.0, self._next - now))
        if rate := self.endpoint.queries_per_second:
            self._next = max(now, self._next) + items / rate

    def _pause(self, seconds: float) -> None:
        if seconds >= self._left():
            raise EndpointBudgetError(
                f"the {self._terms.seconds:g} seconds that one check may spend on asking are used "
                "up; raise PROOFHOUSE_ENDPOINTS__SECONDS"
            )
        if seconds > 0:
            self._sleep(seconds)

    def _used(self) -> float:
        now = time.monotonic()
        return self._spent_seconds + (0.0 if self._started is None else now - self._started)

    def _left(self) -> float:
        return self._terms.seconds - self._used()

    def _seconds(self) -> float:
        return min(self.endpoint.timeout_seconds, max(0.1, self._left()))


def _joined(parts: Sequence[Array]) -> Array:
    if len({part.shape[1:] for part in parts}) > 1:
        raise EndpointAnswerError("answers to different batches have different shapes")
    whole: Array = np.concatenate(parts)
    return whole


def _secret(endpoint: Endpoint, terms: Terms) -> dict[str, str]:
    """Reads the secret that the bundle names and the operator keeps, as a header."""
    auth = endpoint.auth
    if auth is None:
        return {}
    host, port = endpoint.place
    if not terms.reach.names(host, port):
        raise EndpointRefusedError(
            f"a secret is sent only to hosts that the operator listed: {SETTING}={host}:{port}"
        )
    if not endpoint.url.startswith("https:") and host not in {"localhost", "127.0.0.1", "::1"}:
        raise EndpointRefusedError("a secret is sent over https only; correct endpoint.url")
    from_file = _from_file(auth.file, terms.secrets) if auth.file else ""
    value = (os.environ.get(auth.env, "") if auth.env else from_file).strip()
    if not value or not value.isascii() or not value.isprintable():
        place = auth.env or f"secrets/{auth.file} in the home"
        raise EndpointRefusedError(f"the endpoint needs the secret {place}, which is not set")
    return {auth.header: f"{auth.scheme} {value}".strip()}


def _from_file(name: str, folder: Path | None) -> str:
    try:
        return (folder / name).read_text(encoding="ascii")[:8192] if folder else ""
    except (OSError, ValueError):
        return ""


def _asked_to_wait(answered: Answered) -> float | None:
    """Reads Retry-After, in seconds or as a date (RFC 9110, section 10.2.3)."""
    text = answered.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _status(answered: Answered) -> str:
    if 300 <= answered.status < 400:
        to = printable(answered.headers.get("location", "nowhere"), most=200)
        return (
            f"the endpoint redirects to {to} (status {answered.status}); redirections are not "
            "followed, put the final address into bundle.yaml"
        )
    said = printable(answered.body[:2000].decode("utf-8", "replace"), most=200)
    return f"the endpoint answers status {answered.status}: {said}"
