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
    Guarded,
    Handler,
    Items,
    Known,
    Made,
    Malformed,
    Tape,
    Truncated,
)
from tasks.scanners.reading import Budget, View

MOST_STACK = 4_000_000
MOST_DEPTH = 1_000
MOST_WEIGHT = 100_000_000
_BATCH = 1024

_STOP = 0x2E

_SCALAR_BYTES = rb"(?:[N\x88\x89]|K.|M..|J.{4}|G.{8})"
_TEXTS = b"|".join(b"\\x8c\\x%02x.{%d}" % (size, size) for size in range(13))
_ONE = rb"(?:[\])}]|" + _SCALAR_BYTES + rb"|" + _TEXTS + rb")"
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
_VALUE = rb"(?:%b\x85|%b{2}\x86|%b{3}\x87)\x94".replace(b"%b", _SCALAR_BYTES)
_SCALAR = re.compile(_SCALAR_BYTES, re.DOTALL)
_SCALARS = re.compile(_SCALAR_BYTES + rb"{16,}+", re.DOTALL)
_TUPLE = re.compile(_VALUE, re.DOTALL)
_TUPLES = re.compile(rb"(?:" + _VALUE + rb"){4,}+", re.DOTALL)
"""Remembered tuples of one to three numbers, as lists of pairs hold them by the thousand."""

_ROOM = 264  # more than any opcode below takes, so that the inlined ones never read past the end
_NUMBERS = {0x4B: (2, False), 0x4D: (3, False), 0x4A: (5, True)}
"""BININT1, BININT2 and BININT: bytes of each, and whether it is signed."""
_PUSHES = {0x4E: 1, 0x88: 1, 0x89: 1, 0x5D: 1, 0x47: 9}
"""NONE, NEWTRUE, NEWFALSE, EMPTY_LIST and BINFLOAT: bytes of each; they push what never matters."""
_LOOKED_AT = frozenset(b"\xc2\x1fPxc(i")
"""First bytes of texts that may hold another pickle; their own handler looks into them."""


