"""Checks a table against expectations with Great Expectations. Runs only in the sandbox child.

Importing Great Expectations takes 6 to 9 s, so it happens once per child and never elsewhere.
"""

import functools
import logging
import os
import warnings
from typing import Any

from tasks.sandbox.protocol import Array, Reply

EXPECTATIONS = {
    "between": "ExpectColumnValuesToBeBetween",
    "distinct_values": "ExpectColumnUniqueValueCountToBeBetween",
    "exists": "ExpectColumnToExist",
    "in_set": "ExpectColumnValuesToBeInSet",
    "not_above": "ExpectColumnPairValuesAToBeGreaterThanB",
    "not_null": "ExpectColumnValuesToNotBeNull",
    "row_count": "ExpectTableRowCountToBeBetween",
    "unique": "ExpectColumnValuesToBeUnique",
}
"""The closed list of what may be asked, and what Great Expectations calls it."""

LONGEST_VALUE = 40


def expectations(*, suite: list[dict[str, Any]], **columns: Array) -> Reply:
    """Holds columns of equal length against a suite.

    Args:
        suite: Dicts of ``rule`` (a name), ``expectation`` (a key of :data:`EXPECTATIONS`) and
            ``settings`` (its keyword arguments).
        columns: The table (rows,) each.

    Returns:
        ``values["results"]``: for each entry of the suite a dict of ``rule``, ``success``,
        ``unexpected`` (rows that break it), ``observed`` and ``error`` (empty, or why it could
        not be checked); ``values["version"]``: of Great Expectations.

    Raises:
        ValueError: The suite asks for something that is not on the list.
    """
    if unknown := sorted({one["expectation"] for one in suite} - set(EXPECTATIONS)):
        raise ValueError(f"no expectation is called {', '.join(unknown)}")
    library = _library()
    validated = _validated(library, columns, suite)
    results = [_told(result) for result in validated.results]
    return Reply({}, {"results": results, "version": str(library.__version__)})


def offending(frame: Any, suite: list[dict[str, Any]], *, first: int) -> list[dict[str, Any]]:
    """Holds a pandas frame against a suite and says which rows break it.

    Args:
        frame: The table; its index numbers the rows.
        suite: As :func:`expectations` takes it, each with a ``rule`` of its own.
        first: Rows and values that are named for each.

    Returns:
        For each entry of the suite, in its order: ``broken`` (rows), ``rows`` and ``values`` (the
        first of them) and ``error``.
    """
    library = _library()
    validated = _validated(library, frame, suite, first=first)
    found = {result.expectation_config.meta["rule"]: result for result in validated.results}
    return [_offended(found[one["rule"]], len(frame)) for one in suite]


def version() -> str:
    """Returns the version of Great Expectations."""
    return str(_library().__version__)


def _validated(
    library: Any, table: Any, suite: list[dict[str, Any]], *, first: int | None = None
) -> Any:
    made = [_made(library, one) for one in suite]
    form = "SUMMARY" if first is None else {
        "result_format": "SUMMARY", "partial_unexpected_count": first,
    }  # fmt: skip
    return _batch(library, table).validate(
        library.ExpectationSuite("suite", expectations=made), result_format=form
    )


def _library() -> Any:
    """Imports Great Expectations without telemetry, deprecation noise or log lines."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: PLC0415 - slow, and only children may pay for it
    return great_expectations


def _batch(library: Any, table: Any) -> Any:
    import pandas as pd  # noqa: PLC0415 - slow, and only children may pay for it

    return _definition(library).get_batch({"dataframe": pd.DataFrame(table)})


@functools.cache
def _definition(library: Any) -> Any:
    """Makes one context for the life of the child: each makes a folder that it never removes."""
    from great_expectations.data_context.types.base import (  # noqa: PLC0415 - as above
        ProgressBarsConfig,
    )

    context = library.get_context(mode="ephemeral")
    context.variables.analytics_enabled = False
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("items")
    return asset.add_batch_definition_whole_dataframe("all")


def _made(library: Any, one: dict[str, Any]) -> Any:
    kind = getattr(library.expectations, EXPECTATIONS[one["expectation"]])
    return kind(**one["settings"], meta={"rule": one["rule"]})


def _offended(result: Any, rows: int) -> dict[str, Any]:
    told = _told(result)
    found = result.result
    broken = told["unexpected"]
    if not told["success"] and "unexpected_count" not in found:
        broken = rows  # a question about the whole table
    return {
        "broken": 0 if told["success"] else broken,
        "rows": [int(row) for row in found.get("partial_unexpected_index_list") or ()],
        "values": [_worded(value) for value in found.get("partial_unexpected_list") or ()],
        "error": told["error"],
    }


def _worded(value: Any) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(_worded, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:LONGEST_VALUE]


def _told(result: Any) -> dict[str, Any]:
    observed = result.result.get("observed_value")
    single = not isinstance(observed, int | float)
    return {
        "rule": str(result.expectation_config.meta["rule"]),
        "success": bool(result.success),
        "unexpected": int(result.result.get("unexpected_count", 0)),
        "observed": None if single else float(observed),
        "error": str(result.exception_info.get("exception_message") or "")
        if "raised_exception" in result.exception_info
        else "; ".join(str(one["exception_message"]) for one in result.exception_info.values()),
    }
