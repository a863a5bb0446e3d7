"""Models behind the gateway: children that die, answers that are none, endpoints."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import (
    ChildDiedError,
    ChildRaisedError,
    EndpointAnswerError,
    GatewayUnavailableError,
    TargetError,
)
from tasks.gateway.micro_queue import MicroQueue
from tasks.gateway.models import SandboxedModel, UpstreamModel, checked_scores
from tasks.gateway.servable import fetched
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Answering, Array, Limits, Reply
from tasks.targets.endpoint.addresses import reach_of
from tasks.targets.endpoint.broker import Terms
from tests.simulators.endpoint import linear, serving, v2
from tests.simulators.gateway import accepted, running_gateway
from tests.simulators.sandbox import DirectSandbox, DirectSession
from tests.simulators.store import MemoryStore


class Mortal(DirectSession):
    """Dies when it is asked about an input above 0.9."""

    def call(
        self, procedure: str, arrays: Mapping[str, Array] | None = None, **values: Any
    ) -> Reply:
        if arrays and (arrays["inputs"] > 0.9).any():
            raise ChildDiedError("as told")
        return super().call(procedure, arrays, **values)


class Cemetery(DirectSandbox):
    def session(
        self,
        readable: tuple[Path, ...] = (),  # noqa: ARG002
        limits: Limits = Limits(),  # noqa: ARG002
        *,
        answering: Answering | None = None,
    ) -> DirectSession:
        return Mortal(answering)


def test_a_real_child_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with running_gateway(tmp_path, sandbox=open_sandbox()) as gateway:
        key = gateway.key()
        assert gateway.ask(key).status == 200
        (copy,) = gateway.parts.routes.champion.copies
        assert isinstance(copy, SandboxedModel)
        os.kill(copy._session.pid, signal.SIGKILL)  # type: ignore[union-attr]
        statuses = [gateway.ask(key).status for _ in range(3)]
        assert statuses[-1] == 200
        assert set(statuses) <= {200, 503}
        assert copy.starts == 2


def test_a_deadly_request_takes_nobody_along(tmp_path: Path) -> None:
    with running_gateway(tmp_path, sandbox=Cemetery()) as gateway:
        key = gateway.key()
        said: dict[float, int] = {}

        def ask(value: float) -> None:
            said[value] = gateway.ask(key, inputs=np.full((1, 4), value)).status

        threads = [threading.Thread(target=ask, args=(v,)) for v in (0.95, 0.1, 0.2, 0.3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == {0.95: 503, 0.1: 200, 0.2: 200, 0.3: 200}


def test_what_the_model_did_not_answer_is_not_charged(tmp_path: Path) -> None:
    with running_gateway(tmp_path, sandbox=Cemetery()) as gateway:
        key = gateway.key()
        gateway.ask(key, inputs=np.full((1, 4), 0.95))
        limits = gateway.parts.limits
        taken = asyncio.run(limits.take("acme", 1, gateway.parts.policy.roles["internal"]))
        assert taken.used == 1


def test_a_child_that_keeps_dying_is_left_in_peace_for_longer_and_longer(tmp_path: Path) -> None:
    store, now = MemoryStore(), [0.0]
    model = accepted(store)
    files = fetched(model, store, tmp_path)
    copy = SandboxedModel(Cemetery(), model.spec, *files, clock=lambda: now[0])
    copy.open()
    deadly, fine = np.full((1, 4), 0.95), np.full((1, 4), 0.5)
    for _ in range(2):  # the second child is started at once
        with pytest.raises(ChildDiedError):
            copy(deadly)
    with pytest.raises(TargetError, match="started again"):
        copy(fine)
    now[0] = 1.0
    assert copy(fine).shape == (1, 3)
    assert copy.starts == 3


@pytest.mark.parametrize(
    "scores", [None, np.zeros((2, 4)), np.full((2, 3), np.nan), np.full((2, 3), np.inf)]
)
def test_answers_that_are_none_are_errors(scores: Array | None) -> None:
    spec = accepted(MemoryStore()).spec
    with pytest.raises(TargetError):
        checked_scores(scores, 2, spec)


def test_a_queue_batches_what_waits_and_keeps_apart_what_fails() -> None:
    seen: list[int] = []

    def model(inputs: Array) -> Array:
        seen.append(len(inputs))
        if (inputs < 0).any():
            raise ChildRaisedError("negative")
        return inputs * 2

    async def ask() -> list[object]:
        queue = MicroQueue([model], batch=8, waiting=20)
        asked = [queue.ask(np.array([[float(n)]])) for n in (1, 2, -3, 4)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(GatewayUnavailableError, match="too many"):
            await queue.ask(np.zeros((21, 1)))
        queue.close()
        return list(answers)

    answers = asyncio.run(ask())
    assert [float(np.squeeze(each)) for each in answers if isinstance(each, np.ndarray)] == [
        2,
        4,
        8,
    ]
    assert isinstance(answers[2], GatewayUnavailableError)
    assert seen == [1, 3, 1, 1, 1]


def test_who_shared_a_batch_with_a_deadly_request_waits_for_the_next_child(
    tmp_path: Path,
) -> None:
    store = MemoryStore()
    accepted_model = accepted(store)
    files = fetched(accepted_model, store, tmp_path)
    copy = SandboxedModel(Cemetery(), accepted_model.spec, *files)
    copy.open()
    gathering = threading.Event()

    def model(inputs: Array) -> Array:
        gathering.wait(5)  # until all but the first wait together
        return copy(inputs)

    async def ask() -> list[object]:
        queue = MicroQueue([model], batch=8, waiting=20)
        asked = [
            asyncio.ensure_future(queue.ask(np.full((1, 4), value)))
            for value in (0.5, 0.95, 0.1, 0.2)
        ]
        await asyncio.sleep(0)
        gathering.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        queue.close()
        return list(answers)

    answers = asyncio.run(ask())
    assert [isinstance(each, GatewayUnavailableError) for each in answers] == [0, 1, 0, 0]
    assert copy.starts == 3  # the first, one for those that failed together, one after the pause


def upstream(port: int, kind: str = "logits") -> tuple[ModelSpec, Terms]:
    spec = ModelSpec.model_validate(
        {
            "name": "reader", "version": "1", "task": "classification",
            "endpoint": {"url": f"http://127.0.0.1:{port}/v2/models/reader/infer", "batch": 8},
            "input": {"shape": [4], "mean": [0.5], "std": [0.5]},
            "output": {"kind": kind, "classes": 3},
        }
    )  # fmt: skip
    return spec, Terms(reach=reach_of(f"127.0.0.1:{port}"))


def always(answer: Any) -> Callable[[Array], Array]:
    def model(_: Array) -> Array:
        return np.array(answer)

    return model


def test_an_endpoint_is_asked_in_its_own_units() -> None:
    seen: list[Array] = []

    def model(inputs: Array) -> Array:
        seen.append(inputs)
        return linear(inputs)

    with serving(v2(model)) as server:
        copy = UpstreamModel(*upstream(server.port))
        scores = copy(np.array([[1.0, 0.5, 0.0, 0.5]], np.float32))
        copy.close()
    np.testing.assert_allclose(seen[0], [[1.0, 0.0, -1.0, 0.0]])
    np.testing.assert_allclose(scores, [[4.0, 0.0, -4.0]])


def test_labels_and_probabilities_of_an_endpoint_are_read_as_such() -> None:
    inputs = np.array([[0.0, 1.0, 0.0, 0.0]], np.float32)
    with serving(v2(lambda inputs: linear(inputs).argmax(axis=1))) as server:
        copy = UpstreamModel(*upstream(server.port, "labels"))
        assert copy(inputs).argmax() == 1
        copy.close()
    with serving(v2(always([[0.2, 0.7, 0.1]]))) as server:
        copy = UpstreamModel(*upstream(server.port, "probabilities"))
        np.testing.assert_allclose(np.exp(copy(inputs)), [[0.2, 0.7, 0.1]], rtol=1e-6)
        copy.close()


def test_an_endpoint_that_answers_nonsense_is_not_believed() -> None:
    with serving(v2(always([7.5]))) as server:
        copy = UpstreamModel(*upstream(server.port, "labels"))
        with pytest.raises(EndpointAnswerError):
            copy(np.zeros((1, 4), np.float32))
        copy.close()
