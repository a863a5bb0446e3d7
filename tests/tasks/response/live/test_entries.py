"""What every live-fire entry promises: its parts exist, and it speaks of its own playbook."""

import importlib
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tasks.catalog.live_drills import LiveDrillEntry
from tasks.catalog.reading import Catalog, catalog_root
from tasks.gateway.policy import GatewayPolicy
from tests.tasks.response.test_rehearsals import CONTROL, malformed

CATALOG = Catalog()
LIVE = pytest.mark.parametrize("name", CATALOG.ids("live_drills"))


def entry(name: str) -> LiveDrillEntry:
    return CATALOG.live_drill(name)


def module(folder: str, name: str) -> object:
    return importlib.import_module(f"tasks.response.live.{folder}.{name}")


def test_there_are_six_and_short_names_lead_to_them() -> None:
    assert len(CATALOG.ids("live_drills")) >= 6
    for name in CATALOG.ids("live_drills"):
        assert entry(name.rpartition(".")[2]).id == name
    assert not set(CATALOG.ids("live_drills")) & set(CATALOG.ids("drills"))


@LIVE
def test_every_part_of_an_entry_exists(name: str) -> None:
    drill = entry(name)
    assert callable(module("attacks", drill.attack.name).launch)  # type: ignore[attr-defined]
    trigger = drill.detection.trigger.replace(".", "_")
    assert callable(module("watches", trigger).watching)  # type: ignore[attr-defined]
    for proof in drill.proofs:
        assert callable(module("proofs", proof).prove)  # type: ignore[attr-defined]
    for deed in {reply.deed for reply in drill.replies.values() if reply.deed}:
        assert callable(module("deeds", deed).do)  # type: ignore[attr-defined]
    assert drill.attack.role in GatewayPolicy().roles


@LIVE
def test_controls_and_references_are_well_formed(name: str) -> None:
    drill = entry(name)
    assert not malformed(drill.references)
    assert [one for one in drill.controls if not re.fullmatch(CONTROL, one)] == []


@LIVE
def test_every_fact_that_its_playbook_asks_for_is_known_or_said(name: str) -> None:
    drill = entry(name)
    playbook = CATALOG.playbook(drill.playbook)
    asked = {
        step.when.value.removeprefix("incident.")
        for step in playbook.steps
        if step.when and step.when.value.startswith("incident.")
    }
    said = {fact for reply in drill.replies.values() for fact in reply.said}
    assert asked <= set(drill.facts) | said


@LIVE
def test_bars_are_not_looser_than_the_product_promises(name: str) -> None:
    limits = entry(name).limits
    assert limits.benign_refused <= 0.01
    assert limits.contain_seconds <= 10


def test_the_extraction_drill_keeps_the_bars() -> None:
    limits = entry("extraction_by_three_accounts").limits
    assert (limits.contain_seconds, limits.fidelity) == (5, 0.8)
    assert entry("extraction_by_three_accounts").attack.accounts == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"playbook": "incident.nothing"}, "no playbook is called incident.nothing"),
        (
            {"detection": {"trigger": "drift.alarm", "by": ["drift"]}},
            "no trigger of its playbook is called drift.alarm",
        ),
        ({"containing": ["dance"]}, "no step of its playbook is called dance"),
        (
            {"replies": {"throttle": {"note": "The machine does this one."}}},
            "no step of people is called throttle",
        ),
    ],
)
def test_what_leads_nowhere_is_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    root = tmp_path / "catalogs"
    shutil.copytree(catalog_root(), root)
    file = root / "drills" / "live" / "extraction_by_three_accounts.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8")) | change
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    assert any(told in problem for problem in Catalog(root).problems())
