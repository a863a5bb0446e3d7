"""The response to a failed privacy gate: the same layers trained again under a privacy budget."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import canonical_json
from tasks.domain.recipe import PrivacyRecipe, TrainingRecipe
from tasks.statistics.intervals import binomial

STAND_IN = TrainingRecipe(optimizer="adam", learning_rate=2e-3, epochs=20, batch_size=64)
"""The recipe without noise when the bundle declares none."""
LARGEST_BATCH = 4096
PRIVATE = TrainingRecipe(
    optimizer="sgd", learning_rate=0.5, weight_decay=0.0, epochs=30, batch_size=LARGEST_BATCH
)
"""The recipe under noise when the bundle declares none made for it.

Noise is added once a step, so few steps on as many rows as fit drown it best, and the step is sized
by the clipping norm, not by the loss. Chosen on handwritten digits, which are not the asset's data:
a recipe tuned on those would spend budget that nobody counts. Sources: De et al. 2022, arXiv
2204.13650 (large batches, averaged weights); Tramèr and Boneh 2021, arXiv 2011.11660 (large steps).
"""
MOST_CONTROL_EPSILON = 0.0
"""Trained beside the others without noise: what privacy costs is measured against it."""


class Trained(NamedTuple):
    """One model of the curve."""

    epsilon: float
    """By the PRV accountant; 0 stands for no noise at all."""
    told: dict[str, Any]
    weights: bytes


def retrain(
    lab: Lab, *, epsilons: Sequence[float], max_gradient_norm: float, secure: bool
) -> list[Trained]:
    """Trains one model for each budget and one without noise, on the bundle's training data.

    Raises:
        InvalidInputError: The bundle has no layer list, or lacks training or evaluation data.
        ChildError: The layer list cannot be trained privately.
    """
    spec = lab.subject.spec
    if spec.model.task != "classification" or not spec.model.architecture:
        raise InvalidInputError(
            "Only a classifier with a layer list (model.architecture) can be trained again; "
            f"{spec.asset} has none."
        )
    training, evaluation = _examples(lab, "training"), _examples(lab, "evaluation")
    architecture = lab.admit_target()
    privacy = spec.training.privacy if spec.training else None
    delta = privacy.delta if privacy else min(1e-5, 0.1 / len(training.labels))
    assert spec.model.output is not None, "a classification artifact states its output"
    assert spec.model.input is not None, "a classification artifact states its input"
    trained = []
    for epsilon in (*epsilons, MOST_CONTROL_EPSILON):
        reply = lab.run(
            "targets.private_training",
            {
                "inputs": training.inputs,
                "labels": training.labels,
                "test_inputs": evaluation.inputs,
                "test_labels": evaluation.labels,
            },
            architecture=str(architecture),
            classes=spec.model.output.classes,
            epsilon=epsilon,
            delta=delta,
            recipe=recipe_of(spec.training, epsilon, len(training.labels)).model_dump(
                mode="json", exclude={"privacy"}
            ),
            max_gradient_norm=max_gradient_norm,
            seed=lab.seed,
            secure=secure,
            mean=list(spec.model.input.mean),
            std=list(spec.model.input.std),
        )
        weights: bytes = safetensors.numpy.save(reply.arrays)
        told = dict(reply.values) | {"delta": delta, "max_gradient_norm": max_gradient_norm}
        trained.append(Trained(epsilon, told, weights))
    return trained


def recipe_of(told: TrainingRecipe | None, epsilon: float, rows: int) -> TrainingRecipe:
    """Returns how a model is trained: as declared, where that was declared for this budget.

    A recipe without noise (``epsilon`` 0) fits no noise and the other way round, so a declared
    recipe counts under noise only if it has a ``privacy`` block.
    """
    if epsilon == 0:
        return told or STAND_IN
    if told and told.privacy:
        return told
    return PRIVATE.model_copy(update={"batch_size": min(rows, LARGEST_BATCH)})


def curve(trained: Sequence[Trained]) -> list[dict[str, Any]]:
    """Returns accuracy against epsilon, with intervals; the last point has no noise."""
    points = []
    for model in trained:
        rate = binomial(int(model.told["right"]), int(model.told["tests"]))
        points.append(
            {
                "epsilon": model.told["prv"],
                "epsilon_rdp": model.told["rdp"],
                "noise_multiplier": round(float(model.told["noise_multiplier"]), 4),
                "accuracy": round(rate.value, 4),
                "low": round(rate.low, 4),
                "high": round(rate.high, 4),
                "n": rate.n,
                "ghost_clipping": model.told["ghost"],
            }
        )
    return points


def declared(model: Trained, recipe: TrainingRecipe) -> dict[str, Any]:
    """Returns what a bundle says of this model: its claims and its training block."""
    told = model.told
    privacy = PrivacyRecipe(
        noise_multiplier=told["noise_multiplier"],
        max_gradient_norm=told["max_gradient_norm"],
        sample_rate=told["sample_rate"],
        steps=told["steps"],
        delta=told["delta"],
    )
    # Rounded up: a claim must not be smaller than what the accountant gives.
    claimed = float(np.ceil(told["prv"] * 100) / 100)
    return {
        "claims": {"dp_epsilon": claimed},
        "training": recipe.model_copy(update={"privacy": privacy}).model_dump(mode="json"),
    }


def keep(lab: Lab, trained: Sequence[Trained]) -> dict[str, Any]:
    """Stores every model and the curve by digest; returns the document that names them."""
    rows = len(_examples(lab, "training").labels)
    models = []
    for model, point in zip(trained, curve(trained), strict=True):
        artifact = lab.keep(
            "model.safetensors",
            title="weights of a model trained again",
            media_type="application/octet-stream",
            data=model.weights,
        )
        entry = {**point, "weights": artifact.digest}
        if model.epsilon:
            recipe = recipe_of(lab.subject.spec.training, model.epsilon, rows)
            entry["bundle"] = declared(model, recipe)
        models.append(entry)
    return {"asset": lab.subject.spec.asset, "models": models}


def lay_out(document: dict[str, Any], read: Any, folder: Path) -> list[Path]:
    """Writes weights, declarations and the curve to a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "curve.json", folder / "curve.png"]
    written[0].write_bytes(canonical_json(document))
    written[1].write_bytes(picture(document["models"]))
    for model in document["models"]:
        name = f"epsilon-{model['epsilon']:.2f}" if model["epsilon"] else "no-noise"
        place = folder / f"{name}.safetensors"
        place.write_bytes(read(Digest(model["weights"])))
        written.append(place)
        if "bundle" in model:
            told = folder / f"{name}.json"
            told.write_text(json.dumps(model["bundle"], indent=1) + "\n", encoding="utf-8")
            written.append(told)
    return written


def picture(points: Sequence[dict[str, Any]]) -> bytes:
    """Draws accuracy against epsilon, and what the model without noise reaches."""
    import io  # noqa: PLC0415 - beside the library that needs it

    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, only for pictures

    figure = Figure(figsize=(4.8, 2.8), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    private = [point for point in points if point["epsilon"]]
    x = [point["epsilon"] for point in private]
    axes.fill_between(
        x, [p["low"] for p in private], [p["high"] for p in private], alpha=0.2, linewidth=0
    )
    axes.plot(x, [point["accuracy"] for point in private], "o-", markersize=3)
    for point in points:
        if not point["epsilon"]:
            axes.axhline(point["accuracy"], linestyle=":", color="grey", label="without noise")
    axes.set(xlabel="epsilon (PRV)", ylabel="accuracy", xscale="log", ylim=(0, 1.02))
    axes.set_xticks(x, [f"{epsilon:.3g}" for epsilon in x])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _examples(lab: Lab, role: str) -> Examples:
    try:
        return lab.examples(role)
    except NotAvailable as reason:
        raise InvalidInputError(
            f"{reason}; training again needs training and evaluation data."
        ) from None
