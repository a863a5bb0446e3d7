"""Looks for triggers that are far smaller in a model than in its honest twins. Runs in the child.

The smallest trigger of every pair of classes is searched in the model, in two honest twins and in
a twin with a planted backdoor, for just long enough to rank them. The few pairs that are smallest
against the twins, the classes whose pairs are (all to one), and the move of each class to another
(all to all) are searched again without hurry; those that are odd still, within the size that no
ordinary pair works at. The trusted side paints those triggers on pictures that were not searched
with.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from tasks.detectors.backdoor import controls
from tasks.detectors.backdoor.inversion import NEVER, Job, Pace, Pool, Triggers, stamped
from tasks.detectors.backdoor.pair_search import (
    MOST_PAIRS,
    Searched,
    as_matrix,
    jobs_of,
    pairs_of,
    promising,
    rightly_read,
    smallest,
)
from tasks.detectors.backdoor.pair_sizes import (
    STANDS_OUT,
    log_ratios,
    most_odd,
    most_odd_targets,
    pair_indices,
    scale_of,
    size_limit,
)
from tasks.detectors.backdoor.trigger_inversion import mapping_of
from tasks.detectors.backdoor.weight_statistics import weight_statistics
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

ALL = -1
"""As a source: every class. As a target: each class to one of its own."""
FINE = Pace(learning_rate=0.25, harder=1.3, works=0.9)
FINE_BATCHES = 3
"""The second search sees so many times the pictures."""
FINE_STEPS = 1.5
"""And takes so many times the descents."""
WORTH_BOUNDING = 2.0
"""Index from which a trigger is searched within a limit; the oddest of a model always is."""
TWINS = ("twin_1", "twin_2")
MOST_PRODUCTS = 8e12
"""Multiplications that the whole may cost: some minutes of one core."""


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


class Suspects(NamedTuple):
    """How many are searched again: pairs, classes as targets of all, moves of all to all."""

    pairs: int
    targets: int
    moves: int


AGAIN = {
    "target": Suspects(2, 2, 1),
    "planted": Suspects(2, 0, 0),
    TWINS[0]: Suspects(1, 1, 1),
    TWINS[1]: Suspects(1, 1, 1),
}


def twin_inversion(
    target: Target,
    *,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    held: NDArray[np.float32],
    held_labels: NDArray[np.int64],
    few: int,
    steps: int,
    batch: int,
    seed: int,
) -> Reply:
    """Rebuilds triggers in the target and in its control models.

    Args:
        target: The opened model; must reveal gradients.
        inputs: Pictures to search with (n, *item), raw.
        labels: Their classes (n,).
        held: Other pictures (m, *item); the controls' answers to some of them come back.
        held_labels: Their classes (m,).
        few: The twins answer to so many of them, the first; the model with the planted backdoor to
            all of the class that it is about.
        steps: Descents of the first search; a second takes half as many again.
        batch: Pictures per pair and descent of the first search. Cost for few classes: steps *
            batch * (classes * (classes - 1) + 24) passes forwards and as many backwards for the
            target, and some more for what is odd.
        seed: Draws starts, batches and controls.

    Returns:
        For each ``c`` of ``target``, ``twin_1``, ``twin_2`` and ``planted``: ``c.sizes`` (classes,
        classes); ``c.suspects`` (k, 2) source and target, each perhaps ``ALL``; ``c.mappings``
        (k, classes), where each class is sent; ``c.fine`` (k,) sizes of the second search and
        ``c.twins`` (twins, k) those of the twins it is held against; ``c.transfer`` (k,), how often
        the trigger works in the twins; ``c.masks``, ``c.patterns`` (k, *item) raw. For controls
        ``c.clean`` (rows,) and ``c.answers`` (k, rows), classes given to their part of ``held``
        without and with the trigger. Values: ``learnt``; ``planted`` and ``obeyed``, the planted
        pair and its obedience; ``tried`` of ``possible`` pairs; ``weights``, see
        ``weight_statistics``; passes and queries. Of a model that costs too much only ``products``
        and the ``most`` allowed.
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

    products = passes_of(steps, batch, classes) * products_of(module, pool.inputs[:1])
    if products > MOST_PRODUCTS:
        return Reply({}, {"products": products, "most": MOST_PRODUCTS})
    suspect = opened(module)
    possible = pairs_of(labels.tolist(), classes, seed=seed)
    pairs = promising(suspect, possible, steps=steps, batch=batch, seed=seed)

    def case(one: Searched) -> Case:
        found = smallest(one, jobs_of(pairs), steps=steps, batch=batch, seed=seed)
        return Case(one, as_matrix(pairs, found.sizes, classes))

    lesson = controls.pair_lesson(target.input_shape, pairs, target.bounds[1], classes, seed=seed)
    planted = controls.planted(module, pool, classes, [lesson], seed=seed)
    made = [controls.honest(module, pool, classes, seed=seed + place) for place in (1, 2)]
    first, second = (case(opened(one.module)) for one in made)
    cases = {
        "target": case(suspect)._replace(twins=(first, second)),
        "planted": case(opened(planted.module))._replace(twins=(first, second)),
        TWINS[0]: first._replace(twins=(second,)),
        TWINS[1]: second._replace(twins=(first,)),
    }
    arrays: dict[str, NDArray[Any]] = {}
    for name, each in cases.items():
        found = examined(each, AGAIN[name], effort)
        if name != "target":
            asked = held[held_labels == lesson.source] if name == "planted" else held[:few]
            found |= _answers(each.model.module, asked, found)
        arrays |= {f"{name}.{part}": values for part, values in found.items()}
    return Reply(
        arrays,
        {
            "learnt": min(one.learnt for one in made),
            "planted": [lesson.source, lesson.target],
            "obeyed": planted.obeyed[0],
            "tried": len(pairs),
            "possible": classes * (classes - 1),
            "weights": weight_statistics(module, classes)._asdict(),
            "passes": target.meter.passes - passes,
            "queries": target.meter.forwards - forwards,
        },
    )


