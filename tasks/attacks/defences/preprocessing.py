"""Filters of the Adversarial Robustness Toolbox in front of a model, with an honest way back.

A filter has no useful slope, which stops gradient attacks and nobody else. The backward pass takes
it for the identity (BPDA; Athalye et al. 2018, arXiv 1802.00420, section 4.1), so that an attack
that knows of the defence is not fooled by it.
"""

import importlib
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.attacks.corruptions.picture import Layout
from tasks.domain.errors import TargetError
from tasks.targets.protocol import Target

FILTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg_compression": ("JpegCompression", {"quality": 50, "channels_first": True}),
    "spatial_smoothing": ("SpatialSmoothing", {"window_size": 3, "channels_first": True}),
    "feature_squeezing": ("FeatureSqueezing", {"bit_depth": 3}),
}


class Filtered(nn.Module):
    """A filter, then the model; the slope of the model alone.

    Args:
        target: Victim that reveals gradients.
        name: A key of ``FILTERS``.

    Raises:
        TargetError: The target reveals no gradients.
        ValueError: Its items are no pictures.
    """

    def __init__(self, target: Target, name: str) -> None:
        super().__init__()
        if target.module is None:
            raise TargetError("this needs gradients, the target reveals only scores")
        self.inner, self.layout = target.module, Layout(target.input_shape, target.bounds)
        found: Any = importlib.import_module("art.defences.preprocessor")
        kind, settings = FILTERS[name]
        self.filter = getattr(found, kind)(clip_values=(0.0, 1.0), **settings)
        self.training = False

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Answers scores to filtered inputs."""
        seen = torch.from_numpy(self.seen(raw.detach().cpu().numpy())).to(raw.device)
        scores: torch.Tensor = self.inner(raw + (seen - raw.detach()))
        return scores

    def seen(self, raw: Any) -> Any:
        """Returns raw items as the model sees them (n, …) float32."""
        if not len(raw):
            return raw
        pictures = np.stack([self.layout.picture(item) for item in raw]).astype(np.float32)
        filtered, _ = self.filter(pictures)
        return np.stack([self.layout.item(picture) for picture in filtered])
