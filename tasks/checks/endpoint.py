"""A check's line to a model behind an address: asked from this side, and what it did is kept here.

The child could only claim that an endpoint hung or refused; what the broker met is known.
"""

import contextlib
from collections.abc import Iterator, Mapping

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import (
    ChildRaisedError,
    EndpointBudgetError,
    EndpointDownError,
    EndpointError,
    EndpointRefusedError,
)
from tasks.sandbox.protocol import Array, Reply, Values
from tasks.targets.endpoint.broker import Broker, Terms

OUR_SIDE = (EndpointRefusedError, EndpointDownError, EndpointBudgetError)
"""Endpoint errors that say nothing about the model."""


class EndpointLine:
    """Asks one endpoint under the operator's terms; opened at the first question."""

    def __init__(self, model: ModelSpec, terms: Terms) -> None:
        self._model = model
        self._terms = terms
        self._broker: Broker | None = None
        self._trouble: EndpointError | None = None

    def answer(self, arrays: Mapping[str, Array], values: Values) -> Reply:
        """Answers the child's questions to the endpoint."""
        try:
            if self._broker is None:
                self._broker = Broker(self._model, self._terms)
            return self._broker.answer(arrays, values)
        except EndpointError as error:
            self._trouble = error
            raise

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Raises what the endpoint did, where the child only says that it got no answer."""
        self._trouble = None
        try:
            yield
        except ChildRaisedError as error:
            if self._trouble is None:
                raise
            raise self._trouble from error

    def close(self) -> None:
        """Hangs up."""
        if self._broker is not None:
            self._broker.close()
