"""Pickle files of every protocol: what they would import, call and change, without doing it.

Findings come from everything before a fault, because an unpickler has executed it by then. Raw
arrays that joblib writes into the stream are stepped over, and the steps are checked both ways.
"""

import math
import re
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners import pickle_guards
from tasks.scanners.global_policy import ALLOWED, is_rebuilt_only, judge_global
from tasks.scanners.inspection import Inspection
from tasks.scanners.pickle_handlers import HANDLERS
from tasks.scanners.pickle_machine import Machine
from tasks.scanners.pickle_values import (
    Blob,
    Global,
    Guarded,
    Items,
    Known,
    Made,
    Malformed,
    Tape,
    Truncated,
)
from tasks.scanners.reading import BudgetSpent, View

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_PICKLES = 5  # magic, protocol, machine facts, the object, the storage keys
MOST_PICKLES = 10_000
MOST_SILENT = 64  # such as ``N.``: pickles that could be anything else as well
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_IDENTIFIER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_STARTS = (b"\x80", b"(", b"c", b"]", b"}", b"i", b")", b"x")
_IMPORTS = frozenset(b"\n\x93\x81\x80\x9c\xda\x01\x5e")  # ends of names; STACK_GLOBAL; zlib levels
_HEADS = (b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"\x93NUM", b"\x7fELF")


