"""All kinds by name, applied to raw items one by one: a result depends on nothing else."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.corruptions import blur, digital, noise, weather
from tasks.attacks.corruptions.picture import Layout, Picture
from tasks.attacks.evasion.keyed import generator_for

Corruption = Callable[[Picture, int, np.random.Generator], Picture]
KINDS: dict[str, Corruption] = {
    kind.__name__: kind
    for kind in (
        noise.gaussian_noise, noise.shot_noise, noise.impulse_noise,
        blur.defocus_blur, blur.glass_blur, blur.motion_blur, blur.zoom_blur,
        weather.snow, weather.frost, weather.fog, weather.brightness,
        digital.contrast, digital.elastic_transform, digital.pixelate, digital.jpeg_compression,
    )
}  # fmt: skip
SEVERITIES = (1, 2, 3, 4, 5)


def corrupted(
    inputs: NDArray[np.float32], layout: Layout, *, kind: str, severity: int, seed: int
) -> NDArray[np.float32]:
    """Damages raw items (n, …); each draws from its own generator.

    Args:
        inputs: Raw items of the layout's shape.
        layout: How items become pictures.
        kind: A name of ``KINDS``.
        severity: 1 to 5.
        seed: Equal seeds give equal outputs, whatever else is in the batch.
    """
    function, purpose = KINDS[kind], f"{kind}/{severity}"
    damaged = [
        layout.item(
            function(
                layout.picture(item), severity, generator_for(item, seed=seed, purpose=purpose)
            )
        )
        for item in inputs
    ]
    return np.stack(damaged) if damaged else inputs.copy()