def products_of(module: torch.nn.Module, item: torch.Tensor) -> int:
    """Returns the multiplications of one forward pass of ``item`` (1, …)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(item)
    return int(counter.get_total_flops()) // 2


def passes_of(steps: int, batch: int, classes: int) -> int:
    """Returns about how many forward passes the whole costs; a backward counts as two."""
    pairs = min(classes * (classes - 1), MOST_PAIRS)
    first = len(AGAIN) * pairs * steps * batch
    again = sum((3 if name == "target" else 2) * sum(each) for name, each in AGAIN.items())
    fine = round((FINE_STEPS + 1) * again * steps * FINE_BATCHES * batch)
    taught = 3 * controls.MOST_ROUNDS * controls.HONEST_STEPS * controls.BATCH
    return 3 * (first + fine + taught)


def examined(case: Case, again: Suspects, effort: Effort) -> dict[str, NDArray[Any]]:
    """Searches what is oddest in a model again, and then within the limit of size."""
    ratios = log_ratios(case.sizes, np.stack([twin.sizes for twin in case.twins]))
    scale = scale_of(ratios)
    indices = pair_indices(ratios, scale)
    suspects = [
        *most_odd(indices, again.pairs),
        *((ALL, aim) for aim in most_odd_targets(indices, again.targets)),
        *[(ALL, ALL)] * again.moves,
    ]
    jobs = [_job(*pair) for pair in suspects]
    fine = _fine(case.model, jobs, effort)
    references = np.stack([_reference(twin, jobs, effort) for twin in case.twins])
    shown = pair_indices(log_ratios(fine.sizes.double().numpy(), references), scale)
    odd = [row for row, index in enumerate(shown) if index >= min(WORTH_BOUNDING, shown.max())]
    limits = size_limit(references, scale, STANDS_OUT)
    bounded = fine.put(
        odd,
        smallest(
            case.model,
            [_ordered(case, jobs[row], fine.pick([row])) for row in odd],
            steps=effort.steps,
            batch=FINE_BATCHES * effort.batch,
            seed=effort.seed,
            begin=fine.pick(odd),
            limits=torch.from_numpy(limits[odd]).float(),
            pace=FINE,
        ),
    )
    low, high = case.model.bounds
    mappings = [_mapping(case, bounded.pick([row]), *pair) for row, pair in enumerate(suspects)]
    return {
        "sizes": case.sizes,
        "suspects": np.array(suspects, np.int64),
        "mappings": np.stack(mappings),
        "transfer": np.array(
            [
                np.mean([_moved(twin.model, bounded.pick([row]), mapping) for twin in case.twins])
                for row, mapping in enumerate(mappings)
            ]
        ),
        "fine": fine.sizes.double().numpy(),
        "twins": references,
        "masks": torch.sigmoid(bounded.mask_logits).numpy(),
        "patterns": (low + (high - low) * torch.sigmoid(bounded.pattern_logits)).numpy(),
    }


def _job(source: int, aim: int) -> Job:
    return Job(None if aim == ALL else aim, None if source == ALL else source)


def _ordered(case: Case, job: Job, trigger: Triggers) -> Job:
    """Asks what sends all pictures away to do so in the order that shows already."""
    if job.target is not None:
        return job
    return job._replace(mapping=tuple(_mapping(case, trigger, ALL, ALL).tolist()))


def _mapping(case: Case, trigger: Triggers, source: int, aim: int) -> NDArray[np.int64]:
    """Returns where each class is sent (classes,)."""
    model, classes = case.model, len(case.sizes)
    if aim == ALL:
        return mapping_of(model.module, model.pool, trigger, model.bounds, classes)
    if source == ALL:
        return np.full(classes, aim, np.int64)
    mapping = np.arange(classes)
    mapping[source] = aim
    return mapping


def _moved(model: Searched, trigger: Triggers, mapping: NDArray[np.int64]) -> float:
    """Returns the part of a model's pictures that a trigger sends where the mapping says."""
    goals = torch.from_numpy(mapping)[model.pool.labels]
    rows = goals != model.pool.labels
    with torch.no_grad():
        painted = stamped(
            model.pool.inputs[rows], trigger.mask_logits, trigger.pattern_logits, model.bounds
        )
        answers = model.module(painted).argmax(1)
    return float((answers == goals[rows]).float().mean())


