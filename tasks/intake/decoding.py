"""Runs in the sandbox child: a data file of any kind to plain arrays, or the reason why not.

Nothing is allocated from a size that the file merely claims, no pickle is ever read, and what
comes out is float32 inputs in the bundle's raw values and one label per row.
"""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from tasks.intake.encoding import Key, UnlikeError, encoded, kind_of, notes_of
from tasks.intake.names import shown
from tasks.intake.strict_json import parse_json
from tasks.sandbox.protocol import Array, Reply

MOST_ROWS = 5_000_000
MOST_COLUMNS = 100_000
_HEADER_BYTES = 10_000
_NUMERIC = "biuf"


class Undecodable(Exception):  # noqa: N818 - an answer, not an error
    """The file cannot be used; the text says why and how to mend it."""


def decode_examples(
    *,
    path: str,
    inputs: str,
    labels: str,
    most_bytes: int,
    task: str = "classification",
    shape: list[int] | None = None,
    classes: int | None = None,
    value_range: list[float] | None = None,
    key: Key | None = None,
) -> Reply:
    """Reads labelled items from a file, its kind told from its content.

    Args:
        path: The file.
        inputs: Array name; in a table one column, several with commas, or else all but the labels.
        labels: Array or column name.
        most_bytes: Largest decoded size, inputs as float32.
        task: ``regression`` keeps labels as float32, everything else needs whole numbers.
        shape: One item as the model takes it; inputs are reshaped to it when the sizes agree.
        classes: Labels must be below it.
        value_range: The raw range that the bundle states; values outside are noted.
        key: Numbers that texts in tables stand for (``encoding.Key``), of files read before. None
            where a model reads the data, which takes numbers only.

    Returns:
        Arrays ``inputs`` (n, …) float32 and ``labels`` (n,) int64 (float32 for regression), with
        ``values["notes"]``, a list of rule, severity and detail, and ``values["key"]``, which may
        have grown. Without arrays, ``values["problem"]`` says why.
    """
    notes: list[dict[str, str]] = []
    told = _Told(notes, key)
    try:
        raw, targets = _read(Path(path), inputs, labels, most_bytes, told)
        kept = _shaped(_as_floats(raw, most_bytes), shape, notes)
        answers = _labels(targets, len(kept), task, classes, notes)
        _note_range(kept, value_range, notes)
    except Undecodable as reason:
        return Reply({}, {"problem": str(reason), "notes": []})
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        problem = f"{type(error).__name__}: {shown(str(error).strip())}"
        return Reply({}, {"problem": problem, "notes": []})
    key_told = {} if told.key is None else {"key": told.key}
    return Reply({"inputs": kept, "labels": answers}, {"problem": "", "notes": notes} | key_told)


class _Told:
    """What is noted on the way, and the key to texts, if they may be read at all."""

    def __init__(self, notes: list[dict[str, str]], key: Key | None) -> None:
        self.notes, self.key = notes, key


def _read(path: Path, inputs: str, labels: str, most: int, told: _Told) -> tuple[Array, Array]:
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        raise Undecodable("the file is empty")
    if start[:4] == b"PK\x03\x04":
        return _from_npz(path, inputs, labels, most)
    if start[:6] == b"\x93NUMPY":
        raise Undecodable("an .npy file holds one array; put inputs and labels into one .npz")
    if start[:4] == b"PAR1":
        return _from_parquet(path, inputs, labels, most, told)
    if _looks_like_safetensors(path, start):
        return _from_safetensors(path, inputs, labels, most)
    if path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        return _from_csv(path, inputs, labels, most, told)
    raise Undecodable("its content is not npz, parquet, safetensors or csv; convert it to one")


def _named(names: list[str], inputs: str, labels: str) -> None:
    """Refuses when a name is not there, and says which ones are."""
    if missing := [name for name in (inputs, labels) if name not in names]:
        there = ", ".join(shown(name, 40) for name in names[:20]) or "nothing"
        raise Undecodable(f"it has no {shown(' and no '.join(missing))}; it has {there}")


def _from_npz(path: Path, inputs: str, labels: str, most: int) -> tuple[Array, Array]:
    with zipfile.ZipFile(path) as archive:
        names = [item.filename.removesuffix(".npy") for item in archive.infolist()]
        if len(set(names)) != len(names):
            raise Undecodable("an array name appears twice")
        _named(names, inputs, labels)
        return (npz_member(archive, inputs, most), npz_member(archive, labels, most))


def npz_member(archive: zipfile.ZipFile, name: str, most: int) -> Array:
    """Reads one array of an npz, at most ``most`` bytes of it. Raises :class:`Undecodable`."""
    item = next(i for i in archive.infolist() if i.filename.removesuffix(".npy") == name)
    with archive.open(item) as stream:
        shape, dtype, header = _npy_header(stream, name)
    size = math.prod(shape) * dtype.itemsize
    if size > most:
        raise Undecodable(f"{shown(name)} has {size} bytes, {most} are allowed; hand in a sample")
    if header + size != item.file_size:
        raise Undecodable(f"{shown(name)} claims {size} bytes and holds {item.file_size - header}")
    with archive.open(item) as stream:
        array: Array = np.lib.format.read_array(
            stream, allow_pickle=False, max_header_size=_HEADER_BYTES
        )
    return array


