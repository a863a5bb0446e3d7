"""Shadow models of an audit set, trained once and kept by content address.

The bank's name is the digest of everything that decides its content: both data sets, the draw of
the audit set, architecture, recipe and the code that trains. A later version of an asset with the
same data finds it, so assessing that version costs one forward pass over the audit set.
"""

import importlib.metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

import tasks.attacks.inference as attacks
from tasks.attacks.inference.signals import halves
from tasks.checks.lab import Lab
from tasks.checks.privacy.audit_set import Audit
from tasks.domain.digest import digest_of, digest_of_file, hexadecimal
from tasks.domain.frozen import canonical_json
from tasks.domain.recipe import TrainingRecipe
from tasks.statistics.intervals import Floats

STAND_IN = TrainingRecipe(learning_rate=5e-3, epochs=60, batch_size=100)
"""The recipe when the bundle declares none: long enough to know the data by heart."""
MOST_EPOCHS = 200
LONGEST_STEP = 4096


class Bank(NamedTuple):
    """What every shadow model says about every item of the audit set."""

    members: NDArray[np.bool_]
    """Which model learnt which item (models, items)."""
    confidence: Floats
    log_probability: Floats
    told: str
    """What was trained, and how."""

    def models(self, chosen: NDArray[np.int64]) -> "Bank":
        """Returns the bank with these models only, each as often as it is chosen."""
        return Bank(
            self.members[chosen],
            self.confidence[chosen],
            self.log_probability[chosen],
            self.told,
        )


def shadow_bank(lab: Lab, audit: Audit) -> Bank:
    """Returns the bank of an audit set, trained now or found where an earlier run left it.

    Must be called before the target is opened.
    """
    architecture = lab.admit_target()
    recipe, told = _recipe(lab)
    models = 2 * (lab.count("shadow_models") // 2)
    spec: dict[str, object] = {
        "audit": digest_of(audit.inputs.tobytes() + audit.labels.tobytes()),
        "shape": list(audit.inputs.shape),
        "architecture": digest_of_file(architecture) if architecture else None,
        "input": _normalisation(lab),
        "recipe": recipe,
        "classes": _classes(lab, audit),
        "models": models,
        "seed": lab.seed,
        "code": _code(),
    }
    drawn = halves(models, len(audit.labels), seed=lab.seed)
    name = f"shadow-banks/{hexadecimal(digest_of(canonical_json(spec)))}"
    data = lab.remembered(name)
    if data is None:
        data = _trained(lab, audit, drawn, spec, architecture)
        lab.remember(name, data)
    return _read(data, drawn, told)


def _trained(
    lab: Lab,
    audit: Audit,
    drawn: NDArray[np.bool_],
    spec: dict[str, object],
    architecture: Path | None,
) -> bytes:
    reply = lab.run(
        "attacks.inference.shadow_stack",
        {"inputs": audit.inputs, "labels": audit.labels, "members": drawn},
        classes=spec["classes"],
        recipe=spec["recipe"],
        seed=lab.seed,
        architecture=str(architecture) if architecture else None,
        **_normalisation(lab),
    )
    told = np.frombuffer(str(reply.values["architecture"]).encode(), dtype=np.uint8)
    data: bytes = safetensors.numpy.save(reply.arrays | {"told": told})
    return data


def _read(data: bytes, drawn: NDArray[np.bool_], told: str) -> Bank:
    tensors = safetensors.numpy.load(data)
    network = tensors["told"].tobytes().decode()
    return Bank(
        drawn,
        tensors["confidence"].astype(np.float64),
        tensors["log_probability"].astype(np.float64),
        f"{len(drawn)} shadow models: {network}; {told}",
    )


def _recipe(lab: Lab) -> tuple[dict[str, object], str]:
    declared = lab.subject.spec.training
    used = declared or STAND_IN
    if used.epochs > MOST_EPOCHS or used.batch_size > LONGEST_STEP:
        capped = {
            "epochs": min(used.epochs, MOST_EPOCHS),
            "batch_size": min(used.batch_size, LONGEST_STEP),
        }
        used = used.model_copy(update=capped)
    values = used.model_dump(mode="json", exclude={"privacy"})
    source = "the bundle's recipe" if declared else "a stand-in recipe"
    return values, f"{source} ({', '.join(f'{key} {value}' for key, value in values.items())})"


def _normalisation(lab: Lab) -> dict[str, list[float]]:
    spec = lab.subject.spec.model.input
    return {"mean": list(spec.mean), "std": list(spec.std)} if spec else {}


def _classes(lab: Lab, audit: Audit) -> int:
    output = lab.subject.spec.model.output
    stated = output.classes if output else None
    return stated or max(2, int(audit.labels.max()) + 1)


def _code() -> list[str]:
    """Returns what else decides the trained weights: the sources, and the library's version."""
    folder = Path(str(attacks.__file__)).parent
    sources = [folder / "shadow_stack.py", folder / "signals.py"]
    return [*map(digest_of_file, sources), importlib.metadata.version("torch")]
