"""The data of a bundle, apart from its model."""

from pathlib import Path

import pytest

from tasks import reviewing
from tasks.domain.bundle import BundleSpec, DataSpec, DataSpecs, Subject
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.domain.vendor import VendorState, VendorView
from tasks.intake.bare_data import Named, is_bundle
from tasks.intake.subject import Outside
from tasks.reviewing import data_of, read_data_again, take_in_data
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import Settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import BUNDLE, linear_subject
from tests.tasks.intake.bundles import make_bundle, manifest, take_in


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    here = Services(Settings(home=tmp_path), made, DirectSandbox(), Limits())
    monkeypatch.setattr(reviewing, "services", lambda: here)
    return made


def seen(rule: str) -> Observation:
    return Observation(rule=rule, severity=Severity.HIGH, detail="seen")


def test_the_data_is_an_asset_of_its_own_without_the_model(store: MemoryStore) -> None:
    plain = linear_subject(store)
    data = DataSpecs(evaluation=DataSpec(path="eval.npz"))
    whole = plain.model_copy(
        update={
            "spec": plain.spec.model_copy(update={"data": data}),
            "observations": (seen("data.same_data"), seen("provenance.card.other"),
                             seen("governance.vendor.suspended")),
        }
    )  # fmt: skip
    digest = store.put(whole.canonical()).digest
    apart = Subject.parse(store.get(data_of(digest)))
    assert apart.spec.asset == "Acme/reader (data)@1"
    assert (apart.spec.model.kind, apart.spec.model.artifact) == ("dataset", None)
    assert apart.datasets == whole.datasets
    assert "model.safetensors" not in {file.path for file in apart.files}
    assert {one.rule for one in apart.observations} == {
        "data.same_data", "governance.vendor.suspended",
    }  # fmt: skip
    assert data_of(data_of(digest)) == data_of(digest)


def whole_bundle(folder: Path, store: MemoryStore) -> Subject:
    """A bundle with a model, data, and papers about both."""
    (folder / "scratch").mkdir()
    papers = {"model_card": "card.md", "datasheet": "sheet.md"}
    bundle = make_bundle(folder / "bundle", manifest() | {"documents": papers})
    for name in papers.values():
        (bundle / name).write_text("# Motivation\n\nReading digits.\n")
    return take_in(bundle, folder / "scratch", store=store)


def barred(_: str) -> VendorView:
    return VendorView(state=VendorState.SUSPENDED, reason="broken into")


def test_the_papers_of_data_read_the_same_until_something_changes(
    store: MemoryStore, tmp_path: Path
) -> None:
    whole = whole_bundle(tmp_path, store)
    apart = Subject.parse(store.get(data_of(store.put(whole.canonical()).digest)))
    scratch = tmp_path / "scratch"
    assert read_data_again(apart, Outside(), store, scratch) == apart
    today = read_data_again(apart, Outside(register=barred), store, scratch)
    news = [item.rule for item in today.observations if item not in apart.observations]
    assert news == ["governance.vendor.suspended"]
    assert [item for item in apart.observations if item not in today.observations] == []
    assert today.model_copy(update={"observations": apart.observations}) == apart


def test_reviews_of_old_that_do_not_name_their_bundle_stay_as_they_were(
    store: MemoryStore, tmp_path: Path
) -> None:
    whole = whole_bundle(tmp_path, store)
    apart = Subject.parse(store.get(data_of(store.put(whole.canonical()).digest)))
    old = Subject.parse(apart.model_copy(update={"whole": None}).canonical())
    assert b"whole" not in old.canonical()
    assert read_data_again(old, Outside(register=barred), store, tmp_path / "scratch") == old


def test_a_bundle_without_data_is_explained(store: MemoryStore) -> None:
    bare = linear_subject(store).model_copy(update={"datasets": ()})
    with pytest.raises(InvalidInputError, match=r"neither data\.training nor"):
        data_of(store.put(bare.canonical()).digest)


def test_a_bundle_says_itself_what_its_data_is(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "bundle.yaml").write_text("schema: x")
    assert is_bundle(tmp_path)
    with pytest.raises(InvalidInputError, match="says itself"):
        take_in_data(tmp_path, Named(labels="y"))


@pytest.mark.parametrize(
    ("name", "bundle"), [("a.zip", True), ("a.tar.gz", True), ("a.npz", False), ("a.csv", False)]
)
def test_archives_are_bundles_and_data_files_are_data(
    name: str, bundle: bool, tmp_path: Path
) -> None:
    (tmp_path / name).touch()
    assert is_bundle(tmp_path / name) is bundle


DATASET = {
    "schema": "proofhouse.bundle/1",
    "vendor": {"name": "Acme", "contact": "a@acme.example"},
    "dataset": {"name": "digits", "version": "3", "classes": 10},
    "data": {"training": {"path": "train.npz"}},
}


def test_a_manifest_may_be_about_data_alone() -> None:
    spec = BundleSpec.model_validate(DATASET)
    assert (spec.asset, spec.model.kind) == ("Acme/digits@3", "dataset")
    assert spec.model.output is not None
    assert spec.model.output.classes == 10
    assert BundleSpec.parse(spec.canonical()) == spec


def test_a_model_keeps_the_bytes_it_always_had() -> None:
    assert "kind" not in BundleSpec.model_validate(BUNDLE).model.model_dump(mode="json")


BROKEN: dict[str, dict[str, object]] = {
    "both": {"model": BUNDLE["model"]},
    "no data": {"data": {}},
    "unknown key": {"dataset": {"name": "d", "version": "1", "artifact": "m.onnx"}},
    "no name": {"dataset": {"version": "1"}},
    "no mapping": {"dataset": "digits"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_half_a_dataset_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"dataset|model|name|artifact|dictionary"):
        BundleSpec.model_validate(DATASET | BROKEN[name])
