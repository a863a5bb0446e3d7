from pathlib import Path
from typing import Any

from tasks.catalog.reading import Catalog
from tasks.checks.privacy.membership_screen import measure
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.people import model, people

CHECK = "privacy.membership_screen"


def measured(tmp_path: Path, steps: int, rows: int = 1000, **more: Any) -> Measurement:
    training, evaluation = people(rows)
    bundle: dict[str, Any] = {"training": training, "evaluation": evaluation}
    with lab(
        CHECK,
        tmp_path,
        files=model(rows, steps),
        classes=2,
        architecture="layers.yaml",
        **(bundle | more),
    ) as bench:
        return measure(bench)


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_one_pass_raises_its_hand_where_people_were_learnt_by_heart(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=300)
    # Half of the people are as sure as members, so only shadow models can name single ones.
    assert outcome(found) is Outcome.UNDECIDED
    assert "ask privacy.membership_tail" in found.alarms[0]
    assert all(control.held for control in found.controls)
    assert found.cost.queries == found.facts["members"] + found.facts["others"]  # type: ignore[operator]


def test_a_model_that_learnt_little_passes(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=1)
    assert outcome(found) is Outcome.PASS
    assert all(control.held for control in found.controls)


def test_too_few_people_are_never_a_verdict(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=300, rows=150)
    assert outcome(found) is Outcome.UNDECIDED


def test_a_shift_between_the_sets_accuses_nobody(tmp_path: Path) -> None:
    _, evaluation = people(1000)
    found = measured(tmp_path, steps=300, evaluation=(evaluation[0] * 3 + 1, evaluation[1]))
    assert outcome(found) is Outcome.UNDECIDED
