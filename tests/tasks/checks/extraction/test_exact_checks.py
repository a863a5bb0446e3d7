"""The checks of exact extraction: linear models and trees fail, others pass, controls hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from skops import io as skops

from tasks.catalog.reading import Catalog
from tasks.checks.extraction import equation_solving, path_finding
from tasks.checks.extraction.exactly import same_answers
from tasks.checks.lab import NotApplicable, NotAvailable
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.simulators.endpoint import v2
from tests.tasks.checks.test_endpoint import names, ran
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

ROWS, LABELS = digits().train.inputs.reshape(1000, -1), digits().train.labels


def measured(folder: Path, check: Any, estimator: Any, **parameters: int) -> Measurement:
    skops.dump(estimator.fit(ROWS, LABELS), folder / "model.skops")
    lab = lab_for(
        folder,
        check.CHECK,
        model=description(artifact="model.skops", kind="probabilities"),
        evaluation=digits().test,
        parameters=parameters,
    )
    with lab:
        found: Measurement = check.measure(lab)
    return found


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(found.check), found).outcome


def test_a_logistic_model_is_given_away(tmp_path: Path) -> None:
    found = measured(tmp_path, equation_solving, LogisticRegression(max_iter=300))
    assert outcome(found) is Outcome.FAIL
    assert found.estimates["exact"].value == 1
    assert found.facts["queries_asked"] == 65
    assert found.facts["quota_queries"] == 64
    assert found.facts["labels_only_queries"] == 256 + 24 * 769
    assert found.facts["labels_only_fidelity"] > 0.99  # type: ignore[operator]
    assert all(control.held for control in found.controls)
    assert [artifact.name for artifact in found.artifacts] == ["weights.json"]


def test_a_tree_is_given_away(tmp_path: Path) -> None:
    found = measured(tmp_path, path_finding, DecisionTreeClassifier(max_depth=5, random_state=0))
    assert outcome(found) is Outcome.FAIL
    assert found.facts["covered"]
    assert all(control.held for control in found.controls)


def test_a_tree_is_not_linear_and_a_linear_model_is_no_tree(tmp_path: Path) -> None:
    one = measured(tmp_path, equation_solving, DecisionTreeClassifier(max_depth=5))
    other = measured(tmp_path, path_finding, LogisticRegression(max_iter=300))
    assert (outcome(one), outcome(other)) == (Outcome.PASS, Outcome.PASS)


def test_too_few_queries_do_not_reassure(tmp_path: Path) -> None:
    tree = DecisionTreeClassifier(max_depth=7, random_state=0)
    found = measured(tmp_path, path_finding, tree, queries=2000)
    assert outcome(found) in {Outcome.UNDECIDED, Outcome.FAIL}
    with pytest.raises(NotAvailable, match="too few"):
        measured(tmp_path, equation_solving, LogisticRegression(max_iter=300), queries=64)


@pytest.mark.parametrize("check", [equation_solving, path_finding])
def test_a_network_is_copied_elsewhere(check: Any, tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    for networks in (0, 1):
        lab = lab_for(
            tmp_path,
            check.CHECK,
            model=description(),
            evaluation=digits().test,
            parameters={"networks": networks},
        )
        if networks:
            assert outcome(check.measure(lab)) is Outcome.PASS
        else:
            with pytest.raises(NotApplicable, match="holds a network"):
                check.measure(lab)


def test_an_endpoint_with_labels_only_is_asked_for_boundaries(tmp_path: Path) -> None:
    measurement, _, _ = ran("extraction.path_finding", v2(names), tmp_path, kind="labels")
    assert "labels only" in measurement.detail


def test_what_a_child_claims_in_other_shapes_is_no_copy() -> None:
    truth = np.zeros((4, 3), np.float32)
    for odd in (np.zeros((4, 2)), np.zeros((3, 3)), np.full((4, 3), np.nan)):
        assert not same_answers(odd, truth, labels_only=False).any()
    forged = {"weights": np.zeros((3, 7)), "offset": np.zeros(3)}
    assert np.isnan(equation_solving.linear(forged, np.zeros((4, 5)))).all()
    boxes = {"low": np.zeros((2, 7)), "high": np.ones((2, 7)), "answers": np.zeros((2, 3))}
    assert np.isnan(path_finding.leaves(boxes, np.zeros((4, 5)))).all()
