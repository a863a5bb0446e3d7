"""One tool on one pair of tables, in this process: ``python -m … TOOL REFERENCE CURRENT``.

Prints one JSON object: what it called shifted, CPU seconds without imports (reading the files
included), and the most resident memory.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any


def proofhouse(reference: Path, current: Path) -> dict[str, Any]:
    """Counts both tables, partition by partition, and compares the counts."""
    import pyarrow as pa  # noqa: PLC0415 - imports are not timed
    import pyarrow.parquet  # noqa: PLC0415

    from tasks.detectors.drift.features import compare  # noqa: PLC0415
    from tasks.detectors.drift.sketch import empty, merged  # noqa: PLC0415
    from tasks.intake.comparison import Roles, partitions, plan, survey  # noqa: PLC0415
    from tasks.intake.sketching import sketch_of  # noqa: PLC0415
    from tests.simulators.sandbox import DirectSandbox  # noqa: PLC0415

    pa.set_cpu_count(1)
    started = time.process_time()
    files = partitions(reference)
    layout = plan(
        [survey(file, DirectSandbox())[0] for file in files[:: -(-len(files) // 4)]], Roles()
    )
    sketches = []
    for table in (reference, current):
        total = empty(layout)
        for file in partitions(table):
            total = merged(total, sketch_of(file, layout, source=file.name, seed=1))
        sketches.append(total)
    shifts = compare(sketches[0], sketches[1])
    return {
        "cpu": time.process_time() - started,
        "found": sorted(shift.name for shift in shifts if shift.significant),
        "version": importlib.metadata.version("proofhouse"),
    }


def exact_ks(reference: Path, current: Path) -> dict[str, Any]:
    """Exact Kolmogorov-Smirnov and chi-square on whole columns, with Holm."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import scipy  # noqa: PLC0415
    from scipy import stats  # noqa: PLC0415

    from tasks.statistics.multiple import holm  # noqa: PLC0415

    started = time.process_time()
    one, two = pd.read_parquet(reference), pd.read_parquet(current)
    p_values = []
    for name in one.columns:
        if one[name].dtype.kind == "f":
            p_values.append(stats.ks_2samp(one[name], two[name], method="asymp").pvalue)
            continue
        counts = pd.DataFrame({"a": one[name].value_counts(), "b": two[name].value_counts()})
        p_values.append(stats.chi2_contingency(counts.fillna(0).to_numpy().T).pvalue)
    marks = holm(np.array(p_values))
    return {
        "cpu": time.process_time() - started,
        "found": sorted(str(name) for name, mark in zip(one.columns, marks, strict=True) if mark),
        "version": scipy.__version__,
    }


def peak_mib() -> int:
    """Most resident memory since this process began."""
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


TOOLS = {"proofhouse": proofhouse, "exact KS and chi-square": exact_ks}

if __name__ == "__main__":
    answer = TOOLS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    sys.stdout.write(json.dumps(answer | {"peak_mib": peak_mib()}) + "\n")
