"""Papers of data without a model are read again at night: what expires is a change, explained."""

import datetime as dt
from pathlib import Path

import pytest

from tasks.catalog.schema import CheckEntry
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.measurement import Measurement
from tasks.intake.stage import outside_of
from tasks.intake.subject import Outside, build_subject
from tasks.nightly.deltas import changes
from tasks.nightly.looking import Look, Watch
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.intake.test_dataset_manifest import TERMS, Case
from tests.tasks.nightly.nights import House, Measure, passing

ASSET = "Acme/readings@3"
EXPIRY = dt.date(2031, 1, 1)
BEFORE, AFTER = dt.datetime(2030, 12, 31, tzinfo=dt.UTC), dt.datetime(2031, 1, 2, tzinfo=dt.UTC)


class Shelf:
    """A house with one dataset, whose signed manifest says how long it may be kept."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        (folder / "scratch").mkdir(parents=True)
        case = Case(folder, TERMS.model_copy(update={"retention_until": EXPIRY}))
        vendors = house.home / "vendors"
        vendors.mkdir()
        self.key = vendors / "acme.pub"
        self.key.write_bytes(case.public.read_bytes())
        subject = build_subject(
            case.folder,
            store=house.store,
            sandbox=DirectSandbox(),
            workspace=folder / "scratch",
            outside=self.outside(BEFORE),
        )
        digest = house.store.put(subject.canonical()).digest
        self.record = house.onboard(subject=digest, measure=self.as_told(digest))

    def outside(self, now: dt.datetime) -> Outside:
        return outside_of(self.house.here)._replace(now=now)

    def as_told(self, digest: Digest) -> Measure:
        """Measures only what the papers tell, which is what this is about."""
        told = Subject.parse(self.house.store.get(digest)).observations
        rows = tuple(one for one in told if one.rule.startswith("provenance.rows."))

        def measure(entry: CheckEntry) -> Measurement:
            mine = rows if entry.id == "provenance.lineage" else ()
            return passing(entry).model_copy(update={"observations": mine})

        return measure

    def look(self, now: dt.datetime) -> Look:
        asset = self.house.inventory.asset(ASSET)
        assert asset is not None
        watch = Watch.open(self.house.here, after=0, alpha=0.05)
        return watch._replace(outside=self.outside(now)).look(asset)


@pytest.fixture
def shelf(house: House, tmp_path: Path) -> Shelf:
    return Shelf(house, tmp_path / "case")


def test_while_nothing_expires_nothing_is_asked(shelf: Shelf) -> None:
    found = shelf.look(BEFORE)
    assert (found.row.happened, found.row.problem, found.plan) == ("unchanged", "", None)


def test_what_expires_is_asked_again_and_explained(shelf: Shelf) -> None:
    found = shelf.look(AFTER)
    assert found.plan is not None
    assert found.row.reasons[0] == (
        "provenance.rows.retention_expired: the data were to be deleted by 2031-01-01"
    )
    anew = shelf.house.seal(found.plan, shelf.as_told(Digest(found.plan.bundle)))
    [change] = changes(shelf.record, anew)
    assert (change.check, change.before, change.after) == ("provenance.lineage", "pass", "fail")
    assert change.why
    assert shelf.look(AFTER).plan is None, "known by now"


def test_a_signature_that_counts_no_more_is_a_reason(shelf: Shelf) -> None:
    shelf.key.unlink()
    found = shelf.look(BEFORE)
    assert found.plan is not None
    assert any("no longer provenance.rows.verified" in reason for reason in found.row.reasons)
