"""Follows pickle opcodes without building anything: names, calls and targets on a model stack.

Source: CPython ``Lib/pickletools.py`` and ``Modules/_pickle.c``, protocols 0 to 5. The stack
holds :mod:`tasks.scanners.pickle_values`. Cost: linear in opcodes; long runs of plain numbers and
of padding are skipped by two regular expressions without backtracking.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from tasks.scanners.pickle_values import (
    OPAQUE,
    Global,
    Handler,
    Items,
    Made,
    Malformed,
    Tape,
    Truncated,
)
from tasks.scanners.reading import Budget, View

MOST_STACK = 4_000_000
MOST_DEPTH = 1_000
_BATCH = 1024

_STOP = 0x2E

_ONE = rb"(?:[N\x88\x89\])}]|K.|M..|J.{4}|G.{8}|\x8c\x00|\x8c\x01.)"
_NO_OPS = (
    rb"%b0",
    rb"%b20{2}",
    rb"%b\x850",
    rb"%b{2}\x860",
    rb"%b{3}\x870",
    rb"\(%b{0,8}+(?:1|[tl]0)",
)
"""What leaves the stack as it was: values that are popped again, alone or as a small tuple."""

_PADDING = re.compile(
    rb"(?:" + rb"|".join(each.replace(b"%b", _ONE) for each in _NO_OPS) + rb")++", re.DOTALL
)
_SCALAR = re.compile(rb"[N\x88\x89]|K.|M..|J.{4}|G.{8}", re.DOTALL)
_SCALARS = re.compile(rb"(?:[N\x88\x89]|K.|M..|J.{4}|G.{8}){16,}+", re.DOTALL)


class Watcher(Protocol):
    """Who is told what the opcodes do. ``at`` is the offset of the opcode."""

    def named(self, name: Global, at: int) -> None:
        """An import."""

    def hidden(self, at: int) -> None:
        """An import whose name is computed."""

    def called(self, function: Any, arguments: Any, at: int) -> None:
        """A call, with arguments as far as they are known."""

    def patched(self, target: Global, how: str, at: int) -> None:
        """An imported object is changed in place."""

    def built(self, made: Made, machine: "Machine", at: int) -> None:
        """A made object got its state; the machine may be moved."""

    def nested(self, view: View, at: int) -> str:
        """Bytes that may be something to read again; returns their format."""

    def persistent(self, identity: Any, at: int) -> None:
        """A reference that the loader resolves."""

    def extension(self, code: int, at: int) -> None:
        """A call through the copyreg registry."""

    def deep(self, at: int) -> None:
        """Unreasonable nesting."""


class Machine:
    """One pickle, from its first opcode to STOP or to the fault."""

    def __init__(self, tape: Tape, watcher: Watcher, budget: Budget) -> None:
        self.tape = tape
        self.watcher = watcher
        self.budget = budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.opcodes = 0
        self.calls = 0
        self.deep = False
        self.names = 0
        self.started_at = tape.offset
        self.at = tape.offset
        self.protocol = 0

    def run(self, table: Sequence[Handler | None]) -> Any:
        """Follows opcodes up to STOP and returns the value it leaves.

        ``table`` is :data:`tasks.scanners.pickle_handlers.HANDLERS`, one entry per byte.

        Raises:
            Truncated, Malformed: The stream breaks; everything before was reported.
            BudgetSpent: Too many opcodes.
        """
        tape = self.tape
        while True:
            if not self.opcodes % _BATCH and self.opcodes:
                self._pace()
            if tape.at >= len(tape.buffer) and not tape.fill(1):
                raise Truncated("the pickle ends without STOP")
            at = tape.at
            code = tape.buffer[at]
            tape.at = at + 1
            self.at = tape.base + at
            handler = table[code]
            if handler is None:
                raise Malformed(f"0x{code:02x} is no opcode")
            self.opcodes += 1
            if code == _STOP:
                return self.pop()
            handler(self)
            if not self.opcodes % 31:  # odd, so that runs of two-opcode padding are met at either
                self._skip_runs()

    def _pace(self) -> None:
        self.budget.spend_opcodes(_BATCH)
        if len(self.stack) > MOST_STACK or len(self.marks) > MOST_STACK:
            raise Malformed(f"more than {MOST_STACK} values wait on the stack")
        if len(self.marks) > MOST_DEPTH and not self.deep:
            self.deep = True
            self.watcher.deep(self.at)

    def _skip_runs(self) -> None:
        tape = self.tape
        if padding := _PADDING.match(tape.buffer, tape.at):
            tape.at = padding.end()
        if run := _SCALARS.match(tape.buffer, tape.at):
            self.stack.extend([OPAQUE] * len(_SCALAR.findall(run.group())))
            tape.at = run.end()

    def pop(self) -> Any:
        """Takes the top value; a mark in between is a fault."""
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            raise Malformed("an opcode needs a value that is not on the stack")
        return self.stack.pop()

    def top(self) -> Any:
        """Looks at the top value."""
        if not self.stack:
            raise Malformed("an opcode needs a value that is not on the stack")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        """Takes everything above the last mark."""
        if not self.marks:
            raise Malformed("an opcode needs a mark that was not set")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push_tuple(self, items: list[Any]) -> None:
        """Makes a tuple and reports unreasonable depth."""
        made = Items.of(items)
        if made.depth == MOST_DEPTH:
            self.watcher.deep(self.at)
        if made.depth > 100 * MOST_DEPTH:
            raise Malformed("tuples are nested deeper than any pickler writes")
        self.stack.append(made)

    def name(self, module: Any, name: Any) -> None:
        """Imports a name: reported at once, because the import alone can run code."""
        self.names += 1
        if not isinstance(module, str) or not isinstance(name, str):
            self.watcher.hidden(self.at)
            self.stack.append(OPAQUE)
            return
        found = Global(module, name)
        self.watcher.named(found, self.at)
        self.stack.append(found)

    def call(self, function: Any, arguments: Any) -> None:
        """Calls ``function``; nothing runs, the result is a :class:`Made`."""
        self.calls += 1
        self.watcher.called(function, arguments, self.at)
        self.stack.append(Made(function, arguments))

    def target(self, value: Any, how: str) -> None:
        """Reports an imported object that is changed in place."""
        if isinstance(value, Global):
            self.watcher.patched(value, how, self.at)
