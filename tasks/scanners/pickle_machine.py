"""Follows pickle opcodes without building anything: names, calls and targets on a model stack.

Source: CPython ``Lib/pickletools.py`` and ``Modules/_pickle.c``, protocols 0 to 5. The stack
holds :mod:`tasks.scanners.pickle_values`. Cost: linear in opcodes; long runs of plain numbers and
of padding are skipped by two regular expressions without backtracking.
"""

import re
from typing import Any, Protocol

from tasks.scanners.pickle_values import (
    OPAQUE,
    Blob,
    Global,
    Handler,
    Items,
    Made,
    Malformed,
    Tape,
)
from tasks.scanners.reading import Budget, View

MOST_STACK = 4_000_000
MOST_DEPTH = 1_000
NAME_BYTES = 512
MOST_TEXT_BYTES = 16 << 20
_BATCH = 1024
_LATIN = (b"\xc2\x80", b"\x1f\xc2", b"PK", b"x\xc2", b"x\xc3", b"x^", b"x\x01")

_PADDING = re.compile(rb"(?:[N\x88\x89\])}]0|K.0|M..0|J.{4}0|G.{8}0|\x8c\x000|\(1)+", re.DOTALL)
_NUMBER = re.compile(rb"[\s+-]*[0-9][0-9a-zA-Z_]*\s*")
_SCALAR = re.compile(rb"[N\x88\x89]|K.|M..|J.{4}|G.{8}", re.DOTALL)
_SCALARS = re.compile(rb"(?:[N\x88\x89]|K.|M..|J.{4}|G.{8}){16,}+", re.DOTALL)


class Watcher(Protocol):
    """Who is told what the opcodes do. ``at`` is the offset of the opcode."""

    def named(self, name: Global, at: int) -> None: ...
    def hidden(self, at: int) -> None: ...
    def called(self, function: Any, arguments: Any, at: int) -> None: ...
    def patched(self, target: Global, how: str, at: int) -> None: ...
    def built(self, made: Made, machine: "Machine", at: int) -> None: ...
    def nested(self, view: View, at: int) -> str: ...
    def persistent(self, identity: Any, at: int) -> None: ...
    def extension(self, code: int, at: int) -> None: ...
    def deep(self, depth: int, at: int) -> None: ...


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
        self.names = 0
        self.started_at = tape.offset
        self.at = tape.offset
        self.protocol = 0

    def run(self) -> Any:
        """Follows opcodes up to STOP and returns the value it leaves.

        Raises:
            Truncated, Malformed: The stream breaks; everything before was reported.
            BudgetSpent: Too many opcodes.
        """
        tape, table = self.tape, HANDLERS
        while True:
            if not self.opcodes % _BATCH and self.opcodes:
                self._pace()
            self.at = tape.offset
            code = tape.take(1)[0]
            handler = table[code]
            if handler is None:
                raise Malformed(f"0x{code:02x} is no opcode")
            self.opcodes += 1
            if code == 0x2E:
                return self.pop()
            handler(self)
            if not self.opcodes & 31:
                self._skip_runs()

    def _pace(self) -> None:
        self.budget.spend_opcodes(_BATCH)
        if len(self.stack) > MOST_STACK or len(self.marks) > MOST_STACK:
            raise Malformed(f"more than {MOST_STACK} values wait on the stack")
        if len(self.marks) > MOST_DEPTH:
            self.watcher.deep(len(self.marks), self.at)

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
        if made.depth > MOST_DEPTH:
            self.watcher.deep(made.depth, self.at)
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


def _int(machine: Machine, count: int, *, signed: bool = False) -> int:
    return int.from_bytes(machine.tape.take(count), "little", signed=signed)


def _push_int(count: int, *, signed: bool = False) -> Handler:
    return lambda m: m.stack.append(_int(m, count, signed=signed))


def _push(make: Any) -> Handler:
    return lambda m: m.stack.append(make)


def _counted(width: int, *, text: bool) -> Handler:
    def handler(m: Machine) -> None:
        size = _int(m, width)
        if text and size <= NAME_BYTES:
            data = m.tape.take(size)
            _look_into_text(m, data)
            m.stack.append(_text(data))
            return
        start = m.tape.skip(size)
        view = m.tape.view.part(start, size)
        if text and size <= MOST_TEXT_BYTES and view.head(2) in _LATIN:
            _look_into_text(m, view.read(0, size))
        m.stack.append(Blob(size, m.watcher.nested(view, m.at)) if size >= 4 else OPAQUE)

    return handler


