"""Nights as they run: real server, real workers, the installed command."""

from pathlib import Path

import pytest

from tests.services.installed import Bundles, Proofhouse
from tests.services.nights import own_catalog, raise_check_version


@pytest.mark.slow
def test_a_night_costs_nothing_until_something_changes_and_then_says_what(
    night_house: Proofhouse, brief: Path, bundles: Bundles
) -> None:
    catalogs = own_catalog(night_house, brief)
    let_in = night_house("onboard", bundles.honest, "--json")
    assert let_in.document["verdict"].startswith("accepted"), let_in.out
    refused = night_house("onboard", bundles.compromised, "--json")
    assert refused.document["verdict"] == "refused"

    quiet = night_house("nightly", "--json")
    assert quiet.code == 0, quiet.err
    counts = {key: quiet.document[key] for key in ("assets", "unchanged", "alarms", "changed")}
    assert counts == {"assets": 1, "unchanged": 1, "alarms": [], "changed": []}
    assert len(night_house("inventory", "runs", "--json").document["runs"]) == 2

    raise_check_version(catalogs)
    loud = night_house("nightly", "--json")
    assert loud.code == 0, loud.err
    [row] = loud.document["changed"]
    assert row["happened"] == "reassessed"
    assert row["before"] == let_in.document["run"]
    assert row["reasons"] == ["the check is version 2, was 1 (provenance.manifest)"]
    assert "[1/1]" in loud.err
    assert loud.document["night"].endswith("-02"), "the second night of this day"

    again = night_house("nightly", "--json").document
    assert (again["unchanged"], again["changed"]) == (1, [])
    verified = night_house("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    assert verified.document["ledger_size"] == 3 + 1 + 3, "runs, registration, nights"
    assert verified.document["garbage"] == []


def test_what_makes_no_sense_is_explained(night_house: Proofhouse) -> None:
    told = night_house("nightly", "--alpha", "0.7", "--json")
    assert (told.code, "must lie between" in told.document["error"]["text"]) == (2, True)
    told = night_house("nightly", "--zone", "Mars/Olympus", "--json")
    assert (told.code, "is no time zone" in told.document["error"]["text"]) == (2, True)
    told = night_house("nightly", "--asset", "Nobody/x@1", "--json")
    assert (told.code, "is no live asset" in told.document["error"]["text"]) == (2, True)
