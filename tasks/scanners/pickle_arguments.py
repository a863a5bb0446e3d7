"""Opcodes that carry a number, text or bytes. Bytes may hold something to read again.

Argument forms: CPython ``Lib/pickletools.py``; what C accepts beyond it is accepted here too, since
being stricter than an unpickler would hide what follows.
"""

import re

from tasks.scanners.pickle_machine import Machine
from tasks.scanners.pickle_values import OPAQUE, Blob, Handler, Malformed
from tasks.scanners.reading import View

NAME_BYTES = 512
MOST_LINE_BYTES = 1 << 20
MOST_TEXT_BYTES = 16 << 20
_LATIN = (b"\xc2\x80", b"\x1f\xc2", b"PK", b"x\xc2", b"x\xc3", b"x^", b"x\x01")
_NUMBER = re.compile(rb"[\s+-]*[0-9][0-9a-zA-Z_]*\s*")


def little(machine: Machine, count: int, *, signed: bool = False) -> int:
    """Reads an integer, least significant byte first."""
    return int.from_bytes(machine.tape.take(count), "little", signed=signed)


def push_int(count: int, *, signed: bool = False) -> Handler:
    """Pushes an integer of ``count`` bytes."""
    return lambda m: m.stack.append(little(m, count, signed=signed))


def counted(width: int, *, text: bool) -> Handler:
    """Pushes text or bytes behind a length of ``width`` bytes."""

    def handler(m: Machine) -> None:
        size = little(m, width)
        if text and size <= NAME_BYTES:
            data = m.tape.take(size)
            _look_into_text(m, data)
            m.stack.append(plain(data))
            return
        start = m.tape.skip(size)
        view = m.tape.view.part(start, size)
        if text and size <= MOST_TEXT_BYTES and view.head(2) in _LATIN:
            _look_into_text(m, view.read(0, size))
        m.stack.append(Blob(size, m.watcher.nested(view, m.at)) if size >= 4 else OPAQUE)

    return handler


def old_string(width: int) -> Handler:
    """Python 2 strings: names or bytes, so both readings are kept."""

    def handler(m: Machine) -> None:
        size = little(m, width)
        start = m.tape.skip(size)
        if size >= 4:
            m.watcher.nested(m.tape.view.part(start, size), m.at)
        small = m.tape.view.read(start, size) if size <= NAME_BYTES else b""
        m.stack.append(plain(small) if small or not size else OPAQUE)

    return handler


def _may_be_opcodes(first: str, start: str) -> bool:
    """Protocol 0 is plain text: an import ends in a newline within a few characters."""
    return first in ("c", "(", "i") and "\n" in start


def _look_into_text(m: Machine, data: bytes) -> None:
    """Bytes travel as Latin-1 text in old protocols (``_codecs.encode(text, "latin1")``)."""
    if data[:2] in _LATIN or _may_be_opcodes(
        data[:1].decode("latin-1"), data[:256].decode("latin-1")
    ):
        plain = data.decode("utf-8", "replace").encode("latin-1", "replace")
        m.watcher.nested(View.of_bytes(plain), m.at)


def plain(data: bytes) -> str:
    """Decodes a name; broken bytes stay visible."""
    return data.decode("utf-8", "backslashreplace")


def memo_index(m: Machine) -> int:
    """Reads the decimal index of a memo line."""
    line = m.tape.line()
    try:
        return int(line)
    except ValueError:
        raise Malformed("a memo line holds no number") from None


def int_line(m: Machine) -> None:
    """C reads these with strtol, base 0: octal, hexadecimal and a closing L are legal."""
    line = m.tape.line()
    if not _NUMBER.fullmatch(line):
        raise Malformed("an integer line holds no integer")
    m.stack.append(int(line) if line.isdigit() and len(line) < 20 else OPAQUE)


def float_line(m: Machine) -> None:
    """Pushes a float written as a line."""
    line = m.tape.line(64)
    try:
        float(line)
    except ValueError:
        raise Malformed("a float line holds no float") from None
    m.stack.append(OPAQUE)


def quoted_line(m: Machine) -> None:
    """Pushes a quoted string of protocol 0."""
    line = m.tape.line(1 << 16).strip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] not in (b"'", b'"'):
        if len(line) < 1 << 16:
            raise Malformed("a string line is not quoted")
        m.stack.append(OPAQUE)
        return
    body = _unescaped(line[1:-1])
    if len(body) >= 4:
        m.watcher.nested(View.of_bytes(body), m.at)
    m.stack.append(plain(body) if len(body) <= NAME_BYTES else OPAQUE)


def _unescaped(data: bytes) -> bytes:
    if b"\\" not in data:
        return data
    return data.decode("unicode_escape", "replace").encode("latin-1", "replace")


def unicode_line(m: Machine) -> None:
    """Pushes text of protocol 0, which old pickles also use for bytes."""
    text = m.tape.line(MOST_LINE_BYTES).decode("raw_unicode_escape", "replace")
    if text[:1] == "\x80" or _may_be_opcodes(text[:1], text[:256]):
        m.watcher.nested(View.of_bytes(text.encode("latin-1", "replace")), m.at)
    m.stack.append(text if len(text) <= NAME_BYTES else OPAQUE)


def long_int(width: int) -> Handler:
    """Pushes a long integer behind a length of ``width`` bytes."""

    def handler(m: Machine) -> None:
        size = little(m, width)
        if size <= 64:
            m.stack.append(little(m, size, signed=True))
        else:
            m.tape.skip(size)
            m.stack.append(OPAQUE)

    return handler
