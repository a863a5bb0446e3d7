"""Trains a copy of a network with the Adversarial Robustness Toolbox's TRADES.

Source: Zhang et al. 2019, arXiv 1901.08573, equation 5, as ``AdversarialTrainerTRADESPyTorch``.
"""

import contextlib
import importlib
import io
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.attacks.defences.adversarial_training import Recipe, trainable_copy
from tasks.targets.protocol import Images, Labels, Target

BETA = 6.0
"""Weight of the term that keeps moved inputs where clean ones are; the paper's 1/lambda."""


def art_trades(target: Target, inputs: Images, labels: Labels, recipe: Recipe) -> nn.Module:
    """Returns a copy of the target's network, trained on from its own weights.

    Arguments, results and errors are those of
    :func:`tasks.attacks.defences.adversarial_training.hardened`.
    """
    estimators: Any = importlib.import_module("art.estimators.classification")
    trainers: Any = importlib.import_module("art.defences.trainer")
    attacks: Any = importlib.import_module("art.attacks.evasion")
    model = trainable_copy(target)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    classifier = estimators.PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(weights, recipe.learning_rate),
        input_shape=target.input_shape,
        nb_classes=target.classes,
        clip_values=target.bounds,
        device_type="cpu",
    )
    attack = attacks.ProjectedGradientDescent(
        classifier,
        eps=recipe.epsilon,
        eps_step=2 * recipe.epsilon / recipe.attack_steps,
        max_iter=recipe.attack_steps,
        num_random_init=1,
        batch_size=recipe.batch,
        verbose=False,
    )
    state = np.random.get_state()  # noqa: NPY002 - the toolbox draws from it
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stderr(io.StringIO()):
        torch.manual_seed(recipe.seed)
        np.random.seed(recipe.seed)  # noqa: NPY002
        trainer = trainers.AdversarialTrainerTRADESPyTorch(classifier, attack, beta=BETA)
        trainer.fit(inputs.copy(), labels.copy(), batch_size=recipe.batch, nb_epochs=recipe.epochs)
    np.random.set_state(state)  # noqa: NPY002
    return model.eval().requires_grad_(requires_grad=False)
