from pathlib import Path

import pytest

from tasks.domain.errors import StoreError
from tasks.store.local import LocalStore
from tasks.store.opening import open_store


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("", "store"),
        ("elsewhere/deep", "elsewhere/deep"),
        ("file:///{home}/with%20space", "with space"),
        ("{home}/absolute", "absolute"),
    ],
)
def test_folders_by_path_and_by_address(tmp_path: Path, url: str, folder: str) -> None:
    store = open_store(url.format(home=str(tmp_path)), home=tmp_path)
    assert isinstance(store, LocalStore)
    store.put(b"x")
    assert (tmp_path / folder / "sha256").is_dir()


@pytest.mark.parametrize(
    "url",
    [
        "http://host/store", "file://host/store", "file:relative", "s3://", "s3://Upper",
        "s3://a/../b", "s3://bucket/a//b", "s3://bucket/.hidden", "s3://" + "b" * 60,
        "s3://user:secret@bucket/x", "gs://bucket",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_before_anything_is_touched(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError):
        open_store(url, home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_needs_no_s3_library() -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    program = (
        "import sys, pathlib; from tasks.store.opening import open_store;"
        "open_store('x', home=pathlib.Path('/nonexistent')); assert 'botocore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
