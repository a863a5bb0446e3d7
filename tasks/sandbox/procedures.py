"""From a procedure's id to its function: ids are paths, so nothing is registered anywhere."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from tasks.domain.ids import is_entry_id

ROOMS = frozenset({"attacks", "detectors", "intake", "scanners", "targets"})


def procedure(name: str) -> Callable[..., Any]:
    """Returns the function that ``name`` stands for.

    ``attacks.evasion.linf_apgd`` is the function of that name in the module of that name;
    ``targets.opening.open_target`` is a function in the module before the last dot.

    Raises:
        ValueError: The name is malformed, outside the rooms that may run in a child, or unknown.
    """
    if not is_entry_id(name) or name.partition(".")[0] not in ROOMS:
        raise ValueError(f"{name!r} is not a procedure: it must live in {', '.join(sorted(ROOMS))}")
    parent, _, last = name.rpartition(".")
    module_name = f"tasks.{name}" if _exists(f"tasks.{name}") else f"tasks.{parent}"
    if not _exists(module_name):
        raise ValueError(f"there is no procedure {name!r}")
    function = getattr(importlib.import_module(module_name), last, None)
    if not callable(function):
        raise ValueError(f"{module_name} has no function {last!r}")  # noqa: TRY004 - a wrong name
    found: Callable[..., Any] = function
    return found


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