def _npy_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise Undecodable(f"{shown(name)} is of npy version {version}, 1.0 and 2.0 are read")
    shape, _, dtype = read(stream, max_header_size=_HEADER_BYTES)
    if dtype.kind not in _NUMERIC:
        raise Undecodable(f"{shown(name)} holds {dtype}, not numbers; save it as a plain array")
    return shape, dtype, stream.tell()


def _looks_like_safetensors(path: Path, start: bytes) -> bool:
    length = int.from_bytes(start[:8], "little")
    if len(start) < 8 or not 2 <= length <= min(path.stat().st_size - 8, 1 << 24):
        return False
    with path.open("rb") as stream:
        stream.seek(8)
        return stream.read(1) == b"{"


def _from_safetensors(path: Path, inputs: str, labels: str, most: int) -> tuple[Array, Array]:
    import safetensors  # noqa: PLC0415 - only for this kind of file

    if path.stat().st_size > 2 * most:
        raise Undecodable(f"it has {path.stat().st_size} bytes, {2 * most} are allowed")
    with path.open("rb") as stream:
        header = stream.read(int.from_bytes(stream.read(8), "little"))
    parse_json(header, place="the safetensors header")
    with safetensors.safe_open(path, framework="np") as tensors:
        _named(list(tensors.keys()), inputs, labels)
        return tensors.get_tensor(inputs), tensors.get_tensor(labels)


