"""``proofhouse profile`` as an operator meets it."""

from pathlib import Path

import pytest

from tasks import runtime
from tasks.commands.profile import profile_answer
from tasks.domain.errors import InvalidInputError
from tasks.intake.profiles import read_profile
from tasks.runtime import Services
from tasks.sandbox.protocol import Limits
from tasks.settings import Settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.intake.tables import people, written

SAID = {"missing": 0.02, "far": 5.0, "alpha": 0.01}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    here = Services(Settings(home=tmp_path), made, DirectSandbox(), Limits())
    monkeypatch.setattr(runtime, "services", lambda: here)
    return made


def test_writes_a_profile_keeps_it_and_says_what_was_learnt(
    tmp_path: Path, store: MemoryStore
) -> None:
    data = written(tmp_path, people(), "people.csv")
    out = tmp_path / "profile.yaml"
    answer = profile_answer(data, out=out, name="", said=SAID)
    profile = read_profile(out)
    assert (profile.name, profile.rows, profile.tolerances.far) == ("people", 2000, 5.0)
    assert answer.document["digest"] == profile.digest
    assert store.has(profile.digest)
    assert "  start is never above end" in answer.lines
    assert "  city fixes country" in answer.lines
    assert answer.code == 0


def test_a_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    for part in range(3):
        written(tmp_path, people(400, seed=part, first_id=1 + 400 * part), f"p{part}.parquet")
    answer = profile_answer(tmp_path, out=tmp_path / "p.yaml", name="people", said=SAID)
    assert answer.document["rows"] == 1200


def test_wrong_words_are_explained(tmp_path: Path) -> None:
    data = written(tmp_path, people(), "people.csv")
    with pytest.raises(InvalidInputError, match="--alpha"):
        profile_answer(data, out=tmp_path / "p.yaml", name="", said=SAID | {"alpha": 3.0})
    with pytest.raises(InvalidInputError, match="no folder"):
        profile_answer(data, out=tmp_path / "none" / "p.yaml", name="", said=SAID)
    with pytest.raises(InvalidInputError, match="does not exist"):
        profile_answer(tmp_path / "none.csv", out=tmp_path / "p.yaml", name="", said=SAID)
