"""Has a model answer the rows of a table, so that its outputs can be watched with the inputs.

Only a model whose onboarding was sealed, accepted and still verifies is opened, and only in the
sandbox.
"""

import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.checks.lab import Lab
from tasks.detectors.drift.sketch import Layout, Sketch, empty, merged
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, digest_of_file
from tasks.domain.errors import InvalidInputError
from tasks.intake.comparison import Roles, plan, survey
from tasks.intake.sketching import Counting
from tasks.intake.table_batches import Batch, Coded, flat_columns
from tasks.registry.serving import accepted_model
from tasks.runtime import Services, services
from tasks.sandbox.protocol import Array

MOST_ROWS = 20_000
"""Rows of each file that the model answers, at even distances."""
LABELS, SCORE = "label", "score "
BATCH = 1000
Rows = list[tuple[Digest, Batch]]
"""Answered rows of each file, by the file's digest."""


def accepted_subject(reference: str) -> Subject:
    """Returns the bundle of a model that may be opened.

    Args:
        reference: ``vendor/name@version``, or ``vendor/name@alias`` as the registry knows it.

    Raises:
        UnsignedModelError: It is not registered, does not verify, or its verdict keeps it out.
        InvalidInputError: It is no classifier or regressor.
    """
    accepted = accepted_model(reference)
    if accepted.spec.task == "chat":
        raise InvalidInputError(f"{reference} is no classifier or regressor; leave --model out.")
    return Subject.parse(services().store.get(accepted.subject))


def answered(files: tuple[Path, ...], subject: Subject, *, labels: str | None) -> Rows:
    """Has the model answer rows of each file.

    Args:
        files: Data files; every column but the labels is an input, in the model's order.
        subject: Of the model, from :func:`accepted_subject`.
        labels: Column of the true answers, where there is one.

    Raises:
        InvalidInputError: A file does not hold what the model takes.
    """
    here = services()
    scratch = here.settings.home.resolve() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    found: Rows = []
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix="score-") as workspace,
        _lab(subject, here, Path(workspace)) as lab,
    ):
        lab.target()
        for file in files:
            rows, truth = _inputs(file, subject, labels)
            batch = flat_columns("x", rows, is_input=True) | _outputs(lab, rows)
            if truth is not None:
                batch[LABELS] = truth
            found.append((digest_of_file(file), batch))
    return found


def layout_of(rows: Rows) -> Layout:
    """Makes the cells from answered rows of the reference."""
    first = rows[0][1]
    outputs = tuple(name for name in first if name.startswith(SCORE))
    labels = LABELS if LABELS in first else None
    return plan([batch for _, batch in rows], Roles(labels=labels, predictions=outputs))


def counted_rows(rows: Rows, layout: Layout, *, seed: int) -> Sketch:
    """Counts answered rows in the cells of a layout."""
    total = empty(layout)
    for source, batch in rows:
        counter = Counting(layout, source=source, seed=seed)
        counter.add(batch)
        total = merged(total, counter.sketch._replace(notes=tuple(sorted(counter.notes))))
    return total


def _inputs(
    file: Path, subject: Subject, labels: str | None
) -> tuple[Array, NDArray[np.float64] | None]:
    """Returns inputs as the model takes them (n, …) float32, and labels (n,)."""
    batch, _ = survey(file, services().sandbox, project=False)
    truth = batch.pop(labels, None) if labels else None
    if isinstance(truth, Coded):
        raise InvalidInputError(f"{file.name}: labels must be class numbers from 0, not text.")
    spec = subject.spec.model.input
    texts = [name for name, column in batch.items() if isinstance(column, Coded)]
    shape = spec.shape if spec else (len(batch),)
    if texts or len(batch) != math.prod(shape):
        raise InvalidInputError(
            f"{file.name} has {len(batch)} columns besides the labels ({len(texts)} of text), the "
            f"model takes {math.prod(shape)} numbers a row. Name the labels with --labels, and "
            "leave other columns out."
        )
    table = np.column_stack([column for column in batch.values() if not isinstance(column, Coded)])
    step = -(-len(table) // MOST_ROWS)
    rows = np.ascontiguousarray(table[::step], dtype=np.float32)
    if not np.isfinite(rows).all():
        raise InvalidInputError(f"{file.name} has missing or infinite inputs; fill them in first.")
    return rows.reshape(len(rows), *shape), None if truth is None else truth[::step]


def _lab(subject: Subject, here: Services, workspace: Path) -> Lab:
    return Lab(
        subject=subject,
        store=here.store,
        sandbox=here.sandbox,
        workspace=workspace,
        parameters={},
        seed=here.settings.seed,
        limits=here.limits,
        terms=here.settings.terms,
    )


def _outputs(lab: Lab, rows: Array) -> Batch:
    parts = [
        lab.run(
            "targets.querying.scores", {"inputs": np.ascontiguousarray(rows[at : at + BATCH])}
        ).arrays["scores"]
        for at in range(0, len(rows), BATCH)
    ]
    scores = np.concatenate(parts)
    if len(scores) != len(rows):
        raise InvalidInputError("the model answered another number of rows than it was asked")
    flat = scores.reshape(len(scores), -1)
    return {f"{SCORE}{at}": flat[:, at].astype(np.float64) for at in range(flat.shape[1])}
