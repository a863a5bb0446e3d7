"""Tells whoever listens how far a run has come. Without a listener it is silent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Step(NamedTuple):
    """One sign of life: ``done`` of ``total`` pieces, and what just happened."""

    done: int
    total: int
    text: str


Listener = Callable[[Step], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Sends every step of this process, from any thread, to ``listener`` while it is open."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(done: int, total: int, text: str) -> None:
    """Reports a step."""
    for listener in tuple(_listeners):
        listener(Step(done, total, text))
