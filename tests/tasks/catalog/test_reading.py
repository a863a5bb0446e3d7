from pathlib import Path

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.errors import CatalogError


def test_unknown_entry_names_the_known_ones() -> None:
    with pytest.raises(CatalogError, match=r"artifact\.behaviour"):
        Catalog().check("artifact.nothing")


@pytest.mark.parametrize("name", ["../policies/low", "a", "A.b", "a.b/c", ""])
def test_an_id_is_checked_before_it_becomes_a_path(name: str) -> None:
    with pytest.raises(CatalogError, match="no entry called"):
        Catalog().check(name)


def test_a_battery_may_be_named_by_its_last_part() -> None:
    assert Catalog().battery("standard").id == "onboarding.standard"


def test_dangling_references_are_problems(tmp_path: Path) -> None:
    folder = tmp_path / "batteries" / "family"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(
        "id: family.one\nversion: 1\ntitle: One\npurpose: Names a check that is not there.\n"
        "checks: [{check: no.such}]\n"
    )
    assert Catalog(tmp_path).problems() == ["batteries/family.one: no check is called no.such"]
