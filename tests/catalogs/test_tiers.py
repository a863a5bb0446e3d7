"""A table of tiers and the questionnaire that it reads must fit each other."""

import shutil
from pathlib import Path

import pytest

from tasks.catalog.reading import Catalog, catalog_root

BREAKS = {
    "another questionnaire": ("questionnaire: vendor.standard", "questionnaire: vendor.other",
                              "no questionnaire is called vendor.other"),
    "a question nobody asks": ("question: use.impact", "question: use.weather",
                               "no question is called use.weather"),
    "an answer nobody can give": ("answer: minor", "answer: tiny",
                                  "the votes on use.impact are not its answers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_what_leads_nowhere_is_a_problem(name: str, tmp_path: Path) -> None:
    old, new, told = BREAKS[name]
    shutil.copytree(catalog_root(), tmp_path / "catalogs")
    file = tmp_path / "catalogs" / "tiers" / "risk" / "standard.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert Catalog(tmp_path / "catalogs").problems() == [f"tiers/risk.standard: {told}"]