def _counted_old(width: int) -> Handler:
    """Python 2 strings: names or bytes, so both readings are kept."""

    def handler(m: Machine) -> None:
        size = _int(m, width)
        start = m.tape.skip(size)
        if size >= 4:
            m.watcher.nested(m.tape.view.part(start, size), m.at)
        small = m.tape.view.read(start, size) if size <= NAME_BYTES else b""
        m.stack.append(_text(small) if small or not size else OPAQUE)

    return handler


def _look_into_text(m: Machine, data: bytes) -> None:
    """Bytes travel as Latin-1 text in old protocols (``_codecs.encode(text, "latin1")``)."""
    if data[:2] in _LATIN:
        plain = data.decode("utf-8", "replace").encode("latin-1", "replace")
        m.watcher.nested(View.of_bytes(plain), m.at)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _memo_index(m: Machine) -> int:
    line = m.tape.line()
    try:
        return int(line)
    except ValueError:
        raise Malformed("a memo line holds no number") from None


def _int_line(m: Machine) -> None:
    """C reads these with strtol, base 0: octal, hexadecimal and a closing L are legal."""
    line = m.tape.line()
    if not _NUMBER.fullmatch(line):
        raise Malformed("an integer line holds no integer")
    m.stack.append(int(line) if line.isdigit() and len(line) < 20 else OPAQUE)


def _float_line(m: Machine) -> None:
    line = m.tape.line(64)
    try:
        float(line)
    except ValueError:
        raise Malformed("a float line holds no float") from None
    m.stack.append(OPAQUE)


def _quoted_line(m: Machine) -> None:
    line = m.tape.line(1 << 16).strip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] not in (b"'", b'"'):
        if len(line) < 1 << 16:
            raise Malformed("a string line is not quoted")
        m.stack.append(OPAQUE)
        return
    body = _unescaped(line[1:-1])
    if len(body) >= 4:
        m.watcher.nested(View.of_bytes(body), m.at)
    m.stack.append(_text(body) if len(body) <= NAME_BYTES else OPAQUE)


def _unescaped(data: bytes) -> bytes:
    if b"\\" not in data:
        return data
    return data.decode("unicode_escape", "replace").encode("latin-1", "replace")


def _unicode_line(m: Machine) -> None:
    line = m.tape.line(NAME_BYTES * 6)
    m.stack.append(line.decode("raw_unicode_escape", "replace"))


def _global_lines(m: Machine) -> None:
    module, name = m.tape.line(), m.tape.line()
    m.name(_text(module), _text(name))


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.name(module, name)


def _instance(m: Machine) -> None:
    _global_lines(m)
    function = m.stack.pop()
    m.call(function, Items.of(m.pop_mark()))


def _object(m: Machine) -> None:
    items = m.pop_mark()
    if not items:
        raise Malformed("OBJ has no class")
    m.call(items[0], Items.of(items[1:]))


def _reduce(m: Machine) -> None:
    arguments, function = m.pop(), m.pop()
    m.call(function, arguments)


def _new_object_ex(m: Machine) -> None:
    _keywords, arguments, function = m.pop(), m.pop(), m.pop()
    m.call(function, arguments)


def _build(m: Machine) -> None:
    state, made = m.pop(), m.top()
    m.target(made, "its state is set")
    if isinstance(made, Made):
        made.state = state
        m.watcher.built(made, m, m.at)


def _store(into: Any, key: Any, value: Any) -> None:
    if isinstance(into, dict) and isinstance(key, str) and len(into) < 64:
        into[key] = value


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    m.target(m.top(), "an item is set in it")
    _store(m.top(), key, value)


def _set_items(m: Machine) -> None:
    items = m.pop_mark()
    m.target(m.top(), "items are set in it")
    for key, value in zip(items[:128:2], items[1:128:2], strict=False):
        _store(m.top(), key, value)


def _append(m: Machine) -> None:
    m.pop()
    m.target(m.top(), "something is appended to it")


def _append_many(m: Machine) -> None:
    m.pop_mark()
    m.target(m.top(), "items are added to it")


def _dict(m: Machine) -> None:
    items = m.pop_mark()
    made: dict[str, Any] = {}
    for key, value in zip(items[:128:2], items[1:128:2], strict=False):
        _store(made, key, value)
    m.stack.append(made)


def _opaque_mark(m: Machine) -> None:
    m.pop_mark()
    m.stack.append(OPAQUE)


def _pop(m: Machine) -> None:
    if m.marks and m.marks[-1] == len(m.stack):
        m.marks.pop()
    else:
        m.pop()


def _pop_n_tuple(count: int) -> Handler:
    def handler(m: Machine) -> None:
        m.push_tuple([m.pop() for _ in range(count)][::-1])

    return handler