def _from_csv(path: Path, inputs: str, labels: str, most: int, told: _Told) -> tuple[Array, Array]:
    import pandas as pd  # noqa: PLC0415 - half a second, only for tables

    if path.stat().st_size > 8 * most:
        raise Undecodable(f"it has {path.stat().st_size} bytes, {8 * most} are allowed")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as stream:
        first = stream.readline(1 << 20)
    columns = first.count(separator.encode()) + 1
    if columns > MOST_COLUMNS or len(first) == 1 << 20:
        raise Undecodable(f"its first line has {columns} columns, {MOST_COLUMNS} are allowed")
    _refuse_doubled(first.decode("utf-8-sig").rstrip("\r\n").split(separator))
    table = pd.read_csv(
        path, sep=separator, encoding="utf-8-sig", nrows=min(MOST_ROWS, most // (4 * columns)) + 1
    )
    return _from_table(table, inputs, labels, most, told)


def _refuse_doubled(names: list[str]) -> None:
    """Tables silently rename the second of two equal columns; which one was meant is a guess."""
    if len(set(names)) != len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise Undecodable(f"two columns are called {shown(doubled)}")


def _from_parquet(
    path: Path, inputs: str, labels: str, most: int, told: _Told
) -> tuple[Array, Array]:
    import pyarrow.parquet  # noqa: PLC0415 - half a second, only for tables

    with pyarrow.parquet.ParquetFile(path) as file:
        rows, columns = file.metadata.num_rows, file.metadata.num_columns
        if rows > MOST_ROWS or columns > MOST_COLUMNS or rows * columns * 4 > most:
            raise Undecodable(f"it claims {rows} rows of {columns} columns; hand in a sample")
        _refuse_doubled(list(file.schema_arrow.names))
        return _from_table(file.read().to_pandas(), inputs, labels, most, told)


def _from_table(
    table: Any, inputs: str, labels: str, most: int, told: _Told
) -> tuple[Array, Array]:
    names = [str(name) for name in table.columns]
    if labels not in names:
        _named(names, labels, labels)
    wanted = [name.strip() for name in inputs.split(",")]
    if not set(wanted) <= set(names):
        if len(wanted) > 1:
            _named(names, next(name for name in wanted if name not in names), labels)
        wanted = [name for name in names if name != labels]
    if not wanted:
        raise Undecodable("it has no column besides the labels")
    if len(table) * len(wanted) * 4 > most:
        raise Undecodable(f"it has {len(table)} rows of {len(wanted)}; hand in a sample")
    if told.key is not None:
        return _encoded(table, wanted, labels, told)
    return np.column_stack([_column(table, name) for name in wanted]), _column(table, labels)


def _encoded(table: Any, wanted: list[str], labels: str, told: _Told) -> tuple[Array, Array]:
    """Reads texts, dates and gaps as numbers, and keeps the key for the next file."""
    try:
        targets = _text_labels(table, labels, told)
        made = encoded(table, wanted, told.key or {})
    except UnlikeError as reason:
        raise Undecodable(str(reason)) from None
    if not made.columns:
        raise Undecodable("all its columns besides the labels are free text")
    told.key = made.key
    told.notes += notes_of(table, made, wanted)
    return np.column_stack(made.columns), targets


def _text_labels(table: Any, labels: str, told: _Told) -> Array:
    """Returns the labels, where they are texts as class numbers."""
    if kind_of(table[labels]) != "text":
        return _column(table, labels)
    if gaps := int(table[labels].isna().sum()):
        raise Undecodable(f"{gaps} labels are missing")
    made = encoded(table, [labels], told.key or {})
    if not made.columns:
        raise Undecodable(f"column {shown(labels)} holds free text; hand in class numbers from 0")
    told.key = made.key
    texts = enumerate(made.key[labels]["texts"][:50])
    classes = ", ".join(f"{place} {shown(text, 40)}" for place, text in texts)
    _note(told.notes, "data.labels_encoded", "info", f"labels stand as {classes}")
    return made.columns[0].astype(np.int64)


def _column(table: Any, name: str) -> Array:
    column = table[name]
    if column.dtype.kind not in _NUMERIC:
        raise Undecodable(f"column {shown(name)} is not numeric; hand in the encoded numbers")
    whole = column.dtype.kind in "biu" and not column.hasnans
    values: Array = (
        column.to_numpy(dtype=np.int64)
        if whole
        else column.to_numpy(dtype=np.float64, na_value=np.nan)
    )
    return values


def _as_floats(raw: Array, most: int) -> Array:
    if raw.dtype.kind not in _NUMERIC:
        raise Undecodable(f"the inputs hold {raw.dtype}, not numbers")
    if raw.ndim == 0 or raw.size == 0:
        raise Undecodable(f"the inputs are empty (shape {raw.shape})")
    if raw.size * 4 > most:
        raise Undecodable(f"the inputs need {raw.size * 4} bytes, {most} are allowed")
    with np.errstate(over="ignore"):
        floats: Array = np.ascontiguousarray(raw, dtype=np.float32)
    broken = int((~np.isfinite(floats)).reshape(len(floats), -1).any(axis=1).sum())
    if broken:
        raise Undecodable(
            f"{broken} of {len(floats)} rows hold NaN, infinity or numbers beyond float32; remove "
            "or fill them in"
        )
    return floats


def _shaped(inputs: Array, shape: list[int] | None, notes: list[dict[str, str]]) -> Array:
    """Brings items to the model's shape where the meaning is plain, else refuses."""
    item = inputs.shape[1:]
    if shape is None or item == tuple(shape):
        return inputs
    if len(shape) == 3 and item == (shape[1], shape[2], shape[0]) and shape[0] > 1:
        _note(notes, "data.layout", "info", f"items {item} were turned to channels first")
        return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    if math.prod(item) == math.prod(shape) and _same_order(item, tuple(shape)):
        return inputs.reshape(len(inputs), *shape)
    raise Undecodable(f"items have shape {list(item)}, the model takes {list(shape)}")


def _same_order(item: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Reshaping is plain between flat and not flat, and when only ones come or go."""
    flat = len(item) <= 1 or len(shape) == 1
    return flat or [n for n in item if n > 1] == [n for n in shape if n > 1]


def _labels(
    raw: Array, rows: int, task: str, classes: int | None, notes: list[dict[str, str]]
) -> Array:
    if raw.dtype.kind not in _NUMERIC:
        raise Undecodable(f"the labels hold {raw.dtype}; hand in class numbers from 0")
    flat = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if flat.ndim != 1:
        raise Undecodable(f"the labels have shape {raw.shape}; hand in one class number a row")
    if len(flat) != rows:
        raise Undecodable(f"there are {rows} inputs and {len(flat)} labels")
    if not np.isfinite(flat).all():
        raise Undecodable("some labels are NaN or infinite")
    if task == "regression":
        return np.ascontiguousarray(flat, dtype=np.float32)
    return _class_numbers(flat, classes, notes)


def _class_numbers(flat: Array, classes: int | None, notes: list[dict[str, str]]) -> Array:
    if flat.dtype.kind == "f":
        if (flat != np.floor(flat)).any():
            raise Undecodable("some labels are fractions; hand in class numbers from 0")
        _note(notes, "data.float_labels", "low", "labels are stored as fractions")
    low, high = int(flat.min()), int(flat.max())
    if low < 0 or high >= (classes or 100_000):
        most = (classes or 100_000) - 1
        raise Undecodable(f"labels run from {low} to {high}, classes from 0 to {most}")
    if low == high:
        _note(notes, "data.one_class", "high", f"all {len(flat)} labels are {low}")
    return np.ascontiguousarray(flat, dtype=np.int64)


def _note_range(
    inputs: Array, value_range: list[float] | None, notes: list[dict[str, str]]
) -> None:
    if value_range is None:
        return
    low, high = float(inputs.min()), float(inputs.max())
    slack = 1e-5 * (value_range[1] - value_range[0])
    if low < value_range[0] - slack or high > value_range[1] + slack:
        _note(
            notes,
            "data.out_of_range",
            "medium",
            f"values run from {low:.6g} to {high:.6g}, the bundle says "
            f"{value_range[0]:.6g} to {value_range[1]:.6g}",
        )


def _note(notes: list[dict[str, str]], rule: str, severity: str, detail: str) -> None:
    notes.append({"rule": rule, "severity": severity, "detail": detail})
