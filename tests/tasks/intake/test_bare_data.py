"""Data without a bundle: names found, roles told apart, nothing followed or guessed too far."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from tasks.domain.bundle import BundleSpec
from tasks.domain.errors import InvalidInputError
from tasks.intake.bare_data import Named, wrap
from tasks.intake.manifest import parse_manifest
from tasks.intake.quarantine import QUOTAS, Quotas
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.intake.bundles import take_in

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
NOBODY = Named()


def npz(path: Path, **names: Any) -> Path:
    np.savez(path, **(names or {"x": X, "y": Y}))
    return path


def csv(path: Path, label: str = "label") -> Path:
    pd.DataFrame(X, columns=list("abcd")).assign(**{label: Y}).to_csv(path, index=False)
    return path


def parquet(path: Path) -> Path:
    pd.DataFrame(X, columns=list("abcd")).assign(target=Y).to_parquet(path)
    return path


def tensors(path: Path) -> Path:
    path.write_bytes(safetensors.numpy.save({"images": X, "labels": Y}))
    return path


MADE: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "set.npz": (npz, "x", "y"),
    "set.csv": (csv, "every other column", "label"),
    "set.parquet": (parquet, "every other column", "target"),
    "set.safetensors": (tensors, "images", "labels"),
}


def wrapped(path: Path, tmp_path: Path, named: Named = NOBODY, quotas: Quotas = QUOTAS) -> Path:
    return wrap(path, tmp_path / "into", named=named, sandbox=DirectSandbox(), quotas=quotas)


def spec_of(folder: Path) -> BundleSpec:
    return parse_manifest((folder / "bundle.yaml").read_bytes())


@pytest.mark.parametrize("name", MADE)
def test_a_file_tells_its_names_and_is_decoded(name: str, tmp_path: Path) -> None:
    make, inputs, labels = MADE[name]
    folder = wrapped(make(tmp_path / name), tmp_path)
    told = spec_of(folder)
    assert told.model.kind == "dataset"
    assert told.data.training is not None
    assert (told.data.training.inputs, told.data.training.labels) == (inputs, labels)
    subject = take_in(folder, tmp_path / "work")
    [dataset] = subject.datasets
    assert (dataset.role, dataset.rows, dataset.problem) == ("training", 10, "")


def test_equal_data_is_the_same_asset_and_other_data_is_not(tmp_path: Path) -> None:
    first = spec_of(wrapped(npz(tmp_path / "set.npz"), tmp_path / "1")).asset
    again = spec_of(wrapped(tmp_path / "set.npz", tmp_path / "2")).asset
    npz(tmp_path / "set.npz", x=X + 1, y=Y)
    other = spec_of(wrapped(tmp_path / "set.npz", tmp_path / "3")).asset
    assert first == again != other


def test_a_folder_is_sorted_by_its_names(tmp_path: Path) -> None:
    place = tmp_path / "set"
    place.mkdir()
    npz(place / "train.npz")
    npz(place / "test.npz")
    (place / "LICENSE").write_text("CC0")
    told = spec_of(wrapped(place, tmp_path))
    assert told.data.training is not None
    assert told.data.evaluation is not None
    assert (told.data.training.path, told.data.evaluation.path) == ("train.npz", "test.npz")


def test_a_trusted_reference_takes_the_place_of_evaluation(tmp_path: Path) -> None:
    named = Named(vendor="Acme", reference=npz(tmp_path / "mine.npz"))
    told = spec_of(wrapped(csv(tmp_path / "eval.csv"), tmp_path, named))
    assert told.vendor.name == "Acme"
    assert told.data.training is not None
    assert told.data.evaluation is not None
    assert told.data.training.path == "eval.csv"
    assert told.data.evaluation.path == "reference/mine.npz"


def odd_names(folder: Path) -> Path:
    return npz(folder / "set.npz", alpha=X, beta=Y)


def no_labels(folder: Path) -> Path:
    return csv(folder / "set.csv", label="outcome")


def two_alike(folder: Path) -> Path:
    (folder / "set").mkdir()
    npz(folder / "set" / "a.npz")
    return npz(folder / "set" / "b.npz").parent


def no_data(folder: Path) -> Path:
    (folder / "set").mkdir()
    (folder / "set" / "notes.txt").write_text("x")
    return folder / "set"


def link(folder: Path) -> Path:
    (folder / "set.npz").symlink_to("/etc/passwd")
    return folder / "set.npz"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "set.npz")
    return folder / "set.npz"


def link_inside(folder: Path) -> Path:
    (folder / "set").mkdir()
    npz(folder / "set" / "train.npz")
    (folder / "set" / "test.npz").symlink_to("/etc/passwd")
    return folder / "set"


REFUSED: dict[Callable[[Path], Path], str] = {
    odd_names: "--inputs and --labels",
    no_labels: "--inputs and --labels",
    two_alike: "would both be training data",
    no_data: "holds no data file",
    link: "no plain file",
    pipe: "no plain file",
    link_inside: "symbolic link",
    lambda folder: folder / "gone.npz": "does not exist",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_nobody_can_read_is_explained(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=REFUSED[make]):
        wrapped(make(tmp_path), tmp_path)


def test_an_operator_may_name_the_arrays(tmp_path: Path) -> None:
    named = Named(inputs="alpha", labels="beta")
    told = spec_of(wrapped(odd_names(tmp_path), tmp_path, named))
    assert told.data.training is not None
    assert (told.data.training.inputs, told.data.training.labels) == ("alpha", "beta")


def test_too_much_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    path = npz(tmp_path / "set.npz")
    with pytest.raises(InvalidInputError, match="are allowed"):
        wrapped(path, tmp_path, quotas=Quotas(file_bytes=10, total_bytes=10))
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04junk", b"PAR1junk", b"\xff" * 50, b"\x93NUMPY\x01"], ids=repr
)
@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet", ".safetensors"])
def test_broken_files_are_not_guessed_at(data: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"set{suffix}"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match="--labels"):
        wrapped(path, tmp_path)
