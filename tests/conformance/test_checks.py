"""What every check of the catalog promises, on one small digits bundle without a special case."""

import functools
import os
import re
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.catalog.schema import CheckEntry, IntervalGate, ParameterSpec, TextSpec
from tasks.checks.running import run_check
from tasks.domain.bundle import Claims, DataSpec, DataSpecs, OutputSpec, Subject
from tasks.domain.digest import digest_of
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.domain.spec import CheckSpec, Parameter
from tasks.judging.gates import UNMEASURED, judge
from tasks.sandbox.protocol import Answering, Limits
from tests.simulators.sandbox import DirectSandbox, DirectSession
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.targets.models import digits, trained, write_model

CATALOG = Catalog()
CHECKS = CATALOG.ids("checks")
ROWS = 240
SIZES = {"count", "queries"}
LEAST = 40
"""Below this many rows or queries a check may rightly say that it has too few."""
EFFORT = {"steps", "square_queries", "epochs"}
"""How hard a search or a training tries; nothing is promised of what little effort finds."""
LITTLE = 3
ABOUT_TABLES = {"evasion.tabular", "privacy.attribute_inference"}
"""Questions that do not arise for a reader of pictures."""
ABOUT_VERSIONS = {"data.drift", "data.expectations"}
"""Questions that do not arise for a first version."""
ABOUT_TRIGGERS = {"backdoor.repair"}
"""Questions that do not arise where no trigger was rebuilt."""
PATTERNS = {
    "atlas": r"AML\.T\d{4}(\.\d{3})?",
    "owasp_ml": r"ML\d{2}:2023",
    "owasp_llm": r"LLM\d{2}:2025",
    "nist_ai_rmf": r"(GOVERN|MAP|MEASURE|MANAGE) \d\.\d{1,2}",
    "nist_ai_100_2": r"NISTAML\.\d{2,3}",
}


@functools.cache
def bench() -> tuple[MemoryStore, Subject]:
    """A digits classifier with evaluation and training data, and papers that say nothing false."""
    store = MemoryStore()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder, trained())
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        made = lab(
            CHECKS[0],
            folder,
            evaluation=(digits().test.inputs[:ROWS], digits().test.labels[:ROWS]),
            training=(digits().train.inputs[:ROWS], digits().train.labels[:ROWS]),
            files=files,
            classes=10,
            store=store,
            claims=Claims(accuracy=0.9, licence="Apache-2.0", dp_epsilon=8.0),
            architecture="layers.yaml",
            output=OutputSpec(kind="logits", classes=10, embedding="0"),
        )
    data = DataSpecs(
        evaluation=DataSpec(path="data/evaluation.npz"), training=DataSpec(path="data/training.npz")
    )
    spec = made.subject.spec.model_copy(update={"data": data})
    needs = Observation(
        rule="provenance.dependencies.declared", severity=Severity.INFO, detail="1 package"
    )
    return store, made.subject.model_copy(update={"spec": spec, "observations": (needs,)})


def cut(name: str, knob: ParameterSpec | TextSpec) -> Parameter:
    if isinstance(knob, TextSpec) and knob.unit == "names":
        # Of a list the first: the others are tried by the check's own tests.
        return knob.default.split(", ")[0]
    if isinstance(knob, TextSpec) or knob.unit not in SIZES:
        return knob.default
    least = LITTLE if name in EFFORT else LEAST
    return int(min(max(knob.minimum, min(least, knob.default)), knob.maximum))


def small_spec(entry: CheckEntry, seed: int = 7) -> CheckSpec:
    chosen = {name: cut(name, knob) for name, knob in entry.parameters.items()}
    return CheckSpec(
        check=entry.id,
        version=entry.version,
        parameters=resolve_parameters(entry, chosen),
        seed=seed,
        inputs={"subject": digest_of(b"subject")},
        code=digest_of(b"code"),
        sandbox="L3",
    )


