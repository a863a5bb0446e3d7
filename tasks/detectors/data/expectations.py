"""Checks a table against expectations with Great Expectations. Runs only in the sandbox child.

Importing Great Expectations takes 6 to 9 s, so it happens once per child and never elsewhere.
"""

import logging
import os
import warnings
from typing import Any

from tasks.sandbox.protocol import Array, Reply

EXPECTATIONS = {
    "between": "ExpectColumnValuesToBeBetween",
    "distinct_values": "ExpectColumnUniqueValueCountToBeBetween",
    "row_count": "ExpectTableRowCountToBeBetween",
}
"""The closed list of what may be asked, and what Great Expectations calls it."""


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
    validated = _batch(library, columns).validate(
        library.ExpectationSuite("suite", expectations=[_made(library, one) for one in suite])
    )
    results = [_told(result) for result in validated.results]
    return Reply({}, {"results": results, "version": str(library.__version__)})


def _library() -> Any:
    """Imports Great Expectations without telemetry, deprecation noise or log lines."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: PLC0415 - slow, and only children may pay for it
    return great_expectations


def _batch(library: Any, columns: dict[str, Array]) -> Any:
    import pandas as pd  # noqa: PLC0415 - slow, and only children may pay for it
    from great_expectations.data_context.types.base import (  # noqa: PLC0415 - as above
        ProgressBarsConfig,
    )

    context = library.get_context(mode="ephemeral")
    context.variables.analytics_enabled = False
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("items")
    definition = asset.add_batch_definition_whole_dataframe("all")
    return definition.get_batch({"dataframe": pd.DataFrame(columns)})


def _made(library: Any, one: dict[str, Any]) -> Any:
    kind = getattr(library.expectations, EXPECTATIONS[one["expectation"]])
    return kind(**one["settings"], meta={"rule": one["rule"]})


def _told(result: Any) -> dict[str, Any]:
    observed = result.result.get("observed_value")
    return {
        "rule": str(result.expectation_config.meta["rule"]),
        "success": bool(result.success),
        "unexpected": int(result.result.get("unexpected_count", 0)),
        "observed": None if observed is None else float(observed),
        "error": str(result.exception_info.get("exception_message") or "")
        if "raised_exception" in result.exception_info
        else "; ".join(str(one["exception_message"]) for one in result.exception_info.values()),
    }
