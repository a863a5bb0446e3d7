"""Nights of a series: kept once, counted once, a new reference starts a new watch."""

from pathlib import Path

import pandas as pd
import pytest

from tasks import drifting
from tasks.catalog.reading import Catalog
from tasks.checks.drift.pair import WATCH
from tasks.checks.running import run_check
from tasks.detectors.drift.watch import Watch, evidence
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Measurement
from tasks.drifting import plan_drift, tables, take_in_tables
from tasks.forms import TableRoles
from tasks.judging.gates import judge
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import Settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.detectors.drift.tables import people

SERIES = TableRoles(series="shop")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    here = Services(Settings(home=tmp_path), made, DirectSandbox(), Limits())
    monkeypatch.setattr(drifting, "services", lambda: here)
    return made


def table(folder: Path, seed: int, rows: int = 8000, **moved: float) -> str:
    place = folder / f"{seed}.parquet"
    pd.DataFrame(people(seed, rows, **moved)).to_parquet(place)
    return str(place)


def night(reference: str, current: str, roles: TableRoles = SERIES) -> Digest:
    return take_in_tables(tables(reference, current, roles))


def watch_of(store: MemoryStore, subject: Digest) -> Watch:
    entry = Subject.parse(store.get(subject)).file(WATCH)
    assert entry is not None
    return Watch.parse(store.get(entry.digest))


def judged(store: MemoryStore, subject: Digest, scratch: Path) -> dict[str, Finding]:
    planned = plan_drift(subject)
    found = {}
    for spec in planned.plan.checks:
        execution = run_check(
            spec,
            Subject.parse(store.get(subject)),
            store=store,
            sandbox=DirectSandbox(),
            scratch=scratch,
        )
        measurement = Measurement.parse(store.get(execution.measurement))
        found[spec.check] = judge(Catalog().check(spec.check), measurement)
    return found


def test_nights_add_up_and_the_same_night_is_the_same_run(
    store: MemoryStore, tmp_path: Path
) -> None:
    reference = table(tmp_path, 0)
    first = night(reference, table(tmp_path, 1))
    second = night(reference, table(tmp_path, 2))
    assert len(watch_of(store, first).nights) == 1
    assert len(watch_of(store, second).nights) == 2
    again = night(reference, table(tmp_path, 1))
    assert again == first
    assert plan_drift(again).plan.run == plan_drift(first).plan.run
    third = watch_of(store, night(reference, table(tmp_path, 3)))
    assert len(third.nights) == 3
    assert third.previous is not None


def test_a_kept_sketch_serves_as_reference_without_its_data(
    store: MemoryStore, tmp_path: Path
) -> None:
    reference = table(tmp_path, 0)
    kept = tables(reference, table(tmp_path, 1), SERIES).reference
    Path(reference).unlink()
    assert tables(kept, table(tmp_path, 2), SERIES).reference == kept
    with pytest.raises(InvalidInputError, match="no sketch"):
        tables("sha256:" + "0" * 64, table(tmp_path, 2), SERIES)


def test_labels_that_no_column_holds_are_a_clear_error(store: MemoryStore, tmp_path: Path) -> None:
    reference = table(tmp_path, 0)
    with pytest.raises(InvalidInputError, match="no column 'height'"):
        night(reference, reference, TableRoles(labels="height", series="shop"))


def test_a_new_reference_starts_a_new_watch_with_less_alpha(
    store: MemoryStore, tmp_path: Path
) -> None:
    before, after = table(tmp_path, 0), table(tmp_path, 10, older=20)
    old = watch_of(store, night(before, table(tmp_path, 1)))
    new = watch_of(store, night(after, table(tmp_path, 11, older=20)))
    assert (old.number, new.number) == (1, 2)
    assert len(new.nights) == 1
    assert new.spends == pytest.approx(old.spends / 4)
    assert all(one.alarmed is None for one in evidence(new))


def test_series_do_not_mix(store: MemoryStore, tmp_path: Path) -> None:
    reference = table(tmp_path, 0)
    night(reference, table(tmp_path, 1))
    other = night(reference, table(tmp_path, 2), TableRoles(series="office"))
    assert len(watch_of(store, other).nights) == 1


def test_a_moved_table_fails_and_an_unmoved_one_passes(store: MemoryStore, tmp_path: Path) -> None:
    reference = table(tmp_path, 0, rows=20_000)
    same = judged(store, night(reference, table(tmp_path, 1, rows=20_000)), tmp_path / "s")
    assert {name: one.outcome for name, one in same.items()} == {
        "drift.features": Outcome.PASS,
        "drift.multivariate": Outcome.PASS,
        "drift.watch": Outcome.PASS,
    }
    moved = judged(store, night(reference, table(tmp_path, 2, 20_000, older=8)), tmp_path / "m")
    assert {one.outcome for one in moved.values()} == {Outcome.FAIL}
    assert "age" in moved["drift.features"].detail
    assert "age" in moved["drift.watch"].detail


def test_too_few_rows_decide_nothing(store: MemoryStore, tmp_path: Path) -> None:
    found = judged(store, night(table(tmp_path, 0, 300), table(tmp_path, 1, 300)), tmp_path / "s")
    assert found["drift.features"].outcome is Outcome.UNDECIDED
    tiny = judged(store, night(table(tmp_path, 3, 60), table(tmp_path, 4, 60)), tmp_path / "t")
    assert tiny["drift.features"].outcome is Outcome.NOT_AVAILABLE
