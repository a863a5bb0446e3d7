"""Tells models with backdoors from honest ones by their answers to a few tuned queries.

Shadows with known answers are trained beside the target. For each fold of them, queries and a small
meta classifier are tuned together on the other folds, so that every shadow is scored by one that
never saw it. The target is asked the queries by the trusted side. Runs in the child.

Source: Xu et al. 2021, Detecting AI Trojans Using Meta Neural Analysis, IEEE S&P, arXiv 1910.03137.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.controls import plain_network
from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.meta_scores import OBEYS, Meta
from tasks.detectors.backdoor.query_tuning import Tuned, answers_to, tuned
from tasks.detectors.backdoor.shadow_zoo import (
    BATCH,
    LONGER,
    STYLES,
    Job,
    Shadows,
    shadow_zoo,
    stackable,
    trained_group,
)
from tasks.detectors.backdoor.twin_inversion import products_of
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

FOLDS = 6
LEAST_PER_FOLD = 2
"""Shadows of each kind; with fewer no score can be put in units of their spread."""
QUERY_PART = 0.15
"""Of the rows: what queries start from."""
CONTROLS = 4
"""Honest models trained for longer and on more than any shadow: how far vendors' may lie off."""
MOST_PRODUCTS = 1e12
"""Multiplications that the shadows may cost: some minutes of one core."""


def meta_classifier(
    target: Target,
    *,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    shadow_models: int,
    steps: int,
    queries: int,
    epochs: int,
    seed: int,
) -> Reply:
    """Trains shadows, and a meta classifier for each fold of them. Asks the target nothing.

    Args:
        target: The opened model. Where it reveals no gradients, or what it computes cannot be
            trained side by side, its shadows are plain networks.
        inputs: What shadows learn from and queries start from (n, *item), raw; at least two.
        labels: Their classes (n,).
        shadow_models: Shadows; rounded up to a multiple of twice the styles of training.
        steps: Descents per shadow; about 4 * shadow_models * steps * ``BATCH`` passes of shadows.
        queries: Inputs that each meta classifier asks.
        epochs: Times that each meta classifier sees its shadows.
        seed: Draws everything.

    Returns:
        Of each fold ``queries`` (folds, queries, *item), raw, and the fields of ``Meta`` (folds,
        …). Of each shadow (shadows,): ``planted``, ``learnt``, ``obeyed``, ``style`` and ``fold``,
        the one whose meta classifier never saw it; ``answers`` (shadows, queries, classes), its
        logits to that fold's queries. ``longer`` (folds, controls, queries, classes), the logits of
        honest models that trained for longer. Values: ``own``, whether shadows have the target's
        architecture; ``longer_learnt``, the least accuracy of those controls; passes and queries of
        the target, none. Of a model that costs too much only ``products`` and the ``most`` allowed;
        where too few shadows answer numbers only how many are ``honest`` and ``poisoned``, and the
        ``least`` of each.
    """
    torch.set_num_threads(1)
    pool = Pool(torch.from_numpy(inputs), torch.from_numpy(labels))
    own = None if target.module is None else stackable(target.module, pool)
    network = plain_network(target.input_shape, target.classes) if own is None else own
    products = passes_of(shadow_models, steps) * products_of(network, pool.inputs[:1])
    if products > MOST_PRODUCTS:
        return Reply({}, {"products": products, "most": MOST_PRODUCTS})
    # Queries start from rows that no shadow learnt from, as the target learnt from none of them.
    cut = max(1, round(QUERY_PART * len(labels)))
    starts, pool = Pool(*(part[:cut] for part in pool)), Pool(*(part[cut:] for part in pool))
    shadows = shadow_zoo(
        network, pool, target.bounds, target.classes, count=shadow_models, steps=steps, seed=seed
    )
    sound = {"honest": int((~shadows.planted).sum()), "poisoned": int(shadows.planted.sum())}
    least = LEAST_PER_FOLD * FOLDS
    if min(sound.values()) < least:
        return Reply({}, sound | {"least": least})
    folds = folds_of(shadows.planted)
    teach = taught_well(shadows)
    fits = [
        tuned(
            shadows, np.flatnonzero((folds != fold) & teach), starts, target.bounds,
            queries=queries, epochs=epochs, seed=seed + fold,
        )
        for fold in range(FOLDS)
    ]  # fmt: skip
    honest = np.zeros(CONTROLS, np.bool_)
    job = Job(pool, target.bounds, target.classes, honest, steps, seed + len(STYLES))
    longer = trained_group(shadows.network, LONGER, job)
    if not len(longer.planted):
        return Reply({}, sound | {"least": least})
    return Reply(
        _known(shadows) | _metas(fits) | {"fold": folds} | _answers(shadows, folds, longer, fits),
        {
            "own": own is not None,
            "longer_learnt": float(longer.learnt.min()),
            "passes": 0,
            "queries": 0,
        },
    )


def _known(shadows: Shadows) -> dict[str, NDArray[Any]]:
    return {name: getattr(shadows, name) for name in ("planted", "learnt", "obeyed", "style")}


def _metas(fits: list[Tuned]) -> dict[str, NDArray[Any]]:
    metas = {name: np.stack([getattr(fit.meta, name) for fit in fits]) for name in Meta._fields}
    return metas | {"queries": np.stack([fit.queries.numpy() for fit in fits])}


def _answers(
    shadows: Shadows, folds: NDArray[np.int64], longer: Shadows, fits: list[Tuned]
) -> dict[str, NDArray[Any]]:
    everyone = np.arange(len(longer.planted))
    with torch.no_grad():
        unseen = [
            answers_to(shadows, np.flatnonzero(folds == fold), fit.queries).numpy()
            for fold, fit in enumerate(fits)
        ]
        controls = [answers_to(longer, everyone, fit.queries).numpy() for fit in fits]
    answers = np.empty((len(folds), *unseen[0].shape[1:]), np.float32)
    for fold, told in enumerate(unseen):
        answers[folds == fold] = told
    return {"answers": answers, "longer": np.stack(controls)}


def passes_of(shadow_models: int, steps: int) -> int:
    """Returns about how many forward passes all models cost; a backward counts as two.

    Tuning the queries costs a tenth of that and is left out.
    """
    each = sum(style.length * (6 if style.moved else 3) for style in STYLES) / len(STYLES)
    return round(steps * BATCH * (shadow_models * each + 3 * CONTROLS * LONGER.length))


def folds_of(planted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the fold of each shadow (shadows,): honest and poisoned spread evenly."""
    folds = np.empty(len(planted), np.int64)
    for kind in (False, True):
        rows = np.flatnonzero(planted == kind)
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def taught_well(shadows: Shadows) -> NDArray[np.bool_]:
    """Returns which shadows teach (shadows,): honest ones, and those that obey their trigger.

    Where none obeys all teach: the meta classifier then has no power, and its controls say so.
    """
    obeys = shadows.obeyed >= OBEYS
    return ~shadows.planted | obeys if obeys.sum() >= FOLDS else np.ones(len(obeys), np.bool_)
