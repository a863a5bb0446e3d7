"""Requests that wait for the model together are answered together.

While one batch is at the model the next one gathers, so nobody waits on purpose and a busy gateway
batches more. Requests that fail together are asked again one by one: a request that breaks the
model takes nobody along, not even where its second death is followed by a pause.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tasks.domain.errors import GatewayUnavailableError, ProofhouseError
from tasks.gateway.models import RestingError
from tasks.sandbox.protocol import Array

LONGEST_REST_SECONDS = 2.0
"""So long a batch that broke its child waits for new ones, all its requests together."""
Model = Callable[[Array], Array]
"""Inputs (n, …) to answers (n, …); blocks. Raises a project error when it has none."""


class _Waiting(NamedTuple):
    inputs: Array
    answer: asyncio.Future[Array]


class MicroQueue:
    """A queue in front of one or more copies of a model.

    Args:
        models: The copies; each is asked from one thread at a time.
        batch: Most items at once, unless one request alone has more.
        waiting: Most items that may wait.
    """

    def __init__(self, models: Sequence[Model], *, batch: int, waiting: int) -> None:
        self._free = deque(models)
        self._batch, self._most = batch, waiting
        self._waiting: deque[_Waiting] = deque()
        self._items = 0
        self._threads = ThreadPoolExecutor(len(models), thread_name_prefix="model")
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Items that wait now."""
        return self._items

    async def ask(self, inputs: Array) -> Array:
        """Returns the answers to (n, …) inputs.

        Raises:
            GatewayUnavailableError: Too many wait already, or the model does not answer.
        """
        if self._items + len(inputs) > self._most:
            raise GatewayUnavailableError("too many requests wait for the model; try again soon")
        mine = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        self._items += len(inputs)
        self._serve()
        return await mine.answer

    def close(self) -> None:
        """Stops the threads; what waits is told so."""
        while self._waiting:
            self._settle(self._waiting.popleft(), GatewayUnavailableError("the gateway stops"))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _serve(self) -> None:
        while self._free and self._waiting:
            model, batch = self._free.popleft(), self._gathered()
            task = asyncio.get_running_loop().create_task(self._answer(model, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _gathered(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        count = len(batch[0].inputs)
        while self._waiting and count + len(self._waiting[0].inputs) <= self._batch:
            batch.append(self._waiting.popleft())
            count += len(batch[-1].inputs)
        self._items -= count
        return batch

    async def _answer(self, model: Model, batch: list[_Waiting]) -> None:
        try:
            # Whoever hung up is not asked for.
            batch = [each for each in batch if not each.answer.done()]
            if batch and not await self._asked(model, batch) and len(batch) > 1:
                until = asyncio.get_running_loop().time() + LONGEST_REST_SECONDS
                for each in batch:
                    await self._asked(model, [each], until=until)
        finally:
            self._free.append(model)
            self._serve()

    async def _asked(self, model: Model, batch: list[_Waiting], *, until: float = 0) -> bool:
        inputs = batch[0].inputs if len(batch) == 1 else np.concatenate([b.inputs for b in batch])
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._threads, model, inputs)
        except ProofhouseError as error:
            if isinstance(error, RestingError) and loop.time() + error.after_seconds <= until:
                await asyncio.sleep(error.after_seconds)
                return await self._asked(model, batch, until=until)
            if len(batch) == 1:
                told = GatewayUnavailableError(f"the model did not answer ({error.code})")
                told.__cause__ = error
                self._settle(batch[0], told)
            return False
        except RuntimeError as error:  # the threads were stopped meanwhile
            for each in batch:
                self._settle(each, GatewayUnavailableError(f"the gateway stops ({error})"))
            return True
        start = 0
        for each in batch:
            self._settle(each, answers[start : start + len(each.inputs)])
            start += len(each.inputs)
        return True

    def _settle(self, waiting: _Waiting, answer: Array | Exception) -> None:
        if waiting.answer.done():
            return
        if isinstance(answer, Exception):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
