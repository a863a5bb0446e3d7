"""Runs in the sandbox child: any table or array file as batches of columns, in constant memory.

A column of a batch is an array of float64 with NaN for missing values, or codes with their names.
Nothing is allocated from a size that a file merely claims; no pickle is ever read.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.intake.bare_data import INPUTS
from tasks.intake.decoding import MOST_COLUMNS, Undecodable, npz_member
from tasks.intake.names import shown
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats

BATCH = 65_536
MOST_ARRAY_BYTES = 1 << 30
WIDE = 256
"""Arrays with more values an item are looked at through projections."""
PROJECTIONS = 32
LONGEST_NAME = 200
_PROJECTION_SEED = 20_180_1


class Coded(NamedTuple):
    """Categories: for each row a place in ``names``, or -1 where it is missing."""

    codes: NDArray[np.int64]
    names: list[str]


Values = Floats | Coded
Batch = dict[str, Values]


def read_batches(
    path: Path, notes: list[str], *, project: bool = True, groups: range | None = None
) -> Iterator[Batch]:
    """Yields the rows of a file, at most 65,536 at a time.

    Args:
        path: Parquet, csv, tsv, npz or safetensors, told by its content.
        notes: What was left out is added here.
        project: Look at arrays with many values an item through projections.
        groups: Row groups of a Parquet file to read; all when left out.

    Raises:
        Undecodable: It cannot be read; the text says why.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        raise Undecodable("the file is empty")
    if start[:4] == b"PAR1":
        yield from _from_parquet(path, notes, groups)
    elif start[:4] == b"PK\x03\x04":
        yield from _from_arrays(_npz_arrays(path), notes, project=project)
    elif path.suffix.lower() == ".safetensors":
        yield from _from_arrays(_safetensors_arrays(path), notes, project=project)
    elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        yield from _from_csv(path, notes)
    else:
        raise Undecodable("its content is not parquet, csv, npz or safetensors; convert it to one")


def coded(values: Floats, name_of: Any) -> Coded:
    """Turns numbers into categories by naming each distinct one."""
    known = ~np.isnan(values)
    distinct, places = np.unique(values[known], return_inverse=True)
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[known] = places
    return Coded(codes, [name_of(float(value)) for value in distinct])


def _from_parquet(path: Path, notes: list[str], groups: range | None) -> Iterator[Batch]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - half a second, only for tables

    with pq.ParquetFile(path) as told:
        schema = told.schema_arrow
    texts = [field.name for field in schema if _is_text(field.type)]
    wanted = _usable(schema, notes)
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        wanted_groups = None if groups is None else [*groups]
        for batch in file.iter_batches(
            BATCH, row_groups=wanted_groups, columns=wanted, use_threads=False
        ):
            yield _columns(batch)


def _from_csv(path: Path, notes: list[str]) -> Iterator[Batch]:
    import pyarrow as pa  # noqa: PLC0415 - half a second, only for tables
    from pyarrow import csv  # noqa: PLC0415

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as stream:
        first = stream.readline(1 << 20).decode("utf-8-sig").rstrip("\r\n")
    names = [name.strip('"') for name in first.split(separator)]
    if len(names) > MOST_COLUMNS:
        raise Undecodable(f"its first line has {len(names)} columns, {MOST_COLUMNS} are allowed")
    if len(set(names)) != len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise Undecodable(f"two columns are called {shown(doubled)}")
    # Blocks may differ in what they look like, so all is read as text and told apart by a column.
    reader = csv.open_csv(
        path,
        read_options=csv.ReadOptions(block_size=4 << 20, use_threads=False),
        parse_options=csv.ParseOptions(delimiter=separator),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=["", "NA", "NaN", "nan", "null", "NULL", "None"],
        ),
    )
    _usable(reader.schema, notes)
    for block in reader:
        for at in range(0, block.num_rows, BATCH):
            yield {
                name: as_numbers(values) if isinstance(values, Coded) else values
                for name, values in _columns(block.slice(at, BATCH)).items()
            }


def as_numbers(values: Coded) -> Values:
    """Returns categories as numbers where every name is one, else as they are."""
    try:
        known = np.array([float(name) for name in values.names] + [np.nan])
    except ValueError:
        return values
    numbers: Floats = known[values.codes]
    return numbers


