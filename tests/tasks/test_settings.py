from pathlib import Path

import pytest

from tasks.domain.errors import SettingsError
from tasks.settings import read_settings


def test_environment_wins_over_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_PROFILE", "ci")
    assert read_settings().compute.workers == 2
    monkeypatch.setenv("PROOFHOUSE_COMPUTE__WORKERS", "3")
    assert read_settings().compute.workers == 3


def test_an_unknown_profile_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_PROFILE", "moon")
    with pytest.raises(SettingsError, match="ci, gpu, local, production"):
        read_settings()


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_SEED", "often")
    monkeypatch.setenv("PROOFHOUSE_COMPUTE__WORKERS", "-1")
    with pytest.raises(SettingsError, match=r"seed.*workers|workers.*seed"):
        read_settings()


def test_places_follow_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path))
    settings = read_settings()
    assert settings.store_url == str(tmp_path / "store")
    assert settings.database_url == f"sqlite:///{tmp_path}/inventory.sqlite"


@pytest.mark.parametrize("profile", ["local", "ci", "gpu", "production"])
def test_every_shipped_profile_is_valid(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_PROFILE", profile)
    assert read_settings().compute.kind in {"local", "gpu", "scheduler"}
