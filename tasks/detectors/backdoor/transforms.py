"""Triggers that cover nothing: the whole picture is bent a little, or its tones are turned.

Like a patch, each is a strength and a pattern, so that one search finds all of them; the size is
the strength. Sources: Nguyen and Tran 2021 (WaNet), arXiv 2102.10369, for the bending; Liu et al.
2019 (ABS), doi 10.1145/3319535.3363216, for filters of tone.
"""

import torch
from torch.nn.functional import grid_sample, interpolate

KNOTS = 4
"""Points per side between which a bending is smooth, as WaNet's."""
MOST_BENT = 0.25
"""Mean displacement at full strength, as a part of the side."""


def bent(inputs: torch.Tensor, strength: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Returns pictures read at displaced places, with bilinear weights; their border goes on.

    Args:
        inputs: Pictures (…, channels, height, width).
        strength: 0..1 (…, 1, 1, 1).
        flow: How far at full strength (…, 2, height, width): across in parts of the width, then
            down in parts of the height. See :func:`flow_of`.
    """
    lead, (height, width) = inputs.shape[:-3], inputs.shape[-2:]
    down, across = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    places = torch.stack([across, down]) + 2 * strength * flow  # the whole side is 2 long here
    grid = places.movedim(-3, -1).expand(*lead, height, width, 2)
    read = grid_sample(
        inputs.flatten(0, -4), grid.flatten(0, -4), padding_mode="border", align_corners=True
    )
    return read.view_as(inputs)


def flow_of(field: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Returns the smooth flow (…, 2, height, width) through a field (…, 2, knots, knots).

    Its mean displacement is ``MOST_BENT``, whatever the field's is.
    """
    smooth = interpolate(field.flatten(0, -4), (height, width), mode="bicubic", align_corners=True)
    far = smooth.abs().mean((-3, -2, -1), keepdim=True).clamp(min=1e-6)
    return (MOST_BENT * smooth / far).view(*field.shape[:-2], height, width)


def toned(
    inputs: torch.Tensor,
    strength: torch.Tensor,
    curve: torch.Tensor,
    bounds: tuple[float, float],
) -> torch.Tensor:
    """Returns pictures mixed with what a filter makes of each pixel's colours.

    Args:
        inputs: Pictures (…, channels, height, width).
        strength: The filter's part of the mixture, 0..1 (…, 1, 1, 1).
        curve: Weights (…, channels, channels + 1, 1) of each new channel on the old ones, which
            run from -1 to 1, and last a constant; the sum goes through a sigmoid into the range.
        bounds: Raw range of the inputs.
    """
    low, high = bounds
    scaled = 2 * (inputs - low) / (high - low) - 1
    weights, constant = curve[..., :-1, 0], curve[..., -1, 0]
    mixed = torch.einsum("...oi,...ihw->...ohw", weights, scaled) + constant[..., None, None]
    return (1 - strength) * inputs + strength * (low + (high - low) * torch.sigmoid(mixed))
