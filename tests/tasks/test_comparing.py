"""What a new version is held against: only what verifies, was accepted last, and still stands."""

from pathlib import Path

import pytest

from tasks import comparing
from tasks.comparing import held_against
from tasks.domain.bundle import (
    PROFILE,
    BundleSpec,
    DataSpec,
    DataSpecs,
    FileEntry,
    ModelSpec,
    Subject,
    Vendor,
)
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.reference import ColumnProfile, ReferenceProfile
from tasks.domain.run import RunRecord
from tasks.intake.profiles import written
from tasks.inventory.database import Inventory
from tasks.ledger.verify import RunVerification
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import Settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.inventory.records import STATEMENT, record

DATA = DataSpecs(training=DataSpec(path="data/train.CSV", labels="y"))


class Home:
    """A home with a store, an inventory, and sealed runs that verify unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.here = Services(Settings(home=folder), self.store, DirectSandbox(), Limits())
        self.inventory = Inventory(self.here.settings.database_url)
        self.sealed: dict[str, RunRecord] = {}
        self.forged: set[str] = set()

    def subject(self, version: str, *, data: DataSpecs = DATA) -> Digest:
        ref = self.store.put(f"rows of {version}".encode())
        made = Subject(
            spec=BundleSpec(
                schema_="proofhouse.bundle/1",
                vendor=Vendor(name="Acme", contact="security@acme.example"),
                model=ModelSpec(
                    kind="dataset", name="people", version=version, task="classification"
                ),
                data=DATA,
            ),
            files=(FileEntry(path="data/train.CSV", digest=ref.digest, size_bytes=ref.size_bytes),),
        )
        spec = made.spec.model_copy(update={"data": data})
        if data == DataSpecs():
            model = ModelSpec(name="people", version=version, task="chat", artifact="m.onnx")
            spec = spec.model_copy(update={"model": model})
        return self.store.put(made.model_copy(update={"spec": spec}).canonical()).digest

    def accept(self, version: str) -> str:
        subject = self.subject(version)
        run = record(asset=f"Acme/people@{version}").model_copy(update={"subject": subject})
        self.inventory.record_run(run, statement=STATEMENT, ledger_index=len(self.sealed))
        self.sealed[run.run] = run
        return run.run

    def held(self, subject: Digest, profile: Path | None = None) -> Subject:
        return Subject.parse(self.store.get(held_against(subject, profile)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path)

    def verified(run: str, *_: object) -> RunVerification:
        return RunVerification(run=run, ok=run not in made.forged, problems=())

    monkeypatch.setattr(comparing, "services", lambda: made.here)
    monkeypatch.setattr(comparing, "verify_run", verified)
    monkeypatch.setattr(comparing, "sealed_run", lambda _, run: (made.sealed[run], None))
    return made


def test_the_first_version_stays_as_it_is(home: Home) -> None:
    subject = home.subject("1")
    assert held_against(subject) == subject


def test_the_last_accepted_version_is_the_baseline(home: Home) -> None:
    home.accept("1")
    run = home.accept("2")
    baseline = home.held(home.subject("3")).baseline
    assert baseline is not None
    assert (baseline.asset, baseline.run) == ("Acme/people@2", run)
    last = baseline.last("training")
    assert last is not None
    assert last.path == "last:training.csv"
    assert home.store.get(last.digest) == b"rows of 2"
    assert baseline.last("evaluation") is None


def test_asking_again_is_the_same_subject(home: Home) -> None:
    home.accept("1")
    subject = home.subject("2")
    first = held_against(subject)
    home.accept("2")
    assert held_against(subject) == first != subject


def test_what_does_not_verify_or_was_withdrawn_is_no_baseline(home: Home) -> None:
    home.accept("1")
    home.forged.add(home.accept("2"))
    home.accept("3")
    home.inventory.set_state("Acme/people@3", "withdrawn")
    baseline = home.held(home.subject("4")).baseline
    assert baseline is not None
    assert baseline.asset == "Acme/people@1"


def test_a_bundle_without_data_is_held_against_nothing(home: Home) -> None:
    home.accept("1")
    subject = home.subject("2", data=DataSpecs())
    assert held_against(subject) == subject


def test_a_profile_of_the_operator_comes_along(home: Home, tmp_path: Path) -> None:
    profile = ReferenceProfile(
        name="people", version="1", rows=100, columns=(ColumnProfile(name="a", kind="text"),)
    )
    place = tmp_path / "profile.yaml"
    place.write_text(written(profile))
    held = home.held(home.subject("1"), place)
    entry = held.file(PROFILE)
    assert entry is not None
    assert home.store.get(entry.digest) == profile.canonical()
    assert held.files == Subject.parse(home.store.get(home.subject("1"))).files
    place.write_text("rows: none")
    with pytest.raises(InvalidInputError, match="no profile"):
        held_against(home.subject("1"), place)