def _usable(schema: Any, notes: list[str]) -> list[str]:
    names = list(schema.names)
    if len(names) > MOST_COLUMNS:
        raise Undecodable(f"it has {len(names)} columns, {MOST_COLUMNS} are allowed")
    if len(set(names)) != len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise Undecodable(f"two columns are called {shown(doubled)}")
    kept = [field.name for field in schema if _is_plain(field.type)]
    if left := [name for name in names if name not in kept]:
        told = ", ".join(shown(name, 40) for name in left[:10])
        note = f"columns of nested or binary values were not compared: {told}"
        if note not in notes:
            notes.append(note)
    if not kept:
        raise Undecodable("it has no column of numbers or text")
    return kept


def _is_text(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 - imported before the first batch

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_plain(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 - imported before the first batch

    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(
        _is_text(inner)
        or types.is_string_view(inner)
        or types.is_integer(inner)
        or types.is_floating(inner)
        or types.is_boolean(inner)
        or types.is_decimal(inner)
        or types.is_temporal(inner)
    )


def _columns(batch: Any) -> Batch:
    return {
        shown(name, LONGEST_NAME): _values(column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def _values(column: Any) -> Values:
    import pyarrow as pa  # noqa: PLC0415 - imported before the first batch

    kind, types = column.type, pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        numbers: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers
    if types.is_temporal(kind):
        whole = pa.int32() if kind.bit_width == 32 else pa.int64()
        steps: Floats = (
            column.cast(whole).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        )
        return steps
    if types.is_boolean(kind):
        column = column.cast(pa.string())
    if not types.is_dictionary(column.type):
        column = column.dictionary_encode()
    places = column.indices.cast(pa.int64())
    codes = places.fill_null(-1).to_numpy(zero_copy_only=False)
    names = [shown(str(name), LONGEST_NAME) for name in column.dictionary.to_pylist()]
    return Coded(codes, names)


def _npz_arrays(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        names = [item.filename.removesuffix(".npy") for item in archive.infolist()]
        if len(set(names)) != len(names):
            raise Undecodable("an array name appears twice")
        return {name: npz_member(archive, name, MOST_ARRAY_BYTES) for name in names}


def _safetensors_arrays(path: Path) -> dict[str, Array]:
    import safetensors  # noqa: PLC0415 - only for this kind of file

    if path.stat().st_size > MOST_ARRAY_BYTES:
        raise Undecodable(f"it has {path.stat().st_size} bytes, {MOST_ARRAY_BYTES} are allowed")
    with safetensors.safe_open(path, framework="np") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - no dict


def _from_arrays(arrays: dict[str, Array], notes: list[str], *, project: bool) -> Iterator[Batch]:
    inputs = next((name for name in arrays if name.lower() in INPUTS), None)
    if inputs is None:
        inputs = next((name for name, array in arrays.items() if array.ndim > 1), None)
    rows = (
        len(arrays[inputs])
        if inputs
        else max((len(a) for a in arrays.values() if a.ndim), default=0)
    )
    table = {name: array for name, array in arrays.items() if array.ndim and len(array) == rows}
    if left := sorted(set(arrays) - set(table)):
        notes.append(f"arrays of other lengths were not compared: {', '.join(map(shown, left))}")
    if not rows:
        raise Undecodable("it has no rows")
    for at in range(0, rows, BATCH):
        batch: Batch = {}
        for name, array in table.items():
            batch |= flat_columns(
                name, array[at : at + BATCH], is_input=name == inputs, project=project
            )
        yield batch


def flat_columns(name: str, array: Array, *, is_input: bool, project: bool = True) -> Batch:
    """Returns an array (rows, …) as columns: its values, or projections where they are many."""
    flat = array.reshape(len(array), -1).astype(np.float64)
    if flat.shape[1] == 1 and not is_input:
        return {shown(name, LONGEST_NAME): flat[:, 0]}
    if flat.shape[1] <= WIDE or not project:
        return {f"{shown(name, 100)}{index}": flat[:, index] for index in range(flat.shape[1])}
    # Untrained projections keep most of the power of looking at many values at once
    # (Rabanser et al. 2019, arXiv 1810.11953).
    rng = np.random.default_rng([_PROJECTION_SEED, flat.shape[1]])
    axes = rng.standard_normal((flat.shape[1], PROJECTIONS)) / np.sqrt(flat.shape[1])
    seen: Batch = {f"{shown(name, 100)} projection {i}": c for i, c in enumerate((flat @ axes).T)}
    return seen | {
        f"{shown(name, 100)} mean": flat.mean(axis=1),
        f"{shown(name, 100)} spread": flat.std(axis=1),
    }
