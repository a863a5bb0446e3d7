"""Looks for a trigger that turns one class into another (source-specific backdoor). In the child.

The smallest trigger of every pair of classes is searched in the model, in two honest twins and in a
twin with a planted backdoor; the few pairs that are smallest against the twins are searched again
without hurry, and last within the size that no ordinary pair works at. The trusted side paints
those triggers on pictures that were not searched with.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor import controls
from tasks.detectors.backdoor.inversion import NEVER, Pace, Pool, Triggers
from tasks.detectors.backdoor.pair_search import (
    Pair,
    Searched,
    as_matrix,
    pairs_of,
    promising,
    rightly_read,
    smallest,
)
from tasks.detectors.backdoor.pair_sizes import (
    PAIR_STANDS_OUT,
    log_ratios,
    most_odd,
    pair_indices,
    pair_limit,
    scale_of,
)
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

SUSPECTS = 3
"""Pairs that are searched again."""
FINE = Pace(learning_rate=0.25, harder=1.3)
FINE_BATCHES = 4
"""The second search sees so many times the pictures."""
TWINS = ("twin_1", "twin_2")


class Effort(NamedTuple):
    """How hard to search: descents per search, pictures per pair and descent in the first."""

    steps: int
    batch: int
    seed: int


class Case(NamedTuple):
    """A model, the sizes of its pairs (classes, classes), and the twins it is held against."""

    model: Searched
    sizes: NDArray[np.float64]
    twins: Sequence["Case"] = ()


def source_specific(
    target: Target,
    *,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    held: NDArray[np.float32],
    steps: int,
    batch: int,
    seed: int,
) -> Reply:
    """Rebuilds triggers of pairs of classes in the target and in its control models.

    Args:
        target: The opened model; must reveal gradients.
        inputs: Pictures to search with (n, *item), raw.
        labels: Their classes (n,).
        held: Other pictures (m, *item); the controls' answers to them come back.
        steps: Descents of each search.
        batch: Pictures per pair and descent of the first search. Cost for few classes: steps *
            batch * classes * (classes - 1) passes forwards and as many backwards, per model.
        seed: Draws starts, batches and controls.

    Returns:
        For each ``c`` of ``target``, ``twin_1``, ``twin_2`` and ``planted``: ``c.sizes`` (classes,
        classes); ``c.pairs`` (k, 2) source and target; ``c.fine`` (k,) sizes of the second search
        and ``c.twins`` (twins, k) those of the twins it is held against; ``c.masks``,
        ``c.patterns`` (k, *item) raw. For controls ``c.clean`` (m,) and ``c.answers`` (k, m),
        classes given to ``held`` without and with the trigger. Values: ``learnt``; ``planted`` and
        ``obeyed``, the planted pair and its obedience; ``tried`` of ``possible`` pairs; passes.
    """
    module = target.module
    if module is None:
        raise ValueError("trigger inversion needs gradients")
    torch.set_num_threads(1)
    forwards, passes = target.meter.forwards, target.meter.passes
    pool = Pool(torch.from_numpy(inputs), torch.from_numpy(labels))
    effort = Effort(steps, batch, seed)
    classes = target.classes

    def opened(one: torch.nn.Module) -> Searched:
        right = rightly_read(one, pool, classes)
        return Searched(one, right, target.input_shape, target.bounds)

    suspect = opened(module)
    possible = pairs_of(labels.tolist(), classes, seed=seed)
    pairs = promising(suspect, possible, steps=steps, batch=batch, seed=seed)
    lesson = controls.pair_lesson(target.input_shape, pairs, target.bounds[1], classes, seed=seed)
    made = [
        controls.honest(module, pool, classes, seed=seed + place)
        for place in range(1, 1 + len(TWINS))
    ]
    planted = controls.planted(module, pool, classes, [lesson], seed=seed)

    def case(one: Searched, twins: Sequence[Case] = ()) -> Case:
        found = smallest(one, pairs, steps=steps, batch=batch, seed=seed)
        return Case(one, as_matrix(pairs, found.sizes, classes), twins)

    twins = [case(opened(one.module)) for one in made]
    cases = {
        "target": case(suspect, twins),
        "planted": case(opened(planted.module), twins),
        TWINS[0]: twins[0]._replace(twins=twins[1:]),
        TWINS[1]: twins[1]._replace(twins=twins[:1]),
    }
    arrays: dict[str, NDArray[Any]] = {}
    for name, each in cases.items():
        found = examined(each, effort)
        if name != "target":
            found |= _answers(each.model.module, held, found)
        arrays |= {f"{name}.{part}": values for part, values in found.items()}
    return Reply(
        arrays,
        {
            "learnt": min(one.learnt for one in made),
            "planted": [lesson.source, lesson.target],
            "obeyed": planted.obeyed[0],
            "tried": len(pairs),
            "possible": classes * (classes - 1),
            "passes": target.meter.passes - passes,
            "queries": target.meter.forwards - forwards,
        },
    )


def examined(case: Case, effort: Effort) -> dict[str, NDArray[Any]]:
    """Searches the oddest pairs of a model again, and then within the limit of size."""
    ratios = log_ratios(case.sizes, np.stack([twin.sizes for twin in case.twins]))
    scale = scale_of(ratios)
    pairs = most_odd(pair_indices(ratios, scale), SUSPECTS)
    fine = _fine(case.model, pairs, effort)
    references = np.stack([_reference(twin, pairs, effort) for twin in case.twins])
    limits = pair_limit(references, scale, PAIR_STANDS_OUT)
    bounded = smallest(
        case.model,
        pairs,
        steps=effort.steps // 2,
        batch=FINE_BATCHES * effort.batch,
        seed=effort.seed,
        begin=fine,
        limits=torch.from_numpy(limits).float(),
        pace=FINE,
    )
    low, high = case.model.bounds
    return {
        "sizes": case.sizes,
        "pairs": np.array(pairs, np.int64),
        "fine": fine.sizes.double().numpy(),
        "twins": references,
        "masks": torch.sigmoid(bounded.mask_logits).numpy(),
        "patterns": (low + (high - low) * torch.sigmoid(bounded.pattern_logits)).numpy(),
    }


def _fine(model: Searched, pairs: Sequence[Pair], effort: Effort) -> Triggers:
    return smallest(
        model,
        pairs,
        steps=effort.steps,
        batch=FINE_BATCHES * effort.batch,
        seed=effort.seed + 1,
        pace=FINE,
    )


def _reference(twin: Case, pairs: Sequence[Pair], effort: Effort) -> NDArray[np.float64]:
    """Returns a twin's sizes; where the second search found nothing, those of the first."""
    sizes = _fine(twin.model, pairs, effort).sizes.double().numpy()
    first = np.array([twin.sizes[pair] for pair in pairs])
    return np.where(sizes < NEVER, sizes, first)


def _answers(
    module: torch.nn.Module, held: NDArray[np.float32], found: dict[str, NDArray[Any]]
) -> dict[str, NDArray[np.int64]]:
    clean = torch.from_numpy(held)
    with torch.no_grad():
        plain = module(clean).argmax(1).numpy()
        answers = [
            module((1 - mask) * clean + mask * pattern).argmax(1).numpy()
            for mask, pattern in zip(
                torch.from_numpy(found["masks"]), torch.from_numpy(found["patterns"]), strict=True
            )
        ]
    return {"clean": plain.astype(np.int64), "answers": np.stack(answers).astype(np.int64)}
