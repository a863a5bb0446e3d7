"""The inlined opcodes do what the table does, and the whole is linear."""

import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.measurement import Observation
from tasks.scanners.inspection import Inspection, Notes
from tasks.scanners.pickle_handlers import HANDLERS
from tasks.scanners.pickle_machine import Machine
from tasks.scanners.pickle_opcodes import Watch, inspect_pickle
from tasks.scanners.pickle_values import Malformed, Tape, Truncated
from tasks.scanners.reading import Budget, BudgetSpent, View
from tasks.scanners.recognition import read_all
from tests.tasks.scanners.corpus_bypasses import gadgets, streams
from tests.tasks.scanners.corpus_pickles import EVIL, broken, opcode_forms

PIECES = [bytes([code]) for code in range(256) if HANDLERS[code]] + [
    b"K\x01", b"K\x02K\x03", b"M\x01\x02", b"J\x01\x00\x00\x00", b"G" + bytes(8), b"h\x00",
    b"h\x01", b"q\x00", b"q\x05", b"j\x00\x00\x00\x00", b"r\x02\x00\x00\x00", b"\x8c\x02os",
    b"\x8c\x06getcwd", b"\x8c\x01a\x94", b"N0", b"]0", b"K\x01K\x02\x86\x94" * 5, b"K\x01" * 20,
    b"(", b"t", b")", b"\x85", b"\x86", b"\x87", b"\x94", b"0", b"2", b"\x93", b"R", b"}", b"u",
    b"s", b"b", b"1", b"e", b"cos\ngetcwd\n", b"ccollections\nOrderedDict\n",
    b"cbuiltins\ngetattr\n", b"\x80\x04", b".",
]  # fmt: skip
"""Opcodes, bare and with arguments, so that random sequences get far."""


class Slow(Machine):
    """Follows every opcode through the table."""

    def _plain_opcodes(self) -> None:
        return


def followed(kind: type[Machine], data: bytes) -> tuple[str, list[Observation]]:
    """Returns how the pickle ends and what was told on the way."""
    notes = Notes()
    inspection = Inspection("x", "x", Budget(), notes, read_all)
    machine = kind(Tape(View.of_bytes(data)), Watch(View.of_bytes(data), inspection), Budget())
    try:
        machine.run(HANDLERS)
    except (Truncated, Malformed, BudgetSpent) as fault:
        return f"{type(fault).__name__}: {fault}", list(notes.found.values())
    return f"stops with {len(machine.stack)} and {len(machine.memo)}", list(notes.found.values())


@settings(max_examples=500, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=60))
def test_inlined_opcodes_do_what_the_table_does(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"." + bytes(300)  # inlining stops near the end of the bytes
    assert followed(Machine, data) == followed(Slow, data)


@pytest.mark.parametrize(
    ("name", "data"), [*opcode_forms(), *broken(), *gadgets(), *streams()], ids=lambda value: value
    if isinstance(value, str)
    else "",
)  # fmt: skip
def test_inlining_changes_no_answer(name: str, data: bytes) -> None:
    if len(data) < 100_000:
        padded = data + bytes(300)
        assert followed(Machine, padded)[1] == followed(Slow, padded)[1], name


CASES: dict[str, Callable[[int], Any]] = {
    "numbers": lambda n: list(range(n)),
    "floats": lambda n: [i / 3 for i in range(n)],
    "texts": lambda n: {f"word{i}": i for i in range(n)},
    "pairs": lambda n: [(i, i + 1) for i in range(n)],
    "records": lambda n: [{"a": i, "b": None} for i in range(n)],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_data_is_followed_and_silent(name: str, protocol: int) -> None:
    data = pickle.dumps(CASES[name](2_000), protocol=protocol)
    notes = Notes()
    assert inspect_pickle(View.of_bytes(data), Inspection("x", "x", Budget(), notes, read_all))
    assert notes.found == {}
    end = data.rindex(b".")
    assert inspect_pickle(
        View.of_bytes(data[:end] + b"0" + EVIL[2:]),
        Inspection("x", "x", Budget(), notes, read_all),
    )
    assert "pickle.dangerous_global" in {rule for rule, _ in notes.found}


@pytest.mark.parametrize(
    "unit",
    [
        b"N0",
        b"]0",
        b"(K\x01K\x02t0",
        b"\x8c\x03abc0",
        b"]q\x00h\x000",
        b"ccollections\nOrderedDict\n0",
    ],
    ids=["none", "list", "tuple", "text", "memo", "global"],
)
def test_padding_costs_linear_time(unit: bytes) -> None:
    def seconds(count: int) -> float:
        data = b"\x80\x04" + unit * count + b"N."
        inspection = Inspection("x", "x", Budget(), Notes(), read_all)
        started = time.process_time()
        assert inspect_pickle(View.of_bytes(data), inspection)
        return time.process_time() - started

    small = max(min(seconds(20_000) for _ in range(3)), 0.002)
    assert seconds(80_000) < 12 * small
