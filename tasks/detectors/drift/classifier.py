"""Can anything tell the rows of two tables apart? Runs in the sandbox child.

A classifier two-sample test: boosted trees learn which table a row is from, on one half of the
rows, and score the other half. Where both tables come from one distribution, no classifier ranks
better than a coin; a change of dependence that leaves every column as it was can be found too.

Source: Lopez-Paz and Oquab 2017, arXiv 1610.06545; the area under the curve as statistic: Kim et
al. 2021, Annals of Statistics 49, 411-434.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Reply

FOLDS = 2
TREES = 60


def classifier(*, reference: NDArray[np.float32], current: NDArray[np.float32], seed: int) -> Reply:
    """Scores every row by a model that has not seen it.

    Args:
        reference: Rows of one table (m, columns), NaN where missing.
        current: Rows of the other (n, columns).
        seed: Seeds folds and trees.

    Returns:
        Arrays ``reference`` (m,) and ``current`` (n,): higher looks more like the current table.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - a second

    rows = np.concatenate([reference, current])
    side = np.repeat([0, 1], [len(reference), len(current)])
    rng = np.random.default_rng(seed)
    # Each fold holds both tables in the same shares.
    fold = np.concatenate(
        [rng.permutation(np.arange(n) % FOLDS) for n in (len(reference), len(current))]
    )
    scores = np.zeros(len(rows))
    # A constant column would be refused by nothing and help nobody.
    varied = np.array([len(np.unique(c[np.isfinite(c)])) > 1 for c in rows.T], dtype=bool)
    rows = rows[:, varied] if varied.any() else rows[:, :1]
    for held in range(FOLDS):
        learner = HistGradientBoostingClassifier(
            max_iter=TREES, max_leaf_nodes=15, early_stopping=False, random_state=seed
        )
        learner.fit(rows[fold != held], side[fold != held])
        scores[fold == held] = learner.predict_proba(rows[fold == held])[:, 1]
    return Reply({"reference": scores[side == 0], "current": scores[side == 1]}, {})
