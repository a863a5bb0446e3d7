"""Names that are harmless in one use only, and objects that run a part of their own state.

``builtins.getattr`` is what picklers write for some nested names, and tensors travel in a plain
pickle by ``torch.storage._load_from_bytes``. scipy's distributions run a template of their state
(``rv_generic._attach_argparser_methods``), so only what scipy writes may lie there.
"""

import re
from typing import Any

from tasks.scanners.global_policy import has_guarded_state, is_allowed
from tasks.scanners.pickle_values import Global, Items, Known, Made

LOADER = "torch.storage._load_from_bytes"
_GETTERS = frozenset({("builtins", "getattr"), ("__builtin__", "getattr")})
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")
_FILLING = frozenset(
    f"builtins.{name}" for name in ("bytearray", "bytes", "list", "tuple", "set", "frozenset")
)
MOST_FILLED = 1 << 28
_METHOD = re.compile(r"_[a-z][a-z0-9_]*")
_SHAPES = r"(?:[A-Za-z]\w*, ){0,8}"
_TEMPLATE = re.compile(
    rf"\s*def _parse_args\(self, (?P<s>{_SHAPES}) ?loc=0(?:, scale=1)?\):\s+"
    rf"return \((?P=s)\), (?:loc, scale|loc, 1)\s+"
    rf"def _parse_args_rvs\(self, (?P=s) ?loc=0(?:, scale=1)?, size=None\):\s+"
    rf"return self\._argcheck_rvs\((?P=s) ?(?:loc, scale|loc, 1), size=size\)\s+"
    rf"def _parse_args_stats\(self, (?P=s) ?loc=0(?:, scale=1)?, moments='mv'\):\s+"
    rf"return \((?P=s)\), (?:loc, scale|loc, 1), moments\s*"
)


def is_guarded(name: Global) -> bool:
    """Answers whether only the use of this name decides."""
    return (
        name.path == LOADER
        or (name.module, name.name) in _GETTERS
        or has_guarded_state(name.module, name.name)
    )


def resolved(arguments: Any) -> Global | None:
    """Returns what ``getattr(class, name)`` gives when the list knows it, else None."""
    if not isinstance(arguments, Items) or len(arguments.items) != 2:
        return None
    owner, name = arguments.items
    if isinstance(owner, Made) and isinstance(name, str):
        return _bound(owner.function, name)
    if not isinstance(owner, Global) or not isinstance(name, str):
        return None
    if not is_allowed(owner.module, owner.name):
        return None
    path = f"{owner.name}.{name}"
    known = is_allowed(owner.module, path) or _CONSTANT.fullmatch(name)
    return Global(owner.module, path) if known else None


def _bound(owner: Any, name: str) -> Global | None:
    """Distributions of scipy keep methods of their own, which picklers write as ``getattr``."""
    if not isinstance(owner, Global) or not has_guarded_state(owner.module, owner.name):
        return None
    return Global(owner.module, f"{owner.name}.{name}") if _METHOD.fullmatch(name) else None


def allocates(function: Global, arguments: Any) -> bool:
    """Answers whether a call only serves to fill the memory: ``bytearray(2**40)`` and the like."""
    if function.path not in _FILLING or not isinstance(arguments, Items):
        return False
    return any(
        (isinstance(each, int) and each > MOST_FILLED)
        or (isinstance(each, Made) and getattr(each.function, "path", "") == "builtins.range")
        for each in arguments.items
    )


def runs_its_state(made: Made) -> bool:
    """Answers whether this state would be executed and is not what the library writes."""
    owner = made.function
    if not isinstance(owner, Global) or not has_guarded_state(owner.module, owner.name):
        return False
    state = made.state
    if not isinstance(state, Known) or state.full:
        return True
    template = state.get("_parse_arg_template")
    return not (isinstance(template, str) and _TEMPLATE.fullmatch(template))
