"""Spares a child torch's compiler, which is most of its import and of its first optimiser.

No child compiles: it may start no process. What is left out is imported when something asks for it
after all; opening an exported program does. Measured on one core: importing torch takes 1.6 s
where it takes 2.6 s, and the first step of an optimiser no time where it takes 1.9 s.
"""

import gc
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

_RULES = "torch._meta_registrations"
"""How operators act on tensors without data."""
_COMPILER = "torch._dynamo"
_BEHIND_RULES = frozenset(
    {"torch._decomp", "torch._prims", "torch._refs", "torch.utils._content_store"}
)
"""These import each other in circles, and only do so in peace after the rules."""
_GPU_READERS = ("cuda.bindings", "pynvml")


def import_lean(*, gpu: bool) -> None:
    """Makes a later ``import torch`` of this process a lean one.

    Args:
        gpu: Whether the process has a GPU; else the libraries that read its state are left out.
    """
    for name in () if gpu else _GPU_READERS:
        sys.modules[name] = None  # type: ignore[assignment]  # for Python: there is no such module
    sys.meta_path.insert(0, _Torch())


class _Torch(MetaPathFinder):
    """Finds torch, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _TorchLoader(spec.loader.name, spec.loader.path)
        return spec


class _TorchLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        sys.modules[_RULES] = ModuleType(_RULES)
        gc.disable()  # nothing that an import makes is garbage
        try:
            super().exec_module(module)
        finally:
            gc.enable()
            del sys.modules[_RULES]
        # All that the rules would have done outside the compiler: generators can be made.
        base = importlib.import_module("torch._opaque_base").OpaqueBaseMeta
        importlib.import_module("torch._C")._set_generator_metaclass(base)  # noqa: SLF001
        sys.modules[_COMPILER] = _IdleCompiler(_COMPILER)
        sys.meta_path.insert(0, _RulesFirst())


class _RulesFirst(MetaPathFinder):
    """Imports the rules before anything that leans on them, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name not in _BEHIND_RULES:
            return None
        sys.meta_path.remove(self)
        importlib.import_module(_RULES)
        module = sys.modules.get(name)
        if module is None or module.__spec__ is None:
            return None
        found, module.__spec__ = module.__spec__, None  # or it would be executed once more
        found.loader = _Imported()
        return found


class _Imported(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing: the rules have imported it."""


class _IdleCompiler(ModuleType):
    """Answers what optimisers ask of a compiler; asked for more, it makes way for the real one."""

    __file__ = None

    def graph_break(self) -> None:
        """Marks where a compiled program would be cut."""

    def disable(self, function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Returns the function, which nobody compiles."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # asked by whoever looks at every module
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
            importlib.import_module(_RULES)
            importlib.import_module(_COMPILER)
        return getattr(sys.modules[_COMPILER], name)
