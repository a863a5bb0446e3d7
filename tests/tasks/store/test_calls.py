"""Retries and deadlines, without a network."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tasks.domain.errors import ObjectMissingError, StoreError, StoreNotAnsweringError
from tasks.store.calls import ATTEMPTS, Caller, Deadline, S3Settings


def answer(status: int, code: str) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "said so"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "Operation")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("tasks.store.calls.time.sleep", slept.append)
    return slept


def failing(error: Exception, *, times: int) -> Any:
    left = [error] * times

    def operation(_: Deadline) -> str:
        if left:
            raise left.pop()
        return "done"

    return operation


@pytest.mark.parametrize(
    "error",
    [
        answer(503, "SlowDown"), answer(500, "InternalError"), answer(429, "TooManyRequests"),
        answer(400, "RequestTimeout"), answer(400, "BadDigest"),
        answer(409, "ConditionalRequestConflict"),
        EndpointConnectionError(endpoint_url="http://x"), ReadTimeoutError(endpoint_url="http://x"),
        ConnectionResetError(), TimeoutError(),
    ],
)  # fmt: skip
def test_passing_trouble_is_tried_again(error: Exception, pauses: list[float]) -> None:
    caller = Caller("http://x", S3Settings())
    assert caller.call("trying", failing(error, times=3)) == "done"
    assert len(pauses) == 3
    assert all(0 <= pause <= 0.25 * 2**number for number, pause in enumerate(pauses))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answer(404, "NoSuchKey"), ObjectMissingError, "not there"),
        (answer(404, "404"), ObjectMissingError, "not there"),
        (answer(404, "NoSuchBucket"), StoreError, "Create the bucket"),
        (answer(403, "AccessDenied"), StoreError, "Check the credentials"),
        (answer(403, "SignatureDoesNotMatch"), StoreError, "AWS_SECRET_ACCESS_KEY"),
        (answer(403, "RequestTimeTooSkewed"), StoreError, "clock"),
        (answer(400, "InvalidRequest"), StoreError, "400 InvalidRequest said so"),
    ],
)
def test_refusals_are_final_and_say_what_to_do(
    error: Exception, kind: type[StoreError], words: str, pauses: list[float]
) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        Caller("http://x", S3Settings()).call("trying", failing(error, times=9))
    assert type(caught.value) is kind
    assert pauses == []


def test_attempts_are_bounded(pauses: list[float]) -> None:
    operation = failing(answer(503, "SlowDown"), times=1000)
    with pytest.raises(StoreNotAnsweringError):
        Caller("http://x", S3Settings(deadline_seconds=10_000)).call("trying", operation)
    assert len(pauses) == ATTEMPTS - 1


def test_no_attempt_starts_that_could_end_late() -> None:
    settings = S3Settings(deadline_seconds=1)
    left: list[float] = []

    def hang(deadline: Deadline) -> None:
        left.append(deadline.remaining)
        time.sleep(settings.read_seconds)
        raise ReadTimeoutError(endpoint_url="http://x")

    with pytest.raises(StoreNotAnsweringError):
        Caller("http://x", settings).call("trying", hang)
    assert len(left) >= 2
    assert min(left) > settings.connect_seconds + settings.read_seconds - 0.1


def test_a_transfer_gets_time_for_its_size_and_no_more() -> None:
    deadline = Deadline(1)
    deadline.allow(4 << 20)
    assert 1.9 < deadline.remaining <= 2
    deadline.check()
    with pytest.raises(TimeoutError):
        Deadline(-1).check()
