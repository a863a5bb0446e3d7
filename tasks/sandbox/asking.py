"""For procedures: ask the trusted side in the middle of a call.

A child has no network and no files but its inputs. What a procedure must still learn from outside
(the answer of a model behind an address) it asks here, and the parent decides whether and what to
answer. Only a session that was opened with somebody to answer hears such questions.
"""

import contextlib
from collections.abc import Iterator, Mapping

from tasks.sandbox.protocol import Answering, Array, Reply, Values


class UnansweredError(Exception):
    """The trusted side gave no answer; the text says why."""


def _nobody(arrays: Mapping[str, Array], values: Values) -> Reply:  # noqa: ARG001
    raise UnansweredError("nobody answers questions here")


_answering: list[Answering] = [_nobody]


def ask(arrays: Mapping[str, Array], values: Values | None = None) -> Reply:
    """Asks and waits for the answer. One question at a time: procedures ask from one thread.

    Raises:
        UnansweredError: The answer is no.
    """
    return _answering[-1](arrays, values or {})


@contextlib.contextmanager
def answered_by(answering: Answering) -> Iterator[None]:
    """Lets ``answering`` answer what is asked inside."""
    _answering.append(answering)
    try:
        yield
    finally:
        _answering.pop()
