"""Do the people who labelled the data agree, and does one of them err as no honest one would?"""

import json

import numpy as np

from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.errors import InvalidInputError
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.intake.annotations import Annotations, read_annotations
from tasks.statistics.agreement import DawidSkene, Numbers, dawid_skene, krippendorff_alpha
from tasks.statistics.labelers import Suspicion, audit, consensus_without, suspicious

CHECK, VERSION = "data.labelers", 1
RESAMPLES = 200
POOR = 0.667
"""Below this alpha even tentative conclusions are ruled out (Krippendorff 2004, p. 241)."""
PLANTED_ERRORS = 0.3


def measure(lab: Lab) -> Measurement:
    """Reads the annotations, fits a model of labelers and errors, and tests each labeler."""
    path = lab.subject.spec.documents.annotations
    if path is None:
        raise NotAvailable("the bundle names no annotations (documents.annotations)")
    try:
        table = read_annotations(lab.path(path).read_bytes(), place=path)
        alpha = _alpha(table, lab.seed)
    except (InvalidInputError, ValueError) as error:
        raise NotAvailable(f"the annotations cannot be used: {error}") from error
    model, truth = _fitted(table, table.labels)
    found = _suspected(table, table.labels, truth)
    controls = _controls(lab, table, model, truth, {each.labeler for each in found})
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"{len(table.names)} labelers gave {len(table.labels)} labels to {len(table.rows)} "
            f"rows; Krippendorff's alpha is {alpha.value:.3f}; "
            f"{len({each.labeler for each in found})} labelers stand out."
        ),
        estimates={"agreement": alpha},
        observations=(*_poor(alpha, path), *(_observed(table, each, path) for each in found)),
        controls=controls,
        limits=("Labelers who all make the same mistake agree; only an audit by others sees it.",),
        method=(
            "Krippendorff's alpha; Dawid-Skene; each labeler against the consensus of the others, "
            "binomial tests with Holm's correction at 5 %"
        ),
        facts={"labelers": len(table.names), "labels": len(table.labels)},
        artifacts=(
            lab.keep(
                "labelers.json",
                title="Each labeler's confusion matrix and accuracy, estimated",
                media_type="application/json",
                data=_people(table, model),
            ),
            lab.keep(
                "audit.json",
                title="Labels for trusted people to look at, with the chance of being drawn",
                media_type="application/json",
                data=_plan(table, model, lab),
            ),
        ),
        cost=lab.cost,
    )


def _alpha(table: Annotations, seed: int) -> Estimate:
    """Returns alpha with a bootstrap interval over rows."""
    classes, count = len(table.classes), len(table.rows)
    value = krippendorff_alpha(table.items, table.labels, classes)
    order = np.argsort(table.items, kind="stable")
    starts = np.searchsorted(table.items[order], np.arange(count + 1))
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        items = rng.integers(0, count, count)
        sizes = starts[items + 1] - starts[items]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = order[np.repeat(starts[items], sizes) + within]
        fresh = np.repeat(np.arange(count), sizes)
        drawn.append(krippendorff_alpha(fresh, table.labels[places], classes))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=count)


def _fitted(table: Annotations, labels: Numbers) -> tuple[DawidSkene, Numbers]:
    model = dawid_skene(table.items, table.labelers, labels, len(table.classes))
    return model, consensus_without(model, table.items, table.labelers, labels)


def _suspected(table: Annotations, labels: Numbers, truth: Numbers) -> list[Suspicion]:
    shared = np.bincount(table.items)[table.items] >= 2
    if not shared.any():
        return []
    return suspicious(
        truth[shared], table.labelers[shared], labels[shared], classes=len(table.classes)
    )


def _controls(
    lab: Lab, table: Annotations, model: DawidSkene, truth: Numbers, accused: set[int]
) -> tuple[Control, ...]:
    """Turns one honest labeler into a bad one, and one into an average one, and tests again."""
    sizes = np.bincount(table.labelers)
    free = [who for who in np.argsort(-sizes) if int(who) not in accused]
    if not free:
        return ()
    who = int(free[0])
    own = np.flatnonzero(table.labelers == who)
    rng = np.random.default_rng(lab.seed)
    spoilt, average = table.labels.copy(), table.labels.copy()
    bad = own[rng.random(len(own)) < PLANTED_ERRORS]
    spoilt[bad] = (truth[bad] + 1) % len(table.classes)
    usual = np.einsum("lij,l->ij", model.confusion, sizes / sizes.sum())
    average[own] = [rng.choice(len(table.classes), p=usual[truth[at]]) for at in own]
    found = []
    for labels in (spoilt, average):
        _, again = _fitted(table, labels)
        found.append(any(each.labeler == who for each in _suspected(table, labels, again)))
    return (
        Control(
            name="a labeler who errs in one direction",
            planted=True,
            found=found[0],
            detail=f"{len(bad)} of {len(own)} labels of one labeler were made wrong",
        ),
        Control(
            name="a labeler who errs as all do",
            planted=False,
            found=found[1],
            detail=f"{len(own)} labels were drawn from the average confusion matrix",
        ),
    )


def _poor(alpha: Estimate, path: str) -> list[Observation]:
    if alpha.value >= POOR:
        return []
    detail = f"Krippendorff's alpha is {alpha.value:.3f} ({alpha.low:.3f} to {alpha.high:.3f})"
    severity = Severity.MEDIUM if alpha.high < POOR else Severity.LOW
    return [
        Observation(rule="data.labelers.agreement", severity=severity, detail=detail, location=path)
    ]


def _observed(table: Annotations, each: Suspicion, path: str) -> Observation:
    name, share = table.names[each.labeler], each.errors / each.of
    what = "differs from the others' consensus"
    if each.pair is not None:
        what = f"gives {table.classes[each.pair[1]]} where the others say "
        what += table.classes[each.pair[0]]
    return Observation(
        rule="data.labelers.suspicious",
        severity=Severity.HIGH if each.pair is not None else Severity.MEDIUM,
        detail=f"{name} {what} in {share:.1%} of {each.of} labels, others in {each.expected:.1%}",
        location=path,
    )


def _people(table: Annotations, model: DawidSkene) -> bytes:
    right, sizes = model.accuracy(), np.bincount(table.labelers)
    told = [
        {
            "labeler": name,
            "labels": int(sizes[who]),
            "accuracy": round(float(right[who]), 4),
            "confusion": np.round(model.confusion[who], 4).tolist(),
        }
        for who, name in enumerate(table.names)
    ]
    return json.dumps({"classes": table.classes, "labelers": told}, sort_keys=True).encode()


def _plan(table: Annotations, model: DawidSkene, lab: Lab) -> bytes:
    draw = audit(
        model, table.items, table.labelers, table.labels,
        most=lab.count("audit_labels"), seed=lab.seed,
    )  # fmt: skip
    told = [
        {
            "row": int(table.rows[table.items[at]]),
            "labeler": table.names[table.labelers[at]],
            "label": table.classes[table.labels[at]],
            "chance": round(float(chance), 6),
        }
        for at, chance in zip(draw.places, draw.chances, strict=True)
    ]
    return json.dumps(told, sort_keys=True).encode()
