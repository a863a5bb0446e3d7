"""Looks for a backdoor in a model by rebuilding its trigger. Runs in the child.

First the smallest trigger of every class, and the smallest that sends all pictures away from their
own; then, for the most suspicious, the best trigger that is *much* smaller than the classes'
(``sizes.size_limits``). An honest model has no such trigger that works. The trusted side paints the
triggers on pictures that were not searched with.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tasks.detectors.backdoor import controls
from tasks.detectors.backdoor.inversion import (
    AWAY,
    Job,
    Pace,
    Pool,
    Search,
    Shape,
    Triggers,
    opened,
    painted,
    stamped,
    start,
)
from tasks.detectors.backdoor.pair_search import rightly_read
from tasks.detectors.backdoor.sizes import Sizes, anomaly_indices, away_limit, size_limits
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

PACE = Pace(learning_rate=0.3, harder=1.4)
"""Three times as fast as the paper's: 100 descents rank classes as well as 300 slow ones did."""
FINALISTS, PEERS = 3, 2
"""Classes per shape that are searched to the end: the smallest, and ordinary ones beside them."""
SUSPECTS = 2
"""Of the finalists, those that are then searched within the limit."""
LATER = 2
"""After the ranking each descent sees so many times the pictures."""
MAPPED = 20
"""Pictures of a class, about, that show where a trigger sends it."""


class Parts(NamedTuple):
    """Descents, as parts of ``steps``: until classes are ranked, to the end, within the limit."""

    ranking: float
    settling: float
    bounded: float


PARTS = {
    Shape.PATCH: Parts(0.4, 0.4, 0.4),
    Shape.BLEND: Parts(0.2, 0.15, 0.15),
    Shape.WARP: Parts(0.4, 0.4, 0.4),
    Shape.TONE: Parts(0.4, 0.4, 0.4),
}
"""One opacity is found sooner than a mask."""


class Effort(NamedTuple):
    """How hard to search: descents per search, pictures per class and descent."""

    steps: int
    batch: int
    deviations: float
    seed: int
    room: float = 1.0


def trigger_inversion(
    target: Target,
    *,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    held: NDArray[np.float32],
    subject: str,
    shapes: Sequence[str],
    steps: int,
    batch: int,
    deviations: float,
    seed: int,
    room: float = 1.0,
    **shown: NDArray[np.float32],
) -> Reply:
    """Rebuilds triggers of the target, or of a control model made from it.

    Args:
        target: The opened model; must reveal gradients.
        inputs: Pictures to search with (n, *item), raw.
        labels: Their classes (n,).
        held: Other pictures (m, *item); a control's answers to them, triggered, come back.
        subject: ``target``, ``honest`` or ``planted`` (see ``controls``).
        shapes: Kinds of trigger, values of ``inversion.Shape``.
        steps: Descents of a search for one class, about; see ``PARTS``.
        batch: Pictures per class and descent until classes are ranked. Cost for ten classes and
            both shapes: 17 * steps * batch passes forwards and as many backwards.
        deviations: How far below its peers, in robust deviations of log size, a bounded trigger
            has to stay.
        seed: Draws starts, batches and controls.
        room: No bounded trigger may be larger than this part of the picture, whatever the peers.
        shown: Other triggers that the subject is to be shown: ``s_masks`` and ``s_patterns`` per
            shape ``s``, as this returns them.

    Returns:
        Per shape ``s``: ``s.sizes`` (classes,), ``s.away`` (1,), the size of the trigger away from
        every class; ``s.suspects`` (k,), the last of them ``AWAY``; ``s.mappings`` (k, classes),
        where each class is sent; ``s.masks`` (k, *mask) in 0..1 and ``s.patterns`` (k, *item) raw.
        For controls also ``clean`` (m,), the classes given to ``held``, and ``s.answers`` (k, m),
        those given with the trigger on. Of triggers that came, ``s.shown`` (k, m). Values:
        ``learnt``; ``planted``, ``obeyed`` and ``shapes``, target, obedience and shape of each
        planted backdoor; passes, queries.
    """
    module = target.module
    if module is None:
        raise ValueError("trigger inversion needs gradients")
    torch.set_num_threads(1)
    meter = target.meter
    forwards, passes = meter.forwards, meter.passes
    pool = Pool(torch.from_numpy(inputs), torch.from_numpy(labels))
    lessons: list[controls.Lesson] = []
    if subject == "planted":
        lessons = lessons_of(shapes, target, seed=seed)
    control = _control(target, module, pool, subject, lessons, seed=seed)
    effort = Effort(steps, batch, deviations, seed, room)
    arrays: dict[str, NDArray[Any]] = {}
    right = rightly_read(control.module, pool, target.classes)
    for shape in shapes:
        found = search_triggers(
            control.module,
            right,
            Shape(shape),
            effort,
            item=target.input_shape,
            classes=target.classes,
            bounds=target.bounds,
        )
        if subject != "target":
            found["answers"] = _answers(
                control.module, held, found, bounds=target.bounds, shape=Shape(shape)
            )
        arrays |= {f"{shape}.{name}": values for name, values in found.items()}
    for each in Shape:
        if (masks := shown.get(f"{each}_masks")) is not None:
            others = {"masks": masks, "patterns": shown[f"{each}_patterns"]}
            arrays[f"{each}.shown"] = _answers(
                control.module, held, others, bounds=target.bounds, shape=each
            )
    if subject != "target":
        with torch.no_grad():
            clean = control.module(torch.from_numpy(held)).argmax(1)
        arrays["clean"] = clean.numpy().astype(np.int64)
    return Reply(
        arrays,
        {
            "learnt": control.learnt,
            "planted": [lesson.target for lesson in lessons],
            "obeyed": list(control.obeyed),
            "shapes": [lesson.trigger.shape for lesson in lessons],
            "passes": meter.passes - passes,
            "queries": meter.forwards - forwards,
        },
    )