class Watch:
    """Judges what one stream of pickles does and writes findings."""

    def __init__(self, view: View, inspection: Inspection) -> None:
        self.view = view
        self.inspection = inspection
        self.severe = False
        self.calls = 0
        self.arrays = 0
        self.persistent_seen = False

    def named(self, name: Global, at: int) -> Global:
        """An import; what may only be used in one way is judged when it is used."""
        if pickle_guards.is_guarded(name):
            return Guarded(name.module, name.name)
        if self.inspection.around == "torchscript" and name.module.startswith("__torch__"):
            return name  # a type of the archive's own code/, resolved without Python
        judgement = judge_global(name.module, name.name)
        if judgement.severity is ALLOWED:
            return name
        if not (_IDENTIFIER.fullmatch(name.module) and _IDENTIFIER.fullmatch(name.name)):
            text = f"{name.path}: no import can resolve this name"
            self._note("pickle.unknown_global", Severity.MEDIUM, text, at)
            return name
        self.severe = self.severe or judgement.severity.rank >= Severity.HIGH.rank
        self._note(judgement.rule, judgement.severity, f"{name.path}: {judgement.reason}", at)
        return name

    def escaped(self, name: Guarded, at: int) -> None:
        """A guarded name that travels as a value can be called by anything with anything."""
        self.severe = True
        text = f"{name.path}: used as a value, so that anything may call it"
        self._note("pickle.dangerous_global", Severity.CRITICAL, text, at)

    def hidden(self, at: int) -> None:
        """An import whose name is computed."""
        self.severe = True
        self._note("pickle.hidden_global", Severity.CRITICAL, "imports a name that is computed", at)

    def called(self, function: Any, arguments: Any, at: int, *, new: bool) -> Global | None:
        """A call; what is called was judged when it was named, unless it is guarded."""
        self.calls += isinstance(function, Global)
        if not isinstance(function, Global):
            self._note("pickle.indirect_call", Severity.HIGH, "calls a value that it computed", at)
        elif function.path == pickle_guards.LOADER:
            self._loads(arguments, at)
        elif isinstance(function, Guarded) and function.name == "getattr":
            return self._got(function, arguments, at)
        elif pickle_guards.allocates(function, arguments):
            text = f"{function.path} is asked for more memory than a model needs"
            self._note("pickle.allocation", Severity.MEDIUM, text, at)
        elif not new and is_rebuilt_only(function.module, function.name):
            text = f"{function.path} is called instead of rebuilt, and can reach for files then"
            self._note("pickle.constructor_call", Severity.MEDIUM, text, at)
        return None

    def _got(self, function: Guarded, arguments: Any, at: int) -> Global | None:
        found = pickle_guards.resolved(arguments)
        if found is None:
            self.escaped(function, at)
        return found

    def _loads(self, arguments: Any, at: int) -> None:
        inner = arguments.items[0] if isinstance(arguments, Items) and arguments.items else None
        if not (isinstance(inner, Blob) and inner.format != "unknown"):
            self.severe = True
            text = "unpickles bytes that it computed"
            self._note("pickle.dangerous_global", Severity.CRITICAL, text, at)

    def patched(self, target: Global, how: str, at: int) -> None:
        """An imported object is changed in place."""
        self._note("pickle.patches_global", Severity.HIGH, f"{target.path}: {how}", at)

    def persistent(self, identity: Any, at: int) -> None:
        """A reference that the loader resolves; torch uses them for storages."""
        if isinstance(identity, Items) and identity.items[:1] == ("storage",):
            return
        if not self.persistent_seen and self.inspection.around not in ("torch", "torchscript"):
            self.persistent_seen = True
            self._note(
                "pickle.persistent_id", Severity.MEDIUM, "asks the loader for an outside object", at
            )

    def extension(self, code: int, at: int) -> None:
        """A call through the copyreg registry."""
        self._note("pickle.extension_code", Severity.HIGH, f"calls registered extension {code}", at)

    def deep(self, at: int) -> None:
        """Nesting that no pickler writes."""
        self._note("pickle.nesting", Severity.MEDIUM, "values are nested 1000 deep or more", at)

    def heavy(self, at: int) -> None:
        """Few bytes that stand for more values than any memory holds."""
        text = "tuples share each other until hashing or printing them never ends"
        self._note("pickle.nesting", Severity.MEDIUM, text, at)

    def nested(self, view: View, at: int) -> str:
        """Bytes inside the pickle that may be something to open again."""
        head = view.head(256)
        if not (head.startswith(_HEADS) or (head[:1] in _STARTS and _IMPORTS.intersection(head))):
            return "unknown"
        return self.inspection.inside(view, f"bytes@{at}", around="bytes")

    def built(self, made: Made, machine: Machine, at: int) -> None:
        """Joblib puts an array's raw bytes behind the BUILD of its wrapper; others run state."""
        if pickle_guards.runs_its_state(made):
            self.severe = True
            text = "an object is given a text that it executes, and the text is not its library's"
            self._note("pickle.executed_state", Severity.CRITICAL, text, at)
        if not (isinstance(made.function, Global) and made.function.path == _WRAPPER):
            return
        state = made.state if isinstance(made.state, Known) and not made.state.full else {}
        kind = _dtype(state.get("dtype"))
        shape = state.get("shape")
        if (
            kind is None
            or not isinstance(shape, Items)
            or not all(isinstance(length, int) for length in shape.items)
        ):
            self._note(
                "pickle.hidden_array", Severity.HIGH, "an array's size in the stream is hidden", at
            )
            return
        self._check_both_ways(machine)
        if kind.startswith("O"):
            self._follow(machine.tape, machine)
            return
        if "numpy_array_alignment_bytes" in state:
            machine.tape.skip(machine.tape.take(1)[0])
        machine.tape.skip(_item_bytes(kind) * math.prod(shape.items))

    def _check_both_ways(self, machine: Machine) -> None:
        """A plain unpickler does not step over the array: what would it do in there?"""
        self.arrays += 1
        if self.arrays > 32:
            return
        twin = Machine(
            Tape(machine.tape.view, machine.tape.offset, window=4096), Quiet(self), machine.budget
        )
        twin.stack, twin.marks = machine.stack[-64:], [0] * min(len(machine.marks), 8)
        twin.memo = dict(machine.memo) if len(machine.memo) < 10_000 else {}
        try:
            twin.run(HANDLERS)
        except (Truncated, Malformed):
            return

    def _follow(self, tape: Tape, outer: Machine) -> None:
        Machine(tape, self, outer.budget).run(HANDLERS)

    def _note(self, rule: str, severity: Severity, detail: str, at: int) -> None:
        self.inspection.note(rule, severity, detail, at)


