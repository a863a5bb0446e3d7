"""Opens scikit-learn models from skops files, which name every type before making it."""

import warnings
from pathlib import Path
from typing import Any

from skops import io as skops

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.score_target import ScoreTarget
from tasks.targets.sklearn_target import sklearn_target
from tasks.targets.torch_target import TorchTarget

HOLDS_NUMBERS = frozenset(
    {
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""scikit-learn's own parts of plain estimators, missing from skops' list; none calls a stranger's
code. A forged tree can crash scikit-learn, which ends this child and nothing else."""


def open_skops(
    artifact: Path, _architecture: Path | None, model: ModelSpec
) -> TorchTarget | ScoreTarget:
    """Opens a classifier; items are flattened to rows, as scikit-learn wants them.

    Raises:
        TargetError: It holds types that are not on the safe list, or is no such classifier.
    """
    return sklearn_target(_loaded(artifact), model)


def _loaded(artifact: Path) -> Any:
    try:
        named = skops.get_untrusted_types(file=artifact)
        unknown = sorted(set(named) - HOLDS_NUMBERS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of versions; answers are checked
            estimator = None if unknown else skops.load(artifact, trusted=named)
    # A broken file makes skops raise whatever its parts raise; for the caller it is one answer.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TargetError(f"this is not a skops file that opens: {reason}") from error
    if unknown:
        raise TargetError(
            f"the file holds types that are not on the safe list: {', '.join(unknown)}. "
            "Hand in a plain scikit-learn estimator, or ONNX"
        )
    return estimator
