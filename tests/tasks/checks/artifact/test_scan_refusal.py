"""The scan is a gatekeeper: what it says of the artifact decides whether anything opens it."""

from pathlib import Path

import pytest

from tasks.checks.artifact.scan import measure
from tasks.checks.lab import Lab
from tasks.demo.bundles import hostile_pickle
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject, linear_weights


@pytest.mark.parametrize(
    ("weights", "refused"), [(linear_weights(), False), (hostile_pickle(), True)]
)
def test_only_an_artifact_that_passed_may_be_opened(
    weights: bytes, refused: bool, tmp_path: Path
) -> None:
    store = MemoryStore()
    with Lab(
        subject=linear_subject(store, weights=weights),
        store=store,
        sandbox=DirectSandbox(),
        workspace=tmp_path,
        parameters={},
        seed=1,
    ) as lab:
        assert bool(measure(lab).facts["refused"]) is refused