class Quiet(Watch):
    """Follows bytes that are probably an array: only what is certainly harmful counts."""

    def __init__(self, outer: Watch) -> None:
        super().__init__(outer.view, outer.inspection)

    def nested(self, view: View, at: int) -> str:
        """Nothing nested in numbers is looked at."""
        del view, at
        return "unknown"

    def built(self, made: Made, machine: Machine, at: int) -> None:
        """A plain unpickler knows nothing of joblib."""

    def _note(self, rule: str, severity: Severity, detail: str, at: int) -> None:
        if rule in ("pickle.dangerous_global", "pickle.library_global"):
            super()._note(rule, severity, detail, at)


def inspect_pickle(view: View, inspection: Inspection) -> bool:
    """Reads ``view`` as one or more pickles; answers whether that is a plausible reading.

    The caller passes fresh notes and keeps them only when the answer is True.
    """
    watch = Watch(view, inspection)
    tape = Tape(view, window=1 << 16)
    count, legacy, plausible = 0, False, False
    while tape.offset < view.size and count < MOST_PICKLES:
        start = tape.offset
        machine = Machine(tape, watch, inspection.budget)
        try:
            value = machine.run(HANDLERS)
        except (Truncated, Malformed, BudgetSpent) as fault:
            if not plausible:
                return _first_fault(machine, watch, fault)
            _tail(view, start, machine, fault, inspection)
            break
        count += 1
        tape.window = 1 << 20
        plausible = plausible or _is_plausible(machine, watch, view)
        if count == MOST_SILENT and not plausible:
            return False
        legacy = legacy or (count == 1 and value == TORCH_MAGIC)
        if legacy and count == TORCH_PICKLES:
            break  # raw storages follow, which no loader unpickles
    if count == MOST_PICKLES and tape.offset < view.size:
        text = f"more than {MOST_PICKLES} pickles follow each other"
        inspection.note("scan.budget", Severity.MEDIUM, text)
    return plausible


def _is_plausible(machine: Machine, watch: Watch, view: View) -> bool:
    return bool(
        _has_protocol(machine)
        or watch.severe
        or machine.calls
        or machine.names
        or machine.tape.offset == view.size
    )


def _has_protocol(machine: Machine) -> bool:
    head = machine.tape.view.read(machine.started_at, 2)
    return len(head) == 2 and head[0] == 0x80 and head[1] <= 5


def _first_fault(machine: Machine, watch: Watch, fault: Exception) -> bool:
    if not (_has_protocol(machine) or watch.severe or watch.calls):
        return False
    if isinstance(fault, BudgetSpent):
        watch.inspection.note("scan.budget", Severity.MEDIUM, f"stopped early: {fault}", machine.at)
    else:
        watch.inspection.note("pickle.malformed", Severity.MEDIUM, str(fault), machine.at)
    return True


def _tail(
    view: View, start: int, machine: Machine, fault: Exception, inspection: Inspection
) -> None:
    """Bytes after the last STOP that are no complete pickle."""
    inspection.note(
        "pickle.trailing_bytes",
        Severity.MEDIUM,
        f"{view.size - start} bytes follow the pickle and are none themselves: {fault}",
        machine.at,
    )


def _dtype(value: Any) -> str | None:
    """Returns numpy's short name (``f8``, ``O8``) from a ``numpy.dtype(name, False, True)``."""
    if not (isinstance(value, Made) and isinstance(value.function, Global)):
        return None
    if value.function != Global("numpy", "dtype") or not isinstance(value.arguments, Items):
        return None
    first = value.arguments.items[0] if value.arguments.items else None
    return first if isinstance(first, str) and first else None


def _item_bytes(kind: str) -> int:
    digits = kind.lstrip("<>=|")[1:]
    if not digits.isdigit() or len(digits) > 9:
        raise Malformed(f"dtype {kind[:20]!r} has no size")
    return int(digits) * (4 if "U" in kind[:2] else 1)
