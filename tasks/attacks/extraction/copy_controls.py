"""Two victims with known answers to "can it be copied?": a linear rule yes, dice no."""

from collections.abc import Callable

import numpy as np

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.extraction.knockoff import queries
from tasks.attacks.extraction.students import Lesson, believed, studied
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Scores, Target


def copy_controls(
    target: Target, *, pool: Images, held_out: Images, budget: int, seed: int = 0
) -> Reply:
    """Copies a random linear rule and a victim that rolls dice, with the method under test.

    The opened target is left alone: this measures the method, not the model.

    Returns:
        Arrays ``linear``, ``linear_copy``, ``dice`` and ``dice_copy``, all classes of ``held_out``.
        The caller compares.
    """
    asked = queries(pool, budget, target.bounds, seed=seed)
    victims: dict[str, Callable[[Images], Scores]] = {
        "linear": _Linear(pool, target.classes, seed),
        "dice": _Dice(target.classes, seed),
    }
    lessons = [Lesson(np.arange(budget), believed(victim(asked))) for victim in victims.values()]
    copies = studied(asked, lessons, held_out, bounds=target.bounds, seed=seed)
    arrays = {}
    for (name, victim), copy in zip(victims.items(), copies, strict=True):
        arrays[name] = victim(held_out).argmax(axis=1).astype(np.int64)
        arrays[f"{name}_copy"] = copy
    return Reply(arrays, {"student_passes": sum(lesson.passes for lesson in lessons)})


class _Linear:
    """Random weights, centred on the pool so that every class is named."""

    def __init__(self, pool: Images, classes: int, seed: int) -> None:
        rows = pool.reshape(len(pool), -1)
        rng = np.random.default_rng([seed, 7])
        self.weights = rng.normal(size=(rows.shape[1], classes)).astype(np.float32)
        raw = rows @ self.weights
        self.offset, self.spread = raw.mean(axis=0), raw.std() + np.float32(1e-6)

    def __call__(self, inputs: Images) -> Scores:
        raw = inputs.reshape(len(inputs), -1) @ self.weights
        scores: Scores = (3 * (raw - self.offset) / self.spread).astype(np.float32)
        return scores


class _Dice:
    """Draws each answer from the bytes of the input: repeatable, and nothing to learn."""

    def __init__(self, classes: int, seed: int) -> None:
        self.classes, self.seed = classes, seed

    def __call__(self, inputs: Images) -> Scores:
        drawn = [
            generator_for(item, seed=self.seed, purpose="dice").normal(size=self.classes)
            for item in inputs
        ]
        return (3 * np.stack(drawn)).astype(np.float32)
