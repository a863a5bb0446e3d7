"""For networks that were exported for one batch size."""

import torch


class InBatches(torch.nn.Module):
    """Runs a network that only takes one batch size, padding the last batch."""

    def __init__(self, network: torch.nn.Module, batch: int) -> None:
        super().__init__()
        self.network, self.batch = network, batch

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the answers to all inputs."""
        answers = []
        for part in inputs.split(self.batch):
            missing = self.batch - len(part)
            padded = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])])
            answers.append(self.network(padded)[: len(part)])
        return torch.cat(answers)
