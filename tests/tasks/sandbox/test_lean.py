"""A lean torch computes what the whole one does, and becomes whole for whoever asks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tasks.sandbox.lean import import_lean

TRAIN = """
torch.manual_seed(5)
layer = torch.nn.Linear(3, 2)
optimiser = torch.optim.Adam(layer.parameters(), 0.1)
plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=6)
drawn = torch.rand(4, 3, generator=torch.Generator().manual_seed(9))
for _ in range(5):
    optimiser.zero_grad()
    layer(drawn).square().sum().backward()
    optimiser.step()
    plan.step()
answer = layer(drawn).tolist()
"""
EXPORT = """
import io
class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = torch.nn.Conv2d(1, 2, 3)
    def forward(self, inputs):
        return self.kernel(inputs).flatten(1)
program = torch.export.export(Tiny().eval(), (torch.ones(2, 1, 4, 4),))
torch.export.save(program, written := io.BytesIO())
written.seek(0)
answer = list(torch.export.load(written).module()(torch.ones(2, 1, 4, 4)).shape)
"""
APART = """
import importlib, os
answer = {}
for name in ("_dynamo.config", "_decomp", "_refs", "_prims.rng_prims", "utils._content_store"):
    child = os.fork()  # each must be the first to ask
    if not child:
        importlib.import_module(f"torch.{name}")
        rules = importlib.import_module("torch._meta_registrations")
        torch.rand(2, generator=torch.Generator().manual_seed(1))
        os._exit(0 if hasattr(rules, "meta_conv") else 3)
    answer[name] = os.waitpid(child, 0)[1]
"""


def lean(code: str) -> Any:
    """What ``code`` calls its answer, and which modules it then has."""
    before = "from tasks.sandbox.lean import import_lean\nimport_lean(gpu=False)\nimport torch\n"
    after = "\nimport json, sys\nprint(json.dumps([answer, sorted(sys.modules)]))"
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", before + code + after],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(import_lean.__code__.co_filename).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_trains_and_draws_the_same_without_the_compiler() -> None:
    answer, modules = lean(TRAIN)
    here: dict[str, Any] = {"torch": torch}
    exec(TRAIN, here)  # noqa: S102  - the text above
    assert answer == here["answer"]
    left_out = {"torch._meta_registrations", "torch._decomp", "torch._dynamo.eval_frame", "sympy"}
    assert not left_out & set(modules)


def test_reads_an_exported_program() -> None:
    answer, modules = lean(EXPORT)
    assert answer == [2, 8]
    assert "torch._meta_registrations" in modules


def test_is_whole_for_whoever_asks_first() -> None:
    answer, _ = lean(APART)
    assert set(answer.values()) == {0}, answer
