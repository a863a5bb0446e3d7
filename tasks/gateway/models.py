"""Models as the gateway asks them: sandbox children, or an endpoint that was accepted.

A child that dies is started again; an endpoint is asked through the broker of the assessments.

Neither is believed: answers of the wrong shape, NaN and infinity are errors, not answers.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.domain.bundle import InputSpec, ModelSpec
from tasks.domain.errors import ChildRaisedError, EndpointAnswerError, TargetError
from tasks.sandbox.protocol import Array, Limits, Sandbox, Session
from tasks.targets.endpoint.broker import Broker, Terms


class RestingError(TargetError):
    """The model's process died more than once and is not started again before a pause is over."""

    def __init__(self, message: str, after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


RESTART_SECONDS, LONGEST_RESTART_SECONDS = 0.5, 30.0
CALL_SECONDS = 20.0


class SandboxedModel:
    """One child with the model opened in it; asked from one thread at a time.

    Args:
        sandbox: Makes children.
        spec: The model as its bundle describes it.
        artifact: The fetched model file.
        architecture: The fetched layer list, if any.
        clock: Monotonic seconds; for tests.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        spec: ModelSpec,
        artifact: Path,
        architecture: Path | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sandbox, self._spec, self._clock = sandbox, spec, clock
        self._artifact, self._architecture = artifact, architecture
        self._session: Session | None = None
        self._again_at, self._pause = 0.0, RESTART_SECONDS
        self.starts = 0

    @property
    def ready(self) -> bool:
        """Whether a child is there with the model open."""
        return self._session is not None

    def open(self) -> None:
        """Starts the child now.

        Raises:
            ChildError: The model cannot be opened.
        """
        files = (self._artifact, *([self._architecture] if self._architecture else []))
        session = self._sandbox.session(files, Limits(call_seconds=CALL_SECONDS)).__enter__()
        try:
            session.call("targets.opening.prepare", artifact=str(self._artifact))
            session.open(
                "targets.opening.open_target",
                artifact=str(self._artifact),
                architecture=str(self._architecture) if self._architecture else None,
                model=self._spec.model_dump(mode="json"),
            )
        except BaseException:
            session.__exit__(None, None, None)
            raise
        self._session = session
        self.starts += 1

    def __call__(self, inputs: Array) -> Array:
        """Returns scores (n, classes) for raw inputs (n, …).

        Raises:
            ChildError: There is no answer. A dead child is replaced at a later question, after a
                pause that doubles while it keeps dying.
            TargetError: The answer is none.
            RestingError: It is too soon to start again.
        """
        if self._session is None:
            self._reopen()
        assert self._session is not None, "reopening raises otherwise"
        try:
            reply = self._session.call("targets.querying.scores", {"inputs": inputs})
        except ChildRaisedError:
            raise
        except BaseException:
            self.close()
            self._wait_longer()
            raise
        scores = checked_scores(reply.arrays.get("scores"), len(inputs), self._spec)
        self._pause = RESTART_SECONDS
        return scores

    @property
    def attempts(self) -> int:
        """How often the child asked the kernel for what it may not have."""
        return sum(self._session.attempts.values()) if self._session else 0

    def close(self) -> None:
        """Ends the child."""
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(None, None, None)

    def _reopen(self) -> None:
        if (left := self._again_at - self._clock()) > 0:
            raise RestingError("the model's process died and is being started again", left)
        try:
            self.open()
        except BaseException:
            self._wait_longer()
            raise

    def _wait_longer(self) -> None:
        # The first death is followed by a new child at once; only repeated ones wait.
        now = self._clock()
        self._again_at = now if self._pause == RESTART_SECONDS else now + self._pause
        self._pause = min(LONGEST_RESTART_SECONDS, self._pause * 2)


class UpstreamModel:
    """A V2 endpoint that was accepted; asked from one thread at a time."""

    ready = True
    starts = 0
    attempts = 0

    def __init__(self, spec: ModelSpec, terms: Terms) -> None:
        endless = terms._replace(queries=1 << 62, seconds=float(1 << 40))
        self._spec = spec
        self._broker = Broker(spec, endless)
        shape = spec.input or InputSpec(shape=(1,))
        per_channel = (-1,) + (1,) * (len(shape.shape) - 1)
        self._mean = np.array(shape.mean).reshape(per_channel)
        self._std = np.array(shape.std).reshape(per_channel)

    def open(self) -> None:
        """Does nothing: connections are made when they are needed."""

    def __call__(self, inputs: Array) -> Array:
        """Returns scores (n, classes) for raw inputs (n, …).

        Raises:
            EndpointError: There is no answer, or it is none.
        """
        reply = self._broker.answer({"inputs": (inputs - self._mean) / self._std}, {})
        answers = reply.arrays["answers"]
        output = self._spec.output
        if output is not None and output.kind == "labels":
            return _one_hot(answers, len(inputs), output.classes or 1)
        scores = checked_scores(answers, len(inputs), self._spec)
        if output is not None and output.kind == "probabilities":
            return np.log(np.maximum(scores, 1e-30))
        return scores

    def close(self) -> None:
        """Hangs up."""
        with contextlib.suppress(OSError):
            self._broker.close()


def checked_scores(scores: Array | None, count: int, spec: ModelSpec) -> Array:
    """Returns what a model claims to have answered, if it is that.

    Raises:
        TargetError: It is missing, misshapen or not finite.
    """
    classes = (spec.output.classes if spec.output else None) or 0
    if scores is None or scores.shape != (count, classes):
        raise TargetError(f"the model answered no scores of shape {(count, classes)}")
    if not np.isfinite(scores).all():
        raise TargetError("the model answered NaN or infinity")
    return scores


def _one_hot(answers: Array, count: int, classes: int) -> Array:
    flat = answers.reshape(-1)
    whole = np.isfinite(flat) & (flat == np.rint(flat)) & (flat >= 0) & (flat < classes)
    if flat.shape != (count,) or not whole.all():
        raise EndpointAnswerError("the endpoint answered something else than one label each")
    certain: Array = np.where(np.eye(classes, dtype=bool)[flat.astype(np.int64)], 0.0, -60.0)
    return certain
