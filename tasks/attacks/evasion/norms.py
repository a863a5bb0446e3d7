"""Lengths of changes, and balls to bring changes back into, for whole batches.

Batches are (n, …); lengths and radii are (n,). ``l0`` counts values that changed. Source of the
L1 projection: Duchi et al. 2008, ICML, figure 1.
"""

from typing import Literal

import torch

Norm = Literal["linf", "l2", "l1", "l0"]
_DUAL: dict[Norm, Norm] = {"linf": "l1", "l2": "l2", "l1": "linf", "l0": "linf"}


def lengths(change: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Returns how long each change is (n,)."""
    flat = change.flatten(1)
    if norm == "l0":
        return (flat != 0).sum(dim=1).to(flat.dtype)
    order = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}[norm]
    size: torch.Tensor = torch.linalg.vector_norm(flat, order, dim=1)
    return size


def dual_lengths(slope: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Returns how much one unit of change in ``norm`` can move a linear function (n,)."""
    return lengths(slope, _DUAL[norm])


def projected(change: torch.Tensor, radius: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Returns the nearest change that is at most ``radius`` long; an infinite radius keeps it."""
    flat = change.flatten(1)
    limit = radius[:, None]
    if norm == "linf":
        moved = torch.minimum(torch.maximum(flat, -limit), limit)
    elif norm == "l2":
        size = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        moved = flat * (limit / size.clamp_min(1e-30)).clamp_max(1.0)
    elif norm == "l1":
        moved = _on_simplex(flat, limit)
    else:
        moved = _largest_kept(flat, limit)
    return moved.reshape(change.shape)


def _on_simplex(flat: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    size = flat.abs()
    inside = size.sum(dim=1, keepdim=True) <= limit
    ordered = size.sort(dim=1, descending=True).values
    place = torch.arange(1, flat.shape[1] + 1, device=flat.device)
    cut = (ordered.cumsum(dim=1) - limit.nan_to_num(posinf=0.0)) / place
    count = (ordered > cut).sum(dim=1, keepdim=True).clamp_min(1)
    threshold = cut.gather(1, count - 1).clamp_min(0)
    return torch.where(inside, flat, flat.sign() * (size - threshold).clamp_min(0))


def _largest_kept(flat: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    rank = flat.abs().argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return torch.where(rank < limit, flat, 0.0)