class Watcher(Protocol):
    """Who is told what the opcodes do. ``at`` is the offset of the opcode."""

    def named(self, name: Global, at: int) -> Global:
        """An import; returns what is pushed, a :class:`Guarded` when its use decides."""

    def hidden(self, at: int) -> None:
        """An import whose name is computed."""

    def called(self, function: Any, arguments: Any, at: int, *, new: bool) -> Global | None:
        """A call, with arguments as far as they are known; returns the name it gives, if any."""

    def escaped(self, name: Guarded, at: int) -> None:
        """A guarded name is used as a value, so that anything may call it."""

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

    def heavy(self, at: int) -> None:
        """A tuple that holds itself so often that hashing or printing it never ends."""


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
        self._pause = _BATCH
        self.guarded = False
        self.calls = 0
        self.deep = False
        self.heavy = False
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
            self._plain_opcodes()
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
            if self.opcodes >= self._pause:
                self._pace()
            if code == _STOP:
                value = self.pop()
                self._leave()
                return value
            handler(self)

    def _plain_opcodes(self) -> None:  # noqa: C901, PLR0912, PLR0915 - one branch per opcode, inlined for speed
        """Follows opcodes that only push, mark or remember, until another one comes.

        They are nine of ten in a pickle of plain data, and a call for each would cost more than
        the work. What they do is what their entries in the table do.
        """
        tape, stack, memo, marks = self.tape, self.stack, self.memo, self.marks
        buffer, at = tape.buffer, tape.at
        end, done, before = len(buffer) - _ROOM, 0, self.opcodes
        while at < end and done < _BATCH:
            code = buffer[at]
            done += 1
            if code == 0x94:  # MEMOIZE
                if not stack:
                    break
                value = stack[-1]
                memo[len(memo)] = OPAQUE if type(value) is int else value
                at += 1
            elif code in _NUMBERS:
                size, signed = _NUMBERS[code]
                number = int.from_bytes(buffer[at + 1 : at + size], "little", signed=signed)
                stack.append(number)
                at = self._skip_runs(buffer, at + size)
            elif code == 0x68:  # BINGET
                value = memo.get(buffer[at + 1], self)
                if value is self:
                    break
                stack.append(value)
                at += 2
            elif code == 0x8C:  # SHORT_BINUNICODE
                size = buffer[at + 1]
                if at + size > end or buffer[at + 2] in _LOOKED_AT:
                    break
                stack.append(buffer[at + 2 : at + 2 + size].decode("utf-8", "backslashreplace"))
                at += 2 + size
            elif code == 0x28:  # MARK
                marks.append(len(stack))
                at += 1
            elif code == 0x71:  # BINPUT
                if not stack:
                    break
                value = stack[-1]
                memo[buffer[at + 1]] = OPAQUE if type(value) is int else value
                at += 2
            elif code in _PUSHES:
                stack.append(OPAQUE)
                at += _PUSHES[code]
                if code == 0x47:
                    at = self._skip_runs(buffer, at)
            elif code == 0x7D:  # EMPTY_DICT
                stack.append(Known())
                at += 1
            elif 0x85 <= code <= 0x87 and not self.guarded:  # TUPLE1 to TUPLE3
                size = code - 0x84
                if len(stack) - size < (marks[-1] if marks else 0):
                    break
                items = stack[-size:]
                del stack[-size:]
                self.at = tape.base + at
                self.push_tuple(items)
                at += 1
                if buffer[at] == 0x94:
                    memo[len(memo)] = stack[-1]
                    at = self._skip_tuples(buffer, at + 1)
            elif code == 0x6A:  # LONG_BINGET
                value = memo.get(int.from_bytes(buffer[at + 1 : at + 5], "little"), self)
                if value is self:
                    break
                stack.append(value)
                at += 5
            elif code == 0x72:  # LONG_BINPUT
                if not stack:
                    break
                value = stack[-1]
                place = int.from_bytes(buffer[at + 1 : at + 5], "little")
                memo[place] = OPAQUE if type(value) is int else value
                at += 5
            elif code == 0x30 and stack and (not marks or marks[-1] < len(stack)):  # POP
                stack.pop()
                at += 1
                if not (before + done) % 5 and (found := _PADDING.match(buffer, at)):
                    at = found.end()
            else:
                break
        tape.at = at
        self.opcodes += done

    def _skip_runs(self, buffer: bytes, at: int) -> int:
        """Steps over many numbers, or many small tuples of numbers, and returns where they end."""
        if found := _SCALARS.match(buffer, at):
            self.stack.extend([OPAQUE] * len(_SCALAR.findall(found.group())))
            return found.end()
        return at

    def _skip_tuples(self, buffer: bytes, at: int) -> int:
        """Does the same for remembered tuples, where the memo has room in one piece."""
        if found := _TUPLES.match(buffer, at):
            count, base = len(_TUPLE.findall(found.group())), len(self.memo)
            if self.memo.keys().isdisjoint(range(base, base + count)):
                self.stack.extend([OPAQUE] * count)
                self.memo.update(dict.fromkeys(range(base, base + count), OPAQUE))
                return found.end()
        return at

    def _pace(self) -> None:
        self._pause = self.opcodes + _BATCH
        self.budget.spend_opcodes(_BATCH)
        if len(self.stack) > MOST_STACK or len(self.marks) > MOST_STACK:
            raise Malformed(f"more than {MOST_STACK} values wait on the stack")
        if len(self.marks) > MOST_DEPTH and not self.deep:
            self.deep = True
            self.watcher.deep(self.at)
        if padding := _PADDING.match(self.tape.buffer, self.tape.at - 1):
            self.tape.at = max(padding.end(), self.tape.at)

    def _leave(self) -> None:
        """Names that only count when they are called must not be left over."""
        if self.guarded:
            for value in self.stack:
                self._check_escape(value)

    def _check_escape(self, value: Any) -> None:
        if isinstance(value, Guarded):
            self.watcher.escaped(value, self.at)

    def pop(self) -> Any:
        """Takes the top value; a mark in between is a fault."""
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            raise Malformed("an opcode needs a value that is not on the stack")
        value = self.stack.pop()
        if self.guarded:
            self._check_escape(value)
        return value

    def pop_function(self) -> Any:
        """Takes the value in the one place where a guarded name may stand: to be called."""
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            raise Malformed("an opcode needs a function that is not on the stack")
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
        if self.guarded:
            for item in items:
                self._check_escape(item)
        return items

    def push_tuple(self, items: list[Any]) -> None:
        """Makes a tuple and reports unreasonable depth."""
        made = Items.of(items)
        if made.depth == MOST_DEPTH:
            self.watcher.deep(self.at)
        if made.weight > MOST_WEIGHT and not self.heavy:
            self.heavy = True
            self.watcher.heavy(self.at)
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
        found = self.watcher.named(Global(module, name), self.at)
        self.guarded = self.guarded or isinstance(found, Guarded)
        self.stack.append(found)

    def call(self, function: Any, arguments: Any, *, new: bool = False) -> None:
        """Calls ``function``; nothing runs, the result is a :class:`Made` or what it names.

        ``new`` means that only ``__new__`` of a class is called, as picklers do.
        """
        self.calls += 1
        named = self.watcher.called(function, arguments, self.at, new=new)
        self.stack.append(named or Made(function, arguments))

    def target(self, value: Any, how: str) -> None:
        """Reports an imported object that is changed in place."""
        if isinstance(value, Global):
            self.watcher.patched(value, how, self.at)