def _recall(index: int, m: Machine) -> None:
    if index not in m.memo:
        raise Malformed(f"memo {index} was never stored")
    m.stack.append(m.memo[index])


def _remember(index: int, m: Machine) -> None:
    value = m.top()
    m.memo[index] = OPAQUE if isinstance(value, int) else value


def _recall_line(m: Machine) -> None:
    _recall(_memo_index(m), m)


def _remember_line(m: Machine) -> None:
    _remember(_memo_index(m), m)


def _long(width: int) -> Handler:
    def handler(m: Machine) -> None:
        size = _int(m, width)
        if size <= 64:
            m.stack.append(_int(m, size, signed=True))
        else:
            m.tape.skip(size)
            m.stack.append(OPAQUE)

    return handler


def _extension(width: int) -> Handler:
    def handler(m: Machine) -> None:
        m.watcher.extension(_int(m, width), m.at)
        m.stack.append(OPAQUE)

    return handler


def _protocol(m: Machine) -> None:
    m.protocol = m.tape.take(1)[0]
    if m.protocol > 5:
        raise Malformed(f"protocol {m.protocol} does not exist")


def _persistent_line(m: Machine) -> None:
    m.watcher.persistent(_text(m.tape.line()), m.at)
    m.stack.append(OPAQUE)


def _persistent(m: Machine) -> None:
    m.watcher.persistent(m.pop(), m.at)
    m.stack.append(OPAQUE)


def _nothing(_m: Machine) -> None:
    """STOP ends the loop before this; READONLY_BUFFER leaves its value where it is."""


def _forget_mark(m: Machine) -> None:
    m.pop_mark()


def _float(m: Machine) -> None:
    m.tape.skip(8)
    m.stack.append(OPAQUE)


def _frame(m: Machine) -> None:
    """Frames only tell how far to read ahead; a lie in them changes nothing here."""
    m.tape.take(8)


def _table() -> list[Handler | None]:
    named: dict[bytes, Handler] = {
        b"(": lambda m: m.marks.append(len(m.stack)),
        b".": _nothing,
        b"0": _pop,
        b"1": _forget_mark,
        b"2": lambda m: m.stack.append(m.top()),
        b"F": _float_line,
        b"I": _int_line,
        b"J": _push_int(4, signed=True),
        b"K": _push_int(1),
        b"L": _int_line,
        b"M": _push_int(2),
        b"N": _push(OPAQUE),
        b"P": _persistent_line,
        b"Q": _persistent,
        b"R": _reduce,
        b"S": _quoted_line,
        b"T": _counted_old(4),
        b"U": _counted_old(1),
        b"V": _unicode_line,
        b"X": _counted(4, text=True),
        b"a": _append,
        b"b": _build,
        b"c": _global_lines,
        b"d": _dict,
        b"}": lambda m: m.stack.append({}),
        b"e": _append_many,
        b"g": _recall_line,
        b"h": lambda m: _recall(_int(m, 1), m),
        b"j": lambda m: _recall(_int(m, 4), m),
        b"i": _instance,
        b"l": _opaque_mark,
        b"]": _push(OPAQUE),
        b"o": _object,
        b"p": _remember_line,
        b"q": lambda m: _remember(_int(m, 1), m),
        b"r": lambda m: _remember(_int(m, 4), m),
        b"s": _set_item,
        b"t": lambda m: m.push_tuple(m.pop_mark()),
        b")": lambda m: m.push_tuple([]),
        b"u": _set_items,
        b"G": _float,
        b"\x80": _protocol,
        b"\x81": _reduce,
        b"\x82": _extension(1),
        b"\x83": _extension(2),
        b"\x84": _extension(4),
        b"\x85": _pop_n_tuple(1),
        b"\x86": _pop_n_tuple(2),
        b"\x87": _pop_n_tuple(3),
        b"\x88": _push(OPAQUE),
        b"\x89": _push(OPAQUE),
        b"\x8a": _long(1),
        b"\x8b": _long(4),
        b"B": _counted(4, text=False),
        b"C": _counted(1, text=False),
        b"\x8c": _counted(1, text=True),
        b"\x8d": _counted(8, text=True),
        b"\x8e": _counted(8, text=False),
        b"\x8f": _push(OPAQUE),
        b"\x90": _append_many,
        b"\x91": _opaque_mark,
        b"\x92": _new_object_ex,
        b"\x93": _stack_global,
        b"\x94": lambda m: _remember(len(m.memo), m),
        b"\x95": _frame,
        b"\x96": _counted(8, text=False),
        b"\x97": _push(OPAQUE),
        b"\x98": _nothing,
    }
    return [named.get(bytes([code])) for code in range(256)]


HANDLERS = _table()
