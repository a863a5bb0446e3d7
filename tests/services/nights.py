"""Homes with live assets, as onboarding leaves them, and a catalog that asks them little."""

import shutil
from pathlib import Path
from unittest import mock

import pytest
import yaml

from tasks import approving, onboarding
from tasks.catalog.reading import catalog_root
from tasks.ledger.keys import make_key
from tasks.runtime import Services
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level, Limits
from tasks.settings import Settings
from tasks.store.opening import open_store
from tests.services.asked import only_when_asked
from tests.services.installed import SMALL, Proofhouse
from tests.tasks.nightly.nights import House

CHECKS = ("artifact.scan", "artifact.behaviour", "provenance.manifest")
ONE_MORE = "artifact.weights"
waits_long = only_when_asked("takes three minutes, two of them waiting")
"""For nights whose flow is tried again twice, a minute apart."""


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policies that ask three quick checks of models, at every tier."""
    folder = tmp_path_factory.mktemp("brief") / "catalogs"
    shutil.copytree(catalog_root(), folder)
    battery = {
        "id": "test.brief", "version": 1, "title": "Brief battery for tests",
        "purpose": "A scan, a run and a look at the papers.",
        "checks": [{"check": check} for check in CHECKS],
    }  # fmt: skip
    place = folder / "batteries" / "test" / "brief.yaml"
    place.parent.mkdir()
    place.write_text(yaml.safe_dump(battery), encoding="utf-8")
    for policy in (folder / "policies" / "tier").glob("*.yaml"):
        told = yaml.safe_load(policy.read_text(encoding="utf-8"))
        told["battery"] = "test.brief"
        told["rules"] = [rule for rule in told["rules"] if rule["check"] in CHECKS]
        policy.write_text(yaml.safe_dump(told), encoding="utf-8")
    return folder


@pytest.fixture
def night_house(server: str, brief: Path, tmp_path: Path) -> Proofhouse:
    """A home with a catalog of its own, to be changed, and nothing in it yet."""
    catalogs = tmp_path / "catalogs"
    shutil.copytree(brief, catalogs)
    (tmp_path / "home").mkdir()
    told = {"PREFECT_API_URL": server, "PROOFHOUSE_CATALOGS": str(catalogs)}
    return Proofhouse(tmp_path / "home", told | SMALL)


def move_in(proofhouse: Proofhouse, assets: int) -> list[str]:
    """Leaves live assets in a home as their onboarding would; returns their ids."""
    make_key(proofhouse.home)
    environment = {key: str(value) for key, value in proofhouse.environment.items()}
    with mock.patch.dict("os.environ", environment, clear=True):
        settings = Settings()
        sandbox = open_sandbox(required=Level(settings.sandbox.required))
        store = open_store(settings.store_url, home=proofhouse.home)
        here = Services(settings, store, sandbox, Limits())
        with (
            mock.patch.object(approving, "services", return_value=here),
            mock.patch.object(onboarding, "services", return_value=here),
        ):
            house = House(here)
            return [house.onboard(f"1.{number}").asset for number in range(assets)]


def ask_more(proofhouse: Proofhouse) -> None:
    """Adds a check to the battery of a home's catalog, so that every asset has to be measured."""
    catalogs = Path(proofhouse.environment["PROOFHOUSE_CATALOGS"])
    file = catalogs / "batteries" / "test" / "brief.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["checks"].append({"check": ONE_MORE})
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