def lessons_of(shapes: Sequence[str], target: Target, *, seed: int) -> list[controls.Lesson]:
    """Returns what a control is taught when triggers of these shapes are looked for.

    One patch stands for the faint overlays as well: who finds the one finds the other.
    """
    item, classes = target.input_shape, target.classes
    if Shape.PATCH in shapes:
        return controls.lessons_for(item, classes, target.bounds[1], seed=seed)
    return [
        controls.Lesson(
            controls.Change.drawn(Shape(shape), item, target.bounds, seed=seed),
            (seed + place) % classes,
            classes,
        )
        for place, shape in enumerate(shapes)
    ]


def _control(
    target: Target,
    module: torch.nn.Module,
    pool: Pool,
    subject: str,
    lessons: Sequence[controls.Lesson],
    *,
    seed: int,
) -> controls.Control:
    if subject == "target":
        return controls.Control(module, 1.0)
    if subject == "honest":
        return controls.honest(module, pool, target.classes, seed=seed)
    return controls.planted(module, pool, target.classes, lessons, seed=seed)


def search_triggers(
    module: torch.nn.Module,
    pool: Pool,
    shape: Shape,
    effort: Effort,
    *,
    item: tuple[int, ...],
    classes: int,
    bounds: tuple[float, float],
) -> dict[str, NDArray[Any]]:
    """Returns sizes of all classes, and mask and pattern of the most suspicious ones.

    Args:
        module: Raw inputs to scores, differentiable.
        pool: Pictures to search with, all read rightly (see ``pair_search.rightly_read``).
        shape: Kind of trigger.
        effort: How hard to search.
        item: Shape of one input.
        classes: Number of classes.
        bounds: Raw range of the inputs.
    """
    generator = torch.Generator().manual_seed(effort.seed)
    jobs = [*(Job(label) for label in range(classes)), Job(None)]
    begin = start(jobs, item, shape, generator=generator)
    search = partial(
        Search, module, pool, bounds=bounds, generator=generator, pace=PACE, shape=shape
    )
    parts = PARTS[shape]
    ranked = _ranked(search(jobs, begin), effort, parts)
    suspects = ranked.suspects
    limits = size_limits(ranked.sizes, deviations=effort.deviations)[suspects].tolist()
    limits.append(away_limit(ranked.sizes))
    # What sends all pictures away is now asked to do so in the order that shows already.
    moves = mapping_of(
        module, pool, ranked.triggers.pick([len(suspects)]), bounds, classes, shape=shape
    )
    bounded = search(
        [*(jobs[row] for row in suspects), Job(None, mapping=tuple(moves.tolist()))],
        ranked.triggers,
        limits=torch.tensor(limits).clamp(max=effort.room),
    ).run(round(parts.bounded * effort.steps), LATER * effort.batch)
    mappings = np.tile(np.array([*suspects, AWAY], np.int64)[:, None], (1, classes))
    mappings[-1] = mapping_of(
        module, pool, bounded.pick([len(suspects)]), bounds, classes, shape=shape
    )
    return {
        "sizes": ranked.sizes,
        "away": ranked.triggers.sizes[-1:].double().numpy(),
        "suspects": np.array([*suspects, AWAY], np.int64),
        "mappings": mappings,
    } | _arrays(bounded, item, bounds, shape)


