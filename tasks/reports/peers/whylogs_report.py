"""What whylogs' profiles say of two Parquet files. Runs under the peer's interpreter.

``python whylogs_report.py REFERENCE CURRENT OUT`` writes ``OUT/summary.json``, both profiles, and
``OUT/report.html`` where whylogs can draw one. Made for whylogs 1.6.
"""

import importlib.metadata
import json
import os
import sys
import warnings
from pathlib import Path


def main(reference: str, current: str, out: str) -> None:
    """Profiles both tables and compares the profiles with whylogs' defaults."""
    os.environ["WHYLOGS_NO_ANALYTICS"] = "True"
    warnings.simplefilter("ignore")
    import pandas as pd  # noqa: PLC0415 - only this environment has it
    import whylogs  # noqa: PLC0415
    from whylogs.viz.drift.column_drift_algorithms import (  # noqa: PLC0415
        calculate_drift_scores,
    )

    before, now = (whylogs.log(pd.read_parquet(path)).view() for path in (reference, current))
    place = Path(out)
    before.write(str(place / "reference.bin"))
    now.write(str(place / "current.bin"))
    scores = calculate_drift_scores(target_view=now, reference_view=before, with_thresholds=True)
    columns = [
        {
            "column": str(name),
            "method": str(score.get("algorithm", "")),
            "score": float(score.get("pvalue", score.get("statistic", 0.0))),
            "drifted": str(score.get("drift_category", "")) == "DRIFT",
        }
        for name, score in scores.items()
        if score
    ]
    told = {
        "tool": "whylogs",
        "version": importlib.metadata.version("whylogs"),
        "columns": columns,
    }
    (place / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    _draw(before, now, place)


def _draw(before: object, now: object, place: Path) -> None:
    try:
        from whylogs.viz import NotebookProfileVisualizer  # noqa: PLC0415 - an extra of whylogs
    except ImportError:
        return
    drawing = NotebookProfileVisualizer()
    drawing.set_profiles(target_profile_view=now, reference_profile_view=before)
    drawn = drawing.summary_drift_report()
    (place / "report.html").write_text(drawn.data, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:4])
