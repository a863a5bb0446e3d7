"""Numbers for columns of a table that hold none. Runs in the sandbox child.

Data that come without a model come as people keep them: texts, dates, gaps. Each text gets the
number of its place in the alphabet, a date its day, a gap in numbers their median. What no number
says, free text, is left out and told. All files of a bundle are read by the same key.
"""

from collections import Counter
from typing import Any, Literal, NamedTuple

import numpy as np

from tasks.intake.names import shown
from tasks.sandbox.protocol import Array

MOST_TEXTS = 1000
"""Different texts that one column may hold; beyond, it is free text."""
MOST_IN_ALL = 20_000
FEW_TEXTS = 20
"""So many a short table may hold, too, where more than half of all rows differ."""
LONGEST_TEXT = 500
GAP = ""
"""Stands for a missing text, and is one like others."""
_EPOCH = np.datetime64("1970-01-01", "s")
_DAY_SECONDS = 86_400

Kind = Literal["number", "date", "text", "left out"]
Key = dict[str, dict[str, Any]]
"""By column ``kind``; of texts ``texts``, in the order of their numbers; else ``fill``, the number
that stands for gaps. Plain JSON."""


class Encoded(NamedTuple):
    """Numbers of the columns that have any, and the key that was used, which may have grown."""

    columns: list[Array]
    names: list[str]
    key: Key


class UnlikeError(ValueError):
    """A column holds something else than in the file before; the text says what."""


def encoded(table: Any, names: list[str], key: Key) -> Encoded:
    """Returns one array of numbers per column, in the order of ``names``.

    Args:
        table: A pandas table from a stranger.
        names: Columns wanted.
        key: Of the files read before; empty for the first.

    Raises:
        UnlikeError: A column holds numbers here and texts in a file before, or the reverse.
    """
    grown: Key = {name: dict(how) for name, how in key.items()}
    room = MOST_IN_ALL - sum(len(how.get("texts", ())) for how in grown.values())
    columns, kept = [], []
    for name in names:
        if name not in grown:
            grown[name] = _how(table[name], room)
            room -= len(grown[name].get("texts", ()))
        values = _numbers(table[name], name, grown[name])
        if values is not None:
            columns.append(values)
            kept.append(name)
    return Encoded(columns, kept, grown)


def _how(column: Any, room: int) -> dict[str, Any]:
    """Returns how to read a column that no file before had."""
    kind = kind_of(column)
    if kind != "text":
        values = _plain(column, kind)
        known = values[np.isfinite(values)]
        return {"kind": kind, "fill": float(np.median(known)) if len(known) else 0.0}
    texts = sorted(set(_texts(column)))
    free = len(texts) > FEW_TEXTS and 2 * len(texts) > len(column)
    if free or len(texts) > min(MOST_TEXTS, room):
        return {"kind": "left out"}
    return {"kind": "text", "texts": texts}


def kind_of(column: Any) -> Kind:
    """Returns what a column of a pandas table holds."""
    return {"M": "date", **dict.fromkeys("biuf", "number")}.get(column.dtype.kind, "text")  # type: ignore[return-value]  # the literals above


def _plain(column: Any, kind: Kind) -> Array:
    """Returns numbers or days as float64, NaN for gaps."""
    if kind == "number":
        numbers: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    moments = column.to_numpy(dtype="datetime64[s]")
    days: Array = (moments - _EPOCH).astype(np.float64) / _DAY_SECONDS
    days[np.isnat(moments)] = np.nan
    return days


def _texts(column: Any) -> list[str]:
    gaps = column.isna().to_numpy()
    return [
        GAP if gap else str(value)[:LONGEST_TEXT].encode("utf-8", "replace").decode()
        for value, gap in zip(column.tolist(), gaps, strict=True)
    ]


def _numbers(column: Any, name: str, how: dict[str, Any]) -> Array | None:
    """Returns a column's numbers by ``how`` it is read; None where it is left out."""
    if how["kind"] == "left out":
        return None
    kind = kind_of(column)
    if kind != how["kind"]:
        raise UnlikeError(
            f"column {shown(name)} holds a {kind} here and a {how['kind']} in another file"
        )
    if kind != "text":
        values = _plain(column, kind)
        return np.where(np.isnan(values), how["fill"], values)
    texts = _texts(column)
    new = sorted(set(texts).difference(how["texts"]))
    how["texts"] = [*how["texts"], *new[: max(0, MOST_TEXTS - len(how["texts"]))]]
    places = {text: place for place, text in enumerate(how["texts"])}
    # What is beyond all room shares one number.
    return np.array([places.get(text, len(places)) for text in texts], np.float64)


def notes_of(table: Any, made: Encoded, names: list[str]) -> list[dict[str, str]]:
    """Returns what was done, as observations: which columns stand as what, and what is left out."""
    by_kind: dict[str, list[str]] = {}
    for name in names:
        by_kind.setdefault(made.key[name]["kind"], []).append(name)
    gaps = Counter({name: int(table[name].isna().sum()) for name in names})
    numbered = [
        f"{place} {shown(name, 40)} ({made.key[name]['kind']})"
        for place, name in enumerate(made.names)
    ]
    notes = []
    if "text" in by_kind or "date" in by_kind:
        told = "texts stand as numbers in the order of the alphabet, dates as days; columns are "
        notes.append(_note("data.encoded", "info", told + "numbered " + _listed(numbered)))
    if left := by_kind.get("left out"):
        told = f"free text is no input of any search: {_listed([shown(name, 40) for name in left])}"
        notes.append(_note("data.left_out", "low", told))
    filled = [name for name in by_kind.get("number", []) + by_kind.get("date", []) if gaps[name]]
    if filled:
        told = _listed([f"{gaps[name]} of {shown(name, 40)}" for name in filled])
        hollow = any(2 * gaps[name] > len(table) for name in filled)
        severity = "medium" if hollow else "low"
        notes.append(
            _note("data.filled", severity, f"the median stands for missing values: {told}")
        )
    return notes


def _listed(names: list[str]) -> str:
    return ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")


def _note(rule: str, severity: str, detail: str) -> dict[str, str]:
    return {"rule": rule, "severity": severity, "detail": detail}
