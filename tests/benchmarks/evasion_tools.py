"""Ours and the peers, each as a function from work to the points that still stand.

Peers are asked with their own defaults for the same budget. What they call broken is measured again
here: the candidate is brought into the ball and the target is asked afresh.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.checks.evasion.cascade import Budget, Cascade, answers
from tasks.checks.evasion.schedule import Effort, by_gradients_and_scores
from tasks.sandbox.procedures import procedure
from tasks.sandbox.protocol import Reply
from tests.benchmarks.evasion_work import Work

Standing = NDArray[np.bool_]
FULL = Effort(steps=100, restarts=1, square_queries=5000)


class Bench:
    """Stands for a check's lab: procedures run here, on the work's target."""

    seed = 0

    def __init__(self, work: Work) -> None:
        self.work = work

    def run(self, name: str, arrays: Any = None, **values: Any) -> Reply:
        """Runs a procedure in this process."""
        reply: Reply = procedure(name)(self.work.target, **(arrays or {}), **values)
        return reply


def proofhouse(work: Work) -> Standing:
    """Runs the schedule of the check at full effort on all points."""
    lab: Any = Bench(work)
    low, high = work.target.bounds
    budget = Budget(work.epsilon, low, high, whole=False, norm=work.norm)
    cascade = Cascade(lab, work.examples, answers(lab, work.examples.inputs), budget)
    by_gradients_and_scores(cascade, FULL)
    standing: Standing = cascade.standing
    return standing


def torchattacks_autoattack(work: Work) -> Standing:
    """AutoAttack, standard version, as torchattacks has it."""
    package = importlib.import_module("torchattacks")
    attack = package.AutoAttack(
        work.target.module,
        norm=_norm(work),
        eps=work.epsilon,
        n_classes=work.target.classes,
        seed=0,
    )
    return _standing(work, lambda inputs, labels: attack(*_tensors(inputs, labels)))


def torchattacks_apgd(work: Work) -> Standing:
    """Auto-PGD with cross-entropy, 100 steps, as torchattacks has it."""
    package = importlib.import_module("torchattacks")
    attack = package.APGD(
        work.target.module, norm=_norm(work), eps=work.epsilon, steps=100, seed=0, verbose=False
    )
    return _standing(work, lambda inputs, labels: attack(*_tensors(inputs, labels)))


def foolbox_fmn(work: Work) -> Standing:
    """The fast minimum-norm attack in L2, 100 steps, as Foolbox has it."""
    package = importlib.import_module("foolbox")
    model = package.PyTorchModel(work.target.module, bounds=work.target.bounds)
    attack = package.attacks.L2FMNAttack(steps=100)
    return _standing(
        work, lambda inputs, labels: attack(model, *_tensors(inputs, labels), epsilons=None)[0]
    )


def foolbox_pgd(work: Work) -> Standing:
    """Projected gradient descent, 100 steps, as Foolbox has it."""
    package = importlib.import_module("foolbox")
    model = package.PyTorchModel(work.target.module, bounds=work.target.bounds)
    attack = package.attacks.LinfPGD(steps=100)

    def moved(inputs: Any, labels: Any) -> Any:
        return attack(model, *_tensors(inputs, labels), epsilons=work.epsilon)[1]

    return _standing(work, moved)


def art_autoattack(work: Work) -> Standing:
    """AutoAttack with the defaults of the Adversarial Robustness Toolbox."""
    attacks = importlib.import_module("art.attacks.evasion")
    return _by_art(
        work,
        lambda model: attacks.AutoAttack(
            model, eps=work.epsilon, eps_step=work.epsilon / 4, batch_size=100
        ),
    )


def art_apgd(work: Work) -> Standing:
    """Auto-PGD in L2, 100 steps, of the Adversarial Robustness Toolbox."""
    attacks = importlib.import_module("art.attacks.evasion")
    return _by_art(
        work,
        lambda model: attacks.AutoProjectedGradientDescent(
            model, norm=2, eps=work.epsilon, eps_step=work.epsilon / 4, max_iter=100,
            nb_random_init=1, batch_size=100, verbose=False,
        ),
    )  # fmt: skip


def art_pgd(work: Work) -> Standing:
    """Projected gradient descent, 100 steps, of the Adversarial Robustness Toolbox."""
    attacks = importlib.import_module("art.attacks.evasion")
    return _by_art(
        work,
        lambda model: attacks.ProjectedGradientDescentPyTorch(
            model,
            eps=work.epsilon,
            eps_step=work.epsilon / 10,
            max_iter=100,
            batch_size=100,
            verbose=False,
        ),
    )


Tool = Callable[[Work], Standing]
TOOLS: dict[str, tuple[str, Tool]] = {
    "Proofhouse": ("proofhouse", proofhouse),
    "torchattacks AutoAttack": ("torchattacks", torchattacks_autoattack),
    "torchattacks APGD-CE": ("torchattacks", torchattacks_apgd),
    "Foolbox PGD-100": ("foolbox", foolbox_pgd),
    "Foolbox FMN-100": ("foolbox", foolbox_fmn),
    "ART APGD-100": ("art", art_apgd),
    "ART PGD-100": ("art", art_pgd),
    "ART AutoAttack": ("art", art_autoattack),
}
DISTRIBUTIONS = {"art": "adversarial-robustness-toolbox"}
ALSO_NEEDED = {"ART AutoAttack": "multiprocess"}


def missing(tool: str) -> str:
    """Returns why a tool cannot run here, or nothing."""
    for package in (TOOLS[tool][0], ALSO_NEEDED.get(tool, "")):
        if package not in {"", "proofhouse"} and importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return ""


def _by_art(work: Work, attack: Callable[[Any], Any]) -> Standing:
    estimators = importlib.import_module("art.estimators.classification")
    model = estimators.PyTorchClassifier(
        work.target.module,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=work.target.input_shape,
        nb_classes=work.target.classes,
        clip_values=work.target.bounds,
        device_type="cpu",
    )
    one_hot = np.eye(work.target.classes, dtype=np.float32)
    return _standing(work, lambda inputs, labels: attack(model).generate(inputs, one_hot[labels]))


def _standing(work: Work, attack: Callable[[Any, Any], Any]) -> Standing:
    """Attacks the points that are read correctly and measures what the attack made of them."""
    inputs, labels = work.examples
    low, high = work.target.bounds
    standing: Standing = work.target.scores(inputs).argmax(axis=1) == labels
    clean = inputs[standing]
    moved = attack(clean, labels[standing])
    if isinstance(moved, torch.Tensor):
        moved = moved.detach().numpy()
    budget = Budget(work.epsilon, low, high, whole=False, norm=work.norm)
    held = budget.enforced(np.asarray(moved, np.float32), clean)
    standing[standing] = work.target.scores(held).argmax(axis=1) == labels[standing]
    return standing


def _norm(work: Work) -> str:
    return {"linf": "Linf", "l2": "L2"}[work.norm]


def _tensors(inputs: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(inputs), torch.from_numpy(labels)
