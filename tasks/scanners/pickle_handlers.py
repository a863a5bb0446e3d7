"""One handler per opcode: what it does to the model stack. The table is indexed by the byte."""

from typing import Any

from tasks.scanners.pickle_arguments import (
    counted,
    float_line,
    int_line,
    little,
    long_int,
    memo_index,
    old_string,
    plain,
    push_int,
    quoted_line,
    unicode_line,
)
from tasks.scanners.pickle_machine import Machine
from tasks.scanners.pickle_values import OPAQUE, Handler, Items, Known, Made, Malformed


def _push(make: Any) -> Handler:
    return lambda m: m.stack.append(make)


def _global_lines(m: Machine) -> None:
    module, name = m.tape.line(), m.tape.line()
    m.name(plain(module), plain(name))


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
    arguments, function = m.pop(), m.pop_function()
    m.call(function, arguments)


def _new_object(m: Machine) -> None:
    arguments, function = m.pop(), m.pop_function()
    m.call(function, arguments, new=True)


def _new_object_ex(m: Machine) -> None:
    _keywords, arguments, function = m.pop(), m.pop(), m.pop_function()
    m.call(function, arguments, new=True)


def _build(m: Machine) -> None:
    state, made = m.pop(), m.top()
    m.target(made, "its state is set")
    if isinstance(made, Made):
        made.state = state
        m.watcher.built(made, m, m.at)


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    into = m.top()
    m.target(into, "an item is set in it")
    if isinstance(into, Known):
        into.store(key, value)


def _set_items(m: Machine) -> None:
    items = m.pop_mark()
    into = m.top()
    m.target(into, "items are set in it")
    if isinstance(into, Known):
        into.store_all(items)


def _append(m: Machine) -> None:
    m.pop()
    m.target(m.top(), "something is appended to it")


def _append_many(m: Machine) -> None:
    m.pop_mark()
    m.target(m.top(), "items are added to it")


def _dict(m: Machine) -> None:
    items = m.pop_mark()
    made = Known()
    made.store_all(items)
    m.stack.append(made)


def _opaque_mark(m: Machine) -> None:
    m.pop_mark()
    m.stack.append(OPAQUE)


def _pop(m: Machine) -> None:
    if m.marks and m.marks[-1] == len(m.stack):
        m.marks.pop()
    else:
        m.pop_function()  # dropped, not used


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
    _recall(memo_index(m), m)


def _remember_line(m: Machine) -> None:
    _remember(memo_index(m), m)


def _extension(width: int) -> Handler:
    def handler(m: Machine) -> None:
        m.watcher.extension(little(m, width), m.at)
        m.stack.append(OPAQUE)

    return handler


def _protocol(m: Machine) -> None:
    m.protocol = m.tape.take(1)[0]
    if m.protocol > 5:
        raise Malformed(f"protocol {m.protocol} does not exist")


def _persistent_line(m: Machine) -> None:
    m.watcher.persistent(plain(m.tape.line()), m.at)
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
        b"F": float_line,
        b"I": int_line,
        b"J": push_int(4, signed=True),
        b"K": push_int(1),
        b"L": int_line,
        b"M": push_int(2),
        b"N": _push(OPAQUE),
        b"P": _persistent_line,
        b"Q": _persistent,
        b"R": _reduce,
        b"S": quoted_line,
        b"T": old_string(4),
        b"U": old_string(1),
        b"V": unicode_line,
        b"X": counted(4, text=True),
        b"a": _append,
        b"b": _build,
        b"c": _global_lines,
        b"d": _dict,
        b"}": lambda m: m.stack.append(Known()),
        b"e": _append_many,
        b"g": _recall_line,
        b"h": lambda m: _recall(little(m, 1), m),
        b"j": lambda m: _recall(little(m, 4), m),
        b"i": _instance,
        b"l": _opaque_mark,
        b"]": _push(OPAQUE),
        b"o": _object,
        b"p": _remember_line,
        b"q": lambda m: _remember(little(m, 1), m),
        b"r": lambda m: _remember(little(m, 4), m),
        b"s": _set_item,
        b"t": lambda m: m.push_tuple(m.pop_mark()),
        b")": lambda m: m.push_tuple([]),
        b"u": _set_items,
        b"G": _float,
        b"\x80": _protocol,
        b"\x81": _new_object,
        b"\x82": _extension(1),
        b"\x83": _extension(2),
        b"\x84": _extension(4),
        b"\x85": _pop_n_tuple(1),
        b"\x86": _pop_n_tuple(2),
        b"\x87": _pop_n_tuple(3),
        b"\x88": _push(OPAQUE),
        b"\x89": _push(OPAQUE),
        b"\x8a": long_int(1),
        b"\x8b": long_int(4),
        b"B": counted(4, text=False),
        b"C": counted(1, text=False),
        b"\x8c": counted(1, text=True),
        b"\x8d": counted(8, text=True),
        b"\x8e": counted(8, text=False),
        b"\x8f": _push(OPAQUE),
        b"\x90": _append_many,
        b"\x91": _opaque_mark,
        b"\x92": _new_object_ex,
        b"\x93": _stack_global,
        b"\x94": lambda m: _remember(len(m.memo), m),
        b"\x95": _frame,
        b"\x96": counted(8, text=False),
        b"\x97": _push(OPAQUE),
        b"\x98": _nothing,
    }
    return [named.get(bytes([code])) for code in range(256)]


HANDLERS = _table()