def _fine(model: Searched, jobs: Sequence[Job], effort: Effort) -> Triggers:
    return smallest(
        model,
        jobs,
        steps=round(FINE_STEPS * effort.steps),
        batch=FINE_BATCHES * effort.batch,
        seed=effort.seed + 1,
        pace=FINE,
    )


def _reference(twin: Case, jobs: Sequence[Job], effort: Effort) -> NDArray[np.float64]:
    """Returns a twin's sizes (jobs,); where a pair was not found again, the size seen first."""
    sizes = _fine(twin.model, jobs, effort).sizes.double().numpy()
    first = [
        NEVER if job.source is None else float(twin.sizes[job.source, job.target]) for job in jobs
    ]
    return np.where(sizes < NEVER, sizes, first)


def _answers(
    module: torch.nn.Module, held: NDArray[np.float32], found: dict[str, NDArray[Any]]
) -> dict[str, NDArray[np.int64]]:
    clean = torch.from_numpy(held)
    masks, patterns = (torch.from_numpy(found[name]) for name in ("masks", "patterns"))
    with torch.no_grad():
        plain = module(clean).argmax(1).numpy()
        answers = [
            module((1 - mask) * clean + mask * pattern).argmax(1).numpy()
            for mask, pattern in zip(masks, patterns, strict=True)
        ]
    return {"clean": plain.astype(np.int64), "answers": np.stack(answers).astype(np.int64)}
