"""What tells poisoned models from honest ones, and what the trusted side does not believe."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import yaml
from torch import nn

from tasks.catalog.reading import Catalog
from tasks.checks.backdoor.meta_classifier import CHECK, measure
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.backdoor import meta_classifier
from tasks.domain.digest import Digest
from tasks.domain.errors import ChildProtocolError
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.spec import Parameter
from tasks.judging.gates import judge
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.targets.models import LAYERS, digits, trained

QUICK: dict[str, Parameter] = {"shadow_models": 48, "steps": 150, "epochs": 10}


def bench(workspace: Path, model: nn.Sequential, **more: object) -> Lab:
    evaluation = digits().test
    return lab(
        CHECK,
        workspace,
        evaluation=(evaluation.inputs, evaluation.labels),
        files={
            "model.safetensors": safetensors.torch.save(model.state_dict()),
            "layers.yaml": yaml.safe_dump({"layers": LAYERS}).encode(),
        },
        architecture="layers.yaml",
        classes=10,
        **more,  # type: ignore[arg-type]  # as lab takes them
    )


def measured(workspace: Path, model: nn.Sequential, **parameters: Parameter) -> Measurement:
    with bench(workspace, model, parameters=QUICK | parameters) as opened:
        return measure(opened)
