"""What a name inside a serialised object may stand for: allowed, unknown or dangerous.

The list is data (``known_globals.toml``). What is not on it never passes: a standard library
name is high, an unknown name of a library is medium ("review"), a known gadget critical.
"""

import _compat_pickle
import functools
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from tasks.domain.severity import Severity

ALLOWED = Severity.INFO
_DUNDER = re.compile(r"__\w+__")


class Judgement(NamedTuple):
    """How bad naming something is, under which rule, and why."""

    severity: Severity
    rule: str
    reason: str


class _Table(NamedTuple):
    names: dict[str, frozenset[str]]
    families: dict[str, frozenset[str]]
    dangerous: dict[str, frozenset[str]]
    rebuilt_only: dict[str, frozenset[str]]
    guarded_state: dict[str, frozenset[str]]


@functools.cache
def _table() -> _Table:
    source = Path(__file__).with_name("known_globals.toml")
    raw = tomllib.loads(source.read_text(encoding="utf-8"))
    return _Table(
        *(
            {module: frozenset(words.split()) for module, words in raw[part].items()}
            for part in _Table._fields
        )
    )


@functools.lru_cache(maxsize=4096)
def judge_global(module: str, name: str) -> Judgement:
    """Judges ``module.name`` as an unpickler would resolve it, Python 2 names included."""
    module, name = _modern(module, name)
    if is_allowed(module, name):
        return Judgement(ALLOWED, "pickle.allowed_global", "on the allow-list")
    if _is_dangerous(module, name):
        return Judgement(
            Severity.CRITICAL, "pickle.dangerous_global", "can run code or reach the system"
        )
    if _DUNDER.search(name) or ("." in name and _is_listed_module(module)):
        return Judgement(
            Severity.CRITICAL, "pickle.attribute_walk", "walks attributes instead of naming a type"
        )
    if module.partition(".")[0] in sys.stdlib_module_names:
        return Judgement(
            Severity.HIGH, "pickle.library_global", "a standard library name no model needs"
        )
    return Judgement(
        Severity.MEDIUM, "pickle.unknown_global", "not on the allow-list; review what it does"
    )


def is_allowed(module: str, name: str) -> bool:
    """Answers whether an honest model file may name this."""
    table = _table()
    if name in table.names.get(module, ()):
        return True
    if module.startswith("sklearn.") and name.startswith("__pyx_unpickle_"):
        return name.isidentifier() and not _is_dangerous(module, name)
    return any(
        (module == family or module.startswith(family + "."))
        and name in names
        and not _is_dangerous(module, name)
        for family, names in table.families.items()
    )


def is_rebuilt_only(module: str, name: str) -> bool:
    """Answers whether picklers rebuild this class without calling it, as its call can reach out."""
    return name in _table().rebuilt_only.get(module, ())


def has_guarded_state(module: str, name: str) -> bool:
    """Answers whether this class runs part of the state that it is given."""
    return name in _table().guarded_state.get(module, ())


def _is_dangerous(module: str, name: str) -> bool:
    table = _table()
    first = name.partition(".")[0]
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        words = table.dangerous.get(".".join(parts[:count]))
        # A deeper listed module decides for itself: torch.nn is not torch.load.
        if words and ("*" in words or (count == len(parts) and {name, first} & words)):
            return True
    # ("torch", "hub.load") names the same as ("torch.hub", "load").
    return "." in name and _is_dangerous(f"{module}.{first}", name.partition(".")[2])


def _is_listed_module(module: str) -> bool:
    table = _table()
    return module in table.names or any(
        module == family or module.startswith(family + ".") for family in table.families
    )


def _modern(module: str, name: str) -> tuple[str, str]:
    """Returns what Python 3 makes of a Python 2 name (``__builtin__`` is ``builtins``)."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name
