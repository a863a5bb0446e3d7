"""Does the model tell a hidden attribute of its members better than anybody could guess it?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.imputing import imputed_probabilities
from tasks.attacks.inference.signals import loss
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.checks.privacy.audit_set import Audit, drawn_audit, overlap_seen
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.gains import gain_over
from tasks.statistics.intervals import Floats

CHECK, VERSION = "privacy.attribute_inference", 1
MOST_COLUMNS, MOST_KINDS = 500, 10
COMMONEST = 0.9
"""An attribute that nearly everybody shares cannot be inferred, only assumed."""
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""How much the model's answer counts beside the imputer; 0 is the imputer alone."""


class Attribute(NamedTuple):
    """One hidden attribute: its column, its values, and everybody's number of the true one."""

    column: int
    values: Floats
    truth: NDArray[np.int64]


class Split(NamedTuple):
    """Row numbers of the audit set: who teaches whom, and who is counted."""

    known: NDArray[np.int64]
    """Others, from whom the imputer learns."""
    tuning: NDArray[np.int64]
    """Members on whom the attacker weighs the model's answer."""
    members: NDArray[np.int64]
    others: NDArray[np.int64]


def measure(lab: Lab) -> Measurement:
    """Guesses hidden attributes with and without the model, of members and of strangers."""
    audit = drawn_audit(lab)
    attributes = _attributes(audit, lab.count("columns"))
    parts = _split(audit, lab.seed)
    lab.target()
    gains = [_gains(lab, audit, attribute, parts) for attribute in attributes]
    inside, outside = _worst(gains)
    advantage = gain_over(inside, outside)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"With the model's answers {inside.mean():+.1%} more hidden values of members were "
        f"guessed than without it, of strangers {outside.mean():+.1%}. {len(attributes)} "
        "attributes were hidden, one at a time; the worst one counts.",
        estimates={"advantage": advantage, "overlap": audit.overlap},
        observations=overlap_seen(audit),
        controls=_controls(audit, attributes, parts, lab.seed),
        limits=(
            "The attacker knows every other attribute and the label: less knowledge finds less.",
            "What a model tells about strangers as well is statistics; it is taken off here.",
        ),
        method="ridge imputer from strangers, with and without the model's likelihood of the "
        "label for each candidate value; members' gain minus strangers' gain",
        facts={
            f"column {attribute.column}": f"members {one.mean():+.4f}, strangers {two.mean():+.4f}"
            for attribute, (one, two) in zip(attributes, gains, strict=True)
        },
        cost=lab.cost,
    )


def _attributes(audit: Audit, most: int) -> list[Attribute]:
    """Returns the columns with few values that are hardest to guess blindly.

    Raises:
        NotApplicable: The items are no table, or no column has few values.
    """
    if audit.inputs.ndim != 2 or audit.inputs.shape[1] > MOST_COLUMNS:
        raise NotApplicable(f"an item has shape {audit.inputs.shape[1:]}: it has no attributes")
    found = []
    for column in range(audit.inputs.shape[1]):
        values, truth = np.unique(audit.inputs[:, column], return_inverse=True)
        shares = np.bincount(truth) / len(truth)
        if 2 <= len(values) <= MOST_KINDS and shares.max() <= COMMONEST:
            entropy = float(-(shares * np.log(shares)).sum())
            found.append((entropy, -column, Attribute(column, values, truth)))
    if not found:
        raise NotApplicable(f"no column has 2 to {MOST_KINDS} values, none of them nearly constant")
    ranked = sorted(found, key=lambda one: one[:2], reverse=True)
    return [attribute for _, _, attribute in ranked[:most]]


def _split(audit: Audit, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.flatnonzero(audit.members))
    others = rng.permutation(np.flatnonzero(~audit.members))
    if len(others) < 40:
        raise NotAvailable(f"{len(others)} strangers are too few to impute from, 40 are needed")
    known, asked = others[: len(others) // 2], others[len(others) // 2 :]
    return Split(known, members[: len(members) // 3], members[len(members) // 3 :], asked)


def _gains(lab: Lab, audit: Audit, attribute: Attribute, parts: Split) -> tuple[Floats, Floats]:
    """Returns what the model adds, person by person (-1, 0, 1): of members, of strangers."""
    return _counted(audit, attribute, parts, _likelihoods(lab, audit, attribute))


def _counted(
    audit: Audit, attribute: Attribute, parts: Split, likelihoods: Floats
) -> tuple[Floats, Floats]:
    alone = np.log(_imputed(audit, attribute, parts))

    def right(rows: NDArray[np.int64], weight: float) -> Floats:
        guessed = (alone[rows] + weight * likelihoods[rows]).argmax(axis=1)
        hits: Floats = (guessed == attribute.truth[rows]).astype(np.float64)
        return hits

    weight = max(WEIGHTS, key=lambda tried: float(right(parts.tuning, tried).mean()))
    return (
        right(parts.members, weight) - right(parts.members, 0.0),
        right(parts.others, weight) - right(parts.others, 0.0),
    )


def _imputed(audit: Audit, attribute: Attribute, parts: Split) -> Floats:
    rest = np.delete(audit.inputs, attribute.column, axis=1).astype(np.float64)
    found = imputed_probabilities(
        rest[parts.known],
        audit.labels[parts.known],
        attribute.truth[parts.known],
        rest,
        audit.labels,
    )
    missing = len(attribute.values) - found.shape[1]
    return np.pad(found, ((0, 0), (0, missing)), constant_values=1e-3)


def _likelihoods(lab: Lab, audit: Audit, attribute: Attribute) -> Floats:
    """Returns the model's log-probability of the label under each value (items, kinds)."""
    columns = []
    for value in attribute.values:
        tried = audit.inputs.copy()
        tried[:, attribute.column] = value
        scores: Array = lab.run("targets.querying.scores", {"inputs": tried}).arrays["scores"]
        columns.append(loss(scores, audit.labels))
    return np.stack(columns, axis=1)


def _worst(gains: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    return max(gains, key=lambda pair: float(pair[0].mean() - pair[1].mean()))


def _controls(
    audit: Audit, attributes: list[Attribute], parts: Split, seed: int
) -> tuple[Control, ...]:
    """Counts answers that betray members, and answers that know nothing."""
    rng = np.random.default_rng(seed + 1)
    attribute = attributes[0]
    noise = rng.normal(size=(len(audit.labels), len(attribute.values)))
    betrayed = noise.copy()
    places = np.flatnonzero(audit.members)
    betrayed[places, attribute.truth[places]] += 4
    return (
        _control(
            "answers that know the members", betrayed, (audit, attribute, parts), planted=True
        ),
        _control("answers by lot", noise, (audit, attribute, parts), planted=False),
    )


def _control(
    name: str, likelihoods: Floats, world: tuple[Audit, Attribute, Split], *, planted: bool
) -> Control:
    found: Estimate = gain_over(*_counted(*world, likelihoods), 0.999)
    return Control(
        name=name,
        planted=planted,
        found=found.low > 0,
        estimate=found,
        detail=f"members gain {found.value:+.1%} over strangers",
    )
