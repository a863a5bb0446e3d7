"""Calls to S3 that end: retried with jitter while that can help, within one deadline.

Every error becomes one of four: missing, corrupt, not answering, or refused with the reason. A full
Ceph cluster does not refuse writes, it hangs; only the deadline tells.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from pydantic import Field

from tasks.domain.errors import ObjectMissingError, StoreError, StoreNotAnsweringError
from tasks.domain.frozen import Frozen

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

ATTEMPTS = 16
"""Enough to outlast a gateway that is away for half a minute, few enough to end a storm."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
SLOWEST_BYTES_PER_SECOND = 4 << 20
"""A transfer gets this much more time than the deadline."""

_MISSING = {"NoSuchKey", "NotFound", "404", "NoSuchVersion"}
_LATER = {
    "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling",
    "OperationAborted", "ConditionalRequestConflict",
    # The bytes were damaged on the way: the next try may arrive whole.
    "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody",
}  # fmt: skip
_REMEDIES = {
    "NoSuchBucket": "Create the bucket (with object lock, for evidence that cannot be deleted).",
    "AccessDenied": "Check the credentials in AWS_* and the bucket's policy.",
    "403": "Check the credentials in AWS_* and the bucket's policy.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "PermanentRedirect": "Set AWS_REGION to the bucket's region.",
    "301": "Set AWS_REGION to the bucket's region.",
}
_PASSING = (
    ConnectionClosedError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoConnectionError,
    ResponseStreamingError,
    ConnectionError,
    TimeoutError,
)


class S3Settings(Frozen):
    """How S3 is used: patience, and how long evidence is locked (0 days: not at all)."""

    deadline_seconds: float = Field(default=60, gt=0)
    retention_days: int = Field(default=0, ge=0)
    retention_mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"

    @property
    def connect_seconds(self) -> float:
        """How long one connection or one stalled send may take."""
        return min(10.0, self.deadline_seconds / 8)

    @property
    def read_seconds(self) -> float:
        """How long one answer may take: a hang leaves time for two more attempts."""
        return min(20.0, self.deadline_seconds / 4)


class Deadline:
    """The time one operation has, all attempts together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._end - time.monotonic()

    def allow(self, size_bytes: int) -> None:
        """Adds the time that a transfer of ``size_bytes`` may take."""
        self._end += size_bytes / SLOWEST_BYTES_PER_SECOND

    def check(self) -> None:
        """Raises TimeoutError when it has passed; called between the chunks of a transfer."""
        if self.remaining < 0:
            raise TimeoutError("the transfer is too slow for its deadline")


class Caller:
    """Runs operations on one endpoint."""

    def __init__(self, endpoint: str, settings: S3Settings) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self._draw = random.SystemRandom().uniform

    def call(
        self,
        what: str,
        operation: Callable[[Deadline], _T],
        *,
        size_bytes: int = 0,
        seconds: float | None = None,
    ) -> _T:
        """Returns what ``operation`` returns, after as many attempts as it takes and time allows.

        Args:
            what: The operation in words, for messages.
            operation: May run more than once; gets the deadline of all attempts.
            size_bytes: How much it uploads.
            seconds: A deadline other than the setting.

        Raises:
            ObjectMissingError: The key or version is not there.
            StoreNotAnsweringError: No usable answer came before the deadline.
            StoreError: The store refused.
        """
        deadline = Deadline(seconds or self.settings.deadline_seconds)
        deadline.allow(size_bytes)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return operation(deadline)
            except (BotoCoreError, ClientError, OSError) as error:
                problem = self._translated(what, error)
                if not isinstance(problem, StoreNotAnsweringError):
                    raise problem from error
                if not self._waits(attempt, deadline):
                    raise problem from error
                _log.info("%s, attempt %d: %s", what, attempt, problem)
        raise AssertionError("unreachable")  # the last attempt raises

    def _waits(self, attempt: int, deadline: Deadline) -> bool:
        """Sleeps a random time (full jitter); False when another attempt could not end in time."""
        ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
        pause = self._draw(0, ceiling)
        longest = self.settings.connect_seconds + self.settings.read_seconds
        if attempt == ATTEMPTS or deadline.remaining < pause + longest:
            return False
        time.sleep(pause)
        return deadline.remaining >= longest  # a busy machine sleeps longer than it was told

    def _translated(self, what: str, error: Exception) -> StoreError:
        if isinstance(error, ClientError):
            return _answered(f"{what} on {self.endpoint}", error)
        if isinstance(error, SSLError):
            return StoreError(f"{what}: {self.endpoint} has no trusted certificate: {error}")
        if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
            return StoreError(f"{what}: {error}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
        if isinstance(error, _PASSING):
            return StoreNotAnsweringError(
                f"{what}: {self.endpoint} does not answer ({type(error).__name__}: {error}). Check "
                "AWS_ENDPOINT_URL, the network, and whether the store is up and has free space."
            )
        return StoreError(f"{what} on {self.endpoint}: {error}")


def error_code(error: ClientError) -> str:
    """Returns the code that S3 answered with, for example ``NoSuchKey``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Returns the HTTP status of the answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answered(what: str, error: ClientError) -> StoreError:
    code, status = error_code(error), status_of(error)
    if code in _MISSING:
        return ObjectMissingError(f"{what}: not there")
    if status >= 500 or status == 429 or code in _LATER:
        return StoreNotAnsweringError(f"{what}: the store answers {status} {code}")
    message = str(error.response.get("Error", {}).get("Message", ""))
    remedy = _REMEDIES.get(code, "")
    return StoreError(f"{what}: refused with {status} {code} {message}. {remedy}".rstrip())
