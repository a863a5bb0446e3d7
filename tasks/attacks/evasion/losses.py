"""What an evasion attack makes larger.

Sources: Croce & Hein 2020, arXiv 2003.01690, equations 2, 4 and 7 (DLR and targeted DLR); Carlini &
Wagner 2017, arXiv 1608.04644 (margin); arXiv 2411.15210 (margin of probabilities). Scores may be
logits or log-probabilities: all losses here ignore a constant added to every score.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(scores (n, classes), true labels (n,), aimed-at classes (n,)) to losses (n,)."""

TINY = 1e-12


def cross_entropy(scores: torch.Tensor, labels: torch.Tensor, _aims: torch.Tensor) -> torch.Tensor:
    """Returns how unlikely the true class is."""
    return functional.cross_entropy(scores, labels, reduction="none")


def margin(scores: torch.Tensor, labels: torch.Tensor, _aims: torch.Tensor) -> torch.Tensor:
    """Returns the best wrong score minus the true one: above zero, the class has changed."""
    own = scores.gather(1, labels[:, None]).squeeze(1)
    others = scores.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - own


def dlr(scores: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
    """Returns the margin divided by a difference of top scores: no scale can flatten it.

    Below three classes the quotient does not exist; the plain margin takes its place.
    """
    lead = margin(scores, labels, aims)
    if scores.shape[1] < 3:
        return lead
    top = scores.topk(3, dim=1).values
    return lead / (top[:, 0] - top[:, 2] + TINY)


def targeted_margin(scores: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
    """Returns the aimed-at score minus the true one."""
    rows = torch.arange(len(scores), device=scores.device)
    return scores[rows, aims] - scores[rows, labels]


def targeted_dlr(scores: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
    """Returns the targeted margin divided by a difference of top scores.

    Below four classes the quotient does not exist; the plain margin takes its place.
    """
    lead = targeted_margin(scores, labels, aims)
    if scores.shape[1] < 4:
        return lead
    top = scores.topk(4, dim=1).values
    return lead / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + TINY)


def probability_margin(
    scores: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor
) -> torch.Tensor:
    """Returns the best wrong probability minus the true one."""
    return margin(scores.softmax(dim=1), labels, aims)


LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "dlr": dlr,
    "margin": margin,
    "pma": probability_margin,
    "dlr_targeted": targeted_dlr,
    "margin_targeted": targeted_margin,
}
TARGETED = frozenset({"dlr_targeted", "margin_targeted"})
