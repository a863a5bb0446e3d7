"""Asks the opened target for scores; runs in the child."""

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Target


def scores(target: Target, *, inputs: Images) -> Reply:
    """Returns array ``scores`` (n, classes) for raw ``inputs``, and what asking cost.

    Raises:
        TargetError: The inputs or the answers have the wrong shape, or the answers are NaN.
    """
    before = target.meter.forwards
    answers = target.scores(inputs)
    asked = target.meter.forwards - before
    return Reply({"scores": answers}, {"passes": asked, "queries": asked})
