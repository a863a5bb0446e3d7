"""A target as a gradient attack sees it: scores, losses and slopes of a batch of tensors."""

from typing import NamedTuple

import torch

from tasks.attacks.evasion.losses import Loss, margin
from tasks.domain.errors import TargetError
from tasks.targets.protocol import Target
from tasks.targets.torch_target import TorchTarget


class Sight(NamedTuple):
    """What one look at a batch of positions showed, one row per position."""

    losses: torch.Tensor
    margins: torch.Tensor
    """Best wrong score minus the true one: above zero the position is a witness."""
    gradients: torch.Tensor


class Victim:
    """Asks the target's module for values and slopes.

    Args:
        target: Must reveal gradients.
        draws: Answers to average per look, for models that answer at random (expectation over
            transformation: Athalye et al. 2018, arXiv 1707.07397). Costs that many passes.
        fast: Looks in bfloat16. Whatever then seems broken is asked again in float32, so that
            lower precision can miss a witness and never invent one. A target on a GPU may ask for
            it by itself.

    Raises:
        TargetError: The target reveals no gradients.
    """

    def __init__(self, target: Target, *, draws: int = 1, fast: bool = False) -> None:
        if target.module is None:
            raise TargetError("this attack needs gradients, the target reveals only scores")
        self.module = target.module
        self.draws = draws
        self.fast = fast or (isinstance(target, TorchTarget) and target.fast)
        self.device = device_of(target.module)

    def look(
        self, now: torch.Tensor, labels: torch.Tensor, aims: torch.Tensor, loss: Loss
    ) -> Sight:
        """Returns losses, margins and gradients at ``now`` (m, …)."""
        with torch.enable_grad():
            leaf = now.detach().requires_grad_()
            scores = self._scores(leaf)
            losses = self._averaged(
                loss(scores, self._repeated(labels), self._repeated(aims)), len(now)
            )
            (gradients,) = torch.autograd.grad(losses.sum(), leaf)
        margins = self._averaged(
            margin(scores.detach(), self._repeated(labels), self._repeated(aims)), len(now)
        )
        if self.fast:
            margins = self._confirmed(now, labels, margins)
        return Sight(losses.detach(), margins, gradients)

    def margins(self, now: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the margins at ``now`` in float32, without slopes."""
        with torch.no_grad():
            scores = self.module(self._repeated(now))
            return self._averaged(margin(scores, self._repeated(labels), labels), len(now))

    def _scores(self, leaf: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.fast):
            scores: torch.Tensor = self.module(self._repeated(leaf))
        return scores.float()

    def _confirmed(
        self, now: torch.Tensor, labels: torch.Tensor, margins: torch.Tensor
    ) -> torch.Tensor:
        claimed = (margins > 0).nonzero().squeeze(1)
        if not len(claimed):
            return margins
        return margins.index_copy(0, claimed, self.margins(now[claimed], labels[claimed]))

    def _repeated(self, rows: torch.Tensor) -> torch.Tensor:
        return rows if self.draws == 1 else rows.repeat_interleave(self.draws, dim=0)

    def _averaged(self, values: torch.Tensor, count: int) -> torch.Tensor:
        return values if self.draws == 1 else values.reshape(count, self.draws).mean(dim=1)


def device_of(module: torch.nn.Module) -> torch.device:
    """Returns where a module computes: where its first parameter or buffer lies."""
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")
