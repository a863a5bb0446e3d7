"""Evidently on one pair of tables, under its own interpreter; prints what ``drift_tools`` prints.

Imports nothing of this project.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path


def main(reference: str, current: str) -> None:
    """Runs the drift preset with its defaults."""
    os.environ["DO_NOT_TRACK"] = "1"
    warnings.simplefilter("ignore")
    import evidently  # noqa: PLC0415 - imports are not timed
    import pandas as pd  # noqa: PLC0415
    import pyarrow.parquet  # noqa: F401, PLC0415
    from evidently import Report  # noqa: PLC0415
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    started = time.process_time()
    made = Report([DataDriftPreset()]).run(pd.read_parquet(current), pd.read_parquet(reference))
    told = json.loads(made.json())
    spent = time.process_time() - started
    found = []
    for metric in told["metrics"]:
        config, score = metric.get("config", {}), metric.get("value")
        threshold = config.get("threshold")
        if config.get("column") and isinstance(score, float) and threshold is not None:
            small = "p_value" in str(config.get("method"))
            if (score < threshold) if small else (score >= threshold):
                found.append(config["column"])
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10
    answer = {
        "cpu": spent, "found": sorted(found), "version": evidently.__version__, "peak_mib": peak,
    }  # fmt: skip
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
