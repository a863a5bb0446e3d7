"""A patch at a fixed place of a picture, and a new label.

Source: Gu, Dolan-Gavitt and Garg 2017, BadNets, arXiv 1708.06733, section 4.
"""

from typing import Literal

import numpy as np

from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned, relabelled, span

Pattern = Literal["square", "checkerboard", "noise", "pixel"]


def badnets(
    inputs: Floats,
    labels: Labels,
    *,
    target: int,
    rate: float,
    seed: int,
    side: int = 3,
    pattern: Pattern = "square",
    corner: tuple[int, int] | None = None,
) -> Poisoned:
    """Poisons pictures with a patch.

    Args:
        inputs: Pictures (n, channels, height, width), raw.
        labels: Classes (n,).
        target: The class that the trigger stands for.
        rate: Share of all rows, 0.001 to 0.5.
        seed: Draws rows, place and noise.
        side: Side of the patch in pixels; ``pixel`` always has 1.
        pattern: A bright square, a checkerboard, fixed noise, or one bright pixel.
        corner: Top and left of the patch; drawn when left out.
    """
    height, width = inputs.shape[-2:]
    side = 1 if pattern == "pixel" else side
    rng = np.random.default_rng(seed)
    top, left = corner or (
        int(rng.integers(0, height - side + 1)),
        int(rng.integers(0, width - side + 1)),
    )
    low, high = span(inputs)
    patch = _patch(pattern, (inputs.shape[1], side, side), rng) * (high - low) + low

    def stamp(clean: Floats) -> Floats:
        moved = clean.copy()
        moved[:, :, top : top + side, left : left + side] = patch
        return moved

    return relabelled(inputs, labels, stamp=stamp, target=target, rate=rate, seed=seed)


def _patch(pattern: Pattern, shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    if pattern == "noise":
        return rng.random(shape, np.float32)
    if pattern == "checkerboard":
        board = np.indices(shape[1:]).sum(0) % 2
        return np.broadcast_to(board == 0, shape).astype(np.float32)
    return np.ones(shape, np.float32)
