"""From a folder to a subject."""

import shutil
from pathlib import Path

import numpy as np
import safetensors.numpy

from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import DIGITS, make_bundle, take_in


def test_a_bundle_becomes_a_subject_with_decoded_data(tmp_path: Path) -> None:
    store = MemoryStore()
    subject = take_in(make_bundle(tmp_path / "b"), tmp_path / "w", store=store)

    assert [file.path for file in subject.files] == [
        "bundle.yaml",
        "data/eval.npz",
        "model/digits.bin",
    ]
    data = subject.dataset("evaluation")
    assert data is not None
    assert data.digest is not None
    assert data.rows == 100
    tensors = safetensors.numpy.load(store.get(data.digest))
    assert tensors["inputs"].shape == (100, 1, 8, 8)
    assert tensors["inputs"].dtype == np.float32
    np.testing.assert_array_equal(tensors["inputs"][:, 0], DIGITS.images[:100])
    np.testing.assert_array_equal(tensors["labels"], DIGITS.target[:100])


def test_equal_bytes_give_equal_subjects_wherever_they_lie(tmp_path: Path) -> None:
    first = make_bundle(tmp_path / "one")
    shutil.copytree(first, tmp_path / "elsewhere" / "two")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", first)

    seen = {
        take_in(path, tmp_path / "w").canonical()
        for path in (first, tmp_path / "elsewhere" / "two", Path(archive), first / "bundle.yaml")
    }

    assert len(seen) == 1
