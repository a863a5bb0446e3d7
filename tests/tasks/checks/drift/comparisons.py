"""A check of drift on two small tables, as the runner would ask it."""

from collections.abc import Mapping
from pathlib import Path

from tasks.catalog.reading import Catalog
from tasks.checks.drift.pair import CURRENT, REFERENCE
from tasks.checks.running import check_function
from tasks.detectors.drift.sketch import dumped
from tasks.domain.finding import Finding
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tasks.sandbox.protocol import Array
from tests.tasks.checks.benches import lab
from tests.tasks.detectors.drift.tables import layout, sketch

Table = Mapping[str, Array]


def asked(
    check: str, workspace: Path, reference: Table, current: Table, **roles: object
) -> tuple[Measurement, Finding]:
    """Measures and judges; the gate's threshold is the catalog's own."""
    cells = layout(reference, **roles)
    bench = lab(
        check,
        workspace,
        files={
            REFERENCE: dumped(sketch(cells, reference, "reference")),
            CURRENT: dumped(sketch(cells, current, "current")),
        },
    )
    with bench:
        measurement = check_function(check)(bench)
    return measurement, judge(Catalog().check(check), measurement)
