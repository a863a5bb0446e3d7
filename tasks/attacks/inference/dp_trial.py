"""Tries a claimed epsilon on a loop that runs as declared, and on one that is known to leak.

Runs only in the sandbox child: what is declared decides how long it takes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.dp_court import PILOT, try_claim
from tasks.attacks.inference.dp_loop import Settings, run_loop
from tasks.sandbox.protocol import Reply
from tasks.statistics.intervals import Floats

MOST_WORK = 12_000_000
"""Runs, with those of the pilot, times steps of one trial: about 25 CPU seconds."""
FEWEST_RUNS = 500
HIGHEST = 50.0
"""Nobody can refute more than this; exponentials of it still are numbers."""


def dp_trial(
    *_target: Any,
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    epsilon: float,
    delta: float,
    alpha: float,
    runs: int,
    seed: int,
    mistake: str = "",
) -> Reply:
    """Returns how (``epsilon``, ``delta``) fared on at most ``runs`` runs of the declared loop.

    Returns:
        ``values``: refuted, runs, bound and ceiling, see :class:`dp_court.Trial`; or ``skipped``
        with the reason, when the declared loop is too long to be repeated.
    """
    affordable = min(runs, MOST_WORK // steps - PILOT)
    if affordable < FEWEST_RUNS:
        return Reply(
            {}, {"skipped": f"{steps} steps are too many to be repeated {FEWEST_RUNS} times"}
        )
    settings = Settings(noise_multiplier, sample_rate, steps)

    def trainer(inside: NDArray[np.bool_], run_seed: int) -> Floats:
        return run_loop(settings, inside, seed=run_seed, mistake=mistake)

    trial = try_claim(
        trainer, epsilon=min(epsilon, HIGHEST), delta=delta, alpha=alpha, runs=affordable, seed=seed
    )
    return Reply({}, trial._asdict())
