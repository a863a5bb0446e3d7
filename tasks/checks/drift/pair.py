"""The two sketches that the checks of drift compare, from the subject's files or its data."""

import json
from typing import Any, NamedTuple

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.detectors.drift.sketch import Sketch, loaded
from tasks.domain.measurement import Artifact
from tasks.intake.comparison import Roles, plan
from tasks.intake.sketching import Counting
from tasks.intake.table_batches import Batch, flat_columns

REFERENCE, CURRENT, WATCH = "reference.sketch", "current.sketch", "watch.json"
LEAST_ROWS = 100


class Pair(NamedTuple):
    """What it should look like, and what it looks like now."""

    reference: Sketch
    current: Sketch


def pair(lab: Lab) -> Pair:
    """Returns the sketches; of a bundle with data, training is the reference of evaluation.

    Raises:
        NotAvailable: There are no two tables, or one has fewer than 100 rows.
    """
    return enough(_kept(lab) or _from_data(lab))


def enough(found: Pair) -> Pair:
    """Returns the pair if both tables have 100 rows. Raises :class:`NotAvailable` otherwise."""
    for name, sketch in found._asdict().items():
        if sketch.rows < LEAST_ROWS:
            raise NotAvailable(f"the {name} has {sketch.rows} rows; {LEAST_ROWS} are needed")
    return found


def keep_json(lab: Lab, name: str, title: str, value: Any) -> Artifact:
    """Stores a value as JSON and names it."""
    data = json.dumps(value, sort_keys=True, allow_nan=False).encode()
    return lab.keep(name, title=title, media_type="application/json", data=data)


def _kept(lab: Lab) -> Pair | None:
    if lab.subject.file(REFERENCE) is None or lab.subject.file(CURRENT) is None:
        return None
    try:
        one, two = (loaded(lab.path(name).read_bytes()) for name in (REFERENCE, CURRENT))
    except ValueError as error:
        raise NotAvailable(str(error)) from error
    if one.layout.digest != two.layout.digest:
        raise NotAvailable("the two sketches were counted in different cells")
    return Pair(one, two)


def _from_data(lab: Lab) -> Pair:
    reference, current = (_batch(lab.examples(role)) for role in ("training", "evaluation"))
    if set(reference) != set(current):
        raise NotAvailable("training and evaluation items have different shapes")
    layout = plan([reference], Roles(labels="label"))
    sketches = []
    for name, batch in (("training", reference), ("evaluation", current)):
        counter = Counting(layout, source=name, seed=lab.seed)
        counter.add(batch)
        sketches.append(counter.sketch)
    return Pair(*sketches)


def _batch(examples: Examples) -> Batch:
    columns = flat_columns("x", examples.inputs, is_input=True)
    return columns | {"label": examples.labels.astype("float64")}
