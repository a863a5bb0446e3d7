"""Nights as they run: real server, real workers, the installed command."""

import pytest

from tests.services.installed import Proofhouse
from tests.services.nights import ONE_MORE, ask_more, move_in


@pytest.mark.slow
def test_a_night_costs_nothing_until_something_changes_and_then_says_what(
    night_house: Proofhouse,
) -> None:
    assets = move_in(night_house, 2)
    quiet = night_house("nightly", "--json")
    assert quiet.code == 0, quiet.err
    counts = {key: quiet.document[key] for key in ("assets", "unchanged", "alarms", "changed")}
    assert counts == {"assets": 2, "unchanged": 2, "alarms": [], "changed": []}
    before = {run["asset"]: run["run"] for run in runs(night_house)}
    assert len(before) == 2

    ask_more(night_house)
    loud = night_house("nightly", "--json")
    assert loud.code == 0, loud.err
    assert [row["asset"] for row in loud.document["changed"]] == assets
    for row in loud.document["changed"]:
        assert (row["happened"], row["before"]) == ("reassessed", before[row["asset"]])
        assert row["reasons"] == [
            "the battery test.brief says something else",
            "artifact.weights is asked now",
        ]
        [change] = row["changes"]
        assert (change["check"], change["before"], change["after"]) == (ONE_MORE, None, "pass")
    assert "[2/2]" in loud.err
    assert loud.document["night"].endswith("-02"), "the second night of this day"
    verified = night_house("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    assert verified.document["ledger_size"] == 2 + 1 + 2 + 1, "runs, nights"


def runs(proofhouse: Proofhouse) -> list[dict[str, str]]:
    found: list[dict[str, str]] = proofhouse("inventory", "runs", "--json").document["runs"]
    return found


def test_what_makes_no_sense_is_explained(night_house: Proofhouse) -> None:
    told = night_house("nightly", "--alpha", "0.7", "--json")
    assert (told.code, "must lie between" in told.document["error"]["text"]) == (2, True)
    told = night_house("nightly", "--asset", "Nobody/x@1", "--json")
    assert (told.code, "is no live asset" in told.document["error"]["text"]) == (2, True)