def ran(
    name: str, store: MemoryStore, subject: Subject, scratch: Path, **more: Any
) -> tuple[Measurement, bytes]:
    execution = run_check(
        small_spec(CATALOG.check(name)),
        subject,
        store=store,
        sandbox=more.pop("sandbox", DirectSandbox()),
        scratch=scratch,
        **more,
    )
    data = store.get(execution.measurement)
    return Measurement.parse(data), data


def copy_of(store: MemoryStore) -> MemoryStore:
    """Returns a store with the same objects and no claims, so that nothing is reused."""
    fresh = MemoryStore()
    fresh.objects = dict(store.objects)
    return fresh


@functools.cache
def first(name: str) -> tuple[MemoryStore, Measurement, bytes]:
    """Each check's measurement, made once for all contracts."""
    store, subject = bench()
    mine = copy_of(store)
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        measurement, data = ran(name, mine, subject, Path(scratch))
    return mine, measurement, data


every_check = pytest.mark.parametrize("name", CHECKS)


@every_check
def test_a_check_speaks_for_itself_and_never_breaks(name: str) -> None:
    _, measurement, _ = first(name)
    entry = CATALOG.check(name)
    assert (measurement.check, measurement.version) == (entry.id, entry.version)
    assert measurement.status is not Status.ERROR, measurement.detail
    assert measurement.detail
    if name in ABOUT_TABLES | ABOUT_VERSIONS | ABOUT_TRIGGERS:
        assert measurement.status is Status.NOT_APPLICABLE
        return
    # All that it needs came along, so it can only say that it measured, or that it has too few.
    assert measurement.status in {Status.MEASURED, Status.NOT_AVAILABLE}


@every_check
def test_what_the_gate_reads_is_there(name: str) -> None:
    _, measurement, _ = first(name)
    gate = CATALOG.check(name).gate
    if measurement.status is Status.MEASURED and isinstance(gate, IntervalGate):
        assert gate.estimate in measurement.estimates


@every_check
def test_every_number_has_its_interval_and_its_n(name: str) -> None:
    _, measurement, _ = first(name)
    controls = {
        control.name: control.estimate for control in measurement.controls if control.estimate
    }
    for told, estimate in (measurement.estimates | controls).items():
        assert estimate.low <= estimate.value <= estimate.high, told
        assert estimate.n > 0, told


@every_check
def test_artifacts_are_stored_as_they_are_named(name: str) -> None:
    store, measurement, _ = first(name)
    assert len({artifact.name for artifact in measurement.artifacts}) == len(measurement.artifacts)
    for artifact in measurement.artifacts:
        assert len(store.get(artifact.digest)) == artifact.size_bytes


@every_check
def test_equal_specs_give_equal_bytes(name: str, tmp_path: Path) -> None:
    _, _, data = first(name)
    store, subject = bench()
    _, again = ran(name, copy_of(store), subject, tmp_path / "elsewhere")
    assert again == data


@every_check
def test_no_clock_host_or_path_is_in_the_bytes(name: str) -> None:
    _, _, data = first(name)
    text = data.decode()
    assert socket.gethostname() not in text
    assert "conformance-" not in text
    assert tempfile.gettempdir() not in text
    assert str(Path.home()) not in text
    assert not re.search(r"\b20\d\d-\d\d-\d\d[T ]\d\d:", text)


@every_check
def test_every_measurement_can_be_judged(name: str) -> None:
    _, measurement, _ = first(name)
    finding = judge(CATALOG.check(name), measurement)
    assert finding.check == name
    if measurement.status is not Status.MEASURED:
        assert finding.outcome is UNMEASURED[measurement.status]
    assert finding.outcome is not Outcome.ERROR


def without_data(subject: Subject) -> Subject:
    return subject.model_copy(update={"datasets": ()})


def with_unreadable_data(subject: Subject) -> Subject:
    broken = tuple(
        data.model_copy(update={"digest": None, "problem": "it is cut short"})
        for data in subject.datasets
    )
    seen = Observation(  # as intake tells it
        rule="data.undecodable", severity=Severity.HIGH, detail="it is cut short"
    )
    return subject.model_copy(update={"datasets": broken, "observations": (seen,)})


