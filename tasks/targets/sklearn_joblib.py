"""Opens pickled scikit-learn models, which run what their author wrote: confined or not at all."""

import warnings
from pathlib import Path

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.score_target import ScoreTarget
from tasks.targets.sklearn_target import sklearn_target
from tasks.targets.torch_target import TorchTarget
from tasks.targets.unsafe_pickle import unsafe_pickle


def open_joblib(
    artifact: Path, _architecture: Path | None, model: ModelSpec
) -> TorchTarget | ScoreTarget:
    """Opens a pickle in a child of level L2 or above.

    Raises:
        TargetError: The child is not confined, or what came out is no such classifier.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of versions; answers are checked
            estimator = unsafe_pickle(path=str(artifact)).value
    except PermissionError as error:
        raise TargetError(
            f"a pickle runs code when it is opened, and this child is not confined enough "
            f"({error}). Hand in safetensors with a layer list, ONNX or skops"
        ) from error
    # A stranger's pickle raises what it likes; for the caller it is one answer.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TargetError(f"the pickle does not open: {type(error).__name__}: {reason}") from error
    return sklearn_target(estimator, model)
