"""What no privacy check can work with is an answer in words, never a number and never a crash."""

from pathlib import Path

import numpy as np
import pytest

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks.running import run_check
from tasks.domain.bundle import OutputSpec, Subject
from tasks.domain.digest import digest_of
from tasks.domain.measurement import Measurement, Status
from tasks.domain.spec import CheckSpec
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import Rows, lab
from tests.tasks.checks.privacy.people import model, people

ABOUT_MEMBERS = ["privacy.membership", "privacy.membership_tail", "privacy.inversion"]
about_members = pytest.mark.parametrize("check", ABOUT_MEMBERS)


def ran(check: str, store: MemoryStore, subject: Subject, scratch: Path) -> Measurement:
    entry = Catalog().check(check)
    spec = CheckSpec(
        check=check,
        version=entry.version,
        parameters=resolve_parameters(entry, {}),
        seed=1,
        inputs={"subject": digest_of(b"subject")},
        code=digest_of(b"code"),
        sandbox="L3",
    )
    ended = run_check(spec, subject, store=store, sandbox=DirectSandbox(), scratch=scratch)
    return Measurement.parse(store.get(ended.measurement))


def answered(check: str, tmp_path: Path, training: Rows, evaluation: Rows) -> Measurement:
    store = MemoryStore()
    made = lab(
        check,
        tmp_path,
        training=training,
        evaluation=evaluation,
        files=model(150, 1),
        classes=2,
        architecture="layers.yaml",
        store=store,
    )
    return ran(check, store, made.subject, tmp_path / "scratch")


@pytest.mark.parametrize("check", [*ABOUT_MEMBERS, "privacy.attribute_inference"])
def test_regression_targets_are_another_question(check: str, tmp_path: Path) -> None:
    store = MemoryStore()
    floats: Rows = (people(150)[0][0], np.linspace(0, 1, 150, dtype=np.float32))
    made = lab(
        check,
        tmp_path,
        training=floats,
        evaluation=floats,
        files=model(150, 1),
        task="regression",
        output=OutputSpec(kind="value"),
        store=store,
    )
    found = ran(check, store, made.subject, tmp_path / "scratch")
    assert found.status is Status.NOT_APPLICABLE
    assert "regression" in found.detail


@about_members
def test_members_who_are_also_the_others_are_counted_out(check: str, tmp_path: Path) -> None:
    training, _ = people(150)
    found = answered(check, tmp_path, training, training)
    assert found.status is Status.NOT_AVAILABLE
    assert "100.0% of the evaluation rows lie in the training data" in found.detail


@about_members
def test_too_few_people_are_said_with_both_numbers(check: str, tmp_path: Path) -> None:
    few: list[Rows] = [(rows[0][:20], rows[1][:20]) for rows in people(150)]
    found = answered(check, tmp_path, *few)
    assert found.status is Status.NOT_AVAILABLE
    assert "are needed" in found.detail


@about_members
def test_one_person_many_times_is_one_person(check: str, tmp_path: Path) -> None:
    training, evaluation = people(150)
    one: Rows = (np.repeat(training[0][:1], 150, axis=0), np.repeat(training[1][:1], 150))
    found = answered(check, tmp_path, one, evaluation)
    assert found.status is Status.NOT_AVAILABLE
    assert "only 1 members" in found.detail


@about_members
def test_no_class_in_common_is_said(check: str, tmp_path: Path) -> None:
    training, evaluation = people(150)
    found = answered(
        check, tmp_path, (training[0], training[1] * 0), (evaluation[0], evaluation[1] * 0 + 1)
    )
    assert found.status is Status.NOT_AVAILABLE
    assert "of the same class" in found.detail
