"""Further reasons not to trust survivors: searches that need no gradients of the target at all.

Sources: Athalye et al. 2018, arXiv 1802.00420, section 3.1; Carlini et al. 2019, arXiv 1902.06705,
section 4.3. With those in ``doubts`` these are all signs of the methods notes, section 1.6: (a)
``doubts.by_scores`` and :func:`by_labels`, (b) to (d) and (g) in ``doubts``, (e) :func:`by_noise`,
(f) :func:`by_transfer`. Each breaks points that a strong search left standing; a model whose
gradients tell the truth leaves them nothing.
"""

import numpy as np

from tasks.checks.evasion.cascade import Cascade
from tasks.checks.evasion.doubts import first

LABELS_ONLY, LABEL_QUERIES = 10, 500
"""Survivors that a search by labels alone is tried on, and how often it may ask for each."""
DRAWS = 50
COPIED_FROM = 1000
"""Most inputs that the undefended copy learns from."""


def further(cascade: Cascade) -> list[str]:
    """Runs every search of this file on what still stands."""
    return [*by_noise(cascade), *by_transfer(cascade), *by_labels(cascade)]


def by_noise(cascade: Cascade) -> list[str]:
    """Doubts gradients that chance outdoes (sign e)."""
    norm = _norm(cascade)
    fell = cascade.attack("noise", "attacks.evasion.noise", draws=DRAWS, norm=norm).fell
    return [f"random changes broke {fell} points that gradients did not: masking"] if fell else []


def by_labels(cascade: Cascade) -> list[str]:
    """Doubts gradients that a search by labels alone outdoes (sign a)."""
    few = first(cascade.standing, LABELS_ONLY)
    if _norm(cascade) == "linf":
        stage = cascade.attack("rays", "attacks.evasion.rays", among=few, queries=LABEL_QUERIES)
    else:
        stage = cascade.attack(
            "hop_skip_jump", "attacks.evasion.hop_skip_jump", among=few, queries=LABEL_QUERIES
        )
    if not stage.fell:
        return []
    return [f"a search by labels alone broke {stage.fell} points that gradients did not: masking"]


def by_transfer(cascade: Cascade) -> list[str]:
    """Doubts gradients that those of an undefended copy outdo (sign f)."""
    rows = np.flatnonzero(cascade.standing)
    if not len(rows):
        return []
    reply = cascade.lab.run(
        "attacks.evasion.transfer",
        {
            "inputs": cascade.inputs[rows],
            "labels": cascade.labels[rows],
            "pool": cascade.inputs[:COPIED_FROM],
        },
        epsilon=cascade.budget.epsilon,
        norm=_norm(cascade),
        seed=cascade.lab.seed,
    )
    # The pool has other rows than the points, which ``attack`` cannot hand over.
    fell = cascade.confront("transfer", rows, reply.arrays["candidates"])
    if not fell:
        return []
    return [f"gradients of an undefended copy broke {fell} points that the model's own did not"]


def _norm(cascade: Cascade) -> str:
    return str(getattr(cascade.budget, "norm", "linf"))
