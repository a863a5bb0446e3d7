"""A bench with a reader of digits on it, for checks that search it for triggers."""

from pathlib import Path

import safetensors.torch
import yaml
from torch import nn

from tasks.checks.lab import Lab
from tasks.domain.spec import Parameter
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.targets.models import LAYERS, digits


def bench(
    check: str,
    workspace: Path,
    model: nn.Module,
    *,
    store: MemoryStore | None = None,
    seed: int = 7,
    parameters: dict[str, Parameter] | None = None,
) -> Lab:
    """Opens ``model``, of the layers of ``network()``, beside the digits' test rows."""
    evaluation = digits().test
    return lab(
        check,
        workspace,
        evaluation=(evaluation.inputs, evaluation.labels),
        files={
            "model.safetensors": safetensors.torch.save(model.state_dict()),
            "layers.yaml": yaml.safe_dump({"layers": LAYERS}).encode(),
        },
        architecture="layers.yaml",
        classes=10,
        seed=seed,
        store=store,
        parameters=parameters or {},
    )
