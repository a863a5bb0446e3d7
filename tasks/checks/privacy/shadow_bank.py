"""Shadow models of an audit set, trained once and kept by content address.

A bank is made of blocks of a few models, and a block's name is the digest of everything that
decides its content: both data sets, the draw of the audit set, architecture, recipe and the code
that trains. A later version of an asset with the same data finds its blocks, so assessing that
version costs one forward pass over the audit set; a larger bank trains only what it has more.
Blocks are the same whoever trains them, so several workers may share them out.
"""

import functools
import importlib.metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tasks.attacks.inference as attacks
from tasks.attacks.inference.signals import aligned, confidence, halves
from tasks.attacks.inference.views import views
from tasks.checks.lab import Lab
from tasks.checks.parts import part_bytes, part_from
from tasks.checks.privacy.audit_set import Audit
from tasks.domain.digest import Digest, digest_of, digest_of_file, hexadecimal
from tasks.domain.frozen import canonical_json
from tasks.domain.recipe import TrainingRecipe
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.intervals import Floats

STAND_IN = TrainingRecipe(learning_rate=5e-3, epochs=60, batch_size=100)
"""The recipe when the bundle declares none: long enough to know the data by heart."""
MOST_EPOCHS = 200
LONGEST_STEP = 4096
BLOCK = 8
"""Models trained as one stack: more hardly train faster, and fewer than that do."""


class Bank(NamedTuple):
    """What every shadow model says about every item of the audit set."""

    members: NDArray[np.bool_]
    """Which model learnt which item (models, items)."""
    confidence: Floats
    """Of every look at every item (models, looks, items)."""
    log_probability: Floats
    """Of the items themselves (models, items)."""
    told: str
    """What was trained, and how."""
    diverged: int
    """How many models answer no numbers, so that nothing can be told from them."""
    digest: Digest
    """Of all blocks in order: equal banks have equal digests, whoever trained them."""

    def models(self, chosen: NDArray[np.int64]) -> "Bank":
        """Returns the bank with these models only, each as often as it is chosen."""
        return self._replace(
            members=self.members[chosen],
            confidence=self.confidence[chosen],
            log_probability=self.log_probability[chosen],
        )


class Plan(NamedTuple):
    """What every block of a bank is made from."""

    spec: dict[str, Any]
    """Decides the content of a block together with its index and size."""
    drawn: NDArray[np.bool_]
    architecture: Path | None
    told: str

    def rows(self, index: int) -> slice:
        """Returns which models the block ``index`` holds."""
        return slice(index * BLOCK, min((index + 1) * BLOCK, len(self.drawn)))

    def name(self, index: int) -> str:
        """Returns what the block is known by; models that are not in it do not matter."""
        rows = self.rows(index)
        place = {"first": rows.start, "models": rows.stop - rows.start}
        return f"shadow-banks/{hexadecimal(digest_of(canonical_json(self.spec | place)))}"


def shadow_bank(lab: Lab, audit: Audit) -> Bank:
    """Returns the bank of an audit set; blocks that nobody trained before are trained now.

    Must be called before the target is opened. A check that calls it offers :func:`bank_part` as
    its ``measure_part``, so that other workers can train blocks.
    """
    plan = _plan(lab, audit)
    count = -(-len(plan.drawn) // BLOCK)
    blocks = list(lab.parts(functools.partial(_block, lab, audit, plan), count))
    told = str(blocks[0].values["architecture"])
    return Bank(
        plan.drawn,
        np.concatenate([block.arrays["confidence"] for block in blocks]).astype(np.float64),
        np.concatenate([block.arrays["log_probability"] for block in blocks]).astype(np.float64),
        f"{len(plan.drawn)} shadow models: {told}; {plan.told}",
        sum(int(block.values["diverged"]) for block in blocks),
        digest_of(canonical_json([digest_of(part_bytes(block)) for block in blocks])),
    )


def bank_part(lab: Lab, audit: Audit, index: int) -> Reply:
    """Returns one block of the bank, the same that :func:`shadow_bank` would train itself."""
    return _block(lab, audit, _plan(lab, audit), index)


def looked_at(lab: Lab, audit: Audit, bank: Bank) -> tuple[Array, list[Floats]]:
    """Asks the opened target about every look that the bank has answers for.

    Returns:
        The scores of the items themselves (items, classes), and for each look the confidence
        (items,) on the scale of the shadow models.
    """
    asked = [
        lab.run("targets.querying.scores", {"inputs": view}).arrays["scores"]
        for view in views(audit.inputs, bank.confidence.shape[1])
    ]
    placed = [
        aligned(confidence(scores, audit.labels), bank.confidence[:, look])
        for look, scores in enumerate(asked)
    ]
    return asked[0], placed


def _plan(lab: Lab, audit: Audit) -> Plan:
    architecture = lab.admit_target()
    recipe, told = _recipe(lab)
    spec: dict[str, Any] = {
        "audit": digest_of(audit.inputs.tobytes() + audit.labels.tobytes()),
        "shape": list(audit.inputs.shape),
        "architecture": digest_of_file(architecture) if architecture else None,
        "input": _normalisation(lab),
        "recipe": recipe,
        "classes": _classes(lab, audit),
        "looks": _looks(lab),
        "seed": lab.seed,
        "code": _code(),
    }
    models = 2 * (lab.count("shadow_models") // 2)
    # The draw of the first models does not depend on how many follow.
    return Plan(spec, halves(models, len(audit.labels), seed=lab.seed), architecture, told)


def _block(lab: Lab, audit: Audit, plan: Plan, index: int) -> Reply:
    name = plan.name(index)
    data = lab.remembered(name)
    if data is None:
        data = part_bytes(_trained(lab, audit, plan, plan.rows(index)))
        lab.remember(name, data)
    return part_from(data)


def _trained(lab: Lab, audit: Audit, plan: Plan, rows: slice) -> Reply:
    reply = lab.run(
        "attacks.inference.shadow_stack",
        {"inputs": audit.inputs, "labels": audit.labels, "members": plan.drawn[rows]},
        classes=plan.spec["classes"],
        recipe=plan.spec["recipe"],
        looks=plan.spec["looks"],
        seed=lab.seed + rows.start,
        architecture=str(plan.architecture) if plan.architecture else None,
        **plan.spec["input"],
    )
    # None of these passes is the target's.
    told = {"architecture": str(reply.values["architecture"]), "passes": 0, "queries": 0}
    return Reply(reply.arrays, told | {"diverged": int(reply.values["diverged"])})


def _recipe(lab: Lab) -> tuple[dict[str, object], str]:
    declared = lab.subject.spec.training
    if declared and declared.privacy:
        # Its steps are made for clipped gradients and noise; without both they diverge.
        declared = None
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


def _looks(lab: Lab) -> int:
    """Returns how many looks at an item are worth asking for.

    Only where training moved the items does a model know them from their neighbours; elsewhere more
    looks blur what one look shows, and the answer costs one pass.
    """
    declared = lab.subject.spec.training
    moved = declared is not None and declared.augmentation != "none"
    return lab.count("looks") if moved else 1


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
    sources = [folder / name for name in ("shadow_stack.py", "signals.py", "views.py")]
    return [*map(digest_of_file, sources), importlib.metadata.version("torch")]
