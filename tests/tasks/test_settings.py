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


def test_an_endpoint_list_that_cannot_be_read_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROOFHOUSE_ENDPOINTS__ALLOW", "http://models.example")
    with pytest.raises(SettingsError, match="PROOFHOUSE_ENDPOINTS__ALLOW"):
        read_settings()


def test_no_endpoint_may_be_asked_unless_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not read_settings().terms.reach.names("models.example", 443)
    monkeypatch.setenv("PROOFHOUSE_ENDPOINTS__ALLOW", "models.example, 10.0.0.0/8:8080")
    monkeypatch.setenv("PROOFHOUSE_ENDPOINTS__QUERIES", "7")
    terms = read_settings().terms
    assert terms.reach.names("models.example", 443)
    assert not terms.reach.names("models.example", 8080)
    assert terms.reach.names("10.1.1.1", 8080)
    assert terms.queries == 7
