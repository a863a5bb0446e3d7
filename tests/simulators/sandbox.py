"""A sandbox without walls: procedures run in this process. For trusted code and data only."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.domain.errors import ChildRaisedError
from tasks.sandbox.procedures import procedure as resolve
from tasks.sandbox.protocol import Array, Level, Limits, Probe, Reply, numeric


class DirectSession:
    """Runs each procedure at once, with the same calling rules as a real child."""

    def __init__(self) -> None:
        self.kept: Any = None

    @property
    def attempts(self) -> dict[str, int]:
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kept = None

    def open(self, procedure: str, **values: Any) -> dict[str, Any]:
        self.kept = self._run(procedure, {}, values)
        described: dict[str, Any] = self.kept.describe()
        return described

    def call(
        self, procedure: str, arrays: Mapping[str, Array] | None = None, **values: Any
    ) -> Reply:
        reply = self._run(
            procedure, {name: numeric(array) for name, array in (arrays or {}).items()}, values
        )
        assert isinstance(reply, Reply), f"{procedure} must return a Reply"
        return Reply({name: numeric(array) for name, array in reply.arrays.items()}, reply.values)

    def _run(self, procedure: str, arrays: dict[str, Array], values: dict[str, Any]) -> Any:
        function = resolve(procedure)
        kept = () if self.kept is None else (self.kept,)
        try:
            return function(*kept, **arrays, **values)
        except Exception as error:
            raise ChildRaisedError(f"{type(error).__name__}: {error}") from error


class DirectSandbox:
    """Looks like level L3 and confines nothing."""

    level = Level.L3
    probes: tuple[Probe, ...] = ()
    notes: tuple[str, ...] = ()

    def session(
        self,
        readable: tuple[Path, ...] = (),  # noqa: ARG002
        limits: Limits = Limits(),  # noqa: ARG002
    ) -> DirectSession:
        return DirectSession()
