"""The drift command on real files: verdict, exit code, series, evidence that verifies."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.services.asked import only_when_asked
from tests.services.installed import Proofhouse
from tests.tasks.detectors.drift.tables import people


def written(folder: Path, name: str, seed: int, **moved: float) -> Path:
    place = folder / f"{name}.parquet"
    pd.DataFrame(people(seed, 6000, **moved)).to_parquet(place)
    return place


@pytest.mark.timeout(1200)
def test_a_night_that_moved_is_found_ranked_and_sealed(
    proofhouse: Proofhouse, tmp_path: Path
) -> None:
    reference = written(tmp_path, "reference", 1)
    folder = tmp_path / "tonight"
    folder.mkdir()
    for at in range(3):
        written(folder, f"part{at}", 10 + at, older=9)
    ran = proofhouse("drift", reference, folder, "--series", "shop", "--json", timeout=900)
    assert ran.code == 1, ran.err
    found = ran.document
    assert found["verdict"] == "refused"
    assert found["columns"][0]["column"] == "age"
    assert {one["check"]: one["outcome"] for one in found["findings"]} == {
        "drift.features": "fail",
        "drift.multivariate": "fail",
        "drift.watch": "fail",
    }
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert page.count("data:image/png") == 3
    assert "Drift watch" not in proofhouse("vendors", "list", "--json").out
    verified = proofhouse("verify", "--all", "--json")
    assert verified.document["ok"], json.dumps(verified.document)[:2000]


@only_when_asked("takes half a minute; the tests of drifting refuse such tables, too")
@pytest.mark.timeout(1200)
def test_what_cannot_be_compared_is_a_clear_error(proofhouse: Proofhouse, tmp_path: Path) -> None:
    reference = written(tmp_path, "reference", 1)
    ran = proofhouse("drift", reference, reference, "--labels", "height", timeout=900)
    assert ran.code == 2, ran.err
    assert "no column 'height'" in ran.err
    assert "Traceback" not in ran.err
