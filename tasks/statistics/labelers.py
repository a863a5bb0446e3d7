"""Which labelers err more than their peers, tested; and which labels to have looked at again."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from tasks.statistics.agreement import DawidSkene, Numbers
from tasks.statistics.intervals import Floats
from tasks.statistics.multiple import holm

TOLERANCE, SLACK = 1.5, 0.02
"""A labeler may err this much oftener than the others, and this share besides."""
LEAST_EACH = 5
FLOOR = 0.05


class Suspicion(NamedTuple):
    """One test that stood out: labeler, and true and given class for a direction (else None)."""

    labeler: int
    errors: int
    of: int
    expected: float
    """Error rate of the other labelers."""
    pair: tuple[int, int] | None


class Draw(NamedTuple):
    """Labels to audit: places among the annotations, and the chance that each had to be drawn."""

    places: Numbers
    chances: Floats


def consensus_without(
    model: DawidSkene, items: Numbers, labelers: Numbers, labels: Numbers
) -> Numbers:
    """Returns the likeliest class of each annotation's item by all labelers but its own (n,)."""
    own = model.confusion[labelers, :, labels]
    rest = model.truth[items] / np.maximum(own, 1e-12)
    found: Numbers = rest.argmax(1)
    return found


def suspicious(
    truth: Numbers, labelers: Numbers, labels: Numbers, *, classes: int, alpha: float = 0.05
) -> list[Suspicion]:
    """Returns labelers who err significantly more than tolerated, at all or in one direction.

    Each is compared with the pooled rate of the others; all tests together accuse an innocent
    labeler with chance ``alpha`` at most (Holm), as far as items are independent.

    Args:
        truth: Class by the others (n,), one for each annotation.
        labelers: Who gave it (n,).
        labels: What was given (n,).
        classes: Number of classes.
        alpha: Chance of any false accusation.
    """
    people = int(labelers.max()) + 1
    counts = np.zeros((people, classes, classes))
    np.add.at(counts, (labelers, truth, labels), 1)
    tests = [test for who in range(people) for test in _tests(counts, who)]
    p_values = np.array(
        [
            stats.binom.sf(test.errors - 1, test.of, min(1.0, TOLERANCE * test.expected + SLACK))
            for test in tests
        ]
    )
    return [test for test, bad in zip(tests, holm(p_values, alpha), strict=True) if bad]


def audit(
    model: DawidSkene, items: Numbers, labelers: Numbers, labels: Numbers, *, most: int, seed: int
) -> Draw:
    """Draws labels for trusted auditors: more where more errors are likely, none left out for sure.

    Labelers get shares as for a stratified estimate of the error rate (Neyman 1934); within one,
    labels are drawn by their chance of being wrong. The chances allow an unbiased estimate of the
    error rate afterwards (Horvitz and Thompson 1952).
    """
    wrong = FLOOR + 1 - model.truth[items, labels]
    rates = np.clip(1 - model.accuracy(), 0.01, 0.99)
    sizes = np.bincount(labelers, minlength=len(rates))
    shares = sizes * np.sqrt(rates * (1 - rates))
    wanted = np.maximum(LEAST_EACH, most * shares / max(shares.sum(), 1e-12))
    weights = wrong / np.maximum(np.bincount(labelers, wrong, len(rates)), 1e-12)[labelers]
    chances: Floats = np.minimum(1.0, wanted[labelers] * weights)
    drawn = np.random.default_rng(seed).random(len(labels)) < chances
    places = np.flatnonzero(drawn).astype(np.int64)
    return Draw(places, chances[places])


def _tests(counts: Floats, who: int) -> list[Suspicion]:
    own, rest = counts[who], counts.sum(0) - counts[who]
    tests = []
    total, others = own.sum(), rest.sum()
    if total and others:
        errors, usual = total - np.trace(own), 1 - np.trace(rest) / others
        tests.append(Suspicion(who, int(errors), int(total), float(usual), None))
    for true in range(len(own)):
        of, there = own[true].sum(), rest[true].sum()
        for given in np.flatnonzero(own[true]):
            if given != true and there:
                usual = float(rest[true, given] / there)
                pair = (true, int(given))
                tests.append(Suspicion(who, int(own[true, given]), int(of), usual, pair))
    return tests