class _Ranked(NamedTuple):
    """Sizes of all classes (classes,), the smallest against their peers, and their triggers.

    The last of the triggers is the one away from all classes.
    """

    sizes: Sizes
    suspects: list[int]
    triggers: Triggers


def _ranked(search: Search, effort: Effort, parts: Parts) -> _Ranked:
    """Searches all classes until they are ranked, then only those that matter.

    Those are the suspects, the trigger away from all, and a few ordinary classes: by as much as
    these still shrink, the ones left behind would have shrunk (K-Arm's idea, with peers as gauge).
    """
    first, rest = (round(part * effort.steps) for part in parts[:2])
    search.run(first, effort.batch)
    guesses = search.guesses()[:-1].double().numpy()
    order = np.argsort(-anomaly_indices(guesses), kind="stable")
    finalists, others = order[:FINALISTS], order[FINALISTS:]
    middle = np.abs(np.log(guesses[others]) - np.median(np.log(guesses)))
    peers = others[np.argsort(middle, kind="stable")[:PEERS]]
    going = np.concatenate([finalists, peers])
    search.keep([*going.tolist(), len(guesses)])
    found = search.run(rest, LATER * effort.batch)
    after = found.sizes[:-1].double().numpy()
    shrunk = np.median(np.log(after[FINALISTS:]) - np.log(guesses[peers]))
    sizes = guesses * np.exp(shrunk)
    sizes[going] = after
    best = np.argsort(-anomaly_indices(sizes)[finalists], kind="stable")[:SUSPECTS]
    return _Ranked(sizes, finalists[best].tolist(), found.pick([*best.tolist(), len(after)]))


def mapping_of(
    module: torch.nn.Module,
    pool: Pool,
    trigger: Triggers,
    bounds: tuple[float, float],
    classes: int,
    *,
    shape: Shape = Shape.PATCH,
) -> NDArray[np.int64]:
    """Returns the way of sending each class to another of its own that fits best (classes,).

    Room for a class of its own per class is what tells an all-to-all backdoor from an ordinary
    universal trigger, which sends everything to one or two.
    """
    pool = Pool(*(rows[: MAPPED * classes] for rows in pool))
    with torch.no_grad():
        shown = stamped(pool.inputs, trigger.mask_logits, trigger.pattern_logits, bounds, shape)
        answers = module(shown).argmax(1)
    counts = torch.zeros(classes, classes)
    counts.index_put_((pool.labels, answers), torch.tensor(1.0), accumulate=True)
    counts.fill_diagonal_(-float(len(answers)) * classes)
    _, goals = linear_sum_assignment(counts.numpy(), maximize=True)
    return np.asarray(goals, np.int64)


def _arrays(
    triggers: Triggers, item: tuple[int, ...], bounds: tuple[float, float], shape: Shape
) -> dict[str, NDArray[Any]]:
    masks, patterns = opened(
        triggers.mask_logits, triggers.pattern_logits, item[-2:], bounds, shape
    )
    return {"masks": masks.numpy(), "patterns": patterns.numpy()}


def _answers(
    module: torch.nn.Module,
    held: NDArray[np.float32],
    found: Mapping[str, NDArray[Any]],
    bounds: tuple[float, float],
    shape: Shape,
) -> NDArray[np.int64]:
    """Returns the classes (triggers, rows) given to ``held`` with each trigger on."""
    clean = torch.from_numpy(held)
    answers = []
    for mask, pattern in zip(found["masks"], found["patterns"], strict=True):
        one = (torch.from_numpy(mask), torch.from_numpy(pattern))
        with torch.no_grad():
            answers.append(module(painted(clean, *one, bounds, shape)).argmax(1).numpy())
    return np.stack(answers).astype(np.int64)
