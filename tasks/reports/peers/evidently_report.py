"""Evidently's own drift report of two Parquet files. Runs under the peer's interpreter.

``python evidently_report.py REFERENCE CURRENT OUT`` writes ``OUT/report.html`` and
``OUT/summary.json``. Made for evidently 0.7.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any


def main(reference: str, current: str, out: str) -> None:
    """Compares the two tables with Evidently's defaults."""
    os.environ["DO_NOT_TRACK"] = "1"
    warnings.simplefilter("ignore")
    import evidently  # noqa: PLC0415 - only this environment has it
    import pandas as pd  # noqa: PLC0415
    from evidently import Report  # noqa: PLC0415
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    report = Report([DataDriftPreset()])
    made = report.run(pd.read_parquet(current), pd.read_parquet(reference))
    place = Path(out)
    made.save_html(str(place / "report.html"))
    told = json.loads(made.json())
    columns = [row for row in map(_column, told.get("metrics", [])) if row]
    summary = {"tool": "evidently", "version": evidently.__version__, "columns": columns}
    (place / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def _column(metric: dict[str, Any]) -> dict[str, Any] | None:
    """Returns one column's row of a ValueDrift metric; anything else is not about one column."""
    config = metric.get("config", {})
    column, score = config.get("column"), metric.get("value")
    if not column or not isinstance(score, (int, float)):
        return None
    method, threshold = str(config.get("method", "")), config.get("threshold")
    # Tests give a p-value, which is small where the column drifted; distances are large there.
    small = "p_value" in method
    drifted = None
    if isinstance(threshold, (int, float)):
        drifted = score < threshold if small else score >= threshold
    return {"column": str(column), "method": method, "score": float(score), "drifted": drifted}


if __name__ == "__main__":
    main(*sys.argv[1:4])
