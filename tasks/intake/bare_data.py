"""Data without a bundle around it: a file or folder becomes a bundle that says only what is known.

Everything downstream then works as for a vendor's bundle. Which array or column holds inputs and
labels is read from the file's own names, in the sandbox child, unless the operator says it.
"""

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import yaml

from tasks.domain.digest import digest_of, digest_of_file, hexadecimal
from tasks.domain.errors import ChildError, InvalidInputError
from tasks.intake.manifest import MANIFEST
from tasks.intake.names import shown
from tasks.intake.quarantine import Quotas, survey
from tasks.intake.strict_json import parse_json
from tasks.sandbox.protocol import Limits, Reply, Sandbox

SUFFIXES = frozenset({".npz", ".csv", ".tsv", ".parquet", ".safetensors"})
INPUTS = ("x", "inputs", "images", "features", "data", "pixels", "values")
LABELS = ("y", "label", "labels", "target", "targets", "class", "classes")
UNNAMED_VENDOR = "Unattributed"
_EVALUATION = ("eval", "test", "valid", "holdout", "dev")
Role = Literal["evaluation", "training"]


class Named(NamedTuple):
    """What an operator may say of bare data; None is read from the file."""

    vendor: str = UNNAMED_VENDOR
    name: str | None = None
    inputs: str | None = None
    labels: str | None = None
    reference: Path | None = None


def is_bundle(path: Path) -> bool:
    """Answers whether a path is a bundle, its manifest, or an archive of one."""
    if path.is_dir():
        return (path / MANIFEST).is_file()
    return path.name == MANIFEST or path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def wrap(path: Path, into: Path, *, named: Named, sandbox: Sandbox, quotas: Quotas) -> Path:
    """Copies bare data into ``into`` with a manifest that describes it; returns the folder.

    Args:
        path: A data file, or a folder that holds one or two of them.
        into: An empty folder.
        named: What the operator says.
        sandbox: Reads the names of arrays and columns.
        quotas: How much it may be.

    Raises:
        InvalidInputError: Not plain files, no data among them, or nobody knows what is what.
    """
    taken = _taken(path, into, quotas)
    roles = _roles([name for name in taken if PurePosixPath(name).suffix.lower() in SUFFIXES], path)
    if named.reference is not None:
        if "evaluation" in roles and len(roles) > 1:
            raise InvalidInputError("There is evaluation data already; --reference is not needed.")
        roles = {"training": next(iter(roles.values()))}
        [reference] = _taken(named.reference, into / "reference", quotas)
        roles["evaluation"] = f"reference/{reference}"
    data = {role: _described(into / name, name, named, sandbox) for role, name in roles.items()}
    mark = digest_of("".join(sorted(hexadecimal(digest_of_file(into / n)) for n in taken)).encode())
    manifest = {
        "schema": "proofhouse.bundle/1",
        "vendor": {"name": named.vendor, "contact": "unknown"},
        "dataset": {
            "name": (named.name or path.resolve().stem)[:200],
            "version": hexadecimal(mark)[:12],
        },
        "data": data,
    }
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)
    (into / MANIFEST).write_text(text, encoding="utf-8")
    return into


def data_names(*, path: str) -> Reply:
    """Reads the names of arrays or columns, and no values (in the child).

    Returns:
        ``values["names"]``; empty when the file tells none.
    """
    place = Path(path)
    with place.open("rb") as stream:
        start = stream.read(8)
    try:
        names = _names(place, start)
    except Exception:  # noqa: BLE001 - parsers of hostile files raise anything; decoding tells why
        names = []
    return Reply({}, {"names": [str(name)[:200] for name in names[:1000]]})


def _names(place: Path, start: bytes) -> list[Any]:
    if start[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(place) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    if start[:4] == b"PAR1":
        import pyarrow.parquet  # noqa: PLC0415 - half a second, only for tables

        return list(pyarrow.parquet.read_schema(place).names)
    if place.suffix.lower() == ".safetensors":
        with place.open("rb") as stream:
            size = min(int.from_bytes(stream.read(8), "little"), 1 << 20)
            return [name for name in parse_json(stream.read(size), place="header")]  # noqa: C416 - a mapping's keys
    with place.open("rb") as stream:
        first = stream.readline(1 << 20).decode("utf-8-sig").rstrip("\r\n")
    return first.split("\t" if place.suffix.lower() == ".tsv" else ",")


def _taken(path: Path, into: Path, quotas: Quotas) -> list[str]:
    """Copies plain files, without following links; returns their paths below ``into``."""
    into.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            names = [file.path for file in survey(root, quotas)]
        finally:
            os.close(root)
    else:
        _verify_plain(path, quotas)
        names, path = [path.name], path.parent
    for name in names:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path / name, into / name, follow_symlinks=False)
    return names


def _verify_plain(path: Path, quotas: Quotas) -> None:
    if not os.path.lexists(path):
        raise InvalidInputError(f"{shown(str(path))} does not exist. Give a data file or a folder.")
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{shown(str(path))} is no plain file. Give the file itself.")
    if status.st_size > quotas.file_bytes:
        raise InvalidInputError(
            f"{shown(str(path))} has {status.st_size} bytes, {quotas.file_bytes} are allowed."
        )


def _roles(names: list[str], path: Path) -> dict[Role, str]:
    """Sorts data files by their names: what is called test is for evaluation, the rest trains."""
    if not names:
        known = ", ".join(sorted(SUFFIXES))
        raise InvalidInputError(
            f"{shown(str(path))} holds no data file. Read are {known}; or put a {MANIFEST} there."
        )
    found: dict[Role, str] = {}
    for name in sorted(names):
        lower = PurePosixPath(name).name.lower()
        role: Role = "evaluation" if any(word in lower for word in _EVALUATION) else "training"
        if role in found:
            raise InvalidInputError(
                f"{shown(found[role])} and {shown(name)} would both be {role} data. Write a "
                f"{MANIFEST} with a dataset: block that says which is which."
            )
        found[role] = name
    return found


def _described(place: Path, name: str, named: Named, sandbox: Sandbox) -> dict[str, str]:
    names = [] if named.inputs and named.labels else _read_names(place, sandbox)
    labels = named.labels or _guess(names, LABELS)
    inputs = named.inputs or _guess([one for one in names if one != labels], INPUTS)
    table = place.suffix.lower() in {".csv", ".tsv", ".parquet"}
    if labels is None or (inputs is None and not table):
        there = ", ".join(shown(one, 40) for one in names[:20]) or "no names"
        raise InvalidInputError(
            f"{shown(name)} holds {there}: which are inputs and labels? Say it with --inputs and "
            "--labels."
        )
    # In a table, a name that no column has means: all but the labels.
    return {"path": name, "inputs": inputs or "every other column", "labels": labels}


def _guess(names: list[str], known: tuple[str, ...]) -> str | None:
    """Returns the one name that says what it is; with arrays, the last one that is left."""
    lower = {name.lower(): name for name in names}
    return next((lower[word] for word in known if word in lower), None)


def _read_names(place: Path, sandbox: Sandbox) -> list[str]:
    try:
        with sandbox.session((place,), Limits()) as session:
            values = session.call("intake.bare_data.data_names", path=str(place)).values
    except ChildError:
        return []
    names = values.get("names")
    return [str(name) for name in names] if isinstance(names, list) else []
