"""Attacks of the Adversarial Robustness Toolbox.

Its decision-based attacks hand float64 to the model, which the toolbox passes on and PyTorch
refuses; here everything is float32 before it reaches the model.
"""

import importlib
from typing import Any

import numpy as np

from tasks.attacks.providers.order import Order, Refused, one_of, seeded
from tasks.targets.protocol import Images

INSTALL = "pip install 'adversarial-robustness-toolbox>=1.20,<2'"


def attacked(order: Order) -> Images:
    """Runs the attack class ``order.name`` of ``art.attacks.evasion``.

    Raises:
        Refused: There is no such attack, or it does not take these settings or this target.
    """
    evasion: Any = importlib.import_module("art.attacks.evasion")
    base: Any = importlib.import_module("art.attacks").EvasionAttack
    known = {
        name
        for name, found in vars(evasion).items()
        if isinstance(found, type) and issubclass(found, base)
    }
    attack_class = getattr(evasion, one_of(known, order.name, "ART"))
    settings = order.filled(
        set(attack_class.attack_params),
        {
            "eps": order.epsilon,
            "eps_step": order.epsilon / 4,
            "verbose": False,
            "batch_size": 64,
            "summary_writer": False,
        },
    )
    seeded(order.seed)
    attack = attack_class(_classifier(order), **settings)
    truth = np.eye(order.target.classes, dtype=np.float32)[order.labels]
    moved: Images = attack.generate(order.inputs.copy(), truth).astype(np.float32)
    return moved


def _classifier(order: Order) -> Any:
    if order.target.module is None:
        return _black_box(order)
    import torch  # noqa: PLC0415 - beside the import below
    from art.estimators.classification import PyTorchClassifier  # noqa: PLC0415 - slow

    class Single(PyTorchClassifier):  # type: ignore[misc]  # the toolbox ships no types
        """Casts what the toolbox computes in float64."""

        def predict(self, x: Any, *rest: Any, **more: Any) -> Any:
            return super().predict(_single(x), *rest, **more)

        def loss_gradient(self, x: Any, *rest: Any, **more: Any) -> Any:
            return super().loss_gradient(_single(x), *rest, **more)

    return Single(
        order.module,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=order.target.input_shape,
        nb_classes=order.target.classes,
        clip_values=order.target.bounds,
        device_type="cpu",
    )


def _single(values: Any) -> Any:
    return values.astype(np.float32) if isinstance(values, np.ndarray) else values.float()


def _black_box(order: Order) -> Any:
    from art.estimators.classification import BlackBoxClassifier  # noqa: PLC0415 - slow

    if order.name in {"ProjectedGradientDescent", "AutoProjectedGradientDescent"}:
        raise Refused(f"{order.name} needs gradients, the model reveals only {order.target.access}")
    return BlackBoxClassifier(
        lambda inputs: order.target.scores(np.asarray(inputs, np.float32)),
        order.target.input_shape,
        order.target.classes,
        clip_values=order.target.bounds,
    )
