"""Contracts over the whole shipped catalog, and one broken example per rule."""

import json
from pathlib import Path

import pytest

from tasks.catalog.reading import KINDS, Catalog, catalog_root, parse_entry
from tasks.catalog.schemas import rendered
from tasks.checks.running import check_function
from tasks.domain.errors import CatalogError
from tasks.domain.finding import RiskTier

INVALID = sorted((Path(__file__).parent / "invalid").rglob("*.yaml"))
CATALOG = Catalog()


def test_the_shipped_catalog_has_no_problems() -> None:
    assert CATALOG.problems() == []


@pytest.mark.parametrize("name", CATALOG.ids("checks"))
def test_every_check_has_a_module_with_measure(name: str) -> None:
    assert callable(check_function(name))


def test_every_check_module_has_an_entry() -> None:
    folder = catalog_root().parent / "tasks" / "checks"
    modules = {
        ".".join(file.relative_to(folder).with_suffix("").parts)
        for file in folder.glob("*/*.py")
        if "def measure(lab:" in file.read_text(encoding="utf-8")
    }
    assert modules == set(CATALOG.ids("checks"))


@pytest.mark.parametrize("tier", list(RiskTier))
def test_every_tier_has_a_policy_that_rules_on_its_whole_battery(tier: RiskTier) -> None:
    policy = CATALOG.policy_for(tier)
    battery = {strength.check for strength in CATALOG.battery(policy.battery).checks}
    assert policy.tier is tier
    assert battery <= {rule.check for rule in policy.rules}


@pytest.mark.parametrize("kind", KINDS)
def test_published_schemas_are_fresh(kind: str) -> None:
    published = (catalog_root() / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json.loads(rendered()[f"{kind}.schema.json"])


@pytest.mark.parametrize("file", INVALID, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_each_broken_example_is_refused_for_its_own_reason(file: Path) -> None:
    first, _, _ = file.read_text(encoding="utf-8").partition("\n")
    expected = first.removeprefix("# expect: ")
    kind = next(kind for kind in KINDS if kind == file.parent.name)
    with pytest.raises(CatalogError) as caught:
        parse_entry(file.read_bytes(), KINDS[kind], entry_id="family.entry", place=file.name)
    assert expected in caught.value.message
