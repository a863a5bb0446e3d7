"""What an evasion attack makes larger.

Sources: Croce & Hein 2020, arXiv 2003.01690, equations 2 and 7 (DLR and targeted DLR). Scores may
be logits or log-probabilities: all losses here ignore a constant added to every score.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(scores (n, classes), true labels (n,), aimed-at classes (n,)) to losses (n,)."""


def cross_entropy(scores: torch.Tensor, labels: torch.Tensor, _aims: torch.Tensor) -> torch.Tensor:
    """Returns how unlikely the true class is."""
    return functional.cross_entropy(scores, labels, reduction="none")


def targeted_margin(scores: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
    """Returns the aimed-at score minus the true one."""
    rows = torch.arange(len(scores), device=scores.device)
    return scores[rows, aims] - scores[rows, labels]


def targeted_dlr(scores: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
    """Returns the margin divided by a difference of top scores: no scale can flatten it.

    Below four classes the quotient does not exist; the plain margin takes its place.
    """
    margin = targeted_margin(scores, labels, aims)
    if scores.shape[1] < 4:
        return margin
    top = scores.topk(4, dim=1).values
    return margin / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + 1e-12)


LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "dlr_targeted": targeted_dlr,
    "margin_targeted": targeted_margin,
}
