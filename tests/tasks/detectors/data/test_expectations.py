import numpy as np
import pytest

from tasks.detectors.data.expectations import expectations
from tasks.detectors.data.rules import Rule, broken_rules
from tasks.domain.severity import Severity

BETWEEN = {"rule": "r", "expectation": "between", "settings": {"column": "a", "max_value": 1}}


def test_counts_the_rows_that_break_a_rule() -> None:
    reply = expectations(suite=[BETWEEN], a=np.array([0, 1, 2, 3]))
    assert reply.values["results"] == [
        {"rule": "r", "success": False, "unexpected": 2, "observed": None, "error": ""}
    ]
    assert reply.values["version"].startswith("1.")


def test_tells_what_could_not_be_checked() -> None:
    missing = BETWEEN | {"settings": {"column": "b", "max_value": 1}}
    result = expectations(suite=[missing], a=np.array([0])).values["results"][0]
    assert not result["success"]
    assert "b" in result["error"]


def test_asks_only_what_is_on_the_list() -> None:
    with pytest.raises(ValueError, match="no expectation is called custom_sql"):
        expectations(suite=[BETWEEN | {"expectation": "custom_sql"}], a=np.array([0]))


def test_a_rule_without_a_result_is_not_a_rule_kept() -> None:
    rule = Rule("r", "between", {}, Severity.LOW, "never said")
    lost = list(broken_rules([rule], [], rows=1, location="evaluation"))
    assert [seen.severity for seen in lost] == [Severity.HIGH]
    assert "could not be checked" in lost[0].detail