def without_a_file(subject: Subject) -> Subject:
    return subject.model_copy(update={"files": ()})


def behind_an_endpoint(subject: Subject) -> Subject:
    document = subject.model_dump(mode="json")
    document["spec"]["model"] |= {
        "artifact": None,
        "architecture": None,
        "endpoint": {"url": "https://model.example/v1"},
    }
    return Subject.model_validate(document)


def of_another_task(subject: Subject) -> Subject:
    document = subject.model_dump(mode="json")
    document["spec"]["model"] |= {"task": "chat", "output": {"kind": "text"}}
    return Subject.model_validate(document)


BARE = [without_data, with_unreadable_data, without_a_file, behind_an_endpoint, of_another_task]
QUIET = {Status.NOT_AVAILABLE, Status.NOT_APPLICABLE}


@every_check
@pytest.mark.parametrize("spoil", BARE, ids=lambda spoil: spoil.__name__)
def test_what_is_missing_is_an_answer_and_no_crash(name: str, spoil: Any, tmp_path: Path) -> None:
    store, subject = bench()
    measurement, _ = ran(name, copy_of(store), spoil(subject), tmp_path)
    needs = CATALOG.check(name).needs
    finding = judge(CATALOG.check(name), measurement)
    assert measurement.status is not Status.ERROR, measurement.detail
    data_gone = spoil in {without_data, with_unreadable_data} and needs.data
    target_gone = spoil in {without_a_file, behind_an_endpoint} and needs.target != "none"
    if data_gone or target_gone:
        # A check whose very question is whether the data can be read answers with a failure.
        assert measurement.status in QUIET or finding.outcome is Outcome.FAIL, measurement.detail
    if spoil is of_another_task and needs.tasks:
        assert measurement.status is Status.NOT_APPLICABLE


@every_check
def test_a_blocked_model_stays_closed(name: str, tmp_path: Path) -> None:
    if CATALOG.check(name).needs.target == "none":
        pytest.skip("this check opens no model")
    store, subject = bench()
    measurement, _ = ran(name, copy_of(store), subject, tmp_path, sandbox=Closed(), blocked="no")
    assert (measurement.status, measurement.detail) == (Status.NOT_AVAILABLE, "no")


class Closed(DirectSandbox):
    """A sandbox that must not be asked."""

    def session(
        self,
        readable: tuple[Path, ...] = (),  # noqa: ARG002 - the signature of every sandbox
        limits: Limits = Limits(),  # noqa: ARG002
        *,
        answering: Answering | None = None,  # noqa: ARG002
    ) -> DirectSession:
        raise AssertionError("the model was opened")


@every_check
def test_references_are_ids_of_their_catalogs(name: str) -> None:
    references = CATALOG.check(name).references.model_dump()
    odd = [
        f"{framework}: {reference}"
        for framework, found in references.items()
        for reference in found
        if not re.fullmatch(PATTERNS[framework], reference)
    ]
    assert odd == []
    assert any(references.values())


@pytest.fixture(scope="module")
def atlas() -> set[str]:
    data = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not data:
        pytest.skip("PROOFHOUSE_TEST_DATA is not set, so there is no ATLAS matrix to compare with")
    matrix = Path(data).parent / "reference" / "mitre-atlas" / "ATLAS.yaml"
    if not matrix.is_file():
        pytest.skip(f"{matrix} does not exist")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # Both are safe loaders; the C one reads the matrix in a second instead of ten.
    document = yaml.load(matrix.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
    return {technique["id"] for part in document["matrices"] for technique in part["techniques"]}


@pytest.mark.shared_data
@every_check
def test_atlas_ids_exist(name: str, atlas: set[str]) -> None:
    assert set(CATALOG.check(name).references.atlas) <= atlas
