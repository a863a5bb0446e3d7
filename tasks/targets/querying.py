"""Plain questions to an opened target. Runs only in the sandbox child."""

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Target


def scores(target: Target, *, inputs: Images) -> Reply:
    """Returns what the target answers.

    Args:
        target: The opened model.
        inputs: Raw inputs (n, …), n at least 1. Cost: n queries.

    Returns:
        ``arrays["scores"]`` (n, classes) float32; ``values["passes"]`` and ``values["queries"]``.
    """
    before = target.meter.passes
    answered = target.scores(inputs)
    return Reply(
        {"scores": answered},
        {"passes": target.meter.passes - before, "queries": len(inputs)},
    )
