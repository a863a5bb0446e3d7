"""A catalog in which seconds of measuring let a bundle in, so that nights can be run for real."""

import shutil
from pathlib import Path

import pytest
import yaml

from tasks.catalog.reading import catalog_root
from tests.services.installed import Bundles, Proofhouse, installed

CHECKS = ("artifact.scan", "artifact.behaviour", "provenance.manifest")


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
def night_house(server: str, brief: Path, bundles: Bundles, tmp_path: Path) -> Proofhouse:
    """A home with the brief catalog and nothing in it yet."""
    return installed(tmp_path / "home", server, brief, bundles)


def raise_check_version(catalogs: Path, check: str = "provenance.manifest") -> None:
    """Makes one check of a catalog another one, so that it has to be measured anew."""
    place = catalogs / "checks" / check.replace(".", "/")
    file = place.with_suffix(".yaml")
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["version"] += 1
    file.write_text(yaml.safe_dump(told), encoding="utf-8")


def own_catalog(proofhouse: Proofhouse, brief: Path) -> Path:
    """Gives a home a catalog of its own, to be changed."""
    folder = proofhouse.home.parent / "catalogs"
    shutil.copytree(brief, folder)
    proofhouse.environment["PROOFHOUSE_CATALOGS"] = str(folder)
    return folder
